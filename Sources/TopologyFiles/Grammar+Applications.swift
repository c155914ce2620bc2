import Forwarding
import Plan

extension Grammar {
    /// The instances of an application.
    static let instances = 1...256
    /// An instance's share, relative to the shares of the others.
    static let weights = 0...1000
    /// VRRP's (RFC 9568): the highest works first.
    static let priorities = 1...254

    static let application = MappingGrammar(
        "application", "A network application: a job done by a program in a namespace of its own, or at another site.",
        kinds: ["attach", "remote"],
        [
            KeyGrammar("type", .text, "Its kind in your own words: firewall."),
            KeyGrammar(
                "attach", .oneOf([.name, .mapping(attachment)]),
                "{ in: X, out: Y }, one interface for both directions, or legs of your own names: { wan: X, dmz: Y, lan: Z }."
            ),
            KeyGrammar(
                "remote", .mapping(remote),
                "It is at another site, behind tunnels: { interface: underlay, vxlan: { id: 42, peer: 198.51.100.7 } }."
            ),
            KeyGrammar(
                "passive", .flag,
                "It gets copies; what it sends where they arrive is dropped. Its further legs are as those of any node."
            ),
            copies("Of a passive application"),
            KeyGrammar(
                "transparent", .flag,
                "A bump in the wire between `in` and `out`: it has no addresses, and passes frames on unchanged."),
            KeyGrammar(
                "active-responses", .flag, "For a passive application: its packets about its services are forwarded."),
            KeyGrammar(
                "send", .choice(SendMode.allCases.map(\.rawValue)),
                "mac: packets reach it untouched; network: their destination becomes its own address; announced: they reach "
                    + "the instance that announced the service address last (VRRP, CARP)."),
            KeyGrammar(
                "prefixes", .oneOrMany(.prefix),
                "Networks that it sends from besides its own addresses, as a customer of other services."),
            access, negotiate,
        ] + everyNode + redundancy + repetition)

    /// The keys of an application that may fail without its service failing. Any of these makes Tapline look after its
    /// health.
    static let redundancy = [
        KeyGrammar(
            "instances", .oneOf([.integer(instances), .oneOrMany(.name), .named(.mapping(instance))]),
            "Its running copies: a number, names, or names with values of their own."),
        KeyGrammar(
            "redundancy", .choice(Redundancy.allCases.map(\.rawValue)),
            "active-standby: the first by priority works; balance: all share the flows; copies: each gets every packet."
        ),
        KeyGrammar("active", .integer(instances), "For active-standby: how many work at once; 1 by default."),
        KeyGrammar(
            "hash", .choice(FlowHashing.allCases.map(\.word)),
            "The parts of a packet that decide which instance gets it: addresses, sessions or ports."),
        KeyGrammar(
            "seed", .integer(0...Int.max),
            "Groups of different seeds share flows differently; derived from the application's name by default."),
        KeyGrammar("minimum", .integer(instances), "It is down with fewer healthy instances; 1 by default."),
        KeyGrammar(
            "when-down", .choice(DownPolicy.allCases.map(\.rawValue)),
            "What happens to its packets if it is down; passive applications are bypassed, all others drop by default."
        ),
        KeyGrammar(
            "answer", .choice(DownAnswer.allCases.map(\.word)),
            "The answer to the sender of a packet that is dropped because it is down."),
        KeyGrammar("health", .oneOrMany(.mapping(health)), "The checks that decide whether an instance is healthy."),
        KeyGrammar(
            "damping", .oneOf([.flag, .mapping(damping)]),
            "Keeps an instance out that goes up and down too often; false: off."),
        KeyGrammar(
            "drain", .duration,
            "How long a drained instance keeps flows whose start cannot be seen (everything but TCP); 30s by default."),
        KeyGrammar("scale", .mapping(scale), "When an instance is added, and when it is removed again."),
    ]

    /// The keys that make Tapline look after an application's health.
    static let redundancyKeys = redundancy.map(\.name)

    static let instance = MappingGrammar(
        "instance", "An instance: its own values replace the application's.",
        [
            KeyGrammar("weight", .integer(weights), "Its share of the flows, relative to the others'; 1 by default."),
            KeyGrammar("priority", .integer(priorities), "For active-standby: the highest ones work; 100 by default."),
            KeyGrammar(
                "address", .oneOf([.oneOrMany(.address), .mapping(instanceAddress)]),
                "Its addresses, { in: …, out: … } if it has several legs; the first free ones by default."),
            KeyGrammar("prefixes", .oneOrMany(.prefix), "Networks that it sends from besides its own addresses."),
            KeyGrammar("remote", .mapping(remote), "Its tunnels, if it is at another site."),
        ] + everyNode + repetition)

    static let instanceAddress = MappingGrammar(
        "instance-address", "An instance's addresses, by the names of its legs.",
        [
            KeyGrammar("in", .oneOrMany(.address), "Its addresses on the interface that requests reach it on."),
            KeyGrammar("out", .oneOrMany(.address), "Its addresses on the interface that it passes requests on to."),
        ], rest: .oneOrMany(.address))

    static let damping = MappingGrammar(
        "damping",
        "Keeps a flapping instance out: each time it goes down, its penalty rises by 1,000, which halves with time.",
        [
            KeyGrammar("suppress", .integer(penalties), "Above this penalty it is kept out; 3500 by default."),
            KeyGrammar("reuse", .integer(penalties), "Below this penalty it may return; 1000 by default."),
            KeyGrammar("half-life", .duration, "In this time the penalty halves; 8s by default."),
        ])
    /// Penalties of flap damping.
    static let penalties = 1...1_000_000

    static let scale = MappingGrammar(
        "scale", "When another instance is needed, built like the others.",
        [
            KeyGrammar("rate", .integer(rates), "Packets per second and instance above which another one is needed."),
            KeyGrammar(
                "processor", .percentage(percentages),
                "Percent of one processor for each instance above which another one is needed: 80%."),
            KeyGrammar("for", .duration, "How long the load must be so high; 5s by default."),
            KeyGrammar("most", .integer(instances), "The largest number of instances.", required: true),
        ])
    /// Packets per second.
    static let rates = 1...1_000_000_000
    /// Percent of one processor; a program with threads may use several.
    static let percentages = 1...10_000
}
