import Forwarding

/// The drop reasons that a check may name.
enum DropReasonNames {
    /// The names of all reasons; nil: every name in small letters with hyphens is taken.
    static let known: [String]? = nil

    /// What to write instead of a reason that does not exist; nil where it exists.
    static func mend(for reason: String) -> String? {
        if let known {
            return known.contains(reason) ? nil : Spelling.mend(for: reason, among: known, kind: "drop reasons")
        }
        let isKebab = reason.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x2D }
        return isKebab && !reason.isEmpty ? nil : "write a reason as `status` shows it, such as no-service"
    }
}
