import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Forwarding
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// The parts that checks look at, and that their faults break.
package struct CheckSources: Sendable {
    package let plan: AppliancePlan
    package let directory: StateDirectory
    package let cancellation: Cancellation
    /// The node of a name.
    package let node: @Sendable (String) throws(ApplianceError) -> NodeRuntime
    /// The engine's counters until now.
    package let counters: @Sendable () -> CounterReading
    /// The engines' processes, and whether they forward.
    package let engines: @Sendable () -> [(pid: Int32?, isRunning: Bool)]
    /// Delivers a frame to what is on an interface, as an engine does.
    let deliver: @Sendable (Int, [UInt8]) -> Void
    /// Carries out an operator's request for an instance, and returns when the engines decide by it.
    package let operate: @Sendable (InstanceOperation, String) throws(ApplianceError) -> Void
    /// Carries out an operator's request for the engine of a number from 1, and returns when it is done.
    let operateEngine: @Sendable (EngineOperation, Int) throws(ApplianceError) -> Void
    /// Impairs a link from now on; nil: as before any command. Returns when engines do so, with what a command had asked for
    /// before.
    let impair: @Sendable (ImpairmentPlace, ImpairmentPair?) throws(ApplianceError) -> ImpairmentPair?
    /// The states of the applications whose health Tapline looks after.
    package let applications: @Sendable () -> [StatusReport.Application]
    /// The service ports that applications asked for and got.
    let mappings: @Sendable () -> MappingListing
    /// The log of all events.
    package let events: EventLog

    /// Memberwise.
    package init(
        plan: AppliancePlan, directory: StateDirectory, cancellation: Cancellation,
        node: @escaping @Sendable (String) throws(ApplianceError) -> NodeRuntime,
        counters: @escaping @Sendable () -> CounterReading,
        engines: @escaping @Sendable () -> [(pid: Int32?, isRunning: Bool)],
        deliver: @escaping @Sendable (Int, [UInt8]) -> Void,
        operate: @escaping @Sendable (InstanceOperation, String) throws(ApplianceError) -> Void,
        operateEngine: @escaping @Sendable (EngineOperation, Int) throws(ApplianceError) -> Void,
        impair: @escaping @Sendable (ImpairmentPlace, ImpairmentPair?) throws(ApplianceError) -> ImpairmentPair?,
        applications: @escaping @Sendable () -> [StatusReport.Application],
        mappings: @escaping @Sendable () -> MappingListing, events: EventLog
    ) {
        self.plan = plan
        self.directory = directory
        self.cancellation = cancellation
        self.node = node
        self.counters = counters
        self.engines = engines
        self.deliver = deliver
        self.operate = operate
        self.operateEngine = operateEngine
        self.impair = impair
        self.applications = applications
        self.mappings = mappings
        self.events = events
    }
}

/// How one look at a step came out.
struct StepOutcome {
    var holds: Bool
    /// The expectations that do not hold, each after "expected".
    var expected: [String] = []
    /// The actual results.
    var came: [String] = []
    /// True if another try cannot help, or must not be made.
    var isFinal = false

    /// It holds.
    static let held = StepOutcome(holds: true)

    /// It holds if no expectation is missing.
    init(unmet: [String], came: [String], isFinal: Bool = false) {
        self.init(holds: unmet.isEmpty, expected: unmet, came: came, isFinal: isFinal)
    }

    init(holds: Bool, expected: [String] = [], came: [String] = [], isFinal: Bool = false) {
        self.holds = holds
        self.expected = expected
        self.came = came
        self.isFinal = isFinal
    }
}

extension StepPlan {
    /// The step in a message: `in the step line 7 (kill fw)`.
    var inWords: String { "in the step \(origin.place) (\(summary))" }
}

/// Runs the checks of a file, one after another, in the calling thread.
///
/// Every check starts from the same state. After each check, its processes are ended, and everything that its faults
/// and commands changed is restored.
package struct CheckRunner {
    package let sources: CheckSources

    /// Memberwise.
    package init(sources: CheckSources) {
        self.sources = sources
    }

    /// Runs one check: its steps in order, until one does not hold. A check without steps proves nothing, so it fails.
    ///
    /// - Throws: `ApplianceError`: the reason of a cancellation, and nothing else.
    package func run(_ check: CheckPlan) throws(ApplianceError) -> CheckReport {
        guard !check.steps.isEmpty else {
            return CheckReport(
                name: check.name, origin: check.origin, passed: false, time: .zero, expected: "a step", came: ["none"])
        }
        let started = monotonicTime()
        let session = CheckSession(sources)
        var failure: (step: StepPlan, finding: StepOutcome)?
        do throws(ApplianceError) {
            for step in check.steps where failure == nil {
                let finding = try session.hold(step)
                if !finding.holds { failure = (step, finding) }
            }
        } catch {
            session.abandon()
            throw error
        }
        let evidence = failure == nil ? [] : session.evidence()
        let aftermath = session.restore()
        try sources.cancellation.check()
        var report = CheckReport(
            name: check.name, origin: check.origin, passed: failure == nil && aftermath.isEmpty,
            time: monotonicTime() - started, expected: nil, came: [], measured: session.measured)
        guard !report.passed else { return report }
        if let failure {
            let step = failure.step
            let place = check.listsSteps ? "\(step.inWords): " : ""
            report.expected = place + failure.finding.expected.joined(separator: "; ")
            report.came = failure.finding.came
        } else {
            report.expected = "that its commands do not change the nodes"
        }
        report.came += aftermath
        report.evidence = failure == nil ? session.evidence() : evidence
        return report
    }
}
