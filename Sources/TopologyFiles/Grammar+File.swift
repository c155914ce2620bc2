import Plan

extension Grammar {
    /// The largest packet of an interface, in octets.
    static let mtus = 576...65521
    /// The frames that wait in each queue of an interface.
    static let queues = 16...1_000_000
    /// So many come within 50 ms at 100,000 a second, in which a busy processor may keep the engine waiting.
    static let usualQueue = 5_000
    /// The workers of an engine.
    static let workers = 1...256

    /// The file itself.
    static let file = MappingGrammar(
        "file",
        "A topology: interfaces, the nodes on them, the services that run through them, and the checks.",
        [
            KeyGrammar("name", .text, "The topology's name; the command line can give another.", required: true),
            KeyGrammar(
                "include", .oneOrMany(.text),
                "Files whose keys are this file's, too; this file's own values replace theirs."),
            KeyGrammar(
                "variables", .named(.anything), "Values that `${NAME}` stands for; --set NAME=VALUE replaces one."),
            KeyGrammar(
                "kinds", .named(.mapping(kind)),
                "What several nodes have in common, by name: a node with `like: NAME` takes these keys."),
            filesystem,
            KeyGrammar(
                "ipv6", .flag,
                "Whether the addresses that Tapline gives to interfaces and services are of IPv6, too; off by default."),
            KeyGrammar(
                "dns", .flag,
                "Whether the engine's addresses answer questions for the names of nodes and services (port 53); off by default."
            ),
            KeyGrammar(
                "interfaces",
                .oneOf([.named(.oneOf([.mapping(interface), .oneOrMany(.addressWithLength)])), .oneOrMany(.name)]),
                "The engine's interfaces, by name; a list of names if Tapline gives them their addresses."),
            KeyGrammar(
                "customers", .named(.oneOf([.mapping(customer), .name])),
                "The nodes on whose behalf packets arrive, by name; `alice: lan` is short for `alice: { interface: lan }`."
            ),
            KeyGrammar(
                "applications", .named(.mapping(application)),
                "The network applications: jobs done by programs, by name."),
            KeyGrammar("routers", .named(.mapping(router)), "The nodes that end services for prefixes, by name."),
            KeyGrammar("services", .named(.mapping(service)), "The services, by name."),
            tenants, records,
            KeyGrammar("entries", .mapping(entries), "Distribution and sequencing entries that you write yourself."),
            KeyGrammar("checks", .oneOrMany(.mapping(check)), "The checks of `tapline run`, in this order."),
            KeyGrammar("engine", .mapping(engine), "How the packeting engine runs."),
            KeyGrammar(
                "engines", .oneOf([.integer(engineCounts), .mapping(engines)]),
                "Several packeting engines: how many, and how they share the load."),
        ])

    static let engine = MappingGrammar(
        "engine", "How the packeting engine runs.",
        [
            KeyGrammar(
                "workers", .integer(workers),
                "The number of workers, each with a queue of every interface; 1 by default.")
        ] + tuning)

    /// How an engine moves frames.
    static let tuning = [
        KeyGrammar(
            "io", .choice(EnginesPlan.Writing.allCases.map(\.rawValue)),
            "How frames are written: io_uring, a whole batch in one system call; write, one by one; auto, the default: "
                + "io_uring where the kernel allows it."),
        KeyGrammar(
            "coalescing", .flag,
            "Whether frames of one flow in a batch are coalesced (GRO) on their way, and arrive as they were sent; on by "
                + "default."),
        KeyGrammar(
            "latency", .choice(EnginesPlan.Latency.allCases.map(\.rawValue)),
            "normal, the default: an idle worker sleeps; low: it polls for more frames for 50 µs first."),
    ]

    /// The packeting engines of a topology.
    static let engineCounts = 1...16

    static let engines = MappingGrammar(
        "engines", "Several packeting engines, each a process of its own.",
        [
            KeyGrammar("count", .integer(engineCounts), "Their number; 2 by default."),
            KeyGrammar(
                "workers", .integer(workers),
                "The workers of each, each with a queue of every interface of its engine; 1 by default."),
            KeyGrammar(
                "share", .choice(EnginesPlan.Sharing.allCases.map(\.rawValue)),
                "queues: the kernel divides flows among all; direction: one takes requests, the other answers."),
        ] + tuning)

    static let interface = MappingGrammar(
        "interface", "A claimed interface of the engine: one TAP device.",
        [
            KeyGrammar(
                "address", .oneOrMany(.addressWithLength),
                "The engine's addresses on the interface, each with its prefix length; Tapline gives one of 198.18.0.0/15 by "
                    + "default. It has fe80::1 everywhere."),
            KeyGrammar(
                "mtu", .integer(mtus),
                "The largest packet in octets, 1500 by default; at least 1280 for IPv6."),
            copies("Of what arrives here"),
            KeyGrammar(
                "anti-spoofing", .flag,
                "off: its nodes may send from MAC addresses and network addresses that are not their own; on by default."
            ),
            KeyGrammar(
                "queue", .integer(queues),
                "How many frames from its nodes may wait for a worker of the engine, \(usualQueue) by default; the kernel "
                    + "drops further frames."),
            impair("its packets"),
            KeyGrammar(
                "device", .text,
                "A device of the machine, such as eth1, that is bound to the interface while the topology is up; real customers "
                    + "are behind it."),
            KeyGrammar(
                "behind", .oneOrMany(.prefix),
                "Networks behind the device, in the interface's own: their hosts are learnt, and are customers of `from: INTERFACE`.",
                beside: ["device"]),
            KeyGrammar(
                "encapsulation", encapsulated,
                "The headers before all packets of its device: vlan 100, qinq 100.200, dlci 100."),
            KeyGrammar(
                "circuits", .named(.mapping(circuit)),
                "Interfaces whose packets are on this one's device, each behind headers of its own."),
        ] + repetition)

    /// The keys of a part that stands for several.
    static let repetition = [
        KeyGrammar(
            "count", .oneOf([.integer(1...FileExpansion.mostCopies), .text]),
            "So many parts: NAME-1, NAME-2 and so on, each with the next address; `${number}` is the number."),
        KeyGrammar(
            "for-each", .named(.oneOrMany(.anything)),
            "One part for each value of a variable: { SITE: [north, south] } for `${SITE}`."),
    ]

    /// Of an interface and of a passive application.
    static func copies(_ what: String) -> KeyGrammar {
        KeyGrammar(
            "copies", .choice(CopyMode.allCases.map(\.rawValue)),
            "\(what): services: passive applications get copies of what services forward; everything: of all frames, as "
                + "they arrive, before any check.")
    }

    /// A node in a list of a service, with its legs where the file names them.
    static let stop = Shape.oneOf([.name, .named(.oneOf([.name, .mapping(way)]))])

    static let way = MappingGrammar(
        "way", "The legs that requests enter and leave an application by; answers go the other way.",
        [
            KeyGrammar("in", .name, "The leg that they enter by."),
            KeyGrammar("out", .name, "The leg that they leave by."),
        ])

    static let entries = MappingGrammar(
        "entries", "Entries by hand.",
        [
            KeyGrammar(
                "distribution", .oneOrMany(.mapping(entry)),
                "Distribution entries: packets from customers, and the copies that are sent."),
            KeyGrammar(
                "sequencing", .oneOrMany(.mapping(entry)),
                "Sequencing entries: packets from applications, and the next hop."),
        ])

    static let entry = MappingGrammar(
        "entry", "One entry: which packets it matches, and where it sends them.",
        [
            KeyGrammar("name", .text, "Its name in listings and checks.", required: true),
            KeyGrammar("received-interface", .name, "The interface that the packets come in on.", required: true),
            KeyGrammar(
                "source", .text, "An address, a prefix, a node (its MAC address), a MAC address in quotes, or any."),
            KeyGrammar("destination", .text, "An address, a prefix, a node (its addresses), or any."),
            KeyGrammar("service-port", .oneOrMany(.port), "Service ports such as tcp/80; any by default."),
            KeyGrammar(
                "direction", .choice(EntryDirection.allCases.map(\.rawValue)),
                "request: the service port is the destination's; response: the source's."),
            KeyGrammar("rewrite-source", .address, "The address that the packet's source becomes."),
            KeyGrammar(
                "to", .oneOrMany(.oneOf([.name, .mapping(target)])),
                "One or several targets: nodes, or send addresses.",
                required: true),
        ])

    static let target = MappingGrammar(
        "target", "A send interface and a send address.",
        kinds: ["application", "node", "mac", "network", "neighbour"],
        [
            KeyGrammar("interface", .name, "The send interface."),
            KeyGrammar("application", .name, "A node of the file: its leg on the interface."),
            KeyGrammar("node", .name, "A node of the file: its leg on the interface."),
            KeyGrammar("mac", .mac, "A MAC address: the packet is not touched."),
            KeyGrammar("network", .address, "A network address, which the packet's destination becomes."),
            KeyGrammar(
                "neighbour", .oneOf([.just(true), .address]),
                "true: the owner of the packet's destination; an address: the next hop."),
            KeyGrammar(
                "system", .choice(FileReader.systems.map(\.name)),
                "The kind of receiver, if the file does not name it."),
        ])
}
