import Forwarding
import Plan

/// A second list of a plan's entries. A change of few entries is done to it in place, while others still have the first
/// one; then the first one becomes the second, as soon as nothing else has it. If something has it, it is copied.
///
/// On one thread at a time.
final class SpareEntries: @unchecked Sendable {
    private var entries: [Entry]?
    /// What its entries lack, and the version of the plan that they are those of with it.
    private var missing: TablePatch?
    private var version = 0

    /// The entries of a plan with a change.
    func entries(of plan: RecordedPlan, _ patch: TablePatch) -> [Entry] {
        catchUp()
        var changed: [Entry]
        if let entries, version == plan.version, entries.count == plan.plan.table.entries.count {
            changed = entries
        } else {
            changed = plan.plan.table.entries
        }
        // From here on `changed` alone has them.
        entries = nil
        patch.apply(to: &changed)
        return changed
    }

    /// Keeps the entries of the version before one.
    func keep(_ former: [Entry], _ patch: TablePatch, _ version: Int) {
        (entries, missing, self.version) = (former, patch, version)
    }

    /// Brings the entries up to date.
    func catchUp() {
        guard let patch = missing else { return }
        missing = nil
        guard entries?.count == patch.count else { return drop() }
        patch.apply(to: &entries!)
    }

    /// Forgets them.
    func drop() { (entries, missing) = (nil, nil) }
}
