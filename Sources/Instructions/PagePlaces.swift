/// The places between the pages of a list: what `after` may be.
extension Route {
    /// The form of `after` as a regular expression: the name of a service, an application, or the number of a line of the audit.
    package var afterForm: String {
        switch name {
        case .listAudit: "^[0-9]{1,18}$"
        case .listAccess: "^[A-Za-z0-9._-]{1,63}/[^\\x00-\\x1F\\x7F]{1,256}$"
        default: "^[A-Za-z0-9._-]{1,63}/[A-Za-z0-9._-]{1,63}$"
        }
    }

    /// True if a text has this form.
    package func isPlace(_ text: String) -> Bool {
        guard name != .listAudit else {
            return (1...18).contains(text.utf8.count) && text.utf8.allSatisfy { (48...57).contains($0) }
        }
        let scalars = text.unicodeScalars
        guard let slash = scalars.firstIndex(of: "/") else { return false }
        let rest = scalars[scalars.index(after: slash)...]
        guard Self.isName(scalars[..<slash]) else { return false }
        guard name == .listAccess else { return Self.isName(rest) }
        // The name of an application: any text that people can read.
        return (1...256).contains(rest.count) && rest.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
    }

    /// True for a name of tenants or services, or one that could be it.
    private static func isName(_ text: String.UnicodeScalarView.SubSequence) -> Bool {
        (1...63).contains(text.count)
            && text.allSatisfy {
                switch $0 {
                case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "-": true
                default: false
                }
            }
    }
}
