import CLinux
import CNetlink
import Wire

/// An address of a link, with the length of the prefix that is on the link.
public struct LinkAddress: Hashable, Sendable, CustomStringConvertible {
    /// The address itself.
    public var address: IPAddress
    /// The on-link prefix's length in bits.
    public var length: Int

    /// An address with its on-link prefix's length in bits; nil: the family's width.
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
    /// - Throws: EEXIST where the link has it; ENODEV where there is no such link.
    public func addAddress(_ address: LinkAddress, link: Int32, prefixRoute: Bool = true) throws(SystemError) {
        try request("add the address", "\(address) on link \(link)") { () throws(NetlinkFailure) in
            let object = try AddressObject.of(address, link: link)
            let flags =
                UInt32(address.address.family == .ipv6 ? IFA_F_NODAD : 0)
                | UInt32(prefixRoute ? 0 : IFA_F_NOPREFIXROUTE)
            rtnl_addr_set_flags(object.pointer, flags)
            return try NetlinkMessage { rtnl_addr_build_add_request(object.pointer, NLM_F_EXCL, $0) }
        }
    }

    /// Takes an address from a link.
    ///
    /// - Throws: EADDRNOTAVAIL where the link has it not.
    public func deleteAddress(_ address: LinkAddress, link: Int32) throws(SystemError) {
        try request("delete the address", "\(address) on link \(link)") { () throws(NetlinkFailure) in
            let object = try AddressObject.of(address, link: link)
            return try NetlinkMessage { rtnl_addr_build_delete_request(object.pointer, 0, $0) }
        }
    }

    /// Every address of the namespace, with its link's number.
    ///
    /// - Throws: The kernel's refusal; EINTR if addresses come and go all the time.
    public func addresses() throws(SystemError) -> [(link: Int32, address: LinkAddress)] {
        var found: [(link: Int32, address: LinkAddress)] = []
        try request(
            "list the addresses", "",
            { () throws(NetlinkFailure) in try NetlinkMessage.dump(Int(RTM_GETADDR), ifaddrmsg()) },
            reply: { (reply) throws(NetlinkFailure) in
                guard let object = try reply.address(), let address = IPAddress(rtnl_addr_get_local(object.pointer))
                else { return }
                let length = Int(rtnl_addr_get_prefixlen(object.pointer))
                found.append((rtnl_addr_get_ifindex(object.pointer), LinkAddress(address, length: length)))
            })
        return found
    }

    /// Writes a permanent neighbour: `address` is at `mac` on the link. One that is there is replaced.
    ///
    /// - Throws: ENODEV where there is no such link.
    public func addNeighbour(_ address: IPAddress, mac: MACAddress, link: Int32) throws(SystemError) {
        try request("add the neighbour", "\(address) at \(mac) on link \(link)") { () throws(NetlinkFailure) in
            let neighbour = try NeighbourObject.of(address, link: link)
            rtnl_neigh_set_state(neighbour.pointer, NUD_PERMANENT)
            try neighbour.set(mac: mac)
            return try neighbour.addRequest()
        }
    }

    /// Takes back a neighbour.
    ///
    /// - Throws: ENOENT where there is none.
    public func deleteNeighbour(_ address: IPAddress, link: Int32) throws(SystemError) {
        try request("delete the neighbour", "\(address) on link \(link)") { () throws(NetlinkFailure) in
            try NeighbourObject.of(address, link: link).deleteRequest()
        }
    }
}

extension AddressObject {
    /// An address as a request names it.
    ///
    /// - Throws: ENOMEM.
    fileprivate static func of(_ address: LinkAddress, link: Int32) throws(NetlinkFailure) -> AddressObject {
        let object = try AddressObject()
        rtnl_addr_set_ifindex(object.pointer, link)
        let scope =
            address.address.isLoopback
            ? RT_SCOPE_HOST : address.address.isLinkLocal ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
        rtnl_addr_set_scope(object.pointer, Int32(scope.rawValue))
        try NetlinkAddress(address.address, prefix: address.length).give { rtnl_addr_set_local(object.pointer, $0) }
        return object
    }
}

extension NeighbourObject {
    /// A neighbour as a request names it.
    ///
    /// - Throws: ENOMEM.
    fileprivate static func of(_ address: IPAddress, link: Int32) throws(NetlinkFailure) -> NeighbourObject {
        let object = try NeighbourObject()
        rtnl_neigh_set_ifindex(object.pointer, link)
        try NetlinkAddress(address).give { rtnl_neigh_set_dst(object.pointer, $0) }
        return object
    }
}

extension AddressFamily {
    /// AF_INET or AF_INET6.
    var number: UInt8 { self == .ipv4 ? UInt8(AF_INET) : UInt8(AF_INET6) }
}

extension IPAddress {
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
