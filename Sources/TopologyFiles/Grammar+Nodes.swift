import Plan

extension Grammar {
    static let customer = MappingGrammar(
        "customer", "A node on whose behalf packets arrive.", kinds: ["interface", "circuit", "remote"],
        onOneInterface + [
            KeyGrammar(
                "circuit", .name,
                "The circuit that it is on, in place of an interface: its name, or what tells it apart, such as vlan 100."
            ),
            KeyGrammar(
                "remote", .mapping(remoteLeg),
                "Customers at another site, in place of an interface: their packets come through a tunnel."),
            KeyGrammar("prefixes", .oneOrMany(.prefix), "Networks behind it."),
        ] + everyNode + repetition)

    static let router = MappingGrammar(
        "router", "A node that ends services for prefixes, and answers for the networks behind it.",
        kinds: ["interface", "attach"],
        [
            KeyGrammar("interface", .name, "The interface that it is on, with customers and servers on it."),
            KeyGrammar(
                "address", .oneOrMany(.address), "Its addresses; the first free ones by default.",
                beside: ["interface"]),
            KeyGrammar(
                "impair", .mapping(impairment),
                "What happens to the packets of its device: delay, loss, a rate and the like.", beside: ["interface"]),
            KeyGrammar(
                "attach", .oneOf([.name, .mapping(attachment)]),
                "{ in: X, out: Y }: the interface towards customers, and the one towards servers; or legs of your own names."
            ),
        ] + everyNode + repetition)

    static let attachment = MappingGrammar(
        "attachment",
        "The legs of an application or a router, each with its interface. Legs may have other names than `in` and `out`: "
            + "{ outside: X, dmz: Y, lan: Z }.",
        [
            KeyGrammar("in", .oneOf([.name, .mapping(leg)]), "The interface that requests reach it on."),
            KeyGrammar("out", .oneOf([.name, .mapping(leg)]), "The interface that it passes requests on to."),
        ], rest: .oneOf([.name, .mapping(leg)]))

    static let leg = MappingGrammar(
        "leg", "A place on an interface, with addresses.",
        [
            KeyGrammar("interface", .name, "The interface.", required: true),
            KeyGrammar("address", .oneOrMany(.address), "Its addresses there; the first free ones by default."),
            impair("the packets of its device there"),
        ])

    private static let onOneInterface = [
        KeyGrammar("interface", .name, "The interface that it is on."),
        KeyGrammar("address", .oneOrMany(.address), "Its addresses; the first free ones by default."),
        impair("the packets of its device"),
    ]

    /// The keys that every node may have.
    static let everyNode =
        [
            KeyGrammar("like", .oneOrMany(.name), "Kinds of `kinds` whose keys it takes; its own go before them."),
            KeyGrammar("setup", .oneOrMany(.text), "Shell commands that must succeed, in order, before `run`."),
            KeyGrammar("run", .text, "The shell command of the application; begin it with exec."),
            KeyGrammar(
                "programs", .named(.mapping(program)),
                "Programs beside `run`, each supervised by itself; they are ready before `run` starts."),
            KeyGrammar(
                "after", .oneOrMany(.text), "Shell commands that must succeed whenever the programs have become ready."),
            KeyGrammar(
                "ready", .oneOf([.choice(["started"]), .mapping(readiness)]),
                "When it counts as ready; started by default."
            ),
            KeyGrammar("ready-timeout", .duration, "How long it may take to be ready; 30s by default."),
            KeyGrammar(
                "restart", .choice(RestartPolicy.allCases.map(\.rawValue)),
                "What happens when its command ends; on-failure by default."),
            files, filesystem,
            KeyGrammar("reload", .text, "What `apply` runs after it changed its files, in place of a restart."),
            KeyGrammar(
                "depends", .oneOf([.oneOrMany(.name), .named(.choice(Awaited.allCases.map(\.rawValue)))]),
                "Nodes that must be ready first, or { name: healthy }."),
            KeyGrammar("environment", .named(.text), "Variables for its commands; not TAPLINE_…."),
            KeyGrammar(
                "offload", .flag,
                "Whether it exchanges segments larger than its MTU and partial checksums, like a virtual machine."
            ),
            KeyGrammar(
                "anti-spoofing", .flag,
                "off: it may send from MAC addresses and network addresses that are not its own; on by default, or as its "
                    + "interface has it."),
            KeyGrammar(
                "may-have", .oneOrMany(.oneOf([.prefix, .mapping(virtualAddress)])),
                "Addresses that it may announce besides its own; they move to it at once (VRRP, keepalived, CARP, DHCP). "
                    + "{ address, mac } names the virtual MAC address that it has them under."),
            KeyGrammar("sysctls", .named(.text), "Settings of its network namespace: net.ipv4.tcp_ecn: 1."),
            KeyGrammar("routes", .oneOrMany(.mapping(route)), "Routes besides those that Tapline adds."),
            KeyGrammar("hosts", .named(.oneOrMany(.address)), "Names for its hosts file, each with its addresses."),
        ] + confinement + guests + attachments

    /// Where somebody else's network namespace is that a node's legs are put in.
    static let attachments = [
        KeyGrammar(
            "namespace", .text,
            "The file of a network namespace that exists, such as /run/netns/box: the node's legs are put in it."),
        KeyGrammar(
            "pid", .integer(processNumbers), "A process in whose network namespace the node's legs are put."),
        KeyGrammar(
            "container", .text,
            "A running container in whose network namespace the node's legs are put: podman:NAME or docker:NAME."),
    ]
    /// The process of init is the machine itself.
    static let processNumbers = 2...4_194_304

    static let virtualAddress = MappingGrammar(
        "virtualAddress", "Addresses that a node has under a MAC address that is not its device's.",
        [
            KeyGrammar("address", .oneOrMany(.prefix), "The addresses.", required: true),
            KeyGrammar(
                "mac", .mac, "The MAC address in quotes: \"00:00:5e:00:01:33\" is that of VRRP's router 51.",
                required: true),
        ])

    static let readiness = MappingGrammar(
        "readiness", "How to find out that an application is ready.", kinds: ["run", "tcp", "http"] + questionKinds,
        [
            KeyGrammar("run", .text, "A shell command that succeeds inside the node."),
            KeyGrammar("tcp", .integer(1...65535), "A port that takes TCP connections."),
            KeyGrammar("http", .integer(1...65535), "A port that answers HTTP."),
            KeyGrammar(
                "address", .address, "The address that is asked; 127.0.0.1 by default.", beside: ["tcp", "http"]),
            KeyGrammar("path", .text, "The path that is asked for; / by default.", beside: ["http"]),
            KeyGrammar("host", .text, "The host that is asked for; the address by default.", beside: ["http"]),
            KeyGrammar("status", .integer(100...599), "The expected status; 200 by default.", beside: ["http"]),
        ] + questions)

    /// The keys that say where a node is, and not what it is.
    private static let placing: Set = [
        "interface", "circuit", "remote", "attach", "address", "impair", "count", "for-each",
    ]

    /// A kind: the keys of all nodes that say what a node is.
    static let kind: MappingGrammar = {
        var seen = placing
        let keys = (application.keys + customer.keys + router.keys + instance.keys).filter { key in
            seen.insert(key.name).inserted
        }
        return MappingGrammar(
            "kind", "What several nodes have in common. A node takes those of its keys that it may have.",
            keys.map { KeyGrammar($0.name, $0.shape, $0.sentence) })
    }()

    static let route = MappingGrammar(
        "route", "A route of a node.",
        [
            KeyGrammar(
                "to", .oneOf([.prefix, .choice(["default"])]), "The destination: a prefix, or default.", required: true),
            KeyGrammar("via", .address, "The next hop.", required: true),
        ])
}
