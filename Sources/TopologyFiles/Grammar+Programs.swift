import Plan

extension Grammar {
    static let program = MappingGrammar(
        "program", "One of several programs of a node.",
        [
            KeyGrammar("run", .text, "Its shell command; begin it with exec.", required: true),
            KeyGrammar(
                "ready", .oneOf([.choice(["started"]), .mapping(readiness)]),
                "When it counts as ready; started by default."),
            KeyGrammar("ready-timeout", .duration, "How long it may take to be ready; 30s by default."),
            KeyGrammar(
                "restart", .choice(RestartPolicy.allCases.map(\.rawValue)),
                "What happens when its command ends; on-failure by default."),
            KeyGrammar("depends", .oneOrMany(.name), "Programs of the node that must be ready first."),
            KeyGrammar("environment", .named(.text), "Variables for its command, beside the node's."),
            KeyGrammar(
                "health", .oneOrMany(.mapping(health)),
                "Checks that decide, with those of the application, whether an instance is healthy."),
        ] + confinement)
}
