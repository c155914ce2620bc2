/// Something that happened in a topology: a line of `tapline events`.
public struct ApplianceEvent: Codable, Sendable, Hashable {
    /// What it is.
    public enum Kind: String, Codable, Sendable, Hashable, CaseIterable {
        case checkFailed = "check-failed"
        case checkPassed = "check-passed"
        case instanceDown = "instance-down"
        case instanceUp = "instance-up"
        /// It flaps, and is kept out until it has been calm.
        case instanceSuppressed = "instance-suppressed"
        case instanceDraining = "instance-draining"
        case instanceDrained = "instance-drained"
        case instanceUndrained = "instance-undrained"
        case instanceTakenOut = "instance-taken-out"
        case instancePutBack = "instance-put-back"
        case instanceWeighed = "instance-weighed"
        case instanceAdded = "instance-added"
        case instanceRemoved = "instance-removed"
        case applicationDown = "application-down"
        case applicationUp = "application-up"
        case flowsMoved = "flows-moved"
        case tablePublished = "table-published"
        case tableRefused = "table-refused"
        case engineStarted = "engine-started"
        case engineStopped = "engine-stopped"
        case engineEnded = "engine-ended"
        case engineReplaced = "engine-replaced"
        case engineDraining = "engine-draining"
        case engineUndrained = "engine-undrained"
        /// The queues of one engine are read by others.
        case queuesMoved = "queues-moved"
        case fileApplied = "file-applied"
        /// Told to one listener alone: so many events went by that it did not read in time.
        case eventsLost = "events-lost"
        case scaled
    }

    /// Microseconds since 1970.
    public var time: Int
    /// What it is.
    public var event: Kind
    /// The application that it is about.
    public var application: String?
    /// The instance (a node) that it is about.
    public var instance: String?
    /// The health check that it is about.
    public var check: String?
    /// The number of the engine that it is about, from 1.
    public var engine: Int?
    /// The generation of the table.
    public var generation: Int?
    /// The part of an application's flows, 0…1.
    public var share: Double?
    /// How many, of what there are many.
    public var count: Int?
    /// Why, or what exactly, for a person.
    public var reason: String?

    /// Memberwise; now.
    public init(
        _ event: Kind, application: String? = nil, instance: String? = nil, check: String? = nil, engine: Int? = nil,
        generation: Int? = nil, share: Double? = nil, count: Int? = nil, reason: String? = nil
    ) {
        time = wallClockMicroseconds()
        self.event = event
        self.application = application
        self.instance = instance
        self.check = check
        self.engine = engine
        self.generation = generation
        self.share = share
        self.count = count
        self.reason = reason
    }
}

/// Takes what happens, from any thread.
typealias EventSink = @Sendable (ApplianceEvent) -> Void
