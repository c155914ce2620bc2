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
        KeyGrammar("limits", .mapping(limits), "What it may use; of a node: what all its programs together may use."),
    ]

    static let limits = MappingGrammar(
        "limits", "The most that programs may use.",
        [
            KeyGrammar("memory", .size, "Memory: 256M."),
            KeyGrammar("processor", .percentage(percentages), "Percent of one processor: 50%; 200% are two."),
            KeyGrammar("processes", .integer(processes), "Processes and threads."),
            KeyGrammar("files", .integer(openFiles), "Open files of each process."),
        ])
    /// Processes of a group; the kernel has no more numbers for them.
    static let processes = 1...4_194_304
    /// Files of a process, with those that every program has open from its beginning.
    static let openFiles = 8...1_048_576
    /// Octets of memory: less than the least does not hold a shell.
    static let memory = UInt64(1 << 20)...UInt64(1 << 50)
}
