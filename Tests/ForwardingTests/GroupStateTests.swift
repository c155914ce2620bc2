import Forwarding
import Testing
import Wire

/// A table whose groups are in memory of their own.
@Suite("Groups beside a table") struct GroupStateTests {
    private static let members = ["fw-a", "fw-b", "fw-c"]

    private static func table(_ states: [Availability]) -> ForwardingTable {
        let targets = members.indices.map {
            SendTarget(
                interface: 1, address: .mac(MACAddress(bits: 0x0200_0000_0001 + UInt64($0))), system: .inlineApplication
            )
        }
        let group = InstanceGroup(
            name: "fw", seed: 7, members: zip(members, states).map { GroupMember(name: $0, availability: $1) })
        return ForwardingTable(
            interfaces: [
                TableInterface(name: "a", mac: mac("02:00:00:00:01:00")),
                TableInterface(name: "b", mac: mac("02:00:00:00:01:01")),
            ],
            entries: [
                Entry(
                    name: "e", kind: .distribution, direction: .request, receivedInterface: 0,
                    hops: [.instance(group: 0, targets: targets, otherwise: .drop(.reset))], counter: 0)
            ],
            groups: [group, InstanceGroup(name: "other", members: [GroupMember(name: "x")])])
    }

    /// Bytes at an address that is a multiple of 64, exactly as long.
    private final class Memory {
        let bytes: UnsafeMutableRawBufferPointer
        init(_ bytes: [UInt8]) {
            self.bytes = .allocate(byteCount: bytes.count, alignment: 64)
            self.bytes.copyBytes(from: bytes)
        }
        deinit { bytes.deallocate() }
    }

    /// What becomes of some hundred flows.
    private func decisions(_ snapshot: Snapshot) -> [InstanceDecision?] {
        (0..<200).map { number in
            let index = snapshot.entry(0).targets.lowerBound
            guard case .instance(let choice) = snapshot.hop(index) else { return nil }
            return snapshot.decide(choice, flow(tcp, "192.0.2.10", 40_000 + UInt16(number), to: "203.0.113.80", 80))
        }
    }

    @Test(
        "whatever is up and down, the two decide as the table that is made anew",
        arguments: [
            [Availability.up, .up, .up], [.up, .down, .up], [.down, .down, .up], [.down, .down, .down],
            [.up, .draining, .up], [.joining, .up, .up],
        ])
    func same(states: [Availability]) throws {
        var compiled = try CompiledTable(Self.table([.up, .up, .down]))
        let whole = try SnapshotBuffer(copying: compiled.bytes(generation: 4))
        let fresh = Self.table(states)
        let isTaken = compiled.setGroups(fresh.groups)
        #expect(isTaken)
        let memory = Memory(compiled.groupBytes(generation: 9, of: 4))
        let snapshot = try Snapshot(whole.snapshot, groups: UnsafeRawBufferPointer(memory.bytes))
        #expect(snapshot.generation == 9)
        let anew = try fresh.snapshot()
        #expect(decisions(snapshot) == decisions(anew.snapshot))
        #expect(snapshot.downAnswer(snapshot.entry(0).targets.lowerBound) == .reset)
        withExtendedLifetime((whole, anew, memory)) {}
    }

    @Test("groups of another table, another version or other members are refused")
    func refused() throws {
        let whole = try SnapshotBuffer(copying: CompiledTable(Self.table([.up, .up, .up])).bytes(generation: 4))
        let compiled = try CompiledTable(Self.table([.up, .down, .up]))
        func check(_ bytes: [UInt8]) throws(SnapshotError) {
            let memory = Memory(bytes)
            _ = try Snapshot(whole.snapshot, groups: UnsafeRawBufferPointer(memory.bytes))
        }
        #expect(throws: SnapshotError.otherTable(found: 5, expected: 4)) {
            try check(compiled.groupBytes(generation: 9, of: 5))
        }
        var fewer = Self.table([.up, .up, .up])
        fewer.groups[1].members.append(GroupMember(name: "y"))
        fewer.groups[1].members[0].availability = .down
        let other = try CompiledTable(fewer)
        #expect(throws: SnapshotError.self) { try check(other.groupBytes(generation: 9, of: 4)) }
        #expect(throws: SnapshotError.notASnapshot) { try check(compiled.bytes(generation: 4)) }
        let sound = compiled.groupBytes(generation: 9, of: 4)
        #expect(throws: SnapshotError.tooShort) { try check(Array(sound.dropLast(64))) }
        #expect(throws: SnapshotError.tooShort) { try check([]) }
        for (offset, value) in [(8, UInt8(99)), (40, 3), (48, 1), (64, 4), (68, 8), (64 + 16, 1)] {
            var bad = sound
            bad[offset] = value
            #expect(throws: SnapshotError.self, "octet \(offset)") { try check(bad) }
        }
        // A slot of an instance that there is not.
        var slot = sound
        slot[128] = 3
        #expect(throws: SnapshotError.self) { try check(slot) }
    }

    @Test("no octet that is changed leads outside of the memory")
    func hostile() throws {
        let whole = try SnapshotBuffer(copying: CompiledTable(Self.table([.up, .up, .up])).bytes(generation: 4))
        let sound = try CompiledTable(Self.table([.up, .down, .up])).groupBytes(generation: 9, of: 4)
        for offset in 0..<192 {
            for value: UInt8 in [0, 1, 3, 0x7F, 0xFF] {
                var bytes = sound
                bytes[offset] = value
                let memory = Memory(bytes)
                guard let snapshot = try? Snapshot(whole.snapshot, groups: UnsafeRawBufferPointer(memory.bytes)) else {
                    continue
                }
                for case .member(let member)? in decisions(snapshot) { #expect((0..<3).contains(member)) }
                withExtendedLifetime(memory) {}
            }
        }
    }
}
