import CLinux
import CNetlink
import Wire

/// A route of a namespace.
public struct Route: Hashable, Sendable, CustomStringConvertible {
    /// The treatment of the packets.
    public enum Kind: UInt8, Sendable {
        /// Sent on (RTN_UNICAST).
        case unicast = 1
        /// Taken as the namespace's own (RTN_LOCAL): every address of the prefix answers.
        case local = 2
        /// Dropped without an ICMP error (RTN_BLACKHOLE).
        case blackhole = 6
        /// Refused with an ICMP error (RTN_UNREACHABLE).
        case unreachable = 7
    }

    /// Where to; `IPPrefix.everything(family)` is the default route.
    public var destination: IPPrefix
    /// The next hop; of either family for an IPv4 destination.
    public var gateway: IPAddress?
    /// The number of the link that the packets leave by.
    public var link: Int32?
    /// The source address of packets that start here.
    public var preferredSource: IPAddress?
    /// The gateway is taken to be on the link even where no prefix of the link holds it.
    public var gatewayIsOnLink: Bool
    /// The lowest wins; nil: the kernel's default.
    public var metric: UInt32?
    /// The treatment of the packets.
    public var kind: Kind

    /// A route; see the properties.
    public init(
        _ destination: IPPrefix, gateway: IPAddress? = nil, link: Int32? = nil, preferredSource: IPAddress? = nil,
        gatewayIsOnLink: Bool = false, metric: UInt32? = nil, kind: Kind = .unicast
    ) {
        self.destination = destination
        self.gateway = gateway
        self.link = link
        self.preferredSource = preferredSource
        self.gatewayIsOnLink = gatewayIsOnLink
        self.metric = metric
        self.kind = kind
    }

    /// As `ip route` words it: "default via 192.0.2.1 on link 2".
    public var description: String {
        (destination.length == 0 ? "default" : "\(destination)")
            + (gateway.map { " via \($0)" } ?? "") + (link.map { " on link \($0)" } ?? "")
    }
}

/// Routes.
extension NetlinkSocket {
    /// Adds a route.
    ///
    /// - Throws: EEXIST where the same is there; with the kernel's message where the gateway cannot be reached.
    public func addRoute(_ route: Route) throws(SystemError) {
        try request("add the route", "\(route)") { () throws(NetlinkFailure) in
            let object = try RouteObject.of(route)
            return try NetlinkMessage { rtnl_route_build_add_request(object.pointer, NLM_F_EXCL, $0) }
        }
    }

    /// Adds a route, in the place of one to the same destination.
    ///
    /// - Throws: The kernel's refusal, with its message where the gateway cannot be reached.
    public func replaceRoute(_ route: Route) throws(SystemError) {
        try request("replace the route", "\(route)") { () throws(NetlinkFailure) in
            let object = try RouteObject.of(route)
            return try NetlinkMessage { rtnl_route_build_add_request(object.pointer, NLM_F_REPLACE, $0) }
        }
    }

    /// Deletes a route.
    ///
    /// - Throws: ESRCH where there is none.
    public func deleteRoute(_ route: Route) throws(SystemError) {
        try request("delete the route", "\(route)") { () throws(NetlinkFailure) in
            let object = try RouteObject.of(route)
            // Any scope is meant.
            if route.destination.family == .ipv4 {
                rtnl_route_set_scope(object.pointer, UInt8(RT_SCOPE_NOWHERE.rawValue))
            }
            return try NetlinkMessage { rtnl_route_build_del_request(object.pointer, 0, $0) }
        }
    }

    /// Every route of the main table, of both families.
    ///
    /// - Throws: The kernel's refusal; EINTR if routes come and go all the time.
    public func routes() throws(SystemError) -> [Route] {
        var routes: [Route] = []
        for family in AddressFamily.allCases {
            try request(
                "list the routes", "",
                { () throws(NetlinkFailure) in
                    var header = rtmsg()
                    header.rtm_family = family.number
                    return try NetlinkMessage.dump(Int(RTM_GETROUTE), header)
                },
                reply: { (reply) throws(NetlinkFailure) in
                    guard let route = try reply.route()?.described(family) else { return }
                    routes.append(route)
                })
        }
        return routes
    }
}

extension RouteObject {
    /// A route as a request names it.
    ///
    /// - Throws: ENOMEM.
    fileprivate static func of(_ route: Route) throws(NetlinkFailure) -> RouteObject {
        let object = try RouteObject()
        let table = route.kind == .local ? RT_TABLE_LOCAL : RT_TABLE_MAIN
        rtnl_route_set_table(object.pointer, UInt32(table.rawValue))
        rtnl_route_set_protocol(object.pointer, UInt8(RTPROT_STATIC))
        try NetlinkFailure.check(rtnl_route_set_type(object.pointer, route.kind.rawValue))
        let scope =
            switch route.kind {
            case .local: RT_SCOPE_HOST
            case .unicast where route.gateway == nil: RT_SCOPE_LINK
            default: RT_SCOPE_UNIVERSE
            }
        // IPv6 has no scopes.
        rtnl_route_set_scope(object.pointer, route.destination.family == .ipv6 ? 0 : UInt8(scope.rawValue))
        try NetlinkAddress(destination: route.destination).give { rtnl_route_set_dst(object.pointer, $0) }
        if let metric = route.metric { rtnl_route_set_priority(object.pointer, metric) }
        if let source = route.preferredSource {
            try NetlinkAddress(source).give { rtnl_route_set_pref_src(object.pointer, $0) }
        }
        if route.gateway != nil || route.link != nil || route.gatewayIsOnLink {
            try NextHopObject.of(route).add(to: object)
        }
        return object
    }

    /// The route as libnl has read it; nil for one of another table than the main one, or of a kind that is not told.
    fileprivate func described(_ family: AddressFamily) -> Route? {
        guard rtnl_route_get_table(pointer) == UInt32(RT_TABLE_MAIN.rawValue),
            let kind = Route.Kind(rawValue: rtnl_route_get_type(pointer))
        else { return nil }
        var route = Route(.everything(family), kind: kind)
        let destination = rtnl_route_get_dst(pointer)
        if let address = IPAddress(destination) {
            route.destination = IPPrefix(address, length: Int(nl_addr_get_prefixlen(destination)))
        }
        route.preferredSource = IPAddress(rtnl_route_get_pref_src(pointer))
        let metric = rtnl_route_get_priority(pointer)
        route.metric = metric == 0 ? nil : metric
        // A route with several next hops has no gateway of its own.
        if rtnl_route_get_nnexthops(pointer) == 1, let hop = rtnl_route_nexthop_n(pointer, 0) {
            let link = rtnl_route_nh_get_ifindex(hop)
            route.link = link == 0 ? nil : link
            route.gateway = IPAddress(rtnl_route_nh_get_gateway(hop)) ?? IPAddress(rtnl_route_nh_get_via(hop))
        }
        route.gatewayIsOnLink = rtnl_route_get_flags(pointer) & UInt32(RTNH_F_ONLINK) != 0
        return route
    }
}

extension NextHopObject {
    /// The one next hop of a route.
    ///
    /// - Throws: ENOMEM.
    fileprivate static func of(_ route: Route) throws(NetlinkFailure) -> NextHopObject {
        let object = try NextHopObject()
        if let link = route.link { rtnl_route_nh_set_ifindex(object.pointer, link) }
        if route.gatewayIsOnLink { rtnl_route_nh_set_flags(object.pointer, UInt32(RTNH_F_ONLINK)) }
        guard let gateway = route.gateway else { return object }
        if gateway.family == route.destination.family {
            try NetlinkAddress(gateway).give { rtnl_route_nh_set_gateway(object.pointer, $0) }
        } else {
            try NetlinkAddress(gateway).give { rtnl_route_nh_set_via(object.pointer, $0) }
        }
        return object
    }
}
