import Wire

/// What can be asked inside a node, for `ready` and for `health` alike.
extension Grammar {
    /// The keys that say what is asked.
    static let questionKinds = ["udp", "log", "file", "dns"]

    static let questions = [
        KeyGrammar("udp", .mapping(datagram), "A datagram that is answered inside the node."),
        KeyGrammar(
            "log", .oneOf([.text, .mapping(logLine)]),
            "A text in a line that the program has written to the node's log since its last start."),
        KeyGrammar("file", .text, "A file that is there in the node; without / at its beginning it is in TAPLINE_DIR."),
        KeyGrammar("dns", .oneOf([.text, .mapping(dns)]), "A name that a name server of the node knows."),
    ]

    static let datagram = MappingGrammar(
        "datagram", "A datagram, and its answer.",
        [
            KeyGrammar("port", .integer(1...65535), "The port that is asked.", required: true),
            KeyGrammar("send", .oneOf([.text, .mapping(octets)]), "What is sent.", required: true),
            KeyGrammar(
                "expect", .oneOf([.text, .mapping(datagramPattern)]), "What the answer must have; nothing by default."),
            KeyGrammar("address", .address, "The address that is asked; 127.0.0.1 by default."),
        ])

    static let octets = MappingGrammar(
        "octets", "Octets that are no text.",
        [KeyGrammar("hex", .text, "Pairs of hexadecimal digits: 0a 00 ff.", required: true)])

    static let datagramPattern = MappingGrammar(
        "datagram-pattern", "What a datagram must have.", kinds: ["contains", "matches", "hex"],
        [
            KeyGrammar("contains", .text, "A text."),
            KeyGrammar("matches", .text, "A regular expression that matches somewhere."),
            KeyGrammar("hex", .text, "Octets, as pairs of hexadecimal digits."),
        ])

    static let logLine = MappingGrammar(
        "log-line", "A line of a log.", kinds: ["contains", "matches"],
        [
            KeyGrammar("contains", .text, "A text in the line."),
            KeyGrammar("matches", .text, "A regular expression that matches somewhere in the line."),
        ])

    static let dns = MappingGrammar(
        "dns-question", "A question to a name server.",
        [
            KeyGrammar("name", .text, "The name.", required: true),
            KeyGrammar(
                "type", .choice(DNSQuestion.RecordType.allCases.map(\.word)), "The type of the records; A by default."),
            KeyGrammar(
                "expect", .text,
                "The data of a record as zone files write it, or an error such as NXDOMAIN; any record by default."),
            KeyGrammar("address", .address, "The name server's address; 127.0.0.1 by default."),
            KeyGrammar("port", .integer(1...65535), "The name server's port; 53 by default."),
        ])
}
