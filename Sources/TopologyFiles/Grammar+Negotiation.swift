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

    /// A mapping that a check looks for.
    static let mapping = MappingGrammar(
        "mapping", "A service port that an application asked for, as `tapline mappings` lists it.",
        [
            KeyGrammar("application", .name, "The application.", required: true),
            KeyGrammar("service-port", .port, "The service port: udp/27015; any by default."),
            KeyGrammar("service-address", .address, "The service address; any by default."),
            KeyGrammar("port", .integer(1...65535), "Where the application listens; any by default."),
            KeyGrammar(
                "is", .choice(MappingExpectation.Standing.allCases.map(\.rawValue)),
                "granted, or gone: no such mapping; granted by default."),
            KeyGrammar("within", .duration, "As the check's own `within`."),
        ])
}
