/// Something that breaks, is repaired, or is done as an operator does it.
public struct FaultPlan: Sendable, Hashable {
    /// The kind of a fault; the raw value is the file's key.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// All processes of the node are killed; its `restart` decides what follows.
        case kill
        /// Everything that runs in the node stands still.
        case stop
        /// The stopped processes go on.
        case `continue`
        /// All processes of the node are killed, and its application is started again until it is ready.
        case restart
        /// The node's device goes down.
        case linkDown = "link-down"
        /// The node's device comes up again, with its addresses and routes.
        case linkUp = "link-up"
        /// The instance gets no new connections; the engine's queues go to the others.
        case drain
        /// The drained instance or engine takes its share again.
        case undrain
        /// The instance gets nothing.
        case disable = "take-out"
        /// The disabled instance gets its share again.
        case enable = "put-back"
        /// Another engine takes the place of one, and no packet is lost.
        case replace
    }
    /// The target of the fault.
    public enum Target: Sendable, Hashable {
        /// A packeting engine, by its number from 1.
        case engine(Int)
        /// A node, by its name.
        case node(String)
    }
    /// The kind of the fault.
    public var kind: Kind
    /// The target of the fault.
    public var target: Target
    /// The index of the interface whose device it is, for `linkDown` and `linkUp`.
    public var interface: Int?
    /// How long an instance drains, in milliseconds; nil: as long as its application says.
    public var duration: Int?

    /// Memberwise.
    public init(kind: Kind, target: Target, interface: Int? = nil, duration: Int? = nil) {
        self.kind = kind
        self.target = target
        self.interface = interface
        self.duration = duration
    }
}
