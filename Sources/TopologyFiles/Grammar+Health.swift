extension Grammar {
    /// The shortest time between two checks, in milliseconds. More frequent checks cost more than they show: a process
    /// takes up to some milliseconds to get its turn.
    static let shortestInterval = 10
    /// The shortest time between two checks while in doubt, in milliseconds. With it, three missed heartbeats at 10 ms
    /// show a fault within some 32 ms. The heartbeats that decide are sent only while there is a doubt.
    static let shortestFastInterval = 2

    static let health = MappingGrammar(
        "health", "One way to check whether an instance is healthy.",
        kinds: everyCheck,
        [
            KeyGrammar("neighbour", .just(true), "It answers ARP or neighbour discovery on each of its interfaces."),
            KeyGrammar("echo", .just(true), "It answers an ICMP echo on each of its interfaces."),
            KeyGrammar("tcp", .integer(1...65535), "A port that takes TCP connections, asked inside the node."),
            KeyGrammar("http", .integer(1...65535), "A port that answers HTTP, asked inside the node."),
            KeyGrammar("run", .text, "A shell command that succeeds inside the node."),
        ] + questions + [
            KeyGrammar(
                "heartbeat", .oneOf([.just(true), .mapping(heartbeat)]),
                "A packet that must pass from `in` to `out`, and its answer back."),
            KeyGrammar(
                "negative-heartbeat", .oneOf([.just(true), .mapping(heartbeat)]),
                "A packet that must not pass from `in` to `out`."),
            KeyGrammar(
                "address", .address, "The address that is asked; 127.0.0.1 by default.", beside: ["tcp", "http"]),
            KeyGrammar("path", .text, "The path that is asked for; / by default.", beside: ["http"]),
            KeyGrammar("host", .text, "The host that is asked for; the address by default.", beside: ["http"]),
            KeyGrammar("status", .integer(100...599), "The expected status; 200 by default.", beside: ["http"]),
            KeyGrammar("body", .text, "A text that the answer's body must contain.", beside: ["http"]),
            KeyGrammar("interval", .duration, "The time between two probes, 10ms or more.", beside: everyCheck),
            KeyGrammar(
                "fast-interval", .duration,
                "The time between two probes while the result is in doubt; a fifth of the interval by default, 10ms or more.",
                beside: everyCheck),
            KeyGrammar("timeout", .duration, "How long an answer may take.", beside: everyCheck),
            KeyGrammar("rise", .integer(counts), "Successes in a row that make it up.", beside: everyCheck),
            KeyGrammar("fall", .integer(counts), "Failures in a row that make it down.", beside: everyCheck),
        ])

    private static let everyCheck =
        ["neighbour", "echo", "tcp", "http", "run"] + questionKinds + ["heartbeat", "negative-heartbeat"]
    /// Successes or failures in a row.
    static let counts = 1...100

    static let heartbeat = MappingGrammar(
        "heartbeat", "The packet of a heartbeat.",
        [
            KeyGrammar(
                "protocol", .choice(HeartbeatProtocol.allCases.map(\.rawValue)), "icmp: an echo request; or udp."),
            KeyGrammar("source", .address, "Its source; the engine's address on the `in` interface by default."),
            KeyGrammar("destination", .address, "Its destination; the engine's on the `out` interface by default."),
            KeyGrammar("source-port", .integer(1...65535), "For udp: its source port; 49152 by default."),
            KeyGrammar("destination-port", .integer(1...65535), "For udp: its destination port; 3785 by default."),
            KeyGrammar("size", .integer(heartbeatSizes), "Octets with the IP header; 84 by default."),
            KeyGrammar("hop-limit", .integer(2...255), "IPv4's time to live, IPv6's hop limit; 64 by default."),
            KeyGrammar(
                "traffic-class", .integer(0...255), "IPv4's type of service, IPv6's traffic class; 0 by default."),
        ])

    /// Octets of a heartbeat: headers, and the mark that tells it from all other packets. The largest size is what one
    /// record of the engine's holds.
    static let heartbeatSizes = 52...242
}
