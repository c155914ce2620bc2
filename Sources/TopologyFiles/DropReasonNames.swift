import Forwarding
import Reporting

/// The drop reasons that a check may name.
package enum DropReasonNames {
    /// The names of all reasons.
    static let known: [String] = DropReason.allCases.map(\.name)

    /// The hint for a drop reason that does not exist; nil if it exists.
    package static func hint(for reason: String) -> String? {
        known.contains(reason) ? nil : Spelling.hint(for: reason, among: known, kind: "drop reasons")
    }
}
