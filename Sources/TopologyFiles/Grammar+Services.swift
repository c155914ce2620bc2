import Plan
import Wire

extension Grammar {
    /// A service: a chain for customers, or nodes that are each other's neighbours.
    static let service = MappingGrammar(
        "service", "A service address and the applications that its packets pass; or nodes that are neighbours.",
        kinds: ["sequence", "between"],
        [
            KeyGrammar(
                "address", .oneOrMany(.prefix),
                "Where customers send: addresses or prefixes; Tapline gives one of 203.0.113.0/24 by default. Of neighbours: the "
                    + "groups that they send to, such as 224.0.0.5, ff02::5 or 255.255.255.255."),
            KeyGrammar(
                "ports", .oneOrMany(.servicePort),
                "Service ports such as tcp/80, tcp/8000-8100, icmp; every one by default. `tcp/80 -> 8080` translates the port "
                    + "at the end of the chain, { tcp/80: 8080, at: firewall } at an application of it."),
            KeyGrammar(
                "from", .oneOrMany(stop),
                "Interfaces, customers, applications or routers that may use it; every interface that has customers by "
                    + "default. { ids: management } names the leg that an application sends its requests by.",
                beside: ["sequence"]),
            KeyGrammar(
                "distribute", .oneOrMany(stop),
                "Passive applications that get a copy of requests and responses; { ids: inside } names the leg that gets it."
            ),
            KeyGrammar(
                "sequence", .oneOrMany(stop),
                "The applications in order, ending at a terminal application or a router. "
                    + "{ firewall: { in: wan, out: dmz } } names the legs that requests enter and leave it by."),
            KeyGrammar(
                "between", .oneOrMany(stop),
                "Nodes that are each other's neighbours: what one sends to another's address, or to a group, reaches it."
            ),
            KeyGrammar(
                "subnet", .flag, "Whether the broadcast addresses of the nodes' networks are among the groups.",
                beside: ["between"]),
            KeyGrammar(
                "members", .oneOrMany(.name),
                "Nodes of `between` that get the packets of multicast groups; all by default. `joined` stands for those that "
                    + "report that they are in the group (IGMP, MLD), while they do.",
                beside: ["between"]),
            KeyGrammar(
                "path", .integer(NSHHeader.paths),
                "The service path identifier that applications with `nsh` get (RFC 8300); by default it follows from the names of "
                    + "the applications.",
                beside: ["sequence"]),
            KeyGrammar("owner", .text, "The owner of the service."),
            impair("its packets between its customers and the engine", beside: ["sequence"]),
        ] + repetition)
}
