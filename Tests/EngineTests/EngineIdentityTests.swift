import Engine
import Foundation
import Testing

/// Which user an engine becomes, by what is mapped.
@Suite struct EngineIdentityTests {
    private func user(_ pid: Int32, _ users: String, _ groups: String? = nil) throws -> UInt32 {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("maps-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        try FileManager.default.createDirectory(
            at: root.appendingPathComponent("self"), withIntermediateDirectories: true)
        for (name, text) in [("uid_map", users), ("gid_map", groups ?? users)] {
            try text.write(to: root.appendingPathComponent("self/\(name)"), atomically: true, encoding: .utf8)
        }
        return EngineIdentity.user(of: pid, proc: root.path)
    }

    @Test func aNumberThatNobodyHasWhereAllAreMapped() throws {
        let whole = "         0          0 4294967295\n"
        #expect(try user(1, whole) == 0x7000_0001)
        // The highest number of a process that Linux gives (PID_MAX_LIMIT).
        #expect(try user(4_194_304, whole) == 0x7040_0000)
    }

    @Test func aHighNumberWhereFewAreMappedAndNoneWhereOneIs() throws {
        let few = "         0       1000          1\n         1    1000000      65536\n"
        #expect(try user(5, few) == 0x8005)
        #expect(try user(0x4000 + 5, few) == 0x8005)
        #expect(try user(5, "         0       1000          1\n") == 0)
        // It is user and group at once.
        #expect(try user(5, few, "         0       1000          1\n") == 0)
        #expect(try user(5, "") == 0)
    }
}
