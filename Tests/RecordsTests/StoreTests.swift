import ControlAPI
import Foundation
import GRDB
import Instructions
import Reporting
import Synchronization
import Testing

@testable import Records

/// The database by itself: a file of its own for each test, and `sqlite3` as the judge of what is left.
@Suite struct StoreTests {
    /// A folder that goes with the test.
    private final class Folder {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("records-\(UUID().uuidString)")
        init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(at: url) }
        var path: String { url.appendingPathComponent("lab.db").path }
    }

    private static func service(_ name: String, _ address: String = "203.0.113.97") -> RecordedService {
        RecordedService(tenant: "alice", name: name, addresses: [address], ports: ["tcp/80"], sequence: ["web"])
    }

    private static let instruction = Instruction(
        tenant: "alice", who: "operator", origin: "a test", name: "putService")

    private static func write(
        _ store: RecordStore, put: [RecordedService] = [], remove: [String] = []
    ) throws -> Int {
        try #require(try store.write(instruction, put: put, remove: remove) { "version \($0)" })
    }

    @Test func everyTransactionIsOnTheDiskAndOnlyThisConnectionIsThere() throws {
        let folder = try Folder()
        let store = try RecordStore(path: folder.path)
        let settings = try store.queue.read { database in
            try ["synchronous", "journal_mode", "locking_mode", "foreign_keys"].map {
                try String.fetchOne(database, sql: "PRAGMA \($0)") ?? ""
            }
        }
        #expect(settings == ["2", "wal", "exclusive", "1"])
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted()
        // The log is open, and there is no shared memory that would be opened later.
        #expect(files == ["lab.db", "lab.db-wal"])
        let error = #expect(throws: ApplianceError.self) { try RecordStore(path: folder.path) }
        #expect(error?.message == "another process has the database \(folder.path) open")
    }

    @Test func whatIsWrittenIsTakenBackWhole() throws {
        let folder = try Folder()
        let store = try RecordStore(path: folder.path)
        let first = try Self.write(store, put: [Self.service("shop"), Self.service("cache")])
        try store.confirm(first, generation: 7)
        let before = try store.services(of: "alice", after: nil, limit: 10)
        let second = try Self.write(
            store, put: [Self.service("shop", "203.0.113.98"), Self.service("new")], remove: ["cache"])
        #expect(try store.services(of: "alice", after: nil, limit: 10).map(\.service.name) == ["new", "shop"])
        #expect(try store.unconfirmed() == [second])
        try store.undo(second)
        #expect(try store.services(of: "alice", after: nil, limit: 10) == before)
        #expect(try store.unconfirmed() == [])
        let audit = try store.audit(of: "alice", before: nil, limit: 100).entries
        #expect(
            audit.map(\.outcome) == Array(repeating: "failed", count: 3) + Array(repeating: "written", count: 3) + [
                "in-force", "in-force", "written", "written",
            ])
        #expect(audit.map(\.id) == audit.map(\.id).sorted(by: >))
        #expect(audit.filter { $0.outcome == "in-force" }.allSatisfy { $0.generation == 7 && $0.version == first })
    }

    @Test func earlierVersionsAreReadFromTheAudit() throws {
        let folder = try Folder()
        let store = try RecordStore(path: folder.path)
        var states: [Int: [RecordedService]] = [0: []]
        func note(_ version: Int) throws {
            try store.confirm(version, generation: 1)
            states[version] = try store.services(of: "alice", after: nil, limit: 100).map(\.service)
        }
        try note(try Self.write(store, put: [Self.service("a")]))
        try note(try Self.write(store, put: [Self.service("a", "203.0.113.99"), Self.service("b")]))
        try store.undo(try Self.write(store, remove: ["a", "b"]))
        try note(try Self.write(store, put: [Self.service("c")], remove: ["a"]))
        try note(try Self.write(store, remove: ["b", "c"]))
        for (version, state) in states {
            #expect(try store.records(of: "alice", at: version)?.services == state, "\(version)")
        }
        #expect(try store.records(of: "alice", at: 99)?.services == nil)
        #expect(try store.records(of: "bob", at: 1)?.services == [])
    }

    @Test func theAuditIsNeverChanged() throws {
        let folder = try Folder()
        let store = try RecordStore(path: folder.path)
        _ = try Self.write(store, put: [Self.service("shop")])
        for statement in ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"] {
            let error = #expect(throws: DatabaseError.self) { try store.queue.write { try $0.execute(sql: statement) } }
            #expect(error?.message?.hasPrefix("the audit is never") == true)
        }
    }

    @Test func aTokenIsValidUntilItExpiresOrIsRevokedAndItsSecretIsNotKept() throws {
        let folder = try Folder()
        var texts: [String] = []
        do {
            let time = Time()
            let store = try RecordStore(path: folder.path, clock: time.clock)
            func make(_ life: Int?, readOnly: Bool = false) throws -> AccessToken {
                let view = try store.makeToken(Self.instruction, readOnly: readOnly, life: life)
                texts.append(view.token ?? "")
                return try #require(AccessToken(view.token ?? ""))
            }
            let (always, short, looking) = (try make(nil), try make(60), try make(nil, readOnly: true))
            #expect(try store.admission(of: always) == Admission(token: always.id, tenant: "alice", isReadOnly: false))
            #expect(try store.admission(of: looking)?.isReadOnly == true)
            #expect(try store.admission(of: short) != nil)
            #expect(try store.admission(of: AccessToken()) == nil)
            var other = always
            other.secret = short.secret
            #expect(try store.admission(of: other) == nil)
            time.wall.add(61, ordering: .relaxed)
            #expect(try store.admission(of: short) == nil)
            #expect(try store.revoke(always.id, Self.instruction))
            #expect(try !store.revoke(always.id, Self.instruction))
            #expect(try store.admission(of: always) == nil)
            #expect(try store.tokens(of: "alice").map(\.state).sorted() == ["expired", "revoked", "valid"])
            #expect(try store.counts()["alice"]?.tokens == 1)
        }
        let octets = try FileManager.default.contentsOfDirectory(atPath: folder.url.path).map {
            try Data(contentsOf: folder.url.appendingPathComponent($0))
        }
        for text in texts {
            let secret = try #require(AccessToken(text)).secret
            #expect(octets.allSatisfy { $0.range(of: Data(secret.utf8)) == nil })
        }
    }

    /// The machine's clocks.
    private final class Time: Sendable {
        let wall = Atomic(1_800_000_000)
        let running = Atomic(1000)
        /// Which start of the machine this is.
        let boot = Atomic(1)
        var clock: Clock {
            Clock(
                wall: { self.wall.load(ordering: .relaxed) }, running: { self.running.load(ordering: .relaxed) },
                boot: boot.load(ordering: .relaxed))
        }
        func pass(_ seconds: Int) {
            wall.add(seconds, ordering: .relaxed)
            running.add(seconds, ordering: .relaxed)
        }
    }

    @Test func aClockThatIsCorrectedRevivesNothingAndStopsNothing() throws {
        let folder = try Folder()
        let time = Time()
        var expired: AccessToken?
        var later: AccessToken?
        do {
            let store = try RecordStore(path: folder.path, clock: time.clock)
            func make(_ life: Int) throws -> AccessToken {
                let view = try store.makeToken(Self.instruction, readOnly: false, life: life)
                return try #require(AccessToken(view.token ?? ""))
            }
            let first = try make(600)
            time.wall.add(1_000_000, ordering: .relaxed)
            #expect(try store.admission(of: first) == nil)
            let second = try make(600)
            time.wall.subtract(1_000_000, ordering: .relaxed)
            #expect(try store.admission(of: first) == nil)
            #expect(try store.admission(of: second) != nil)
            time.pass(599)
            #expect(try store.admission(of: second) != nil)
            time.pass(1)
            #expect(try store.admission(of: second) == nil)
            (expired, later) = (second, try make(600))
        }
        // Another start of the machine: its second clock begins anew.
        time.running.store(1, ordering: .relaxed)
        time.boot.add(1, ordering: .relaxed)
        let store = try RecordStore(path: folder.path, clock: time.clock)
        #expect(try store.admission(of: try #require(expired)) == nil)
        #expect(try store.admission(of: try #require(later)) != nil)
        time.pass(600)
        #expect(try store.admission(of: try #require(later)) == nil)
    }

    /// The machine's clock is far behind, and nothing is written after a token was made.
    @Test func anotherProcessGoesOnWhereTheOneBeforeWas() throws {
        let folder = try Folder()
        let time = Time()
        var token: AccessToken?
        do {
            let store = try RecordStore(path: folder.path, clock: time.clock)
            let view = try store.makeToken(Self.instruction, readOnly: false, life: 600)
            token = try #require(AccessToken(view.token ?? ""))
            time.wall.subtract(1_000_000, ordering: .relaxed)
            time.running.add(500, ordering: .relaxed)
        }
        do {
            let store = try RecordStore(path: folder.path, clock: time.clock)
            #expect(try store.admission(of: try #require(token)) != nil)
            time.running.add(99, ordering: .relaxed)
            #expect(try store.admission(of: try #require(token)) != nil)
        }
        // No process runs meanwhile.
        time.running.add(1, ordering: .relaxed)
        let store = try RecordStore(path: folder.path, clock: time.clock)
        #expect(try store.admission(of: try #require(token)) == nil)
    }

    @Test func aTokenThatWasRevokedWritesNothing() throws {
        let folder = try Folder()
        let store = try RecordStore(path: folder.path)
        let id = try store.makeToken(Self.instruction, readOnly: false, life: nil).id
        var instruction = Self.instruction
        instruction.who = id
        #expect(try store.write(instruction, put: [Self.service("shop")], remove: []) { "\($0)" } != nil)
        #expect(try store.isValid(id))
        #expect(try store.revoke(id, Self.instruction))
        #expect(try !store.isValid(id))
        #expect(try store.write(instruction, put: [Self.service("other")], remove: []) { "\($0)" } == nil)
        #expect(try store.service("other", of: "alice") == nil)
    }

    @Test func aServiceIsPendingUntilItIsInForceOrSetAside() throws {
        let folder = try Folder()
        let store = try RecordStore(path: folder.path)
        var instruction = Self.instruction
        instruction.repeating = ("k", [1])
        let version = try #require(
            try store.write(instruction, put: [Self.service("a"), Self.service("b")], remove: []) { "\($0)" })
        #expect(try store.services(of: "alice", after: nil, limit: 9).map(\.isPending) == [true, true])
        #expect(try store.service("a", of: "alice")?.isPending == true)
        try store.confirm(version, generation: 3, outcome: "in-force-after-restart", aside: ["alice/b", "bob/a"])
        #expect(try store.service("b", of: "alice")?.isPending == false)
        #expect(
            try store.audit(of: "alice", before: nil, limit: 2).entries.map { "\($0.subject) \($0.outcome)" }
                == ["b set-aside-after-restart", "a in-force-after-restart"])
        #expect(try store.unconfirmed() == [])
        // It did not come into force as it was answered.
        #expect(try store.answer(to: "k", of: "alice") == nil)
    }

    @Test func aRequestIsKnownByItsKeyOnce() throws {
        let folder = try Folder()
        let time = Time()
        let store = try RecordStore(path: folder.path, clock: time.clock)
        var instruction = Self.instruction
        instruction.repeating = ("k1", [1, 2, 3])
        let version = try #require(
            try store.write(instruction, put: [Self.service("shop")], remove: []) { "written \($0)" })
        // Nobody knows yet whether it is in force.
        #expect(try store.answer(to: "k1", of: "alice") == nil)
        try store.confirm(version, generation: 3, answer: "done")
        #expect(
            try store.answer(to: "k1", of: "alice").map { $0.request + Array($0.answer.utf8) } == [1, 2, 3]
                + Array("done".utf8))
        #expect(try store.answer(to: "k1", of: "bob") == nil)
        instruction.repeating = ("k2", [4])
        try store.undo(
            try #require(try store.write(instruction, put: [Self.service("shop")], remove: []) { "\($0)" }))
        #expect(try store.answer(to: "k2", of: "alice") == nil)
        time.pass(86_401)
        #expect(try store.answer(to: "k1", of: "alice") == nil)
        _ = try Self.write(store, put: [Self.service("shop")])
        #expect(try store.queue.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM repeats") } == 0)
    }

    @Test func aFileThatIsNoGoodDatabaseIsToldInASentence() throws {
        let folder = try Folder()
        func message(_ path: String? = nil) -> String {
            do throws(ApplianceError) {
                _ = try RecordStore(path: path ?? folder.path)
                return "it was opened"
            } catch { return error.hint == nil ? "no hint: \(error.message)" : error.message }
        }
        #expect(
            message("\(folder.url.path)/absent/lab.db")
                == "the database \(folder.url.path)/absent/lab.db cannot be opened")
        try Data("name: topology\n".utf8).write(to: URL(fileURLWithPath: folder.path))
        #expect(message() == "the database \(folder.path) is damaged: it is no database")
        try FileManager.default.removeItem(atPath: folder.path)
        do {
            let store = try RecordStore(path: folder.path)
            try store.queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99: from the future')") }
        }
        #expect(message() == "the database \(folder.path) is of a newer release")
        try FileManager.default.removeItem(atPath: folder.path)
        do {
            let store = try RecordStore(path: folder.path)
            for number in 0..<200 { _ = try Self.write(store, put: [Self.service("s\(number)")]) }
        }
        #expect(message() == "it was opened")
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: folder.path))
        try file.seek(toOffset: 8192)
        file.write(Data(repeating: 0xA5, count: 16384))
        try file.close()
        #expect(message().hasPrefix("the database \(folder.path) is damaged: "), "\(message())")
    }
}
