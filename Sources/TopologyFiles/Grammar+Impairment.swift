import Forwarding
import Plan

extension Grammar {
    /// The key of everything whose packets cross a link.
    static func impair(_ what: String, beside kinds: [String]? = nil) -> KeyGrammar {
        KeyGrammar(
            "impair", .mapping(impairment), "What happens to \(what): delay, loss, a rate and the like.", beside: kinds)
    }

    static let impairment = MappingGrammar(
        "impairment", "What happens to the packets of a link, in both directions or in one.",
        directed
            + [
                KeyGrammar(
                    "to-nodes", .mapping(directedImpairment),
                    "The same for packets from the engine to the nodes; its keys replace those beside it."),
                KeyGrammar(
                    "from-nodes", .mapping(directedImpairment),
                    "The same for packets from the nodes to the engine; its keys replace those beside it."),
            ])

    static let directedImpairment = MappingGrammar(
        "directed-impairment", "What happens to the packets of a link in one direction.", directed)

    static let impairmentStep = MappingGrammar(
        "impairment-step", "A link, and what happens to its packets from now until the check ends.",
        [
            KeyGrammar("interface", .name, "The interface, or the one of the node's device."),
            KeyGrammar("node", .name, "The node whose device it is."),
            KeyGrammar("service", .name, "The service whose packets it is about."),
        ] + impairment.keys)

    private static let directed = [
        KeyGrammar(
            "loss", .oneOf([.text, .mapping(lossBursts)]),
            "How many packets are lost: 1%, or in bursts: { enter: 1%, leave: 25% }."),
        KeyGrammar("duplicate", .text, "How many packets arrive twice: 0.1%."),
        KeyGrammar("corrupt", .text, "How many packets get a flipped bit: 0.01%."),
        KeyGrammar("rate", .text, "The bits of frames that pass in a second: 64kbit, 10mbit, 1.5gbit."),
        KeyGrammar(
            "queue", .integer(Impairment.queues),
            "How many packets may wait for the rate; \(Impairment.usualQueue) by default."),
        KeyGrammar("delay", .text, "How long packets take in one direction: 20ms, 250us, at most 10s."),
        KeyGrammar("jitter", .text, "How far the delay of a packet differs, up or down, evenly: 5ms."),
        KeyGrammar(
            "trace", .text,
            "A file with a delay in each line, in place of `delay` and `jitter`; each packet takes the next one."),
        KeyGrammar("reorder", .text, "How many packets are not delayed, and so overtake others: 0.5%."),
        KeyGrammar(
            "seed", .integer(ImpairmentText.seeds), "Equal seeds pick the same packets of a sequence; 0 by default."),
    ]

    static let lossBursts = MappingGrammar(
        "loss-bursts", "Loss in bursts, by the model of Gilbert and Elliott: after each packet the state may change.",
        [
            KeyGrammar("enter", .text, "How often a bad time begins after a packet (p).", required: true),
            KeyGrammar("leave", .text, "How often a bad time ends after a packet (r).", required: true),
            KeyGrammar("good", .text, "How many packets are lost in a good time (1-k); 0% by default."),
            KeyGrammar("bad", .text, "How many packets are lost in a bad time (1-h); 100% by default."),
        ])
}
