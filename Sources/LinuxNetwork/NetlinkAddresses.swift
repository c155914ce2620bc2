import CLinux
import CNetlink
import Wire

/// An address of a link, with the length of the prefix that is on the link.
public struct LinkAddress: Hashable, Sendable, CustomStringConvertible {
    /// The address itself.
    public var address: IPAddress
    /// The on-link prefix's length.
    public var length: Int

    /// An address with its on-link prefix's length; the family's width where nil.
    public init(_ address: IPAddress, length: Int? = nil) {
        self.address = address
        self.length = length ?? address.family.width
    }

    /// As a person writes it: 192.0.2.1/24.
    public var description: String { "\(address)/\(length)" }
}

/// Addresses and neighbours.
extension NetlinkSocket {
    /// Gives a link an address. An IPv6 address is usable at once: no duplicate address detection.
    ///
    /// - Parameter prefixRoute: Whether the kernel makes the route to the on-link prefix.
    public func addAddress(_ address: LinkAddress, link: Int32, prefixRoute: Bool = true) throws(SystemError) {
        let flags =
            UInt32(address.address.family == .ipv6 ? IFA_F_NODAD : 0)
            | UInt32(prefixRoute ? 0 : IFA_F_NOPREFIXROUTE)
        try self.address(
            Int(RTM_NEWADDR), NLM_F_CREATE | NLM_F_EXCL, address, link, flags, "add the address")
    }

    /// Takes an address from a link.
    public func deleteAddress(_ address: LinkAddress, link: Int32) throws(SystemError) {
        try self.address(Int(RTM_DELADDR), 0, address, link, 0, "delete the address")
    }

    private func address(
        _ type: Int, _ messageFlags: Int32, _ address: LinkAddress, _ link: Int32, _ flags: UInt32,
        _ operation: String
    ) throws(SystemError) {
        let message = try NetlinkMessage(type, flags: messageFlags)
        var header = ifaddrmsg()
        header.ifa_family = address.address.family.number
        header.ifa_prefixlen = UInt8(clamping: address.length)
        header.ifa_index = UInt32(link)
        header.ifa_scope = UInt8(
            address.address.isLoopback
                ? RT_SCOPE_HOST.rawValue
                : address.address.isLinkLocal ? RT_SCOPE_LINK.rawValue : RT_SCOPE_UNIVERSE.rawValue)
        message.header(header)
        message.put(IFA_LOCAL, octets: address.address.octets)
        message.put(IFA_ADDRESS, octets: address.address.octets)
        if flags != 0 { message.put(IFA_FLAGS, flags) }
        try request(message, operation, "\(address) on link \(link)")
    }

    /// Every address of the namespace, with its link's number.
    public func addresses() throws(SystemError) -> [(link: Int32, address: LinkAddress)] {
        let message = try NetlinkMessage(Int(RTM_GETADDR), flags: NLM_F_DUMP)
        message.header(ifaddrmsg())
        var found: [(link: Int32, address: LinkAddress)] = []
        try request(message, "list the addresses", "") { reply in
            guard reply.type == RTM_NEWADDR, let header = reply.familyHeader(ifaddrmsg.self) else { return }
            var local: IPAddress?, address: IPAddress?
            reply.forEachAttribute(after: ifaddrmsg.self) { type, payload in
                if type == IFA_LOCAL { local = IPAddress(octets: payload) }
                if type == IFA_ADDRESS { address = IPAddress(octets: payload) }
            }
            guard let address = local ?? address else { return }
            found.append((Int32(header.ifa_index), LinkAddress(address, length: Int(header.ifa_prefixlen))))
        }
        return found
    }

    /// Writes a permanent neighbour: `address` is at `mac` on the link. One that is there is replaced.
    public func addNeighbour(_ address: IPAddress, mac: MACAddress, link: Int32) throws(SystemError) {
        let message = try NetlinkMessage(Int(RTM_NEWNEIGH), flags: NLM_F_CREATE | NLM_F_REPLACE)
        message.header(Self.neighbourHeader(address, link, state: NUD_PERMANENT))
        message.put(Int(NDA_DST), octets: address.octets)
        message.put(Int(NDA_LLADDR), octets: mac.octets)
        try request(message, "add the neighbour", "\(address) at \(mac) on link \(link)")
    }

    /// Takes back a neighbour.
    public func deleteNeighbour(_ address: IPAddress, link: Int32) throws(SystemError) {
        let message = try NetlinkMessage(Int(RTM_DELNEIGH))
        message.header(Self.neighbourHeader(address, link, state: 0))
        message.put(Int(NDA_DST), octets: address.octets)
        try request(message, "delete the neighbour", "\(address) on link \(link)")
    }

    private static func neighbourHeader(_ address: IPAddress, _ link: Int32, state: Int32) -> ndmsg {
        var header = ndmsg()
        header.ndm_family = address.family.number
        header.ndm_ifindex = link
        header.ndm_state = UInt16(state)
        return header
    }
}

extension AddressFamily {
    /// AF_INET or AF_INET6.
    var number: UInt8 { self == .ipv4 ? UInt8(AF_INET) : UInt8(AF_INET6) }
}

extension IPAddress {
    /// The octets in the order of the wire.
    var octets: [UInt8] {
        switch family {
        case .ipv4: (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * UInt64($0))) }
        case .ipv6: (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> (56 - 8 * UInt64($0 % 8))) }
        }
    }

    /// Reads 4 or 16 octets in the order of the wire.
    init?(octets: UnsafeRawBufferPointer) {
        func number(_ range: Range<Int>) -> UInt64 { octets[range].reduce(0) { $0 << 8 | UInt64($1) } }
        switch octets.count {
        case 4: self.init(ipv4: UInt32(number(0..<4)))
        case 16: self.init(ipv6High: number(0..<8), low: number(8..<16))
        default: return nil
        }
    }
}
