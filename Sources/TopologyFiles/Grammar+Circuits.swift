import Wire

extension Grammar {
    /// One value of `circuits`.
    static let circuit = MappingGrammar(
        "circuit",
        "An interface of the engine whose packets are on another one's device, behind the headers of an encapsulation.",
        [
            KeyGrammar(
                "encapsulation", encapsulated, "The headers before its packets: vlan 100, qinq 100.200, dlci 100.",
                required: true),
            KeyGrammar(
                "address", .oneOrMany(.addressWithLength),
                "The engine's addresses on the circuit, each with its prefix length."),
            KeyGrammar(
                "behind", .oneOrMany(.prefix),
                "Networks behind the interface's `device`, in the circuit's own, on a VLAN: their hosts are learnt, and are customers "
                    + "of `from: CIRCUIT`."),
            KeyGrammar("mtu", .integer(mtus), "The largest packet in octets, 1500 by default, without these headers."),
            copies("Of what arrives here"),
            KeyGrammar(
                "anti-spoofing", .flag,
                "off: its nodes may send from MAC addresses and network addresses that are not their own; on by default."
            ),
            impair("its packets"),
        ])

    /// The value of `encapsulation`.
    static let encapsulated = Shape.oneOf([.text, .mapping(encapsulation)])

    static let encapsulation = MappingGrammar(
        "encapsulation",
        "The headers before a circuit's packets: the keys go from the outermost header to the innermost.",
        [
            KeyGrammar("vlan", .integer(VLANTag.identifiers), "A VLAN (IEEE 802.1Q)."),
            KeyGrammar("qinq", .text, "A VLAN in a provider's VLAN (IEEE 802.1ad): 100.200."),
            KeyGrammar("mpls", .mapping(labels), "A stack of MPLS labels (RFC 3032)."),
            KeyGrammar(
                "frame-relay", .mapping(frameRelay),
                "Frame relay (RFC 2427), on a TUN of link type FRAD; below `mpls`, a pseudo-wire (RFC 4619)."),
            KeyGrammar(
                "atm", .mapping(atm),
                "AAL5 (RFC 2684), on a TUN of link type ATM; below `mpls`, a pseudo-wire (RFC 4717)."),
        ])

    static let labels = MappingGrammar(
        "labels", "A stack of MPLS labels, and what is behind it.",
        [
            KeyGrammar(
                "in", .oneOrMany(.integer(LabelStack.labels)),
                "The label of frames from the customer; several: the outermost first.", required: true),
            KeyGrammar(
                "out", .oneOrMany(.integer(LabelStack.labels)), "The label of frames to the customer.", required: true),
            KeyGrammar(
                "carries", .choice(LabelPayload.allCases.map(\.rawValue)),
                "packets: IP packets, the default; ethernet: whole Ethernet frames, a pseudo-wire (RFC 4448)."),
            KeyGrammar(
                "control-word", .flag, "off: the Ethernet pseudo-wire has no control word; on by default."),
            KeyGrammar(
                "ttl", .choice(LabelTTL.allCases.map(\.rawValue)),
                "pipe: labels have a TTL of their own, 255, the default; uniform: they have the packet's (RFC 3443)."),
        ])

    static let frameRelay = MappingGrammar(
        "frameRelay", "A circuit of frame relay.",
        [
            KeyGrammar("dlci", .integer(FrameRelayHeader.identifiers), "Its number.", required: true),
            KeyGrammar(
                "header", .choice(FrameRelayProtocol.allCases.map(\.rawValue)),
                "How protocols are named in what is sent: nlpid, the default; or snap."),
        ])

    static let atm = MappingGrammar(
        "atm", "A virtual circuit of ATM.",
        [
            KeyGrammar("vpi", .integer(0...255), "The virtual path.", required: true),
            KeyGrammar("vci", .integer(32...65535), "The virtual channel.", required: true),
            KeyGrammar(
                "aal5", .choice(ATMMultiplexing.allCases.map(\.rawValue)),
                "llc: each packet has an LLC header, the default; vc-mux: none has."),
        ])
}

/// What labels carry.
enum LabelPayload: String, CaseIterable {
    case packets
    case ethernet
}

/// Whose TTL labels have.
enum LabelTTL: String, CaseIterable {
    case pipe
    case uniform
}

/// How frame relay names protocols.
enum FrameRelayProtocol: String, CaseIterable {
    case nlpid
    case snap
}

/// How AAL5 tells protocols apart.
enum ATMMultiplexing: String, CaseIterable {
    case llc
    case multiplexed = "vc-mux"
}
