import EngineControl
import EventLoop
import Forwarding
import Glibc
import Plan
import Reporting
import Testing
import Wire

/// Other engines, with other queues, in place of those that run; by programs that stand in for engines.
@Suite struct EngineRegrowthTests {
    private static func table(_ names: String...) -> ForwardingTable {
        ForwardingTable(
            interfaces: names.enumerated().map { index, name in
                TableInterface(name: name, mac: MACAddress(bits: 0x02_00_00_00_00_01 + UInt64(index)))
            })
    }

    private static func set(_ engines: Int, _ interfaces: Int, queues: Int? = nil) -> EngineSet {
        let plan = EnginesPlan(count: engines)
        let queue = open("/dev/null", O_RDWR)
        return EngineSet(
            plan: plan,
            queues: Array(repeating: Array(repeating: queue, count: queues ?? plan.queues), count: interfaces),
            segmentsUDP: true)
    }

    @Test("all engines get successors, which read when the former ones have let go")
    func grow() throws {
        let bench = try EngineFleetTests.Bench(engines: 2)
        let before = try bench.status()
        try bench.wait { $0.regrow(to: Self.set(2, 2), Self.table("only", "more"), $1) }
        let after = try bench.status()
        #expect(after.map(\.queueSets) == [[0], [1]])
        #expect(zip(before, after).allSatisfy { $0.pid != $1.pid && $1.lastEnd == "was replaced" })
        // The former two let go before one of the others reads.
        let reads = bench.log.filter { $0.contains("reads") }.suffix(4)
        #expect(reads.prefix(2).allSatisfy { $0.hasSuffix("reads []") }, "\(bench.log)")
        #expect(reads.suffix(2).allSatisfy { !$0.hasSuffix("reads []") }, "\(bench.log)")
        // There may be as many more of them as one likes, and fewer again.
        for engines in [3, 1, 4, 2] {
            try bench.wait { $0.regrow(to: Self.set(engines, 2, queues: 4), Self.table("only", "more"), $1) }
            let now = try bench.status()
            #expect(now.count == engines)
            #expect(now.flatMap(\.queueSets).sorted() == Array(0..<engines))
        }
        let last = RaisedFlag()
        bench.loop.sync { bench.fleet.whenRetired { last.raise() } }
        #expect(last.wait(atMost: .seconds(20)))
    }

    @Test("where a successor does not start, the former engines go on, and the next try works")
    func failure() throws {
        let bench = try EngineFleetTests.Bench(engines: 2)
        let before = try bench.status()
        bench.tell("broken", true)
        #expect(throws: ApplianceError.self) {
            try bench.wait { $0.regrow(to: Self.set(2, 2), Self.table("only", "more"), $1) }
        }
        bench.tell("broken", false)
        let after = try bench.status()
        #expect(before.map(\.pid) == after.map(\.pid))
        #expect(after.map(\.queueSets) == [[0], [1]])
        // What is published goes to those that run.
        try bench.wait { $0.publish(EngineFleetTests.Bench.table, $1) }
        try bench.wait { $0.regrow(to: Self.set(2, 2), Self.table("only", "more"), $1) }
        #expect(try bench.status().map(\.queueSets) == [[0], [1]])
    }
}
