import Forwarding
import Seeds
import TableReading
import Testing
import Wire

/// An engine's two images of a table, as they follow patches: each is patched while nothing reads it.
private final class PatchedImages {
    private let memories: [UnsafeMutableRawBufferPointer]
    private var images: [WritableSnapshot]
    private var inForce = 0

    init(_ bytes: [UInt8]) throws {
        memories = (0..<2).map { _ in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
            memory.copyBytes(from: bytes)
            return memory
        }
        let first = try WritableSnapshot(validating: memories[0])
        images = [first, WritableSnapshot(first, in: memories[1])]
    }

    deinit { for memory in memories { memory.deallocate() } }

    var snapshot: Snapshot { images[inForce].snapshot }

    func apply(_ patch: [UInt8]) throws {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: patch.count, alignment: 8)
        defer { memory.deallocate() }
        memory.copyBytes(from: patch)
        try images[1 - inForce].apply(UnsafeRawBufferPointer(memory))
        inForce = 1 - inForce
        try images[1 - inForce].apply(UnsafeRawBufferPointer(memory))
    }
}

extension Snapshot {
    /// All that is decided about a packet, with entries by their counters, so that the places of records do not matter.
    fileprivate func opinion(_ packet: FlowFields, from mac: MACAddress, on interface: Int) -> String {
        let sender = sender(of: mac, on: interface)
        var text = describe(decide(packet, from: sender, receivedInterface: interface))
        var fragment = packet
        fragment.hasPorts = false
        switch decideFragment(fragment, from: sender, receivedInterface: interface) {
        case .byPorts: text += " by ports"
        case .alike(let decision): text += " alike \(describe(decision))"
        }
        text += " claimed \(isClaimed(packet.destination, on: interface))"
        text += " announces \(mayAnnounce(packet.source, from: mac, on: interface))"
        text += " moves \(mayMove(packet.source, to: mac, on: interface)) \(isMovable(packet.source, on: interface))"
        text += " contradicts \(contradictsClaim(packet.source, on: interface))"
        text += " sends \(maySend(sender, from: packet.source)) stranger \(sender.isStranger)"
        text += " answers \(answersForEntries(packet.destination, to: packet.source, sender, on: interface))"
        return text
    }

    private func describe(_ decision: Decision) -> String {
        guard case .forward(let index) = decision else { return "\(decision)" }
        let entry = entry(index)
        return "\(entry.counter) \(entry.kind) \(entry.direction) \(entry.rewriteSource.map { "\($0)" } ?? "-") "
            + describe(entry.targets)
    }

    private func describe(_ hops: Range<Int>) -> String {
        hops.map { index in
            switch hop(index) {
            case .target(let target): "\(target) \(access(index))"
            case .hops(let hops): "(\(describe(hops)) \(downAnswer(index).map { "\($0)" } ?? "-"))"
            case .instance(let choice): "[\(choice.group) \(target(choice, member: 0)) \(access(choice))]"
            }
        }
        .joined(separator: ",")
    }
}

@Suite("Patches of snapshots")
struct PatchPropertyTests {
    private static let stations = TableUniverse<SeededGenerator>.stations

    /// Entries without ties, nodes, claims and holders, of which tables have parts.
    private static func pool(_ universe: inout TableUniverse<SeededGenerator>) -> ForwardingTable? {
        var pool = universe.table()
        for _ in 0..<4 { pool.entries += universe.table().entries }
        for index in pool.entries.indices {
            pool.entries[index].name = "e\(index)"
            pool.entries[index].counter = index
            // Several places to go to, and rewritten sources.
            if universe.chance(30) {
                pool.entries[index].hops = [
                    .target(
                        SendTarget(
                            interface: universe.pick(0..<2), address: .mac(stations[universe.pick(0..<3)]),
                            system: .inlineApplication))
                ]
            }
            if universe.chance(20), let family = (pool.entries[index].source ?? pool.entries[index].destination)?.family
            {
                pool.entries[index].rewriteSource =
                    family == .ipv4
                    ? IPAddress("198.18.0.\(index % 7 + 1)")! : IPAddress("2001:db8:99::\(index % 7 + 1)")!
            }
        }
        guard pool.removeTies().isEmpty else { return nil }
        for (place, mac) in stations.enumerated() {
            let origins = (0..<20).compactMap { _ in universe.prefix(universe.chance(50) ? .ipv4 : .ipv6) }
            for interface in 0..<2 {
                pool.sources.append(
                    KnownSource(
                        interface: interface, mac: mac, node: "n\(place)-\(interface)",
                        system: interface == 0 ? .customer : .inlineApplication, origins: place == 2 ? nil : origins))
            }
        }
        for _ in 0..<30 {
            guard let prefix = universe.prefix(universe.chance(50) ? .ipv4 : .ipv6) else { continue }
            let interface = universe.pick(0..<2)
            if universe.chance(50) { pool.claimed.append(ClaimedAddress(interface: interface, prefix: prefix)) }
            pool.holders.append(
                AddressHolder(
                    interface: interface, mac: stations[universe.pick(0..<3)], prefix: prefix,
                    moves: universe.chance(30)))
        }
        // Some without a list at first.
        if universe.chance(50) {
            pool.access = [
                AccessPoint(application: "n0", nodes: ["n0-1"], lists: []),
                AccessPoint(application: "n1", nodes: ["n1-0", "n1-1"], lists: []),
            ]
        }
        return pool
    }

    /// The entries that stay, so that there is one with each length of prefixes, and one with each scope.
    private static func anchors(_ pool: ForwardingTable) -> Set<String> {
        var seen: Set<String> = []
        return Set(
            pool.entries.filter { entry in
                let keys = [
                    "s\(entry.source.map { "\($0.family) \($0.length)" } ?? "")",
                    "d\(entry.destination.map { "\($0.family) \($0.length)" } ?? "")",
                    "\(entry.kind) \(entry.receivedInterface) \(entry.sourceMAC.map { "\($0)" } ?? "")",
                ]
                return keys.map { seen.insert($0).inserted }.contains(true)
            }
            .map(\.name))
    }

    /// A part of a list, with about so many percent of it.
    private static func part<Element>(
        _ list: [Element], _ percent: Int, _ universe: inout TableUniverse<SeededGenerator>
    ) -> [Element] {
        list.filter { _ in universe.chance(percent) }
    }

    /// Another table of the same pool, and how its entries differ.
    private static func change(
        _ table: ForwardingTable, _ pool: ForwardingTable, _ universe: inout TableUniverse<SeededGenerator>,
        _ access: inout AccessUniverse<SeededGenerator>
    ) -> (table: ForwardingTable, patch: TablePatch) {
        var next = table
        let names = Set(table.entries.map(\.name))
        // Now and then one of these goes, too: then all is compiled.
        let anchors = universe.chance(90) ? anchors(pool) : []
        var spans: [TablePatch.Span] = []
        var index = 0
        while index < table.entries.count {
            if universe.chance(12) {
                let end = index + 1
                var changed: [Entry] = []
                if anchors.contains(table.entries[index].name) || universe.chance(40) {
                    // Changed in its place: it goes elsewhere.
                    changed = [table.entries[index]]
                    let other = pool.entries[universe.pick(0..<min(pool.entries.count, 200))]
                    let port = changed[0].servicePort
                    if other.targets.allSatisfy({ target in
                        target.portShift.isNone
                            || port.canBeShifted && port.ports != 0...65535
                                && target.portShift.applied(to: port.ports) != nil
                    }) {
                        changed[0].hops = other.hops
                    }
                    changed[0].rewriteSource = nil
                }
                spans.append(TablePatch.Span(index..<end, changed))
                index = end
            }
            index += 1
        }
        let fresh = part(pool.entries.filter { !names.contains($0.name) }, 20, &universe)
        if !fresh.isEmpty { spans.append(TablePatch.Span(table.entries.count..<table.entries.count, fresh)) }
        let patch = TablePatch(spans: spans, count: table.entries.count)
        next.entries = patch.patched(table.entries)!
        if universe.chance(60) {
            next.claimed = part(table.claimed, 90, &universe) + part(pool.claimed, 10, &universe)
            next.holders = part(table.holders, 90, &universe) + part(pool.holders, 10, &universe)
        }
        if universe.chance(50) {
            for place in 0..<2 {
                let origins = (pool.sources[place * 2].origins ?? []).filter { _ in universe.chance(70) }
                for index in next.sources.indices where next.sources[index].node.hasPrefix("n\(place)-") {
                    next.sources[index].origins = origins
                }
            }
        }
        if universe.chance(15) { next.groups = universe.table().groups }
        // Some tenants change their lists, some remove theirs, some make their first.
        for point in next.access.indices where universe.chance(60) {
            var lists = access.lists()
            // The counters of the two points are apart.
            for list in lists.indices {
                lists[list].counter += point * 1_000
                for rule in lists[list].rules.indices { lists[list].rules[rule].counter += point * 1_000 }
            }
            let kept = part(next.access[point].lists, 60, &universe)
            let counters = Set(kept.flatMap { [$0.counter] + $0.rules.map(\.counter) })
            let fresh = lists.filter { list in
                !kept.contains { $0.tenant == list.tenant }
                    && counters.isDisjoint(with: [list.counter] + list.rules.map(\.counter))
            }
            next.access[point].lists = kept + fresh
        }
        return (next, patch)
    }

    @Test("a snapshot that follows patches decides as one that was compiled from the table")
    func agreesWithCompilation() throws {
        let seed = Seed.drawn()
        var universe = TableUniverse(SeededGenerator(seed: seed))
        var access = AccessUniverse(SeededGenerator(seed: seed ^ 1))
        var (patched, anew, judged) = (0, 0, 0)
        var reasons: [String: Int] = [:]
        #if DEBUG
            let pools = 4
        #else
            let pools = 60
        #endif
        for _ in 0..<pools {
            guard let pool = Self.pool(&universe) else { continue }
            var table = pool
            let anchors = Self.anchors(pool)
            table.entries = pool.entries.filter { anchors.contains($0.name) || universe.chance(75) }
            var compiled = try CompiledTable(table, leavesRoom: true)
            var generation: UInt64 = 1
            var images = try PatchedImages(compiled.bytes(generation: generation))
            for step in 0..<20 {
                let (next, patch) = Self.change(table, pool, &universe, &access)
                var bytes: [UInt8]?
                do throws(UnfitChange) {
                    bytes = try compiled.change(
                        from: table, to: next, by: patch, basis: generation, generation: generation + 1)
                } catch {
                    reasons[error.description, default: 0] += 1
                }
                if let bytes {
                    try images.apply(bytes)
                    patched += 1
                } else {
                    compiled = try CompiledTable(next, leavesRoom: true)
                    images = try PatchedImages(compiled.bytes(generation: generation + 1))
                    anew += 1
                }
                generation += 1
                table = next
                let fresh = try table.snapshot(generation: generation)
                // A process that starts now gets the whole.
                let whole = try SnapshotBuffer(copying: compiled.bytes(generation: generation))
                #expect(images.snapshot.generation == generation)
                #expect(images.snapshot.counterCount >= fresh.snapshot.counterCount)
                // The groups of instances travel beside a patch.
                let beside = GroupMemory(compiled.groupBytes(generation: generation, of: generation))
                let snapshot = try Snapshot(images.snapshot, groups: beside.bytes)
                for _ in 0..<50 {
                    let packet = universe.packet()
                    let mac = Self.stations[universe.pick(0..<Self.stations.count)]
                    let interface = universe.pick(0..<2)
                    let expected = fresh.snapshot.opinion(packet, from: mac, on: interface)
                    let context = "seed \(seed), step \(step): \(packet)"
                    guard snapshot.opinion(packet, from: mac, on: interface) == expected else {
                        #expect(snapshot.opinion(packet, from: mac, on: interface) == expected, "\(context)")
                        return
                    }
                    #expect(whole.snapshot.opinion(packet, from: mac, on: interface) == expected, "\(context)")
                }
                #expect(snapshot.ruleCounterCount >= fresh.snapshot.ruleCounterCount)
                for point in table.access.indices {
                    for _ in 0..<50 {
                        let packet = access.packet()
                        let expected = fresh.snapshot.judge(packet, at: point + 1)
                        let context = "seed \(seed), step \(step): \(packet) by \(table.access[point].lists)"
                        guard snapshot.judge(packet, at: point + 1) == expected else {
                            #expect(snapshot.judge(packet, at: point + 1) == expected, "\(context)")
                            return
                        }
                        #expect(whole.snapshot.judge(packet, at: point + 1) == expected, "\(context)")
                        judged += bytes != nil && expected.counters.first >= 0 ? 1 : 0
                    }
                }
                withExtendedLifetime((fresh, whole, beside)) {}
            }
        }
        // A test that compiled all anew would show nothing.
        #expect(patched > anew * 2, "seed \(seed): \(patched) patched, \(anew) compiled because of \(reasons)")
        #expect(judged > 0, "seed \(seed)")
    }
}

/// Bytes of groups at an aligned address.
private final class GroupMemory {
    let bytes: UnsafeRawBufferPointer
    private let memory: UnsafeMutableRawBufferPointer

    init(_ content: [UInt8]) {
        memory = .allocate(byteCount: content.count, alignment: 64)
        memory.copyBytes(from: content)
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { memory.deallocate() }
}
