import Engine
import FoundationEssentials

/// One request on the control socket: a line of JSON.
struct ControlRequest: Codable, Sendable {
    /// What is asked for.
    enum Command: String, Codable, Sendable, CaseIterable {
        /// How everything is.
        case status
        /// The entries, with their counters.
        case tables
        /// Take the topology away. Answered at once; the socket goes when it is done.
        case stop
        /// The init process of a node, started where there is none yet.
        case node
        /// Read the file again and publish its table, where only the table differs.
        case reload
        /// Make the running topology what a file says; progress is told in answers before the last.
        case apply
        /// Add an instance to an application; as `apply`.
        case add
        /// Remove an instance of an application; as `apply`.
        case remove
        /// Take back the change that is being made, of whatever kind.
        case cancel
        /// What happened; with `follow`, what happens from now on, too, an answer for each handful of events.
        case events
        /// Drain an instance, take it out, weigh it, and the like.
        case operate
        /// Replace, drain or undrain engines. Answered when that is done.
        case engine
    }
    /// The version of this protocol.
    static let currentVersion = 1

    /// Every key that there is; `ControlRequest+Check` looks at each of them.
    enum CodingKeys: String, CodingKey, CaseIterable {
        case version, release, command, node, application, file, isTrial, drain, instanceOperation, events, operation
        case engine
    }

    var version = ControlRequest.currentVersion
    /// The release of the program that asks, for messages.
    var release: String? = Release.version
    var command: Command
    /// The node, for `node`, `add` and `remove`.
    var node: String?
    /// The application, for `add`.
    var application: String?
    /// Another file than that of `up`, for `reload` and `apply`.
    var file: String?
    /// True where `apply` is only to tell what it would do.
    var isTrial: Bool?
    /// How long what is removed keeps what it has, in milliseconds.
    var drain: Int?
    /// What is asked for an instance, which is `node`, for `operate`.
    var instanceOperation: InstanceOperation?
    /// Which events, for `events`.
    var events: EventsRequest?
    /// What to do, for `engine`.
    var operation: EngineOperation?
    /// The engine's number, for `engine`; nil: all of them.
    var engine: Int?

    init(
        _ command: Command, node: String? = nil, file: String? = nil, operation: EngineOperation? = nil,
        engine: Int? = nil
    ) {
        self.command = command
        self.node = node
        self.file = file
        self.operation = operation
        self.engine = engine
    }
}

/// Which events are asked for.
struct EventsRequest: Codable, Sendable {
    /// As `ControlRequest.CodingKeys`.
    enum CodingKeys: String, CodingKey, CaseIterable { case since, count, follow }

    /// Not those of before this time, in microseconds since 1970.
    var since: Int?
    /// At most so many of the last.
    var count: Int?
    /// And those that are to come.
    var follow = false
}

/// What can be done to packeting engines while they forward.
public enum EngineOperation: String, Codable, Sendable, CaseIterable {
    /// Start the program anew and give it the engine's place, without losing a packet.
    case replace
    /// Have the others read its queues.
    case drain
    /// Have it read its own queues again.
    case undrain
}

/// What a command needs to join a node.
struct NodeEntrance: Codable, Sendable {
    /// The node's init process, in the host's numbers.
    var pid: Int32
    /// The start time of that process.
    var started: UInt64
    /// The variables its commands get.
    var environment: [String: String]
    /// Where its commands start.
    var directory: String
}

/// What a reload did.
public struct ReloadReport: Codable, Sendable {
    /// The number of entries now.
    public var entries: Int
    /// How many of them were in the table before and kept their counters.
    public var kept: Int
}

/// The answer to one request: one of the optional fields, or the error.
struct ControlResponse: Codable, Sendable {
    var version = ControlRequest.currentVersion
    /// The release of the control process, for messages.
    var release: String? = Release.version
    var error: ApplianceError?
    var status: StatusReport?
    var tables: TableListing?
    var node: NodeEntrance?
    var reload: ReloadReport?
    var change: ChangeReport?
    /// What is being done; another answer follows.
    var progress: Progress?
    var events: [ApplianceEvent]?
    var operation: OperationReport?
    var stopping: Bool?
    var done: Bool?

    init() {}

    init(error: ApplianceError) { self.error = error }

    init(progress: Progress) { self.progress = progress }
}

/// Values as one line of JSON, and back.
enum JSONLine {
    /// The value, and a newline.
    static func encode(_ value: some Encodable) throws(ApplianceError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(value)) + [10]
        } catch {
            throw .wrapping(error, "cannot encode a message")
        }
    }

    /// The value of one line.
    static func decode<Value: Decodable>(_ type: Value.Type, _ line: some Sequence<UInt8>) throws(ApplianceError)
        -> Value
    {
        do {
            return try JSONDecoder().decode(type, from: Data(line))
        } catch {
            throw ApplianceError(.failed, "a message could not be understood", mend: "are both ends the same version?")
        }
    }
}

/// A value as people and programs read it from `--json`: sorted keys, one per line.
public func prettyJSON(_ value: some Encodable) throws(ApplianceError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    do {
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    } catch {
        throw .wrapping(error, "cannot encode the listing")
    }
}
