import ControlAPI
import Foundation
import Instructions
import Testing

@testable import Records

/// Access lists in the database.
@Suite struct AccessStoreTests {
    private static func list(_ ports: String..., application: String = "firewall") -> RecordedAccess {
        RecordedAccess(
            tenant: "alice", application: application,
            rules: ports.map {
                RecordedAccessRule(action: "allow", protocolName: "tcp", ownPorts: [$0], comment: "port \($0)")
            },
            otherwise: RecordedVerdict(action: "deny", answer: "icmp"))
    }

    private static func write(
        _ store: RecordStore, put: [RecordedAccess] = [], remove: [String] = []
    ) throws -> Int {
        let instruction = Instruction(tenant: "alice", who: "operator", origin: "a test", name: "putAccess")
        return try #require(
            try store.write(instruction, putAccess: put, removeAccess: remove) { "version \($0)" })
    }

    @Test func listsAreKeptInOrderAndTakenBackWhole() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("records-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let store = try RecordStore(path: folder.appendingPathComponent("lab.db").path)
        let (both, one, cache) = (Self.list("443", "22"), Self.list("25"), Self.list(application: "a cache"))
        let first = try Self.write(store, put: [both, cache])
        try store.confirm(first, generation: 1)
        #expect(try store.access("firewall", of: "alice") == KeptAccess(list: both, version: first))
        #expect(try store.allAccess() == [cache, both])
        let second = try Self.write(store, put: [one], remove: ["a cache"])
        #expect(try store.access(of: "alice", after: nil, limit: 9).map(\.list) == [one])
        #expect(try store.access("firewall", of: "alice")?.isPending == true)
        try store.undo(second)
        #expect(try store.access("firewall", of: "alice") == KeptAccess(list: both, version: first))
        #expect(try store.access(of: nil, after: "alice/a cache", limit: 9).map(\.list) == [both])
        try store.confirm(try Self.write(store, put: [one], remove: ["a cache"]), generation: 2)
        #expect(try store.records(of: "alice", at: first)?.access == [cache, both])
        #expect(try store.records(of: "alice", at: 0)?.access == [])
        #expect(try store.records(of: "alice", at: second)?.access == [cache, both])
        #expect(try store.access("firewall", of: "bob") == nil)
    }
}
