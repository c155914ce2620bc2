import Reporting

/// A file of a node as the topology file has it.
package struct RawFile: Sendable {
    /// Its path in the node: absolute, or in the node's own folder.
    package var path: Located<String>
    /// Its content, or the template that it is made from.
    package var contents: [UInt8]
    /// True if `{{ … }}` in it stands for values.
    package var isTemplate: Bool
    /// Where the content begins, for messages about a template.
    package var contentsOrigin: SourceOrigin
    /// The permissions.
    package var mode: Int
    /// The user, and the group behind a colon; nil: root.
    package var owner: Located<String>?
}

/// The files that a topology's nodes get, each read once.
final class SourceFiles {
    /// The largest one, in octets.
    static let largest = 4 << 20

    private var known: [String: [UInt8]] = [:]
    /// The texts of the templates, by the paths in their places.
    private(set) var templates: [String: String] = [:]

    /// The content of the file at `path`.
    ///
    /// - Throws: `TopologyError` if it cannot be read, is no file, or is too large.
    func contents(of path: String) throws(TopologyError) -> [UInt8] {
        if let contents = known[path] { return contents }
        let contents = try TopologyFile.octets(of: path, atMost: Self.largest)
        known[path] = contents
        return contents
    }

    /// Keeps the text of a template, so that messages can show its lines.
    func keep(_ text: String, of path: String) { templates[path] = text }
}
