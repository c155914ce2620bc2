import Forwarding
import Glibc
import Testing
import Wire

@testable import ControlAPI
@testable import EngineControl
@testable import Reporting

extension EngineFleetTests {
    @Test(
        "a table with a few other entries goes out as a patch, and whole to an engine that does not have the one before"
    )
    func patches() throws {
        let bench = try Bench(engines: 2)
        var table = Bench.table
        table.entries = ["80", "81"].enumerated().map { index, last in
            Entry(
                name: "shop", kind: .distribution, direction: .request, receivedInterface: 0,
                destination: IPPrefix("203.0.113.\(last)/32"),
                targets: [
                    SendTarget(
                        interface: 0, address: .mac(MACAddress(bits: 0x02_00_00_00_00_02)), system: .terminalApplication
                    )
                ],
                counter: index)
        }
        let first = table
        try bench.wait { $0.publish(first, $1) }
        /// Adds an entry, or takes the last one out.
        func change(_ isAdded: Bool) throws {
            let (old, count) = (table, table.entries.count)
            var entry = old.entries[0]
            entry.destination = IPPrefix("203.0.113.201/32")
            let patch = TablePatch(
                spans: [isAdded ? .init(count..<count, [entry]) : .init(count - 1..<count, [])], count: count)
            table.entries = try #require(patch.patched(old.entries))
            let new = table
            do { try bench.wait { $0.publish(new, from: old, patch, $1) } } catch {
                table = old
                throw error
            }
        }
        func said(_ lane: Int) -> [String] {
            bench.log.filter { $0.hasPrefix("\(lane) ") && !$0.contains("reads") && !$0.hasSuffix("round") }
                .map { String($0.dropFirst(2)) }
        }
        // The first table was compiled without room.
        for isAdded in [true, false, true] { try change(isAdded) }
        for lane in 0..<2 { #expect(said(lane) == ["table 2", "table 3", "patch 4", "patch 5"]) }
        // Groups beside it, and a patch of the same table that keeps them.
        try bench.wait { $0.publish($0.compiled, groupsOnly: true, $1) }
        try change(false)
        for lane in 0..<2 { #expect(said(lane).suffix(2) == ["groups 6", "patch 7"]) }
        // A successor starts with the whole table, as it is now.
        let pid = try #require(try bench.status()[0].pid)
        kill(pid, SIGKILL)
        try bench.eventually("another one reads") {
            let now = try bench.status()[0]
            return now.pid != pid && now.queueSets == [0]
        }
        try change(true)
        #expect(said(0).last == "patch 8" && said(1).last == "patch 8")
        // One refuses: the other one goes back to the whole table before, and the next one is whole.
        bench.tell("refuse", true)
        #expect(throws: ApplianceError.self) { try change(false) }
        try bench.eventually("the other one has the table before") { said(1).last == "table 8" }
        bench.tell("refuse", false)
        try change(false)
        try change(true)
        for lane in 0..<2 { #expect(said(lane).suffix(2) == ["table 10", "patch 11"]) }
    }
}
