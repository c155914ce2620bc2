import Reporting

extension Grammar {
    /// One check: exactly one of the kinds, and the keys that go with it.
    static let check = MappingGrammar(
        "check", "One thing to prove: a command in a node, a log, counters, the way of a packet, or steps in order.",
        kinds: ["on", "log", "entry", "interface", "drops", "instance", "event", "packet", "steps"],
        [
            KeyGrammar("name", .text, "What it proves.", required: true),
            KeyGrammar(
                "steps", .oneOrMany(.mapping(step)), "What is done and looked at, in order, until a step does not hold."
            ),
        ] + looks)

    /// One step of a check.
    static let step = MappingGrammar(
        "step", "One step of a check: something done, something broken, or something looked at.",
        kinds: [
            "on", "log", "entry", "interface", "drops", "instance", "event", "packet", "wait", "start", "finish",
            "capture",
            "captured", "kill", "stop", "continue", "restart", "link-down", "link-up", "drain", "undrain", "take-out",
            "put-back", "replace",
        ],
        looks + [
            KeyGrammar("wait", .duration, "Nothing is done for so long."),
            KeyGrammar("start", .text, "A name for a command that runs beside the next steps."),
            KeyGrammar("finish", .text, "The started command whose end is waited for."),
            KeyGrammar("capture", .name, "The node whose device is captured on, from now until the check ends."),
            KeyGrammar("captured", .name, "The node whose capture is looked at."),
            KeyGrammar("where", .mapping(frameFilter), "Which of the captured frames count.", beside: ["captured"]),
            KeyGrammar("kill", .name, "The node in which everything is killed, or `engine`, or `engine 2`."),
            KeyGrammar("stop", .name, "The node in which everything stands still, or an engine."),
            KeyGrammar("continue", .name, "The node in which everything goes on, or an engine."),
            KeyGrammar(
                "restart", .name, "The node whose application is started again until it is ready, or an engine."),
            KeyGrammar("link-down", .name, "The node whose device goes down."),
            KeyGrammar("link-up", .name, "The node whose device comes up again."),
            KeyGrammar("drain", .name, "The instance that gets no new connections, or the engine that gets no frames."),
            KeyGrammar("for", .duration, "How long the instance drains before it gets nothing.", beside: ["drain"]),
            KeyGrammar("undrain", .name, "The instance, or the engine, that takes its share again."),
            KeyGrammar("take-out", .name, "The instance that gets nothing any more."),
            KeyGrammar("put-back", .name, "The instance that was taken out, and gets its share again."),
            KeyGrammar("replace", .name, "The engine whose place another one takes: `engine`, or `engine 2`."),
        ])

    private static let looks =
        [
            KeyGrammar("on", .name, "The node that a command is run in.", required: true, beside: ["start"]),
            KeyGrammar("run", .text, "The shell command.", required: true, beside: ["on", "start"]),
            KeyGrammar(
                "alters", .flag,
                "Whether the command may change its node's links, addresses and routes, and end its processes.",
                beside: ["on", "start"]),
            KeyGrammar("log", .name, "The node whose output, or file, is looked at."),
            KeyGrammar("file", .text, "A file below the node's $TAPLINE_DIR in place of its output.", beside: ["log"]),
            KeyGrammar("entry", .text, "The entries of that name, as `tapline tables` lists them."),
            KeyGrammar(
                "interface", .name,
                "The interface whose counters are looked at; or the one that the node's device is on.",
                beside: ["capture", "captured", "link-down", "link-up"]),
            KeyGrammar("drops", .choice(DropReasonNames.known), "The reason whose drops are counted."),
            KeyGrammar(
                "instance", .name, "The instance that is looked at; or that an event must be about.", beside: ["event"]),
            KeyGrammar(
                "is", .choice(InstanceExpectation.Standing.allCases.map(\.rawValue)),
                "How it stands, as `tapline status` tells it; `up`: active or standby.",
                required: true, beside: ["instance"]),
            KeyGrammar(
                "reason", .oneOrMany(.text), "Texts that must all occur in the reason, as listings tell it.",
                beside: ["instance", "event"]),
            KeyGrammar(
                "event", .choice(EventKind.general.map(\.rawValue)),
                "What must have happened, as `tapline events` lists it."),
            KeyGrammar("application", .name, "The application that the event must be about.", beside: ["event"]),
            KeyGrammar("check", .text, "The health check that the event must be about.", beside: ["event"]),
            KeyGrammar(
                "engine", .integer(1...16), "The number of the engine that the event must be about.",
                beside: ["event"]),
            KeyGrammar(
                "times", .comparison, "How often it must have happened; \">= 1\" by default.", beside: ["event"]),
            KeyGrammar("packet", .mapping(packet), "A packet that is sent, to see whom it reaches."),
            KeyGrammar(
                "reaches", .oneOrMany(.oneOrMany(.name)),
                "Whom the packet reaches, stage after stage, and nobody else; within a stage in any order.",
                required: true, beside: ["packet"]),
            KeyGrammar(
                "answer", .oneOrMany(.oneOrMany(.name)), "Whom the answer reaches, likewise.", beside: ["packet"]),
            KeyGrammar(
                "expect", .oneOf([.oneOrMany(.text), .mapping(commandExpectation)]),
                "Texts that the output must contain, or what it must be.", beside: ["on", "log", "finish"]),
            KeyGrammar("packets", .comparison, "What the entries have counted: \">= 1\".", beside: ["entry"]),
            KeyGrammar(
                "bytes", .comparison, "What has been counted, in octets of frames.", beside: ["entry", "captured"]),
            KeyGrammar(
                "frames", .comparison, "How many frames were dropped, or captured: \"== 0\".",
                beside: ["drops", "captured"]),
            KeyGrammar("received", .comparison, "Packets from the interface's nodes.", beside: ["interface"]),
            KeyGrammar("received-bytes", .comparison, "Octets of frames from its nodes.", beside: ["interface"]),
            KeyGrammar(
                "received-drops", .comparison, "Frames from its nodes that were dropped.", beside: ["interface"]),
            KeyGrammar(
                "ring-drops", .comparison, "Frames from its nodes that the engine was too slow to read.",
                beside: ["interface"]),
            KeyGrammar("sent", .comparison, "Packets to its nodes.", beside: ["interface"]),
            KeyGrammar("sent-bytes", .comparison, "Octets of frames to its nodes.", beside: ["interface"]),
            KeyGrammar(
                "sent-drops", .comparison, "Frames to its nodes that could not be written.", beside: ["interface"]),
            KeyGrammar(
                "since", .choice(CountingStart.allCases.map(\.rawValue)),
                "`start`: what has been counted or logged since the topology came up; `check`: since the check began.",
                beside: ["log", "entry", "interface", "drops", "event"]),
            KeyGrammar(
                "within", .duration, "It is tried until it holds, or this time is over.",
                beside: ["on", "log", "entry", "interface", "drops", "instance", "event", "packet", "captured"]),
            KeyGrammar(
                "timeout", .duration, "How long one try may take; 30s by default, of packets 2s.",
                beside: ["on", "packet", "finish"] + FaultPlan.Kind.allCases.map(\.rawValue)),
        ]

    /// A packet that a check sends.
    static let packet = MappingGrammar(
        "packet", "A packet that a check sends, to see whom it reaches.",
        [
            KeyGrammar("from", .name, "The node that sends it.", required: true),
            KeyGrammar("to", .address, "Its destination.", required: true),
            KeyGrammar(
                "port", .port, "tcp/80 (a connection's first segment), udp/53, icmp (an echo request); icmp by default."
            ),
            KeyGrammar("source", .address, "Its source address; the node's own by default."),
            KeyGrammar("source-port", .integer(1...65535), "Its source port; one that nobody uses by default."),
            KeyGrammar("payload", .text, "What it carries."),
            KeyGrammar("size", .integer(20...65535), "Its length in octets, its network header counted."),
            KeyGrammar("ttl", .integer(1...255), "Its TTL or hop limit; 64 by default."),
            KeyGrammar("dont-fragment", .flag, "IPv4's flag that forbids routers to fragment it; off by default."),
        ])

    /// Which frames of a capture count.
    static let frameFilter = MappingGrammar(
        "frame-filter", "Which frames of a capture count: those that meet all that is given.",
        [
            KeyGrammar("port", .port, "The protocol, and the port of either end: tcp/80, udp, icmp."),
            KeyGrammar("source", .oneOrMany(.oneOf([.name, .prefix])), "Addresses, prefixes, or nodes."),
            KeyGrammar("destination", .oneOrMany(.oneOf([.name, .prefix])), "Addresses, prefixes, or nodes."),
            KeyGrammar("contains", .oneOrMany(.text), "Texts that must all occur in the packet."),
            KeyGrammar(
                "direction", .choice(FrameFilter.Direction.allCases.map(\.rawValue)),
                "`in`: to the node; `out`: from the node."),
        ])

    /// What a command's exit status and output must be.
    static let commandExpectation = MappingGrammar(
        "command-expectation", "What a command's exit status and output must be.",
        [
            KeyGrammar(
                "status", .oneOf([.comparison, .choice(["any"])]),
                "The exit status, such as 0 or \"!= 0\", or any; 0 by default. Of commands only.")
        ] + textExpectation.keys)

    /// What a text must be.
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
                "What is at paths of the JSON document that the text is: { \"$.status\": up }."),
            KeyGrammar(
                "json-line", .oneOrMany(.named(jsonExpectation)),
                "What is at paths of one line that is a JSON document; of a list, each wants such a line."),
            KeyGrammar(
                "lacks-json-line", .oneOrMany(.named(jsonExpectation)),
                "What no line that is a JSON document may have at all of these paths."),
        ])

    private static let jsonExpectation: Shape = .anything

    /// What a value of a JSON document must be, where it is not written as it is.
    static let jsonDemand = MappingGrammar(
        "json-demand", "What a value of a JSON document must be.",
        [
            KeyGrammar("equals", .anything, "The value itself."),
            KeyGrammar("contains", .oneOrMany(.text), "Texts that it must contain."),
            KeyGrammar("matches", .oneOrMany(.text), "Regular expressions that must match in it."),
            KeyGrammar("exists", .flag, "Whether there is a value at all."),
            KeyGrammar("count", .comparison, "How many values there are, or elements in the list."),
        ])
}
