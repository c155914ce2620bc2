import Plan
import Reporting

extension CheckSession {
    /// Impairs a link until the check ends.
    func impair(_ step: ImpairmentStep) throws(ApplianceError) -> StepOutcome {
        let before = try sources.impair(step.place, step.impairment)
        // The state before the first of several steps is what comes back.
        if faults.impaired[step.place] == nil { faults.impaired[step.place] = .some(before) }
        return .held
    }

    /// Takes back what the check did to links.
    ///
    /// - Returns: The links that are not as before.
    func restoreLinks() -> [String] {
        var left: [String] = []
        for (place, before) in faults.impaired.sorted(by: { $0.key.text < $1.key.text }) {
            do throws(ApplianceError) {
                _ = try sources.impair(place, before)
            } catch {
                left.append("after the check, the link \(place.text) is not as before: \(error)")
            }
        }
        faults.impaired = [:]
        return left
    }
}
