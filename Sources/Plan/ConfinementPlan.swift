/// Who a program is, and what it may do.
public struct ConfinementPlan: Sendable, Hashable {
    /// The name or the number of the user that it runs as; nil: root.
    public var user: String?
    /// The name or the number of its group; nil: the user's.
    public var group: String?
    /// What it may do; nil: what network applications need, or nothing if it has a user.
    public var capabilities: CapabilitySet?
    /// What it may use. Of a node: what all its programs together may use.
    public var limits = LimitsPlan()

    /// Root, with what network applications need.
    public init() {}

    /// What is said here, and for the rest what is said of the node. A program with a user of its own has its group and
    /// capabilities, too.
    func within(_ node: ConfinementPlan) -> ConfinementPlan {
        var own = self
        if user == nil {
            own.user = node.user
            own.group = group ?? node.group
        }
        own.limits.files = limits.files ?? node.limits.files
        own.capabilities = capabilities ?? (user == nil ? node.capabilities : nil)
        return own
    }

    /// The capabilities that `setup`, `after`, checks and `tapline exec` have in the node: what network applications need,
    /// or all if the file gives the node all.
    public var commandCapabilities: CapabilitySet { capabilities == .all ? .all : .networkApplications }
}
