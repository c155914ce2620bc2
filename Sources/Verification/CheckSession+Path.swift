import ControlAPI
import EventLoop
import LinuxNetwork
import Plan
import Reporting
import Tracing
import Wire

extension CheckSession {
    /// How much longer than a packet may stay somewhere its fate is waited for.
    static let fateKnown = Duration.milliseconds(500)

    /// Sends numbered packets, follows each of them, and compares what is measured.
    func measure(_ plan: PathPlan, _ timeout: Duration) throws(ApplianceError) -> StepOutcome {
        concern(plan.train.packet.from)
        let run = try ProbeRun(plan.train, count: plan.count, stay: timeout, sources)
        while !run.waitForSending(atMost: .milliseconds(50)), run.failure == nil, !sources.cancellation.isRaised {}
        let outcome = try run.finish(timeout: timeout + Self.fateKnown)
        if let refusal = outcome.refusal, outcome.refused == outcome.measures.sent {
            return StepOutcome(
                holds: false, expected: ["that \(plan.train.packet.from) can send them"], came: ["\(refusal)"])
        }
        let sums = outcome.measures.sums(isWhole: outcome.isWhole)
        let text = MeasureText(plan.train, outcome, sums, answersCount: false)
        var judgement = Judgement(text)
        judgement.judge(plan.expectation)
        if let paths = plan.paths {
            let count = outcome.measures.paths.count
            if !judgement.compare("paths", paths, count...(count + sums.unknown)) {
                judgement.explain(outcome.measures.paths.prefix(4).map(\.example), "a packet of each path")
            }
        }
        judgement.judge(through: plan.through, plan.standIns)
        for bound in plan.within { judgement.judge(bound, plan.standIns) }
        return conclude(judgement, text, .path)
    }

    /// Notes what was measured, and the traces that explain what was not expected.
    func conclude(_ judgement: Judgement, _ text: MeasureText, _ kind: CheckMeasurement.Kind) -> StepOutcome {
        let measurement = text.measurement(kind, line: line)
        measured.append(measurement)
        guard !judgement.unmet.isEmpty else { return .held }
        traces = judgement.evidence
        return StepOutcome(
            unmet: judgement.unmet, came: judgement.came + [measurement.summary] + text.table, isFinal: true)
    }
}
