/// The view of a node's processes, in place of the host's.
public struct NodeView: Hashable, Sendable {
    /// Its host name, at most 64 octets; nil: the machine's.
    public var hostname: String?
    /// Shown at its own path inside the node's private /run.
    public var directory: String?
    /// The topology file's folder, shown at its own path: read-only, unless the node keeps the machine's files.
    public var topologyDirectory: String?
    /// The folder that all nodes share, shown at its own path.
    public var shareDirectory: String?
    /// Files bound over others: path in the node → path here. A target that the host does not have is skipped.
    public var binds: [String: String]
    /// Files bound in the same way. A target that is not there is made, and the machine's files stay as they are.
    public var files: [String: String] = [:]
    /// True: the node writes the machine's files. False: it sees them read-only, with layers of its own over /etc, /var,
    /// /root and /tmp.
    public var keepsMachine = true
    /// A root directory in place of the machine's. All that is written there is the node's own.
    public var root: String?
    /// Folders that get a layer of the node's own, too.
    public var privates: [String] = []
    /// Folders of the machine that stay writable.
    public var writables: [String] = []

    /// - Parameters:
    ///   - hostname: Its host name.
    ///   - directory: The node's own directory ($TAPLINE_DIR).
    ///   - topologyDirectory: Where its commands start.
    ///   - binds: Path in the node → path here: "/etc/hosts" and "/etc/resolv.conf", as a rule.
    public init(
        hostname: String? = nil, directory: String? = nil, topologyDirectory: String? = nil,
        binds: [String: String] = [:]
    ) {
        self.hostname = hostname
        self.directory = directory
        self.topologyDirectory = topologyDirectory
        self.binds = binds
    }

    /// The most files and folders of each kind.
    public static let most = 500
    /// The folders that the node has a layer of its own over, in the order of the kernel's refusals.
    static let layered = ["/etc", "/var", "/root"]
}
