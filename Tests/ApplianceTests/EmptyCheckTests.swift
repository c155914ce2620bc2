import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Plan
import Planning
import Reporting
import Testing
import TopologyFiles

@testable import Verification

@Suite("Checks without steps") struct EmptyCheckTests {
    @Test func proveNothing() throws {
        let plan = try Planner.plan(
            TopologyFile.parse(
                """
                name: t
                interfaces: { a: { address: 192.0.2.1/24 }, b: { address: 198.18.1.1/24 } }
                customers: { alice: { interface: a } }
                applications: { web: { attach: b } }
                services: { shop: { address: 203.0.113.80, sequence: [web] } }
                """, path: "t.yaml"))
        let runner = CheckRunner(
            sources: CheckSources(
                plan: plan, directory: try StateDirectory(name: "t"), cancellation: try Cancellation(),
                node: { name throws(ApplianceError) in throw ApplianceError(.name, "there is no \(name)") },
                counters: { CounterReading() }, engines: { [] }, deliver: { _, _ in },
                operate: { _, _ throws(ApplianceError) in }, operateEngine: { _, _ throws(ApplianceError) in },
                impair: { _, impairment throws(ApplianceError) in impairment }, applications: { [] },
                mappings: { MappingListing() },
                events: EventLog()))
        let report = try runner.run(
            CheckPlan(name: "none", origin: .line(SourcePosition(line: 7, column: 1)), steps: []))
        #expect(!report.passed && report.name == "none" && report.line == 7)
        #expect(report.expected == "a step" && report.came == ["none"])
    }
}
