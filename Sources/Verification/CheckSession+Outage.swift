import ControlAPI
import EventLoop
import Plan
import Reporting
import Tracing
import Wire

extension CheckSession {
    /// How long a packet may be inside a node that stands still until it counts as lost there, beside the step's own time.
    private static let standstill = Duration.seconds(3)

    /// Sends numbered packets while steps run, and measures how long nothing arrived.
    func measure(_ plan: OutagePlan, _ timeout: Duration) throws(ApplianceError) -> StepOutcome {
        let from = plan.train.packet.from
        concern(from)
        let own = line
        let run = try ProbeRun(plan.train, count: nil, stay: max(timeout, Self.standstill), sources)
        sources.cancellation.sleep(.milliseconds(OutagePlan.lead))
        let before = run.sent
        var failure: (step: StepPlan, finding: StepOutcome)?
        do throws(ApplianceError) {
            for step in plan.steps where failure == nil {
                let finding = try hold(step)
                if !finding.holds { failure = (step, finding) }
            }
        } catch {
            run.abandon()
            throw error
        }
        line = own
        if failure == nil { sources.cancellation.sleep(.milliseconds(plan.settle)) }
        let outcome = try run.finish(timeout: timeout)
        let measures = outcome.measures
        let answersCount = plan.countsAnswers ?? (2 * measures.answered(ofFirst: before) > before)
        let sums = measures.sums(answers: answersCount, isWhole: outcome.isWhole)
        var text = MeasureText(plan.train, outcome, sums, answersCount: answersCount)
        text.outage = (sums.longestGap, measures.lastPath(ofFirst: before), measures.lastPath(ofFirst: measures.sent))
        var judgement = Judgement(text)
        if let failure {
            let measurement = text.measurement(.outage, line: line)
            measured.append(measurement)
            judgement.explainLoss()
            traces = judgement.evidence
            let expected = failure.finding.expected.joined(separator: "; ")
            return StepOutcome(
                holds: false, expected: ["\(failure.step.inWords): \(expected)"],
                came: failure.finding.came + [measurement.summary] + text.table, isFinal: true)
        }
        let arrived = answersCount ? measures.answered(ofFirst: before) : measures.arrived(ofFirst: before)
        if arrived == 0 {
            judgement.refuse(
                answersCount ? "an answer before the steps began" : "that packets arrive before the steps begin",
                outcome.refusal.map { "\($0)" } ?? "none of the first \(before)")
        }
        if outcome.isCutOff {
            judgement.refuse(
                "steps that end before \(OutagePlan.mostPackets) packets are sent", "they took longer: lower `rate`")
        }
        judgement.judge(plan.expectation)
        if let gap = plan.longestGap { judgement.judge(longestGap: gap) }
        return conclude(judgement, text, .outage)
    }
}
