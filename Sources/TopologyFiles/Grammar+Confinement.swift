import Plan

extension Grammar {
    /// The words for `capabilities` that are no list.
    static let capabilityWords = ["default", "all", "none"]

    /// Who a program is, and what it may do.
    static let confinement = [
        KeyGrammar("user", .text, "The user that it runs as, by name or number; root by default."),
        KeyGrammar("group", .text, "Its group, by name or number; the user's by default."),
        KeyGrammar(
            "capabilities", .oneOf([.choice(capabilityWords), .oneOrMany(.choice(CapabilitySet.names))]),
            "What it may do beyond its user: names such as net_bind_service, default, all or none."),
    ]
}
