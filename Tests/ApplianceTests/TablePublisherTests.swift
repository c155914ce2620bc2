import Forwarding
import Testing

@testable import Appliance
@testable import EngineControl
@testable import Reporting

@Suite("Tables are published one after another")
struct TablePublisherTests {
    /// Engines that take a table when they are told to.
    private final class Engines {
        var tables: [ForwardingTable] = []
        var groupsOnly: [Bool] = []
        var pending: [(Result<Void, ApplianceError>) -> Void] = []

        func settle(_ result: Result<Void, ApplianceError> = .success(())) { pending.removeFirst()(result) }
    }

    private static let table = ForwardingTable(
        groups: [InstanceGroup(name: "web", members: (0..<3).map { GroupMember(name: "web-\($0)") })])

    private func setUp() -> (TablePublisher, Engines) {
        let (publisher, engines) = (TablePublisher(Self.table), Engines())
        publisher.begin { table, extent, done in
            engines.tables.append(table)
            if case .groups = extent { engines.groupsOnly.append(true) } else { engines.groupsOnly.append(false) }
            engines.pending.append(done)
        }
        return (publisher, engines)
    }

    private func down(_ member: Int) -> (inout ForwardingTable) -> Void {
        { $0.groups[0].members[member].availability = .down }
    }

    @Test("the first change goes out at once, those that come meanwhile go out together")
    func coalescing() {
        let (publisher, engines) = setUp()
        var done: [String] = []
        var causes: [String] = []
        publisher.published = { causes.append($2) }
        publisher.change(groupsOnly: true, cause: "a", down(0)) { _ in done.append("a") }
        #expect(engines.tables.count == 1 && publisher.reason == "a")
        publisher.change(groupsOnly: true, cause: "b", down(1)) { _ in done.append("b") }
        publisher.change(groupsOnly: true, cause: "c", down(2)) { _ in done.append("c") }
        #expect(engines.tables.count == 1 && done.isEmpty)
        var isQuiet = false
        publisher.whenQuiet { isQuiet = true }
        engines.settle()
        #expect(engines.tables.count == 2 && done == ["a"] && !isQuiet)
        #expect(engines.tables[1].groups[0].members.allSatisfy { $0.availability == .down })
        engines.settle()
        #expect(done == ["a", "b", "c"] && isQuiet)
        #expect(causes == ["a", "b; c"])
        #expect(publisher.table == engines.tables[1])
    }

    @Test("what changes nothing in the groups is not published")
    func nothing() {
        let (publisher, engines) = setUp()
        var done = 0
        publisher.change(groupsOnly: true, cause: "", { _ in }) { _ in done += 1 }
        #expect(engines.tables.isEmpty && done == 1)
        publisher.change(groupsOnly: false, cause: "the file was read again", { _ in }) { _ in done += 1 }
        #expect(engines.tables.count == 1)
        engines.settle()
        #expect(done == 2)
    }

    @Test("a table that is refused takes no other change with it")
    func refusal() throws {
        let (publisher, engines) = setUp()
        var results: [String: Bool] = [:]
        func note(_ name: String) -> (Result<Void, ApplianceError>) -> Void {
            { result in
                if case .success = result { results[name] = true } else { results[name] = false }
            }
        }
        publisher.change(groupsOnly: true, cause: "a", down(0), done: note("a"))
        publisher.change(groupsOnly: false, cause: "file", { $0.heartbeatToken = 7 }, done: note("file"))
        publisher.change(groupsOnly: true, cause: "b", down(1), done: note("b"))
        engines.settle()
        #expect(engines.groupsOnly == [true, false])
        engines.settle(.failure(ApplianceError(.failed, "refused")))
        #expect(engines.groupsOnly == [true, false, true])
        #expect(engines.tables[2].heartbeatToken == 0)
        engines.settle()
        #expect(results == ["a": true, "file": false, "b": true])
        #expect(publisher.table.groups[0].members.map(\.availability) == [.down, .down, .up])
    }

    @Test("whoever is told may ask for more, and still no two are on their way at once")
    func reentrance() {
        let (publisher, engines) = setUp()
        publisher.change(groupsOnly: true, cause: "a", down(0)) { [self] _ in
            publisher.change(groupsOnly: true, cause: "b", down(1))
            publisher.change(groupsOnly: true, cause: "c", down(2))
        }
        engines.settle()
        #expect(engines.tables.count == 2 && engines.pending.count == 1)
        engines.settle()
        #expect(engines.tables.count == 3 && engines.pending.count == 1)
        engines.settle()
        #expect(publisher.table.groups[0].members.allSatisfy { $0.availability == .down })
        #expect(!publisher.isPublishing)
    }

    @Test("before there are engines a change is in the table that they start with; after the end it fails")
    func beginningAndEnd() {
        let publisher = TablePublisher(Self.table)
        publisher.change(groupsOnly: true, cause: "", down(0))
        #expect(publisher.table.groups[0].members[0].availability == .down)
        var sent = 0
        publisher.begin { _, _, _ in sent += 1 }
        publisher.change(groupsOnly: true, cause: "", down(1))
        var failed = false
        publisher.change(groupsOnly: true, cause: "", down(2)) { result in
            if case .failure = result { failed = true }
        }
        publisher.end()
        #expect(sent == 1 && failed)
    }
}
