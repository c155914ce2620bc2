/// The form of the names of tenants and of their services: they are parts of paths.
package enum RecordName {
    /// The most characters of a name.
    package static let longest = 63
    package static let hint =
        "write letters of ASCII, digits, dots, hyphens and underscores, and begin with a letter or a digit"

    /// The reason why a text is no such name, as the end of a sentence; nil: it is one.
    package static func fault(of text: String) -> String? {
        guard let first = text.utf8.first else { return "it is empty" }
        guard text.utf8.count <= longest else { return "it has more than \(longest) characters" }
        func isPlain(_ octet: UInt8) -> Bool {
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard isPlain(first), text.utf8.allSatisfy({ isPlain($0) || "._-".utf8.contains($0) }) else {
            return "it is part of a path"
        }
        return nil
    }
}
