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
    /// Carries out an operator's request for an instance, and returns when the engines decide by it.
    package let operate: @Sendable (InstanceOperation, String) throws(ApplianceError) -> Void
    /// Carries out an operator's request for the engine of a number from 1, and returns when it is done.
    let operateEngine: @Sendable (EngineOperation, Int) throws(ApplianceError) -> Void
    /// The states of the applications whose health Tapline looks after.
    package let applications: @Sendable () -> [StatusReport.Application]
    /// The log of all events.
    package let events: EventLog

    /// Memberwise.
    package init(
        plan: AppliancePlan, directory: StateDirectory, cancellation: Cancellation,
        node: @escaping @Sendable (String) throws(ApplianceError) -> NodeRuntime,
        counters: @escaping @Sendable () -> CounterReading,
        engines: @escaping @Sendable () -> [(pid: Int32?, isRunning: Bool)],
        operate: @escaping @Sendable (InstanceOperation, String) throws(ApplianceError) -> Void,
        operateEngine: @escaping @Sendable (EngineOperation, Int) throws(ApplianceError) -> Void,
        applications: @escaping @Sendable () -> [StatusReport.Application], events: EventLog
    ) {
        self.plan = plan
        self.directory = directory
        self.cancellation = cancellation
        self.node = node
        self.counters = counters
        self.engines = engines
        self.operate = operate
        self.operateEngine = operateEngine
        self.applications = applications
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

    /// The shortest and the longest time between two looks at an expectation that does not hold yet.
    private static let pauses = Duration.milliseconds(50)...Duration.milliseconds(500)

    /// Runs one check: its steps in order, until one does not hold.
    ///
    /// - Throws: `ApplianceError`: the reason of a cancellation, and nothing else.
    package func run(_ check: CheckPlan) throws(ApplianceError) -> CheckReport {
        let started = monotonicTime()
        let session = CheckSession(sources)
        var failure: (step: StepPlan, finding: StepOutcome)?
        do throws(ApplianceError) {
            for step in check.steps where failure == nil {
                let finding = try hold(step, session)
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
            time: monotonicTime() - started, expected: nil, came: [])
        guard !report.passed else { return report }
        if let failure {
            let step = failure.step
            let place = check.listsSteps ? "in the step \(step.origin.place) (\(step.summary)): " : ""
            report.expected = place + failure.finding.expected.joined(separator: "; ")
            report.came = failure.finding.came
        } else {
            report.expected = "that its commands do not change the nodes"
        }
        report.came += aftermath
        report.evidence = failure == nil ? session.evidence() : evidence
        return report
    }

    /// Looks at a step until it holds or its time is over.
    private func hold(_ step: StepPlan, _ session: CheckSession) throws(ApplianceError) -> StepOutcome {
        let deadline = monotonicTime() + .milliseconds(step.within)
        var pause = Self.pauses.lowerBound
        while true {
            try sources.cancellation.check()
            let left = deadline - monotonicTime()
            let longest = Duration.milliseconds(step.timeout)
            let timeout = step.within == 0 ? longest : min(longest, max(left, .seconds(1)))
            let finding: StepOutcome
            do throws(ApplianceError) {
                finding = try session.look(step.action, timeout)
            } catch {
                try sources.cancellation.check()
                finding = StepOutcome(holds: false, expected: ["that it can be looked at"], came: ["\(error)"])
            }
            try sources.cancellation.check()
            if finding.holds || finding.isFinal || monotonicTime() + pause >= deadline { return finding }
            sources.cancellation.sleep(pause)
            pause = min(pause * 2, Self.pauses.upperBound)
        }
    }
}
