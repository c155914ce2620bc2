import CLinux
import CNetlink
import Wire

/// A route of a namespace.
public struct Route: Hashable, Sendable, CustomStringConvertible {
    /// What becomes of the packets.
    public enum Kind: UInt8, Sendable {
        /// Sent on (RTN_UNICAST).
        case unicast = 1
        /// Taken as the namespace's own (RTN_LOCAL): every address of the prefix answers.
        case local = 2
        /// Dropped without a word (RTN_BLACKHOLE).
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
    /// Lower wins; the kernel's default where nil.
    public var metric: UInt32?
    /// What becomes of the packets.
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
        try self.route(Int(RTM_NEWROUTE), NLM_F_CREATE | NLM_F_EXCL, route, "add the route")
    }

    /// Adds a route, in the place of one to the same destination.
    public func replaceRoute(_ route: Route) throws(SystemError) {
        try self.route(Int(RTM_NEWROUTE), NLM_F_CREATE | NLM_F_REPLACE, route, "replace the route")
    }

    /// Deletes a route.
    public func deleteRoute(_ route: Route) throws(SystemError) {
        try self.route(Int(RTM_DELROUTE), 0, route, "delete the route")
    }

    private func route(
        _ type: Int, _ flags: Int32, _ route: Route, _ operation: String
    ) throws(SystemError) {
        let message = try NetlinkMessage(type, flags: flags)
        var header = rtmsg()
        header.rtm_family = route.destination.family.number
        header.rtm_dst_len = UInt8(route.destination.length)
        header.rtm_table = UInt8(route.kind == .local ? RT_TABLE_LOCAL.rawValue : RT_TABLE_MAIN.rawValue)
        header.rtm_protocol = UInt8(RTPROT_STATIC)
        header.rtm_type = route.kind.rawValue
        let scope =
            switch route.kind {
            case .local: RT_SCOPE_HOST
            case .unicast where route.gateway == nil: RT_SCOPE_LINK
            default: RT_SCOPE_UNIVERSE
            }
        header.rtm_scope = type == RTM_DELROUTE ? UInt8(RT_SCOPE_NOWHERE.rawValue) : UInt8(scope.rawValue)
        if route.destination.family == .ipv6 { header.rtm_scope = 0 }
        if route.gatewayIsOnLink { header.rtm_flags = UInt32(RTNH_F_ONLINK) }
        message.header(header)
        if route.destination.length > 0 {
            message.put(Int(RTA_DST.rawValue), octets: route.destination.address.octets)
        }
        if let gateway = route.gateway {
            if gateway.family == route.destination.family {
                message.put(Int(RTA_GATEWAY.rawValue), octets: gateway.octets)
            } else {
                // struct rtvia: the family in host order, then the address.
                let family = UInt16(gateway.family.number)
                let octets = withUnsafeBytes(of: family) { Array($0) } + gateway.octets
                message.put(Int(RTA_VIA.rawValue), octets: octets)
            }
        }
        if let link = route.link { message.put(Int(RTA_OIF.rawValue), link) }
        if let source = route.preferredSource { message.put(Int(RTA_PREFSRC.rawValue), octets: source.octets) }
        if let metric = route.metric { message.put(Int(RTA_PRIORITY.rawValue), metric) }
        try request(message, operation, "\(route)")
    }

    /// Every route of the main table, of both families.
    public func routes() throws(SystemError) -> [Route] {
        var routes: [Route] = []
        for family in AddressFamily.allCases {
            let message = try NetlinkMessage(Int(RTM_GETROUTE), flags: NLM_F_DUMP)
            var header = rtmsg()
            header.rtm_family = family.number
            message.header(header)
            try request(message, "list the routes", "") { reply in
                guard reply.type == RTM_NEWROUTE, let header = reply.familyHeader(rtmsg.self),
                    header.rtm_table == UInt8(RT_TABLE_MAIN.rawValue),
                    let kind = Route.Kind(rawValue: header.rtm_type)
                else { return }
                var destination = IPAddress(family: family, high: 0, low: 0)
                var route = Route(.everything(family), kind: kind)
                reply.forEachAttribute(after: rtmsg.self) { type, payload in
                    switch type {
                    case Int(RTA_DST.rawValue): destination = IPAddress(octets: payload) ?? destination
                    case Int(RTA_GATEWAY.rawValue): route.gateway = IPAddress(octets: payload)
                    case Int(RTA_VIA.rawValue):
                        route.gateway = IPAddress(octets: UnsafeRawBufferPointer(rebasing: payload.dropFirst(2)))
                    case Int(RTA_OIF.rawValue): route.link = payload.integer(Int32.self)
                    case Int(RTA_PREFSRC.rawValue): route.preferredSource = IPAddress(octets: payload)
                    case Int(RTA_PRIORITY.rawValue): route.metric = payload.integer(UInt32.self)
                    default: break
                    }
                }
                route.destination = IPPrefix(destination, length: Int(header.rtm_dst_len))
                route.gatewayIsOnLink = header.rtm_flags & UInt32(RTNH_F_ONLINK) != 0
                routes.append(route)
            }
        }
        return routes
    }
}
