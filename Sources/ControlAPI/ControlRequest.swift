import FoundationEssentials
import Reporting

/// One request on the control socket: a command with its arguments.
///
/// The line holds the version, the release and the name of the command beside the command's own keys. Keys of other
/// commands are ignored.
package enum ControlRequest: Sendable {
    /// How everything is.
    case status(StatusRequest)
    /// The entries, with their counters.
    case tables(TablesRequest)
    /// Everything that is counted, and how everything is, at one moment.
    case sample(SampleRequest)
    /// Take the topology away. Answered at once; the socket goes when it is done.
    case stop(StopRequest)
    /// The init process of a node, started if there is none yet.
    case node(NodeRequest)
    /// Read the file again and publish its table, if only the table differs.
    case reload(ReloadRequest)
    /// Make the running topology equal to a file. Answers with progress come before the last answer.
    case apply(ApplyRequest)
    /// Add an instance to an application; as `apply`.
    case add(AddRequest)
    /// Remove an instance of an application; as `apply`.
    case remove(RemoveRequest)
    /// Take back the change that is being made, of any kind.
    case cancel(CancelRequest)
    /// Past events; if the request asks to follow, future events too, an answer for each handful.
    case events(EventsRequest)
    /// Drain an instance, disable it, set its weight, and the like.
    case operate(InstanceRequest)
    /// Replace, drain or undrain engines. Answered when that is done.
    case engine(EngineRequest)
    /// Copy frames to rings in shared memory, until the connection ends.
    case capture(CaptureRequest)
    /// The names of its parts.
    case describe(DescribeRequest)
    /// Send one packet from a node.
    case send(SendRequest)
    /// Restart a node, kill what runs in it, take a device of it down or up.
    case operateNode(NodeOperationRequest)
    /// Answer nothing but questions on this connection from now on.
    case observe(ObserveRequest)
    /// The picture of the topology.
    case drawing(DrawingRequest)
    /// The end of what a node has written.
    case log(LogRequest)
    /// Impair a link, or list the impaired links.
    case impair(ImpairRequest)
    /// The service ports that applications got.
    case mappings(MappingsRequest)

    /// The name of a command, as the line has it.
    package enum Name: String, Codable, Sendable, CaseIterable {
        case status, tables, sample, stop, node, reload, apply, add, remove, cancel, events, operate, engine, capture
        case describe, send, operateNode, observe, drawing, log, impair, mappings

        /// The type of the command.
        package var command: any ControlCommand.Type {
            switch self {
            case .status: StatusRequest.self
            case .tables: TablesRequest.self
            case .sample: SampleRequest.self
            case .stop: StopRequest.self
            case .node: NodeRequest.self
            case .reload: ReloadRequest.self
            case .apply: ApplyRequest.self
            case .add: AddRequest.self
            case .remove: RemoveRequest.self
            case .cancel: CancelRequest.self
            case .events: EventsRequest.self
            case .operate: InstanceRequest.self
            case .engine: EngineRequest.self
            case .capture: CaptureRequest.self
            case .describe: DescribeRequest.self
            case .send: SendRequest.self
            case .operateNode: NodeOperationRequest.self
            case .observe: ObserveRequest.self
            case .drawing: DrawingRequest.self
            case .log: LogRequest.self
            case .impair: ImpairRequest.self
            case .mappings: MappingsRequest.self
            }
        }
    }

    /// The name of the command, and its arguments.
    private var parts: (name: Name, command: any ControlCommand) {
        switch self {
        case .status(let command): (.status, command)
        case .tables(let command): (.tables, command)
        case .sample(let command): (.sample, command)
        case .stop(let command): (.stop, command)
        case .node(let command): (.node, command)
        case .reload(let command): (.reload, command)
        case .apply(let command): (.apply, command)
        case .add(let command): (.add, command)
        case .remove(let command): (.remove, command)
        case .cancel(let command): (.cancel, command)
        case .events(let command): (.events, command)
        case .operate(let command): (.operate, command)
        case .engine(let command): (.engine, command)
        case .capture(let command): (.capture, command)
        case .describe(let command): (.describe, command)
        case .send(let command): (.send, command)
        case .operateNode(let command): (.operateNode, command)
        case .observe(let command): (.observe, command)
        case .drawing(let command): (.drawing, command)
        case .log(let command): (.log, command)
        case .impair(let command): (.impair, command)
        case .mappings(let command): (.mappings, command)
        }
    }

    /// True if its answers come one after the other until the connection ends.
    package var isStream: Bool {
        switch self {
        case .events(let command): command.follow == true
        case .capture: true
        default: false
        }
    }
    /// The name of the command.
    package var name: Name { parts.name }
    /// The command with its arguments.
    package var command: any ControlCommand { parts.command }
}

extension ControlRequest: Codable {
    private enum Key: CodingKey { case command }

    /// - Throws: `DecodingError` or `ApplianceError` if it is not such a request.
    package init(from decoder: any Decoder) throws {
        let name = try decoder.container(keyedBy: Key.self).decode(Name.self, forKey: .command)
        self = try name.command.init(from: decoder).request
    }

    /// - Throws: `EncodingError` if the request cannot be written as JSON.
    package func encode(to encoder: any Encoder) throws {
        try ControlVersion().encode(to: encoder)
        let (name, command) = parts
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(name, forKey: .command)
        try command.encode(to: encoder)
    }
}

extension ControlRequest {
    /// The request of one line, with every number in its range and every text that it needs.
    ///
    /// - Throws: `ApplianceError` that says what is wrong with the line. It quotes nothing of the line that could harm
    ///   a terminal.
    package init(line: some Sequence<UInt8>) throws(ApplianceError) {
        let data = Data(line)
        // The version goes first: another one may have other commands.
        let version = try Self.decode(ControlVersion.self, data)
        try version.check(
            "what asks", hint: "use the tapline that started the topology, or take the topology down and up again")
        self = try Self.decode(ControlRequest.self, data)
        try command.check()
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, _ data: Data) throws(ApplianceError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            throw ApplianceError(
                .usage, "the request is invalid: \(ControlText.summary(error))",
                hint: "one line of JSON is one request; are both ends the same version?")
        }
    }
}
