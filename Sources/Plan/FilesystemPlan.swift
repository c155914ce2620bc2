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
        /// An archive of a root directory, unpacked for the topology, with a layer of the node's own over it.
        case image(ImagePlan)
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

/// An archive that holds a root directory.
public struct ImagePlan: Sendable, Hashable {
    /// The absolute path of the archive.
    public var path: String
    /// What tells this archive from another one that takes its place: device, inode, size and time of its last change.
    public var identity: String

    /// Memberwise.
    public init(path: String, identity: String) {
        self.path = path
        self.identity = identity
    }

    /// The name of the folder that it is unpacked into.
    package var folder: String { String(GeneratedNames.hash([path, identity]), radix: 16) }
}
