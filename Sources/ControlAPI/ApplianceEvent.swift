import Reporting

/// Something that happened in a topology: a line of `tapline events`.
public struct ApplianceEvent: Codable, Sendable, Hashable {
    /// The kind of an event.
    public typealias Kind = EventKind

    /// Microseconds since 1970.
    public var time: Int
    /// Its kind.
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
    /// The number of things, if the event is about several.
    public var count: Int?
    /// The reason, or the details, for a person.
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

/// Takes an event, from any thread.
package typealias EventSink = @Sendable (ApplianceEvent) -> Void
