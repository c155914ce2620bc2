/// What a request expects of a service's ETag: `If-Match` and `If-None-Match` (RFC 9110, section 13.1).
package enum EntityTags: Sendable, Equatable {
    /// `*`: any.
    case any
    /// One of these, each with its quotes. Weak ones are none of a service's.
    case some([String])

    /// The form that the answers of the API give reason to send, as a regular expression. Lists and weak tags are read, too. A version
    /// without its quotes is read as with them, because shells take quotes away.
    package static let form = "^([*]|\"[0-9]+\"|[0-9]+)$"

    /// Reads a field; nil if it has another form.
    package init?(_ field: String) {
        if field == "*" {
            self = .any
            return
        }
        if !field.isEmpty, field.utf8.allSatisfy({ (48...57).contains($0) }) {
            self = .some(["\"\(field)\""])
            return
        }
        var tags: [String] = []
        for part in field.split(separator: ",", omittingEmptySubsequences: false) {
            let text = String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            let opaque = text.hasPrefix("W/") ? String(text.dropFirst(2)) : text
            guard opaque.utf8.count >= 2, opaque.hasPrefix("\""), opaque.hasSuffix("\""),
                opaque.utf8.dropFirst().dropLast().allSatisfy({ (33...126).contains($0) && $0 != 34 })
            else { return nil }
            tags.append(text)
        }
        self = .some(tags)
    }

    /// True if a service has one of them.
    ///
    /// - Parameter tag: The service's; nil: there is none.
    package func match(_ tag: String?) -> Bool {
        guard let tag else { return false }
        return switch self {
        case .any: true
        case .some(let tags): tags.contains(tag)
        }
    }
}
