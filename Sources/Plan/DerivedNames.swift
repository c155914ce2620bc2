import Foundation

/// Names for the kernel and the file system, made from the names of the file, which may be any text.
///
/// Short plain names stay as they are. Any other name is cut to a readable beginning and gets sixteen digits, a hash of
/// the whole. The hash does not depend on how accents are composed (NFC).
public enum DerivedNames {
    /// A topology's folder, and the beginning of its namespaces' names: at most 41 octets, without blanks, `/` and `:`.
    /// The derived name also stands for that topology.
    public static func topology(_ name: String) -> String {
        isUsable(name, limit: 40) || isDerived(name) ? name : derived(name)
    }

    /// A node's folder, and the end of its namespace's name: at most 63 octets, without blanks, `/` and `:`.
    public static func node(_ name: String) -> String {
        isUsable(name, limit: 63) && name != "fabric" ? name : derived(name)
    }

    /// Where the folders of all topologies are.
    public static let root = "/run/tapline"

    /// The folder of a node, `$TAPLINE_DIR`.
    public static func folder(topology name: String, node: String) -> String {
        "\(root)/\(topology(name))/nodes/\(self.node(node))"
    }

    /// The folder that all nodes of a topology share, `$TAPLINE_SHARE`.
    public static func share(topology name: String) -> String { "\(root)/\(topology(name))/share" }

    /// The namespace of a node.
    public static func namespace(topology name: String, node: String) -> String {
        "\(topology(name))-\(self.node(node))"
    }

    /// The namespace of a topology's bridges.
    public static func fabric(topology name: String) -> String { "\(topology(name))-fabric" }

    /// Another name for a namespace, if another topology has the first one. For example, `a` with a node `b-c` and
    /// `a-b` with a node `c` want the same name.
    public static func alternate(_ namespace: String, topology name: String) -> String {
        "\(namespace)_\(digits([topology(name), namespace]))"
    }

    /// Letters, digits, `-` and `.`, not first, of ASCII.
    private static func isUsable(_ name: String, limit: Int) -> Bool {
        let octets = Array(name.utf8)
        guard let first = octets.first, octets.count <= limit, isAlphanumeric(first) else { return false }
        return octets.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
    }

    static func isAlphanumeric(_ octet: UInt8) -> Bool {
        (0x30...0x39).contains(octet) || (0x41...0x5A).contains(octet) || (0x61...0x7A).contains(octet)
    }

    /// Longest readable beginning, in octets.
    private static let readableLimit = 24

    private static func derived(_ name: String) -> String {
        let composed = name.precomposedStringWithCanonicalMapping
        var readable = ""
        for character in composed {
            let isReadable = character.isLetter || character.isNumber
            let next = isReadable ? String(character) : readable.isEmpty || readable.last == "-" ? "" : "-"
            guard readable.utf8.count + next.utf8.count <= readableLimit else { break }
            readable += next
        }
        while readable.last == "-" { readable.removeLast() }
        return "\(readable)_\(digits([composed]))"
    }

    /// True for names that `derived` makes.
    private static func isDerived(_ name: String) -> Bool {
        let parts = name.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count <= readableLimit, parts[1].utf8.count == 16 else { return false }
        return parts[1].utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
            && parts[0].allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" }
    }

    private static func digits(_ parts: [String]) -> String {
        let text = String(GeneratedNames.hash(parts), radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
