import Forwarding
import Glibc
import Seeds
import TableReading
import Testing
import Wire

@Suite("Hostile patches")
struct HostilePatchTests {
    /// A table with room, and a patch of it that writes to every section that patches write to.
    private static func changed() throws -> (table: [UInt8], patch: [UInt8]) {
        var old = HostileSnapshotTests.table
        old.groups = [InstanceGroup(name: "g", members: [GroupMember(name: "a"), GroupMember(name: "b")])]
        // The slots of an index are in the bytes of both families, and a group stands in the hash table of groups.
        for (index, port) in [(0, 81), (1, 82), (2, 83)] as [(Int, UInt16)] {
            old.entries.append(
                Entry(
                    name: "own\(index)", kind: .distribution, direction: .request, receivedInterface: index,
                    source: prefix("192.0.2.0/24"), destination: prefix("10.0.0.1/32"), servicePort: .tcp(port),
                    targets: [SendTarget(interface: 3, address: .mac(FourInterface.web), system: .terminalApplication)],
                    counter: 20 + index))
        }
        let origins = [prefix("198.18.4.0/24"), prefix("198.18.6.0/24"), prefix("2001:db8::/32")]
        for index in old.sources.indices { old.sources[index].origins = origins }
        old.claimed.append(ClaimedAddress(interface: 0, prefix: prefix("10.0.0.1/32")))
        var new = old
        new.claimed.append(ClaimedAddress(interface: 0, prefix: prefix("10.0.0.2/32")))
        new.holders.append(
            AddressHolder(interface: 3, mac: FourInterface.web, prefix: prefix("10.0.0.2/32"), moves: true))
        for index in new.sources.indices { new.sources[index].origins = origins + [prefix("198.18.5.0/24")] }
        var fresh: [Entry] = []
        for (index, port) in [(0, 80), (1, 80), (0, 8080), (2, 80)] as [(Int, UInt16)] {
            fresh.append(
                Entry(
                    name: "new", kind: .distribution, direction: .request, receivedInterface: index,
                    source: prefix("192.0.2.0/24"), destination: prefix("10.0.0.2/32"), servicePort: .tcp(port),
                    rewriteSource: port == 8080 ? address("198.18.4.200") : nil,
                    hops: [
                        .whether(
                            group: 0,
                            up: [
                                .instance(
                                    group: 0,
                                    targets: [1, 2].map {
                                        SendTarget(
                                            interface: 3, address: .mac(MACAddress(bits: 0x0200_0000_0700 + $0)),
                                            system: .terminalApplication)
                                    }, otherwise: .drop(.reset))
                            ], down: [])
                    ], counter: 0))
        }
        // A sender of its own, and lengths that no prefix has had: a scope, and an index of prefixes, are made anew.
        let sender = old.sources[0]
        fresh.append(
            Entry(
                name: "sender", kind: .sequencing, direction: .request, receivedInterface: sender.interface,
                sourceMAC: sender.mac, destination: prefix("10.0.0.0/13"), servicePort: .tcp(80),
                targets: [SendTarget(interface: 3, address: .mac(FourInterface.web), system: .terminalApplication)],
                counter: 40))
        fresh.append(
            Entry(
                name: "anybody", kind: .sequencing, direction: .request, receivedInterface: 2, source: nil,
                destination: prefix("2001:db8:40::/43"), servicePort: .tcp(80),
                targets: [SendTarget(interface: 3, address: .mac(FourInterface.web), system: .terminalApplication)],
                counter: 41))
        // One tenant's list gets other rules, one goes, and one comes.
        new.access[0].lists[0].rules.insert(
            AccessRule(action: .deny(.drop), own: prefix(FourInterface.shop4 + "/32"), counter: 5), at: 0)
        new.access[0].lists[1] = AccessList(
            tenant: "carol", own: [prefix("10.0.0.2/32")],
            rules: [AccessRule(action: .allow, own: prefix("10.0.0.2/32"), counter: 6)], otherwise: .deny(.reset),
            counter: 7)
        let patch = TablePatch(
            spans: [
                TablePatch.Span(0..<1, []), TablePatch.Span(old.entries.count..<old.entries.count, fresh),
            ], count: old.entries.count)
        new.entries = patch.patched(old.entries)!
        var compiled = try CompiledTable(old, leavesRoom: true)
        let bytes = compiled.bytes(generation: 1)
        return (bytes, try compiled.change(from: old, to: new, by: patch, basis: 1, generation: 2))
    }

    private static let packets = [
        flow(tcp, "192.0.2.10", 50000, to: "10.0.0.2", 80), flow(tcp, "192.0.2.10", 50000, to: "10.0.0.2", 8080),
        flow(tcp, "192.0.2.10", 50000, to: "10.0.0.1", 81), flow(tcp, FourInterface.shop4, 80, to: "192.0.2.10", 50000),
        flow(tcp, "192.0.2.10", 50000, to: FourInterface.shop4, 80), flow(gre, "10.0.0.1", to: "10.0.0.2"),
        flow(tcp, "2001:db8:2::10", 50000, to: FourInterface.shop6, 80),
    ]
    private static let stations = [
        FourInterface.alice, FourInterface.firewallIn, FourInterface.firewallOut, FourInterface.web,
    ]

    /// Applies a patch to a fresh image whose memory ends where unreadable memory starts.
    ///
    /// - Returns: How much there was to see; nil if the patch was refused: then the image is as it was.
    private static func apply(_ patch: GuardedBytes, to table: [UInt8], _ memory: GuardedBytes) throws -> Int? {
        memory.bytes.copyBytes(from: table)
        var image = try WritableSnapshot(validating: memory.bytes)
        do throws(SnapshotError) {
            try image.apply(UnsafeRawBufferPointer(patch.bytes))
        } catch {
            let isSame = table.withUnsafeBytes { memcmp($0.baseAddress!, memory.bytes.baseAddress!, $0.count) == 0 }
            #expect(isSame, "a refused patch has changed something")
            return nil
        }
        return image.snapshot.useEverything(packets: packets, stations: stations)
    }

    @Test("every change of one byte of a patch is refused, or harmless to read")
    func everyByte() throws {
        let (table, content) = try Self.changed()
        let (memory, patch) = (GuardedBytes(table), GuardedBytes(content))
        #expect(try Self.apply(patch, to: table, memory) != nil)
        #if DEBUG
            // Each change checks a whole table.
            let (step, changes): (Int, [UInt8]) = (7, [0x01, 0xFF])
        #else
            let (step, changes): (Int, [UInt8]) = (1, (0..<8).map { 1 << $0 } + [0x03, 0x7F, 0xAA, 0xFF])
        #endif
        let seed = Seed.drawn()
        var (refused, used) = (0, 0)
        for place in stride(from: Int(seed % UInt64(step)), to: content.count, by: step) {
            for change in changes {
                patch.bytes[place] = content[place] ^ change
                if try Self.apply(patch, to: table, memory) == nil { refused += 1 } else { used += 1 }
            }
            patch.bytes[place] = content[place]
        }
        #expect(refused > 0 && used > 0, "seed \(seed)")
    }

    @Test("random changes of several bytes of a patch are refused, or harmless to read")
    func severalBytes() throws {
        let seed = Seed.drawn()
        var random = SeededGenerator(seed: seed)
        let (table, content) = try Self.changed()
        let (memory, patch) = (GuardedBytes(table), GuardedBytes(content))
        let interesting: [UInt8] = [0, 1, 2, 0x7F, 0x80, 0xFF]
        var (refused, used) = (0, 0)
        for _ in 0..<1_000 {
            patch.bytes.copyBytes(from: content)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                patch.bytes[Int.random(in: 64..<content.count, using: &random)] =
                    interesting.randomElement(using: &random)!
            }
            if try Self.apply(patch, to: table, memory) == nil { refused += 1 } else { used += 1 }
        }
        #expect(refused > 0 && used > 0, "seed \(seed): \(refused) and \(used)")
    }

    @Test("a patch of another table, or one cut short, is refused")
    func otherTable() throws {
        let (table, content) = try Self.changed()
        let (memory, patch) = (GuardedBytes(table), GuardedBytes(content))
        var image = try WritableSnapshot(validating: memory.bytes)
        try image.apply(UnsafeRawBufferPointer(patch.bytes))
        #expect(image.snapshot.generation == 2)
        #expect(throws: SnapshotError.otherTable(found: 1, expected: 2)) {
            try image.apply(UnsafeRawBufferPointer(patch.bytes))
        }
        for length in stride(from: 0, to: content.count - 8, by: 8) {
            let short = GuardedBytes(Array(content[..<length]))
            #expect(throws: SnapshotError.self) { try image.apply(UnsafeRawBufferPointer(short.bytes)) }
        }
        withExtendedLifetime((memory, patch)) {}
    }
}
