import Plan
import Reporting

extension Grammar {
    /// Packets whose paths a check measures.
    static let path: MappingGrammar = MappingGrammar(
        "path", "Packets that a check sends, to measure their paths, losses, order and times.",
        train("32 by default, or one for each packet of TCP") + [
            KeyGrammar("count", .integer(PathPlan.counts), "How many packets are sent; 1000 by default."),
            KeyGrammar("paths", .comparison, "How many distinct paths they take; any by default."),
            KeyGrammar(
                "through", .oneOrMany(.oneOrMany(.name)),
                "The ways that they take, each of them and no others: [[fw-a, web-1], [fw-b, web-2]]."),
            lost("0 by default"), reordered("0 by default"), duplicated("0 by default"),
            KeyGrammar(
                "within", .named(.mapping(pathTimes)),
                "How long packets may be inside nodes, by the node's or application's name, or `engine`."),
        ])

    /// Packets that are sent while steps break something.
    static let outage: MappingGrammar = MappingGrammar(
        "outage", "Packets that a check sends while steps break something, to measure for how long.",
        [KeyGrammar("while", .oneOrMany(.mapping(step)), "The steps, in order.", required: true)]
            + train("1 by default, or one for each packet of TCP") + [
                KeyGrammar(
                    "answered", .flag,
                    "Whether an answer is an arrival, not reaching the end; by default, if the end answers before the "
                        + "steps."),
                KeyGrammar("settle", .duration, "How long packets are sent after the steps; 500ms by default."),
                lost("any by default"),
                KeyGrammar(
                    "longest-gap", .timeBound, "The longest time in which nothing arrives: \"<= 40ms\"; any by default."
                ),
                reordered("any by default"), duplicated("any by default"),
            ])

    /// The times of packets inside one node.
    static let pathTimes = MappingGrammar(
        "path-times", "How long packets may be inside one node.",
        PathPlan.Figure.allCases.map { figure in
            KeyGrammar(
                figure.rawValue, .timeBound,
                figure == .max ? "The longest time." : "The time that \(figure.share) of the packets do not exceed.")
        })

    private static func train(_ flows: String) -> [KeyGrammar] {
        [
            KeyGrammar("from", .name, "The node that sends them.", required: true),
            KeyGrammar(
                "to", .oneOf([.address, .name]), "Their destination: an address, a service or a node.", required: true),
            KeyGrammar(
                "port", .port, "tcp/80 (first segments of connections), udp/53, icmp (echo requests); icmp by default."),
            KeyGrammar("source", .address, "Their source address; the node's own by default."),
            KeyGrammar("size", .integer(20...65535), "The length of each in octets, including its network header."),
            KeyGrammar("ttl", .integer(1...255), "Their TTL or hop limit; 64 by default."),
            KeyGrammar("rate", .rate, "How many are sent in a second: 500Hz, 1kHz; 1kHz by default, at most 10kHz."),
            KeyGrammar(
                "flows", .integer(1...ProbeTrainPlan.mostFlows), "How many flows the packets belong to; \(flows)."),
        ]
    }

    private static func lost(_ usual: String) -> KeyGrammar {
        KeyGrammar("lost", countOrAny, "How many do not arrive: 0, \"<= 3\" or any; \(usual).")
    }

    private static func reordered(_ usual: String) -> KeyGrammar {
        KeyGrammar(
            "reordered", countOrAny,
            "How many arrive behind one of their flow that was sent later: 0, \"<= 3\" or any; \(usual).")
    }

    private static func duplicated(_ usual: String) -> KeyGrammar {
        KeyGrammar("duplicated", countOrAny, "How many arrive again: 0, \"<= 3\" or any; \(usual).")
    }

    private static let countOrAny = Shape.oneOf([.comparison, .choice(["any"])])
}

extension PathPlan.Figure {
    fileprivate var share: String {
        switch self {
        case .p50: "50 %"
        case .p90: "90 %"
        case .p99: "99 %"
        case .p999: "99.9 %"
        case .max: "all"
        }
    }
}

/// Rates as the file gives them: 500Hz or 1kHz.
enum RateText {
    /// The hint for a text that is no rate.
    static let hint = "write a rate from 1Hz to 10kHz, such as 500Hz or 1kHz"

    /// The time from one packet to the next in nanoseconds; nil if the text is no rate, or none of the possible ones.
    static func interval(_ text: String) -> UInt64? {
        let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        let rest = text.dropFirst(digits.count).drop { $0 == " " }
        let unit: Double? = rest == "Hz" ? 1 : rest == "kHz" ? 1_000 : nil
        guard let unit, let number = Double(digits) else { return nil }
        let rate = number * unit
        let bounds = ProbeTrainPlan.rates
        guard rate >= Double(bounds.lowerBound), rate <= Double(bounds.upperBound) else { return nil }
        return UInt64((1_000_000_000 / rate).rounded())
    }
}
