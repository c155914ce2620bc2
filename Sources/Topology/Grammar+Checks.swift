extension Grammar {
    /// One check: exactly one of the kinds, and the keys that go with it.
    static let check = MappingGrammar(
        "check", "One thing to prove: a command in a node, a log, an entry's counters, or drops.",
        kinds: ["on", "log", "entry", "drops"],
        [
            KeyGrammar("name", .text, "What it proves.", required: true),
            KeyGrammar("on", .name, "The node that a command is run in."),
            KeyGrammar("run", .text, "The shell command.", required: true, beside: ["on"]),
            KeyGrammar("log", .name, "The node whose output, or file, is looked at."),
            KeyGrammar("file", .text, "A file below the node's $TAPLINE_DIR in place of its output.", beside: ["log"]),
            KeyGrammar("entry", .text, "The entries of that name, as `tapline tables` lists them."),
            KeyGrammar("drops", .choice(DropReasonNames.known), "The reason whose drops are counted."),
            KeyGrammar(
                "expect", .oneOf([.oneOrMany(.text), .mapping(commandExpectation)]),
                "Texts that the output must contain, or what it must be.", beside: ["on", "log"]),
            KeyGrammar("packets", .comparison, "What the entries have counted: \">= 1\".", beside: ["entry"]),
            KeyGrammar("bytes", .comparison, "What the entries have counted, in octets of frames.", beside: ["entry"]),
            KeyGrammar(
                "frames", .comparison, "How many frames were dropped: \"== 0\".", required: true, beside: ["drops"]),
            KeyGrammar("within", .duration, "It is tried until it holds, or this time is over."),
            KeyGrammar(
                "timeout", .duration, "How long one run of the command may take; 30s by default.", beside: ["on"]),
        ])

    /// What a command's exit status and output must be.
    static let commandExpectation = MappingGrammar(
        "command-expectation", "What a command's exit status and output must be.",
        [KeyGrammar("status", .integer(0...255), "The exit status; 0 by default. Of commands only.")]
            + textExpectation.keys)

    /// What a text must be.
    static let textExpectation = MappingGrammar(
        "text-expectation", "What a text must be.",
        [
            KeyGrammar("output", .oneOrMany(.text), "Texts that must all occur."),
            KeyGrammar("contains", .oneOrMany(.text), "Texts that must all occur."),
            KeyGrammar("lacks", .oneOrMany(.text), "Texts that must not occur."),
            KeyGrammar("matches", .text, "A regular expression that must match somewhere; best in single quotes."),
        ])
}
