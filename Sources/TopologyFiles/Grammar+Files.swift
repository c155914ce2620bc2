extension Grammar {
    /// The permissions of a file whose mode is left open.
    static let usualMode = 0o644

    static let nodeFile = MappingGrammar(
        "node-file", "A file that a node gets.", kinds: ["from", "text"],
        [
            KeyGrammar("from", .text, "The file that it is a copy of; the path begins in the folder of this file."),
            KeyGrammar("text", .text, "Its content."),
            KeyGrammar(
                "template", .flag,
                "true: `{{ services.shop.address }}` and other expressions in it stand for their values."),
            KeyGrammar("mode", .text, "Its permissions in octal digits; 0644 by default."),
            KeyGrammar("owner", .text, "Its user, or USER:GROUP; root by default."),
        ])

    /// The files of a node.
    static let files = KeyGrammar(
        "files", .named(.oneOf([.text, .mapping(nodeFile)])),
        "Files by their paths in the node, as texts or as copies; a relative path is in $TAPLINE_DIR.")
}
