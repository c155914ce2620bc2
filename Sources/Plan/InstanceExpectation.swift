import Reporting

/// How an instance of an application must stand.
public struct InstanceExpectation: Sendable, Hashable {
    /// Its state, as in `tapline status`; the raw value is the file's word.
    public enum Standing: String, Sendable, Hashable, CaseIterable {
        /// It has a share, or would take one: `active` or `standby`.
        case up
        /// It has a share.
        case active
        /// It would take one.
        case standby
        /// It keeps its flows, and gets no new connections.
        case draining
        /// It gets nothing, for the time of its drain is over.
        case drained
        /// It gets nothing, for an operator has said so.
        case disabled = "taken-out"
        /// It gets nothing until it has been calm: it came and went too often.
        case suppressed
        /// It gets nothing, for it is not healthy.
        case down
    }
    /// How it stands.
    public var standing: Standing
    /// Texts that must all occur in the reason that `tapline status` gives.
    public var reason: [String]

    /// Memberwise.
    public init(_ standing: Standing, reason: [String] = []) {
        self.standing = standing
        self.reason = reason
    }
}

/// Something that must have happened so often.
public struct EventExpectation: Sendable, Hashable {
    /// Its kind.
    public var kind: EventKind
    /// The application, the instance, the health check and the number of the engine that it is about; nil: any.
    public var application: String?
    /// See `application`.
    public var instance: String?
    /// See `application`.
    public var check: String?
    /// See `application`.
    public var engine: Int?
    /// Texts that must all occur in its reason.
    public var reason: [String]
    /// How often.
    public var times: NumberExpectation

    /// Memberwise.
    public init(
        _ kind: EventKind, application: String? = nil, instance: String? = nil, check: String? = nil,
        engine: Int? = nil, reason: [String] = [], times: NumberExpectation = NumberExpectation(.atLeast, 1)
    ) {
        self.kind = kind
        self.application = application
        self.instance = instance
        self.check = check
        self.engine = engine
        self.reason = reason
        self.times = times
    }
}
