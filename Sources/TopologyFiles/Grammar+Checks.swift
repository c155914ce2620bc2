import Plan
import Reporting

extension Grammar {
    /// One check: exactly one of the kinds, and the keys that go with it.
    static let check = MappingGrammar(
        "check", "One thing to prove: a command in a node, a log, counters, the path of a packet, or steps in order.",
        kinds: [
            "on", "log", "entry", "interface", "drops", "instance", "event", "packet", "path", "outage", "mapping",
            "instruct",
            "steps",
        ],
        [
            KeyGrammar("name", .text, "What it proves.", required: true),
            KeyGrammar(
                "steps", .oneOrMany(.mapping(step)), "The steps, in order, until one does not hold."
            ),
        ] + looks + repetition)

    /// One step of a check.
    static let step: MappingGrammar = MappingGrammar(
        "step", "One step of a check: an action, a fault, or an expectation.",
        kinds: [
            "on", "log", "entry", "interface", "drops", "instance", "event", "packet", "path", "outage", "mapping",
            "instruct",
            "wait", "start", "finish", "capture", "captured", "kill", "stop", "continue", "restart", "link-down",
            "link-up",
            "drain", "undrain", "take-out",
            "put-back", "replace", "impair",
        ],
        looks + [
            KeyGrammar("wait", .duration, "Waits for this time."),
            KeyGrammar("start", .text, "A name for a command that runs beside the next steps."),
            KeyGrammar("finish", .text, "Waits for the end of this started command."),
            KeyGrammar("capture", .name, "The node whose device is captured on, from now until the check ends."),
            KeyGrammar("captured", .name, "The node whose capture is examined."),
            KeyGrammar("where", .mapping(frameFilter), "Which of the captured frames count.", beside: ["captured"]),
            KeyGrammar("kill", .name, "The node whose processes are killed, or `engine`, or `engine 2`."),
            KeyGrammar("stop", .name, "The node whose processes are stopped, or an engine."),
            KeyGrammar("continue", .name, "The node whose processes continue, or an engine."),
            KeyGrammar(
                "restart", .name, "The node whose application is restarted until it is ready, or an engine."),
            KeyGrammar("link-down", .name, "The node whose device goes down."),
            KeyGrammar("link-up", .name, "The node whose device comes up again."),
            KeyGrammar("drain", .name, "The instance that gets no new connections, or the engine that gets no frames."),
            KeyGrammar("for", .duration, "How long the instance drains before it gets no packets.", beside: ["drain"]),
            KeyGrammar("undrain", .name, "The instance or engine that gets its share again."),
            KeyGrammar("take-out", .name, "The instance that gets no more packets."),
            KeyGrammar("put-back", .name, "The taken-out instance, which gets its share again."),
            KeyGrammar(
                "impair", .mapping(impairmentStep), "A link whose packets are lost, delayed and the like from now on."),
            KeyGrammar("replace", .name, "The engine that is replaced by another one: `engine`, or `engine 2`."),
        ])

    private static let looks =
        [
            KeyGrammar("on", .name, "The node in which a command runs.", required: true, beside: ["start"]),
            KeyGrammar("run", .text, "The shell command.", required: true, beside: ["on", "start"]),
            KeyGrammar(
                "alters", .flag,
                "Whether the command may change its node's links, addresses and routes, and end its processes.",
                beside: ["on", "start"]),
            KeyGrammar("log", .name, "The node whose output, or file, is examined."),
            KeyGrammar(
                "program", .name, "The program of the node whose output is examined, instead of `run`'s.",
                beside: ["log"]),
            KeyGrammar(
                "file", .text, "A file below the node's $TAPLINE_DIR, instead of its output.",
                beside: ["log", "instruct"]),
            KeyGrammar(
                "instruct", .text,
                "What the operator asks of the tenants' API: `POST /v1/tenants/alice/tokens`, for example. `{$.id}` in the path is that value of the answer before."
            ),
            KeyGrammar("body", .text, "The request's body, as JSON.", beside: ["instruct"]),
            KeyGrammar(
                "give", .name, "The node that gets the answer, in its `file` below $TAPLINE_DIR.", beside: ["instruct"]),
            KeyGrammar("entry", .text, "The entries of that name, as `tapline tables` lists them."),
            KeyGrammar(
                "interface", .name,
                "The interface whose counters are examined, or that of the node's device.",
                beside: ["capture", "captured", "link-down", "link-up"]),
            KeyGrammar("drops", .choice(DropReasonNames.known), "The reason whose drops are counted."),
            KeyGrammar(
                "instance", .name, "The instance that is examined, or that an event must be about.", beside: ["event"]),
            KeyGrammar(
                "is", .choice(InstanceExpectation.Standing.allCases.map(\.rawValue)),
                "Its state, as in `tapline status`; `up`: active or standby.",
                required: true, beside: ["instance"]),
            KeyGrammar(
                "reason", .oneOrMany(.text), "Texts that must all occur in the reason, as listings show it.",
                beside: ["instance", "event"]),
            KeyGrammar(
                "event", .choice(EventKind.general.map(\.rawValue)),
                "The event that must have happened, as `tapline events` lists it."),
            KeyGrammar("application", .name, "The application that the event must be about.", beside: ["event"]),
            KeyGrammar("check", .text, "The health check that the event must be about.", beside: ["event"]),
            KeyGrammar(
                "engine", .integer(1...16), "The number of the engine that the event must be about.",
                beside: ["event"]),
            KeyGrammar(
                "times", .comparison, "How often it must have happened; \">= 1\" by default.", beside: ["event"]),
            KeyGrammar("packet", .mapping(packet), "A packet that is sent, to see which nodes it reaches."),
            KeyGrammar(
                "reaches", .oneOrMany(.oneOrMany(.name)),
                "The nodes that the packet reaches, stage by stage, and no others; within a stage in any order.",
                required: true, beside: ["packet"]),
            KeyGrammar(
                "answer", .oneOrMany(.oneOrMany(.name)), "The nodes that the answer reaches.", beside: ["packet"]),
            KeyGrammar(
                "expect", .oneOf([.oneOrMany(.text), .mapping(commandExpectation)]),
                "Texts that the output must contain, or a description of it.",
                beside: ["on", "log", "finish", "instruct"]),
            KeyGrammar(
                "path", .mapping(path), "Packets that are sent, to measure their paths, losses, order and times."),
            KeyGrammar(
                "outage", .mapping(outage),
                "Packets that are sent while steps break something, to measure for how long."),
            KeyGrammar(
                "mapping", .mapping(mapping), "A service port that an application asked for (`negotiate`)."),
            KeyGrammar("packets", .comparison, "The packets of the entries: \">= 1\".", beside: ["entry"]),
            KeyGrammar(
                "bytes", .comparison, "The octets of frames that were counted.", beside: ["entry", "captured"]),
            KeyGrammar(
                "frames", .comparison, "How many frames were dropped, or captured: \"== 0\".",
                beside: ["drops", "captured"]),
            KeyGrammar("received", .comparison, "Packets from the interface's nodes.", beside: ["interface"]),
            KeyGrammar("received-bytes", .comparison, "Octets of frames from its nodes.", beside: ["interface"]),
            KeyGrammar(
                "received-drops", .comparison, "Frames from its nodes that were dropped.", beside: ["interface"]),
            KeyGrammar(
                "ring-drops", .comparison, "Frames from its nodes that were lost because the engine read too slowly.",
                beside: ["interface"]),
            KeyGrammar("sent", .comparison, "Packets to its nodes.", beside: ["interface"]),
            KeyGrammar("sent-bytes", .comparison, "Octets of frames to its nodes.", beside: ["interface"]),
            KeyGrammar(
                "sent-drops", .comparison, "Frames to its nodes that could not be written.", beside: ["interface"]),
            KeyGrammar(
                "since", .choice(CountingStart.allCases.map(\.rawValue)),
                "`start`: counted or logged since the topology came up; `check`: since the check began.",
                beside: ["log", "entry", "interface", "drops", "event"]),
            KeyGrammar(
                "within", .duration, "The step is repeated until it holds, or this time is over.",
                beside: [
                    "on", "log", "entry", "interface", "drops", "instance", "event", "packet", "captured", "mapping",
                    "instruct",
                ]),
            KeyGrammar(
                "timeout", .duration, "The longest time of one try; 30s by default, 2s for packets.",
                beside: ["on", "packet", "path", "outage", "finish", "instruct"]
                    + FaultPlan.Kind.allCases.map(\.rawValue)),
        ]

    /// The mappings that are read when the expressions in them have values (`UnreadPart`), by their names.
    static let late: Set<String> = {
        let checks = [
            check, step, mapping, packet, path, outage, pathTimes, frameFilter, commandExpectation, textExpectation,
            jsonDemand,
            impairmentStep,
        ]
        let questions = [readiness, health, heartbeat, datagram, octets, datagramPattern, logLine, dns]
        return Set((checks + questions).map(\.name))
    }()

    /// A packet that a check sends.
    static let packet = MappingGrammar(
        "packet", "A packet that a check sends, to see which nodes it reaches.",
        [
            KeyGrammar("from", .name, "The node that sends it.", required: true),
            KeyGrammar(
                "to", .oneOf([.address, .name]), "Its destination: an address, a service or a node.", required: true),
            KeyGrammar(
                "port", .port, "tcp/80 (a connection's first segment), udp/53, icmp (an echo request); icmp by default."
            ),
            KeyGrammar("source", .address, "Its source address; the node's own by default."),
            KeyGrammar("source-port", .integer(1...65535), "Its source port; an unused one by default."),
            KeyGrammar("payload", .text, "Its payload."),
            KeyGrammar("size", .integer(20...65535), "Its length in octets, including its network header."),
            KeyGrammar("ttl", .integer(1...255), "Its TTL or hop limit; 64 by default."),
            KeyGrammar("dont-fragment", .flag, "IPv4's flag that forbids routers to fragment it; off by default."),
        ])

    /// Which frames of a capture count.
    static let frameFilter = MappingGrammar(
        "frame-filter", "Which frames of a capture count: those that match all keys.",
        [
            KeyGrammar("port", .port, "The protocol, and the port of either end: tcp/80, udp, icmp."),
            KeyGrammar("source", .oneOrMany(.oneOf([.name, .prefix])), "Addresses, prefixes, or nodes."),
            KeyGrammar("destination", .oneOrMany(.oneOf([.name, .prefix])), "Addresses, prefixes, or nodes."),
            KeyGrammar("contains", .oneOrMany(.text), "Texts that must all occur in the packet."),
            KeyGrammar(
                "direction", .choice(FrameFilter.Direction.allCases.map(\.rawValue)),
                "`in`: to the node; `out`: from the node."),
        ])

    /// The expected exit status and output of a command.
    static let commandExpectation = MappingGrammar(
        "command-expectation", "The exit status and output that a command must have.",
        [
            KeyGrammar(
                "status", .oneOf([.comparison, .choice(["any"])]),
                "The exit status, such as 0 or \"!= 0\", or any; 0 by default. Of `instruct`: the status of HTTP, or any; from 200 to 299 by default. Not for logs."
            )
        ] + textExpectation.keys)

    /// The expectations of a text.
    static let textExpectation = MappingGrammar(
        "text-expectation", "What a text must be.",
        [
            KeyGrammar("output", .oneOrMany(.text), "Texts that must all occur."),
            KeyGrammar("contains", .oneOrMany(.text), "Texts that must all occur."),
            KeyGrammar("lacks", .oneOrMany(.text), "Texts that must not occur."),
            KeyGrammar(
                "matches", .oneOrMany(.text),
                "Regular expressions that must each match somewhere; best in single quotes."),
            KeyGrammar(
                "json", .named(jsonExpectation),
                "Values at paths of the text's JSON document: { \"$.status\": up }."),
            KeyGrammar(
                "json-line", .oneOrMany(.named(jsonExpectation)),
                "Values at paths of one line that is a JSON document; each element of a list needs such a line."),
            KeyGrammar(
                "lacks-json-line", .oneOrMany(.named(jsonExpectation)),
                "Values at paths that no line with a JSON document may have together."),
        ])

    private static let jsonExpectation: Shape = .anything

    /// The demand on a value of a JSON document, if it is more than a plain value.
    static let jsonDemand = MappingGrammar(
        "json-demand", "The demands on a value of a JSON document.",
        [
            KeyGrammar("equals", .anything, "The value itself."),
            KeyGrammar("contains", .oneOrMany(.text), "Texts that it must contain."),
            KeyGrammar("matches", .oneOrMany(.text), "Regular expressions that must match in it."),
            KeyGrammar("exists", .flag, "Whether there is a value."),
            KeyGrammar("count", .comparison, "The number of values, or of elements in the list."),
        ])
}
