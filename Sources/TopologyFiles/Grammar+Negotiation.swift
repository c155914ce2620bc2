import Plan

extension Grammar {
    /// How many mappings an application may have at once.
    static let mappings = 1...1000
    /// How many requests it may send in a second.
    static let mappingRequests = 1...1000

    static let negotiate = KeyGrammar(
        "negotiate", .mapping(negotiation),
        "What it may ask for by PCP or NAT-PMP at the engine's addresses: service ports at service addresses.")

    static let negotiation = MappingGrammar(
        "negotiation", "What an application may ask for by PCP or NAT-PMP.",
        [
            KeyGrammar(
                "addresses", .oneOrMany(.address), "The service addresses that it can be given, the preferred first.",
                required: true),
            KeyGrammar(
                "ports", .oneOrMany(.port), "The service ports that it can be given: tcp or udp.", required: true),
            KeyGrammar(
                "through", .oneOrMany(.name),
                "The applications in front of it, in order; passive ones get copies. None by default."),
            KeyGrammar(
                "from", .oneOrMany(.name),
                "Interfaces and customers that may use what it gets; every interface that has customers by default."),
            KeyGrammar(
                "lifetime", .text,
                "The shortest and the longest time that a mapping lasts without renewal; 30s..2m by default. Keep it short: "
                    + "many programs hear no announcement."),
            KeyGrammar(
                "mappings", .integer(mappings),
                "How many it may have at once; \(NegotiationPlan.usualMappings) by default."),
            KeyGrammar(
                "requests", .integer(mappingRequests),
                "How many requests it may send in a second; \(NegotiationPlan.usualRequests) by default."),
        ])
}
