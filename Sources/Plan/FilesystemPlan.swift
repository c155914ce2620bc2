/// What a node sees of the machine's files, and where its writes go.
public struct FilesystemPlan: Sendable, Hashable {
    /// What the node sees.
    public enum Base: Sendable, Hashable {
        /// The machine's files, read-only, with layers of the node's own over /etc, /var, /root and /tmp.
        case machine
        /// The machine's files, which the node writes.
        case shared
        /// A folder that is the node's root directory, with a layer of the node's own over it.
        case root(String)
    }
    /// What the node sees.
    public var base: Base = .machine
    /// Folders of the machine that the node writes.
    public var writable: [String] = []
    /// Folders that get a layer of the node's own, too.
    public var layered: [String] = []

    /// The machine's files, read-only.
    public init() {}
}
