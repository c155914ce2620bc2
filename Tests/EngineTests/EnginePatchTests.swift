import CLinux
import Engine
import Forwarding
import Glibc
import Testing
import Wire

extension EngineProcessTests {
    /// Traffic goes on while the table follows patches, counters and groups stay, and what is no patch of it is refused.
    @Test func patchesAreTakenUnderTrafficWithoutLoss() throws {
        let bench = try EngineBench()
        var table = EngineBench.table
        let group = InstanceGroup(name: "echo", members: ["a", "b"].map { GroupMember(name: $0) })
        table.groups = [group]
        let place = try #require(table.entries.firstIndex { $0.direction == .request })
        let target = try #require(table.entries[place].targets.first)
        table.entries[place].hops = [.instance(group: 0, targets: [target, target], otherwise: .drop(.silence))]
        var compiled = try CompiledTable(table, leavesRoom: true)
        let engine = try bench.start()
        func hand(
            _ bytes: [UInt8]?, isPatch: Bool = false, groups: [UInt8]? = nil, _ generation: UInt64
        ) throws -> EngineEvent? {
            func memory(_ bytes: [UInt8]) throws -> EngineLink.Memory {
                EngineLink.Memory(
                    descriptor: try bytes.withUnsafeBytes { try SharedMapping.makeTable($0) }, size: bytes.count)
            }
            let memories = try (bytes.map(memory), groups.map(memory))
            defer { for memory in [memories.0, memories.1].compactMap(\.self) { close(memory.descriptor) } }
            try engine.link.publish(table: memories.0, isPatch: isPatch, groups: memories.1, generation: generation)
            return try engine.link.receive()
        }
        func isRefused(_ event: EngineEvent?) -> Bool { if case .refused = event { true } else { false } }
        var generation: UInt64 = 2
        /// Hands the difference to a table with other entries.
        func change(_ spans: [TablePatch.Span]) throws -> EngineEvent? {
            let patch = TablePatch(spans: spans, count: table.entries.count)
            var next = table
            next.entries = try #require(patch.patched(table.entries))
            generation += 1
            let bytes = try compiled.change(
                from: table, to: next, by: patch, basis: generation - 1, generation: generation)
            table = next
            return try hand(bytes, isPatch: true, generation)
        }
        let server = try echo(bench)
        defer { shutdown(server, Int32(SHUT_RDWR)) }
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        _ = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { connect(client, $0, $1) }

        #expect(try hand(compiled.bytes(generation: generation), generation) == .applied(generation: generation))
        // Another service comes and goes.
        var other = table.entries[place]
        other.name = "other"
        other.destination = IPPrefix(host: IPAddress("203.0.113.99")!)
        let returned = try exchange(client, 1_600) {
            let end = table.entries.count
            let isThere = table.entries[end - 1].name == "other"
            let event = try change([isThere ? .init(end - 1..<end, []) : .init(end..<end, [other])])
            #expect(event == .applied(generation: generation))
            #expect(bench.reader.generations().first == generation)
        }
        #expect(returned == 1_600)
        #expect(bench.reader.entry(table.entries[place].counter).packets == 1_600)

        // The service itself goes, and comes back: it counts from where it was.
        let own = table.entries[place]
        #expect(try change([.init(place..<place + 1, [])]) == .applied(generation: generation))
        #expect(exchange(client, 1, between: {}) == 0)
        #expect(try change([.init(place..<place, [own])]) == .applied(generation: generation))
        #expect(exchange(client, 64, between: {}) == 64)

        // Groups in memory of their own stay beside a patch: nobody answers while both instances are down.
        var down = group
        for member in 0..<2 { down.members[member].availability = .down }
        let basis = generation
        generation += 1
        let isTaken = compiled.setGroups([down])
        #expect(isTaken)
        table.groups = [down]
        #expect(
            try hand(nil, groups: compiled.groupBytes(generation: generation, of: basis), generation)
                == .applied(generation: generation))
        #expect(exchange(client, 1, between: {}) == 0)
        let patch = TablePatch(
            spans: [.init(table.entries.count..<table.entries.count, [other])], count: table.entries.count)
        var next = table
        next.entries = try #require(patch.patched(table.entries))
        generation += 1
        let bytes = try compiled.change(from: table, to: next, by: patch, basis: basis, generation: generation)
        table = next
        #expect(try hand(bytes, isPatch: true, generation) == .applied(generation: generation))
        #expect(exchange(client, 1, between: {}) == 0)

        // The same patch again, or anything else, is refused, and the table stays in force and can be changed.
        #expect(isRefused(try hand(bytes, isPatch: true, generation + 1)))
        #expect(isRefused(try hand([UInt8](repeating: 0xFF, count: 4_096), isPatch: true, generation + 1)))
        var up = group
        up.members[1].availability = .draining
        next.groups = [up]
        let both = try compiled.change(
            from: table, to: next, by: TablePatch(spans: [], count: table.entries.count), basis: generation,
            generation: generation + 1)
        generation += 1
        // A patch and its groups at once.
        #expect(
            try hand(
                both, isPatch: true, groups: compiled.groupBytes(generation: generation, of: generation), generation)
                == .applied(generation: generation))
        #expect(exchange(client, 64, between: {}) == 64)
        // A whole table takes the place of one that was patched.
        #expect(try hand(compiled.bytes(generation: 900), 900) == .applied(generation: 900))
        #expect(exchange(client, 64, between: {}) == 64)
    }
}
