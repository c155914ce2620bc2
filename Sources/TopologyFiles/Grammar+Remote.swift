import Wire

extension Grammar {
    /// The value of `remote`: an application at another site.
    static let remote = MappingGrammar(
        "remote", "An application at another site: frames reach it through a tunnel, or through one for each leg.",
        remoteKeys + [
            KeyGrammar("in", .mapping(remoteLeg), "The tunnel that requests reach it through, with keys of its own."),
            KeyGrammar("out", .mapping(remoteLeg), "The tunnel that it passes requests on through."),
        ])

    static let remoteLeg = MappingGrammar(
        "remote-leg",
        "A tunnel to one leg of a remote application, where what is not written is as in `remote`; or to remote customers.",
        remoteKeys)

    private static let remoteKeys = [
        KeyGrammar("interface", .name, "The underlay: the interface whose node routes the tunnel's packets outward."),
        KeyGrammar("vxlan", .mapping(virtualNetwork), "A tunnel of VXLAN (RFC 7348)."),
        KeyGrammar("geneve", .mapping(virtualNetwork), "A tunnel of Geneve (RFC 8926)."),
        KeyGrammar(
            "nsh", .mapping(servicePath),
            "Network service headers (RFC 8300), for an application that understands service chains."),
        KeyGrammar(
            "gateway", .oneOrMany(.addressWithLength),
            "The engine's addresses inside the tunnel, each with its prefix length."),
        KeyGrammar(
            "gateway-mac", .mac,
            "The engine's MAC address inside, in quotes, for a far end that cannot ask for it; derived from names by default."
        ),
        KeyGrammar(
            "address", .oneOrMany(.address), "The application's addresses inside; the first free ones by default."),
        KeyGrammar(
            "mac", .mac,
            "The application's MAC address inside, in quotes; derived from names by default: {{ nodes.NAME.mac }}."
        ),
        KeyGrammar(
            "mtu", .integer(mtus),
            "The largest packet inside; the underlay's MTU less the tunnel's headers by default. Write less where the way to "
                + "the far end has a smaller MTU."),
        KeyGrammar("via", .name, "The node on the underlay that the packets go by, if there are several."),
    ]

    static let virtualNetwork = MappingGrammar(
        "virtual-network", "One virtual network between the engine and a far end.",
        [
            KeyGrammar("id", .integer(VXLANHeader.identifiers), "The network identifier (VNI).", required: true),
            KeyGrammar("peer", .address, "The far end's address.", required: true),
            KeyGrammar("port", .integer(1...65535), "The UDP port of both ends; 4789 for VXLAN, 6081 for Geneve."),
        ])

    static let servicePath = MappingGrammar(
        "service-path",
        "The place of an application in a service path. With `peer` it is over VXLAN-GPE; without, over Ethernet.",
        [
            KeyGrammar(
                "path", .integer(NSHHeader.paths),
                "The service path identifier; with the index it follows from the application's place in its services by default."
            ),
            KeyGrammar(
                "index", .integer(NSHHeader.indexes),
                "The service index that the application gets, 255 beside `path` by default; what comes back must have one less."
            ),
            KeyGrammar("peer", .address, "The far end's address; without it the application is a neighbour."),
            KeyGrammar("id", .integer(VXLANHeader.identifiers), "The network identifier of VXLAN-GPE; 0 by default."),
            KeyGrammar("port", .integer(1...65535), "The UDP port of both ends; 4790 by default."),
        ])
}
