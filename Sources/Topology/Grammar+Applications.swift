import Forwarding

extension Grammar {
    /// The instances of an application.
    static let instances = 1...256
    /// An instance's share beside those of others.
    static let weights = 0...1000
    /// VRRP's (RFC 9568): the highest works first.
    static let priorities = 1...254

    static let application = MappingGrammar(
        "application", "A network application: a job done by a program in a namespace of its own.",
        [
            KeyGrammar("type", .text, "What it is, in your words: firewall."),
            KeyGrammar(
                "attach", .oneOf([.name, .mapping(attachment)]),
                "{ in: X, out: Y }, or one interface for both directions.", required: true),
            KeyGrammar("passive", .flag, "It gets copies; what it emits is dropped."),
            copies("Of a passive application"),
            KeyGrammar(
                "transparent", .flag,
                "A bump in the wire between `in` and `out`: it has no addresses, and passes frames on unchanged."),
            KeyGrammar(
                "active-responses", .flag, "Of a passive application: what it emits about its services goes on."),
            KeyGrammar(
                "send", .choice(SendMode.allCases.map(\.rawValue)),
                "mac: packets reach it untouched; network: their destination becomes its own address."),
            KeyGrammar(
                "prefixes", .oneOrMany(.prefix),
                "Networks that it sends from beside its own addresses, as a customer of further services."),
        ] + everyNode + redundancy)

    /// What an application has that may fail without its service failing. Any of these makes Tapline look after its health.
    static let redundancy = [
        KeyGrammar(
            "instances", .oneOf([.integer(instances), .oneOrMany(.name), .named(.mapping(instance))]),
            "Its running copies: a number, names, or names with what each has of its own."),
        KeyGrammar(
            "redundancy", .choice(Redundancy.allCases.map(\.rawValue)),
            "active-standby: the first by priority works; balance: all share the flows; copies: each gets every packet."
        ),
        KeyGrammar("active", .integer(instances), "Of active-standby: how many work at once; 1 by default."),
        KeyGrammar(
            "hash", .choice(FlowHashing.allCases.map(\.word)),
            "What of a packet decides which instance gets it: addresses, sessions or ports."),
        KeyGrammar(
            "seed", .integer(0...Int.max),
            "Groups of different seeds share flows differently; made from the application's name by default."),
        KeyGrammar("minimum", .integer(instances), "Fewer healthy instances than these, and it is down; 1 by default."),
        KeyGrammar(
            "when-down", .choice(DownPolicy.allCases.map(\.rawValue)),
            "What happens to its packets when it is down; a passive application is left out, all others drop by default."
        ),
        KeyGrammar(
            "answer", .choice(DownAnswer.allCases.map(\.word)),
            "What the sender of a packet is told that is dropped because it is down."),
        KeyGrammar("health", .oneOrMany(.mapping(health)), "What tells whether an instance is healthy."),
        KeyGrammar(
            "damping", .oneOf([.flag, .mapping(damping)]),
            "What keeps an instance out that comes and goes; false: nothing does."),
        KeyGrammar(
            "drain", .duration,
            "How long an instance that is drained keeps what does not tell its beginning; 30s by default."),
        KeyGrammar("scale", .mapping(scale), "When one instance more is made, and when it goes again."),
    ]

    /// The keys that make an application one whose health is looked after.
    static let redundancyKeys = redundancy.map(\.name)

    static let instance = MappingGrammar(
        "instance", "An instance: its own values stand in place of the application's.",
        [
            KeyGrammar("weight", .integer(weights), "Its share of the flows beside the others' weights; 1 by default."),
            KeyGrammar("priority", .integer(priorities), "Of active-standby: the highest work; 100 by default."),
            KeyGrammar(
                "address", .oneOf([.oneOrMany(.address), .mapping(instanceAddress)]),
                "Its addresses, { in: …, out: … } where it has two sides; the first free ones where left away."),
            KeyGrammar("prefixes", .oneOrMany(.prefix), "Networks that it sends from beside its own addresses."),
        ] + everyNode)

    static let instanceAddress = MappingGrammar(
        "instance-address", "An instance's addresses on either side.",
        [
            KeyGrammar("in", .oneOrMany(.address), "Its addresses on the interface that requests reach it on."),
            KeyGrammar("out", .oneOrMany(.address), "Its addresses on the interface that it passes requests on to."),
        ])

    static let damping = MappingGrammar(
        "damping",
        "What keeps an instance out that flaps: each time it goes down it earns 1,000, which halves with time.",
        [
            KeyGrammar("suppress", .integer(penalties), "Above this it is kept out; 3500 by default."),
            KeyGrammar("reuse", .integer(penalties), "Below this it may come back; 1000 by default."),
            KeyGrammar("half-life", .duration, "In this time the penalty halves; 8s by default."),
        ])
    /// Penalties of flap damping.
    static let penalties = 1...1_000_000

    static let scale = MappingGrammar(
        "scale", "When one instance more is needed, which is made as the others are.",
        [
            KeyGrammar("rate", .integer(rates), "Packets per second and instance, above which one more is needed."),
            KeyGrammar(
                "processor", .percentage(percentages),
                "Percent of one processor that an instance uses, above which one more is needed: 80%."),
            KeyGrammar("for", .duration, "How long it must be so; 5s by default."),
            KeyGrammar("most", .integer(instances), "The most instances that there may be.", required: true),
        ])
    /// Packets per second.
    static let rates = 1...1_000_000_000
    /// Percent of one processor; a program with threads may use several.
    static let percentages = 1...10_000
}
