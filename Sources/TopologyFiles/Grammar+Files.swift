extension Grammar {
    /// The permissions of a file whose mode is left open.
    static let usualMode = 0o644

    /// The files of a node that are put over the machine's, and the folders of each kind in `filesystem`.
    static let mostMounted = 500

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
        "files", .oneOf([.oneOrMany(.text), .named(.oneOf([.text, .mapping(nodeFile)]))]),
        "Files beside this one that are templates in $TAPLINE_DIR; or files by their paths in the node, as texts or as "
            + "copies.")
}

extension Grammar {
    /// What a node sees of the machine's files.
    static let filesystem = KeyGrammar(
        "filesystem", .oneOf([.choice(["machine", "shared"]), .mapping(filesystemForm)]),
        "machine, the default: the machine's files, read-only, with private /etc, /var, /root and /tmp; shared: the "
            + "machine's files, written by nodes; or a root directory of its own.")

    static let filesystemForm = MappingGrammar(
        "filesystem", "What a node sees of the machine's files.",
        [
            KeyGrammar("root", .text, "A folder that is its root directory; what it writes is its own."),
            KeyGrammar(
                "image", .text,
                "A tar archive of a root directory, which `up` unpacks; it may be compressed (gzip, bzip2, xz, zstd)."),
            KeyGrammar("writable", .oneOrMany(.text), "Folders of the machine that it writes."),
            KeyGrammar(
                "private", .oneOrMany(.text),
                "Folders in which what it writes is its own, beside /etc, /var, /root, /tmp."
            ),
        ])
}
