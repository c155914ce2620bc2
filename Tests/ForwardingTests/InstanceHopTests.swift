import Forwarding
import Seeds
import Testing
import Wire

/// What the snapshot says of hops to instances.
@Suite("Hops to instances") struct InstanceHopTests {
    private static func target(_ number: UInt64) -> SendTarget {
        SendTarget(interface: 1, address: .mac(MACAddress(bits: 0x0200_0000_0000 | number)), system: .inlineApplication)
    }

    private static let bypassed = Self.target(99)

    private func table(_ group: InstanceGroup, _ otherwise: Hop.Otherwise = .drop(.reset)) -> ForwardingTable {
        var table = ForwardingTable(
            interfaces: [
                TableInterface(name: "a", mac: mac("02:00:00:00:01:00")),
                TableInterface(name: "b", mac: mac("02:00:00:00:01:01")),
            ],
            groups: [group], heartbeatToken: 0x1122_3344_5566_7788)
        let targets = group.members.indices.map { Self.target(UInt64($0) + 1) }
        table.entries = [
            Entry(
                name: "e", kind: .distribution, direction: .request, receivedInterface: 0,
                hops: [.instance(group: 0, targets: targets, otherwise: otherwise)], counter: 0)
        ]
        return table
    }

    private func group(_ count: Int, _ hashing: FlowHashing = .sessions) -> InstanceGroup {
        InstanceGroup(
            name: "fw", hashing: hashing, seed: 5, members: (0..<count).map { GroupMember(name: "fw-\($0)") })
    }

    /// The member that a packet goes to.
    private func member(_ snapshot: Snapshot, _ flow: FlowFields) throws -> Int {
        let index = snapshot.entry(0).targets.lowerBound
        guard case .instance(let choice) = snapshot.hop(index) else { throw Unexpected() }
        switch snapshot.decide(choice, flow) {
        case .member(let member): return member
        case .changes: throw Unexpected()
        }
    }

    private struct Unexpected: Error {}

    @Test(
        "both directions of a flow meet one instance, of either family and any protocol",
        arguments: FlowHashing.allCases)
    func symmetry(hashing: FlowHashing) throws {
        let buffer = try table(group(5, hashing)).snapshot()
        var generator = SeededGenerator(seed: 11)
        var met: Set<Int> = []
        for _ in 0..<500 {
            var packet = FlowFields()
            let six = Bool.random(using: &generator)
            func random() -> IPAddress {
                six
                    ? IPAddress(ipv6High: generator.next(), low: generator.next())
                    : IPAddress(ipv4: .random(in: 0 ... .max, using: &generator))
            }
            packet.source = random()
            packet.destination = random()
            packet.protocolNumber = [1, 6, 17, 47, 58, 132].randomElement(using: &generator)!
            packet.hasPorts = [6, 17, 132].contains(packet.protocolNumber)
            if packet.hasPorts {
                packet.sourcePort = .random(in: 0 ... .max, using: &generator)
                packet.destinationPort = .random(in: 0 ... .max, using: &generator)
            }
            let there = try member(buffer.snapshot, packet)
            #expect(try member(buffer.snapshot, packet.reversed) == there)
            met.insert(there)
        }
        #expect(met.count == 5)
    }

    @Test("fragments, which have no ports, go where their datagram's others go")
    func fragments() throws {
        let buffer = try table(group(7)).snapshot()
        for number in 0..<200 {
            let whole = flow(udp, "192.0.2.\(number)", UInt16(4_000 + number), to: "203.0.113.1", 53)
            let fragment = flow(udp, "192.0.2.\(number)", to: "203.0.113.1")
            #expect(try member(buffer.snapshot, whole) == member(buffer.snapshot, fragment))
            #expect(try member(buffer.snapshot, whole) == member(buffer.snapshot, fragment.reversed))
        }
    }

    @Test("sessions of two hosts are spread by their ports, datagrams are not unless the file says so")
    func hashing() throws {
        func met(_ hashing: FlowHashing, _ number: UInt8) throws -> Int {
            let buffer = try table(group(4, hashing)).snapshot()
            return try Set(
                (0..<100).map {
                    try member(buffer.snapshot, flow(number, "192.0.2.1", UInt16(5_000 + $0), to: "203.0.113.1", 80))
                }
            ).count
        }
        #expect(try met(.sessions, tcp) == 4)
        #expect(try met(.sessions, udp) == 1)
        #expect(try met(.ports, udp) == 4)
        #expect(try met(.addresses, tcp) == 1)
    }

    @Test("a group that is down drops, or lets packets by, as the entry says")
    func down() throws {
        var group = group(2)
        for index in group.members.indices { group.members[index].availability = .down }
        let dropping = try table(group).snapshot()
        let first = dropping.snapshot.entry(0).targets.lowerBound
        guard case .hops(let none) = dropping.snapshot.hop(first) else {
            Issue.record("not down")
            return
        }
        #expect(none.isEmpty)
        #expect(dropping.snapshot.downAnswer(first) == .reset)
        let bypassing = try table(group, .hops([.target(Self.bypassed)])).snapshot()
        let index = bypassing.snapshot.entry(0).targets.lowerBound
        guard case .hops(let onward) = bypassing.snapshot.hop(index), let next = onward.first,
            case .target(let target) = bypassing.snapshot.hop(next)
        else {
            Issue.record("not bypassed")
            return
        }
        #expect(bypassing.snapshot.downAnswer(index) == nil)
        #expect(target.address == Self.bypassed.address)
    }

    @Test("whom copies may reach is told whatever is down, and passive applications are nobody")
    func reach() throws {
        var group = group(2)
        for index in group.members.indices { group.members[index].availability = .down }
        func reached(_ otherwise: Hop.Otherwise) throws -> [Bool] {
            let buffer = try table(group, otherwise).snapshot()
            return (0...2).map { buffer.snapshot.reach(buffer.snapshot.entry(0).targets, $0) }
        }
        #expect(try reached(.drop(.reset)) == [false, true, false])
        var aside = Self.bypassed
        aside.interface = 0
        #expect(try reached(.hops([.target(aside)])) == [true, true, false])
        aside.system = .passiveApplication
        #expect(try reached(.hops([.target(aside)])) == [false, true, false])
    }

    @Test("groups are patched without compiling, to the same bytes as compiled")
    func patching() throws {
        let before = table(group(6))
        var compiled = try CompiledTable(before)
        #expect(try compiled.bytes(generation: 3) == TableCompiler.compile(before, generation: 3))
        var after = before
        after.groups[0].members[2].availability = .down
        after.groups[0].members[4].availability = .draining
        after.groups[0].members[5].weight = 9
        let changed = compiled.setGroups(after.groups)
        #expect(changed)
        #expect(try compiled.bytes(generation: 4) == TableCompiler.compile(after, generation: 4))
        after.groups[0].members.removeLast()
        let refused = compiled.setGroups(after.groups)
        #expect(!refused)
    }

    @Test("what drains keeps its slots for what is there, and names who gets what is new")
    func draining() throws {
        var group = group(3)
        group.members[1].availability = .draining
        let buffer = try table(group).snapshot()
        let index = buffer.snapshot.entry(0).targets.lowerBound
        guard case .instance(let choice) = buffer.snapshot.hop(index) else {
            Issue.record("down")
            return
        }
        var drained = 0
        for port in 0..<300 {
            switch buffer.snapshot.decide(choice, flow(tcp, "192.0.2.1", UInt16(port + 1), to: "203.0.113.1", 80)) {
            case .member(let member): #expect(member != 1)
            case .changes(_, let member, let new):
                #expect(member == 1 && new != 1)
                drained += 1
            }
        }
        #expect(drained > 50 && drained < 150)
    }

    @Test("tables with groups that make no sense are refused")
    func refusals() {
        var missing = table(group(2))
        missing.groups = []
        #expect(missing.problems == [.entryGroup(EntryReference(index: 0, name: "e"), group: 0)])
        var fewer = table(group(2))
        fewer.groups[0].members.removeLast()
        #expect(fewer.problems == [.entryGroup(EntryReference(index: 0, name: "e"), group: 0)])
        var twice = table(group(2))
        twice.groups[0].members[1].name = "fw-0"
        twice.groups[0].members[0].weight = 1_001
        #expect(
            twice.problems == [
                .group("fw", "two of them have the same name"), .group("fw", "a weight of 1001 is outside 0 to 1000"),
            ])
        var deep = table(group(1))
        for _ in 0..<70 {
            deep.entries[0].hops = [.whether(group: 0, up: deep.entries[0].hops, down: [])]
        }
        #expect(deep.problems == [.tooManyChoices(EntryReference(index: 0, name: "e"))])
    }

    @Test("a snapshot whose choices lead backwards, or to nobody, is refused")
    func hostileSnapshots() throws {
        // One active member, so that there are no slots, and every octet can have its turn.
        var group = group(3)
        group.active = 1
        let bytes = try TableCompiler.compile(table(group, .hops([.target(Self.bypassed)])), generation: 1)
        var refused = 0
        for place in stride(from: 0, to: bytes.count, by: 4) {
            for value in [UInt8(0xFF), 0x04, 0x05] {
                var changed = bytes
                changed[place] = value
                do throws(SnapshotError) {
                    let buffer = try SnapshotBuffer(copying: changed)
                    _ = buffer.snapshot.reach(buffer.snapshot.entry(0).targets, -1)
                    if case .instance(let choice) = buffer.snapshot.hop(buffer.snapshot.entry(0).targets.lowerBound) {
                        _ = buffer.snapshot.decide(choice, flow(tcp, "192.0.2.1", 1, to: "203.0.113.1", 80))
                    }
                } catch {
                    refused += 1
                }
            }
        }
        #expect(refused > 0)
    }
}
