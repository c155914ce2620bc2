import CLinux
import CNetlink
import Wire

/// How a port of a bridge behaves; what is nil stays as it is.
public struct BridgePortSettings: Hashable, Sendable {
    /// Exchanges no frame with other isolated ports.
    public var isolated: Bool?
    /// Learns MAC addresses from the frames that come in.
    public var learning: Bool?
    /// Gets frames to unicast addresses that the bridge does not know.
    public var unicastFlood: Bool?
    /// Gets multicast frames.
    public var multicastFlood: Bool?
    /// Gets broadcast frames.
    public var broadcastFlood: Bool?
    /// Takes frames alone whose source has a forwarding entry at the port (Linux 5.16; older kernels ignore it).
    public var locked: Bool?

    /// Settings; see the properties.
    public init(
        isolated: Bool? = nil, learning: Bool? = nil, unicastFlood: Bool? = nil, multicastFlood: Bool? = nil,
        broadcastFlood: Bool? = nil, locked: Bool? = nil
    ) {
        self.isolated = isolated
        self.learning = learning
        self.unicastFlood = unicastFlood
        self.multicastFlood = multicastFlood
        self.broadcastFlood = broadcastFlood
        self.locked = locked
    }
}

/// Bridges, their ports and their static forwarding entries.
extension NetlinkSocket {
    /// Makes a bridge without spanning tree, forwarding delay and multicast snooping. Returns its number.
    ///
    /// - Throws: EEXIST where the name is taken; EINVAL for a name that is empty or longer than 15 octets.
    @discardableResult
    public func createBridge(_ settings: LinkSettings) throws(SystemError) -> Int32 {
        let settings = try settings.checked()
        try request("create the bridge", settings.name) { () throws(NetlinkFailure) in
            let link = LinkObject(owning: try NetlinkFailure.check(allocated: rtnl_link_bridge_alloc()))
            link.set(up: settings.isUp)
            try link.set(name: settings.name)
            try link.set(settings)
            let message = try link.addRequest()
            // libnl knows no setting of a bridge: these go beside the kind that it has put.
            try message.nest(Int(IFLA_LINKINFO)) { () throws(NetlinkFailure) in
                try message.innerNest(Int(IFLA_INFO_DATA)) { () throws(NetlinkFailure) in
                    try message.put(Int(IFLA_BR_FORWARD_DELAY), UInt32(0))
                    try message.put(Int(IFLA_BR_STP_STATE), UInt32(0))
                    try message.put(Int(IFLA_BR_MCAST_SNOOPING), UInt8(0))
                }
            }
            return message
        }
        let index = try existingLink(named: settings.name).index
        if let mark = settings.mark { try setLink(index: index, mark: mark) }
        return index
    }

    /// Changes how the port numbered `index` of a bridge behaves.
    ///
    /// - Throws: ENODEV where there is no such device; EINVAL or EOPNOTSUPP where it is no port of a bridge.
    public func setBridgePort(index: Int32, _ settings: BridgePortSettings) throws(SystemError) {
        try request("set up the bridge port", "number \(index)") { () throws(NetlinkFailure) in
            let link = try LinkObject()
            rtnl_link_set_family(link.pointer, AF_BRIDGE)
            for (flag, value) in [
                (RTNL_BRIDGE_LEARNING, settings.learning), (RTNL_BRIDGE_UNICAST_FLOOD, settings.unicastFlood),
            ] {
                guard let value else { continue }
                try NetlinkFailure.check(
                    value
                        ? rtnl_link_bridge_set_flags(link.pointer, flag.rawValue)
                        : rtnl_link_bridge_unset_flags(link.pointer, flag.rawValue))
            }
            let message = try link.changeRequest(index: index, family: AF_BRIDGE)
            // libnl chooses this type only where it has put a flag itself.
            message.set(type: Int(RTM_SETLINK))
            // libnl knows none of these: they go beside the flags that it has put.
            try message.nest(Int(IFLA_PROTINFO), flags: NLA_F_NESTED) { () throws(NetlinkFailure) in
                for (attribute, value) in [
                    (IFLA_BRPORT_ISOLATED, settings.isolated), (IFLA_BRPORT_MCAST_FLOOD, settings.multicastFlood),
                    (IFLA_BRPORT_BCAST_FLOOD, settings.broadcastFlood), (Self.lockedAttribute, settings.locked),
                ] {
                    if let value { try message.put(Int(attribute), UInt8(value ? 1 : 0)) }
                }
            }
            return message
        }
    }

    /// IFLA_BRPORT_LOCKED of linux/if_link.h, which older headers lack.
    private static let lockedAttribute = 39

    /// True if the port numbered `index` of a bridge is locked: false where the kernel is older and has ignored it.
    ///
    /// - Throws: ENODEV where there is no such device.
    public func isLockedPort(index: Int32) throws(SystemError) -> Bool {
        var isLocked = false
        try request(
            "look up the bridge port", "number \(index)",
            { () throws(NetlinkFailure) in try Self.lookup(index: index) },
            reply: { reply in
                let path = [IFLA_LINKINFO, IFLA_INFO_SLAVE_DATA, Self.lockedAttribute].map { Int32($0) }
                if let value = reply.octet(at: path) { isLocked = value == 1 }
            })
        return isLocked
    }

    /// Tells the bridge of the port numbered `port` that `mac` is behind it, for good.
    ///
    /// - Throws: The kernel's refusal: EINVAL or EOPNOTSUPP where `port` is no port of a bridge.
    public func addForwardingEntry(_ mac: MACAddress, port: Int32) throws(SystemError) {
        try request("add the bridge forwarding entry", "\(mac) on port \(port)") { () throws(NetlinkFailure) in
            try NeighbourObject.forwarding(mac, port: port).addRequest()
        }
    }

    /// Takes back a forwarding entry.
    ///
    /// - Throws: ENOENT where there is none.
    public func deleteForwardingEntry(_ mac: MACAddress, port: Int32) throws(SystemError) {
        try request("delete the bridge forwarding entry", "\(mac) on port \(port)") { () throws(NetlinkFailure) in
            try NeighbourObject.forwarding(mac, port: port).deleteRequest()
        }
    }
}

extension NeighbourObject {
    /// A forwarding entry of the bridge that `port` belongs to.
    ///
    /// - Throws: ENOMEM.
    fileprivate static func forwarding(_ mac: MACAddress, port: Int32) throws(NetlinkFailure) -> NeighbourObject {
        let object = try NeighbourObject()
        rtnl_neigh_set_family(object.pointer, AF_BRIDGE)
        rtnl_neigh_set_ifindex(object.pointer, port)
        // NUD_PERMANENT would make it an address of the bridge itself.
        rtnl_neigh_set_state(object.pointer, NUD_NOARP)
        rtnl_neigh_set_flags(object.pointer, UInt32(NTF_MASTER))
        try object.set(mac: mac)
        return object
    }
}
