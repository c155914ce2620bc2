import CLinux
import CNetlink
import Wire

/// An address in libnl's form (nl_addr): of IPv4, IPv6, or a link.
struct NetlinkAddress: ~Copyable {
    private let pointer: OpaquePointer

    /// - Parameters:
    ///   - family: AF_INET, AF_INET6 or AF_LLC.
    ///   - octets: In the order of the wire; none stands for a default route's destination.
    ///   - prefix: The prefix length in bits; nil: all bits.
    /// - Throws: ENOMEM.
    private init(family: Int32, octets: [UInt8], prefix: Int?) throws(NetlinkFailure) {
        pointer = try NetlinkFailure.check(allocated: nl_addr_build(family, octets, octets.count))
        if let prefix { nl_addr_set_prefixlen(pointer, Int32(prefix)) }
    }

    /// - Throws: ENOMEM.
    init(_ address: IPAddress, prefix: Int? = nil) throws(NetlinkFailure) {
        try self.init(family: Int32(address.family.number), octets: address.octets, prefix: prefix)
    }

    /// The destination of a route.
    ///
    /// - Throws: ENOMEM.
    init(destination: IPPrefix) throws(NetlinkFailure) {
        try self.init(
            family: Int32(destination.family.number),
            octets: destination.length > 0 ? destination.address.octets : [], prefix: destination.length)
    }

    /// - Throws: ENOMEM.
    init(_ mac: MACAddress) throws(NetlinkFailure) {
        try self.init(family: AF_LLC, octets: mac.octets, prefix: nil)
    }

    deinit {
        nl_addr_put(pointer)
    }

    /// Hands the address to a setter of libnl, which takes a reference or a copy of its own.
    ///
    /// - Throws: The setter's result, if it is negative.
    borrowing func give(to setter: (OpaquePointer) -> Int32) throws(NetlinkFailure) {
        try NetlinkFailure.check(setter(pointer))
    }

    /// Hands the address to a setter of libnl, which takes a reference or a copy of its own.
    borrowing func give(to setter: (OpaquePointer) -> Void) {
        setter(pointer)
    }

    /// The octets of an address that libnl has read.
    static func withOctets<Value>(of address: OpaquePointer?, _ body: (UnsafeRawBufferPointer) -> Value?) -> Value? {
        guard let address, let octets = nl_addr_get_binary_addr(address) else { return nil }
        return body(UnsafeRawBufferPointer(start: octets, count: Int(nl_addr_get_len(address))))
    }
}

extension IPAddress {
    /// An address that libnl has read; nil if it is none of IPv4 or IPv6.
    init?(_ address: OpaquePointer?) {
        guard let read = NetlinkAddress.withOctets(of: address, { IPAddress(octets: $0) }) else { return nil }
        self = read
    }
}

/// A link in libnl's form (rtnl_link): what a request asks for, or how the kernel described one.
struct LinkObject: ~Copyable {
    let pointer: OpaquePointer

    /// - Throws: ENOMEM.
    init() throws(NetlinkFailure) {
        self.init(owning: try NetlinkFailure.check(allocated: rtnl_link_alloc()))
    }

    /// A link that stands for the one numbered `index`.
    ///
    /// - Throws: ENOMEM.
    init(index: Int32) throws(NetlinkFailure) {
        try self.init()
        rtnl_link_set_ifindex(pointer, index)
    }

    /// Takes over a reference.
    init(owning pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        rtnl_link_put(pointer)
    }

    /// Sets the MAC address.
    ///
    /// - Throws: ENOMEM.
    borrowing func set(mac: MACAddress) throws(NetlinkFailure) {
        try NetlinkAddress(mac).give { rtnl_link_set_addr(pointer, $0) }
    }

    /// Sets the name.
    ///
    /// - Throws: ERANGE if it is longer than 15 octets, where libnl would cut it off.
    borrowing func set(name: String) throws(NetlinkFailure) {
        guard name.utf8.count < IFNAMSIZ else { throw NetlinkFailure(errno: ERANGE) }
        rtnl_link_set_name(pointer, name)
    }

    /// Switches it on or off.
    borrowing func set(up: Bool) {
        if up {
            rtnl_link_set_flags(pointer, UInt32(IFF_UP))
        } else {
            rtnl_link_unset_flags(pointer, UInt32(IFF_UP))
        }
    }

    /// Sets all settings that a device can be created with, except its name and its state. The alias is not one of
    /// them.
    ///
    /// - Throws: ENOMEM.
    borrowing func set(_ settings: LinkSettings) throws(NetlinkFailure) {
        if let mac = settings.mac { try set(mac: mac) }
        if let mtu = settings.mtu { rtnl_link_set_mtu(pointer, UInt32(clamping: mtu)) }
        if let length = settings.transmitQueueLength { rtnl_link_set_txqlen(pointer, UInt32(clamping: length)) }
        if let master = settings.master { rtnl_link_set_master(pointer, master) }
    }

    /// The request that makes this link.
    ///
    /// - Throws: EMSGSIZE if the message cannot hold it.
    borrowing func addRequest() throws(NetlinkFailure) -> NetlinkMessage {
        try NetlinkMessage { rtnl_link_build_add_request(pointer, NLM_F_CREATE | NLM_F_EXCL, $0) }
    }

    /// The request that changes the link numbered `index` to this one, in what is set.
    ///
    /// - Parameter family: AF_BRIDGE for a bridge port's settings.
    /// - Throws: EMSGSIZE if the message cannot hold it.
    borrowing func changeRequest(index: Int32, family: Int32 = AF_UNSPEC) throws(NetlinkFailure) -> NetlinkMessage {
        let present = try LinkObject(index: index)
        rtnl_link_set_family(present.pointer, family)
        return try NetlinkMessage { rtnl_link_build_change_request(present.pointer, pointer, 0, $0) }
    }
}

/// An address of a link in libnl's form (rtnl_addr).
struct AddressObject: ~Copyable {
    let pointer: OpaquePointer

    /// - Throws: ENOMEM.
    init() throws(NetlinkFailure) {
        self.init(owning: try NetlinkFailure.check(allocated: rtnl_addr_alloc()))
    }

    /// Takes over a reference.
    init(owning pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        rtnl_addr_put(pointer)
    }
}

/// A neighbour, or a bridge's forwarding entry, in libnl's form (rtnl_neigh).
struct NeighbourObject: ~Copyable {
    let pointer: OpaquePointer

    /// - Throws: ENOMEM.
    init() throws(NetlinkFailure) {
        pointer = try NetlinkFailure.check(allocated: rtnl_neigh_alloc())
    }

    deinit {
        rtnl_neigh_put(pointer)
    }

    /// Sets the MAC address.
    ///
    /// - Throws: ENOMEM.
    borrowing func set(mac: MACAddress) throws(NetlinkFailure) {
        try NetlinkAddress(mac).give { rtnl_neigh_set_lladdr(pointer, $0) }
    }

    /// The request that writes this neighbour, in the place of one that is there.
    ///
    /// - Throws: EMSGSIZE if the message cannot hold it.
    borrowing func addRequest() throws(NetlinkFailure) -> NetlinkMessage {
        try NetlinkMessage { rtnl_neigh_build_add_request(pointer, NLM_F_CREATE | NLM_F_REPLACE, $0) }
    }

    /// The request that deletes this neighbour.
    ///
    /// - Throws: EMSGSIZE if the message cannot hold it.
    borrowing func deleteRequest() throws(NetlinkFailure) -> NetlinkMessage {
        try NetlinkMessage { rtnl_neigh_build_delete_request(pointer, 0, $0) }
    }
}

/// A route in libnl's form (rtnl_route).
struct RouteObject: ~Copyable {
    let pointer: OpaquePointer

    /// - Throws: ENOMEM.
    init() throws(NetlinkFailure) {
        self.init(owning: try NetlinkFailure.check(allocated: rtnl_route_alloc()))
    }

    /// Takes over a reference.
    init(owning pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        rtnl_route_put(pointer)
    }
}

/// A next hop of a route in libnl's form (rtnl_nexthop), until a route takes it over.
struct NextHopObject: ~Copyable {
    let pointer: OpaquePointer

    /// - Throws: ENOMEM.
    init() throws(NetlinkFailure) {
        pointer = try NetlinkFailure.check(allocated: rtnl_route_nh_alloc())
    }

    deinit {
        rtnl_route_nh_free(pointer)
    }

    /// Gives it to a route, which frees it.
    consuming func add(to route: borrowing RouteObject) {
        rtnl_route_add_nexthop(route.pointer, pointer)
        discard self
    }
}
