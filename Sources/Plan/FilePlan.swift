import Reporting

/// A file that a node gets.
public struct FilePlan: Sendable, Hashable {
    /// Its path in the node: absolute, or in the node's own folder.
    public var path: String
    /// Its content, with values in the places of expressions.
    public var contents: [UInt8]
    /// Its permissions.
    public var mode: Int
    /// Its user, and its group behind a colon: names or numbers; nil: root.
    public var owner: String?
    /// Where it is written, for messages.
    public var origin: SourceOrigin

    /// Memberwise.
    public init(path: String, contents: [UInt8], mode: Int = 0o644, owner: String? = nil, origin: SourceOrigin) {
        self.path = path
        self.contents = contents
        self.mode = mode
        self.owner = owner
        self.origin = origin
    }

    /// True if the node sees it in place of the machine's file of its path.
    public var isAbsolute: Bool { path.hasPrefix("/") }

    /// True if it is the same file, wherever it is written.
    public func equals(_ other: FilePlan) -> Bool {
        path == other.path && mode == other.mode && owner == other.owner && contents == other.contents
    }
}

extension NodePlan {
    /// The paths of files that differ between two plans of a node, sorted.
    package func differentFiles(from other: NodePlan) -> [String] {
        func byPath(_ files: [FilePlan]) -> [String: FilePlan] {
            Dictionary(files.map { ($0.path, $0) }) { first, _ in first }
        }
        let (own, others) = (byPath(files), byPath(other.files))
        return Set(own.keys).union(others.keys).filter { path in
            guard let one = own[path], let two = others[path] else { return true }
            return !one.equals(two)
        }.sorted()
    }

    /// The absolute paths among its files, which its mounts are made for.
    var mountedPaths: Set<String> { Set(files.filter(\.isAbsolute).map(\.path)) }
}
