import Forwarding

/// An application whose packets tenants' access lists judge.
public struct AccessPlan: Sendable, Hashable {
    /// The application.
    public var application: String
    /// Its nodes, by name.
    public var nodes: [String]
    /// True: it passes frames on, and has no addresses.
    public var isTransparent: Bool
    /// True: the engine judges a packet before it sends it to the application (`access: engine`).
    public var isByEngine: Bool
    /// How the application itself judges (`access: application`); nil: not at all.
    public var byApplication: Enforcement?
    /// The lists in force, in the order of the file's tenants; at most one of a tenant.
    public var lists: [AccessList]
    /// Which senders may use what the application asked for (FILTER). The engine judges by them, whoever judges by `lists`.
    public var filters: [AccessList]

    /// How an application's own firewall gets the lists.
    public enum Enforcement: Sendable, Hashable {
        /// As a table of nftables in every instance's namespace, replaced in one transaction.
        case nftables
        /// As a file, and a command that makes the program read it.
        case template(AccessTemplate)
    }

    /// Memberwise.
    public init(
        application: String, nodes: [String] = [], isTransparent: Bool = false, isByEngine: Bool,
        byApplication: Enforcement? = nil, lists: [AccessList] = [], filters: [AccessList] = []
    ) {
        self.application = application
        self.nodes = nodes
        self.isTransparent = isTransparent
        self.isByEngine = isByEngine
        self.byApplication = byApplication
        self.lists = lists
        self.filters = filters
    }

    /// Who judges, in the words of the file.
    public var words: [String] { (isByEngine ? ["engine"] : []) + (byApplication == nil ? [] : ["application"]) }
}

/// A program's own form of the lists: a template that is filled with them, and the command that loads it.
public struct AccessTemplate: Sendable, Hashable {
    /// The path of the file in the node: absolute, or in the node's own folder.
    public var path: String
    /// The template's text.
    public var template: String
    /// The command that makes the program read the file.
    public var reload: String
    /// The command that says whether the program would take a file, `$TAPLINE_CANDIDATE`; nil: its reload tells.
    public var check: String?

    /// Memberwise.
    public init(path: String, template: String, reload: String, check: String? = nil) {
        self.path = path
        self.template = template
        self.reload = reload
        self.check = check
    }
}
