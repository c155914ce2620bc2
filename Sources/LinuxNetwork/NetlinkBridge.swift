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
    @discardableResult
    public func createBridge(_ settings: LinkSettings) throws(SystemError) -> Int32 {
        let settings = try settings.checked()
        let message = try NetlinkMessage(Int(RTM_NEWLINK), flags: NLM_F_CREATE | NLM_F_EXCL)
        message.header(Self.header(up: settings.isUp))
        message.put(IFLA_IFNAME, settings.name)
        settings.put(in: message)
        try message.nest(IFLA_LINKINFO) { () throws(SystemError) in
            message.put(IFLA_INFO_KIND, "bridge")
            try message.nest(IFLA_INFO_DATA) { () throws(SystemError) in
                message.put(IFLA_BR_FORWARD_DELAY, UInt32(0))
                message.put(IFLA_BR_STP_STATE, UInt32(0))
                message.put(IFLA_BR_MCAST_SNOOPING, UInt8(0))
            }
        }
        try request(message, "create the bridge", settings.name)
        let index = try existingLink(named: settings.name).index
        if let mark = settings.mark { try setLink(index: index, mark: mark) }
        return index
    }

    /// Changes how the port numbered `index` of a bridge behaves.
    public func setBridgePort(index: Int32, _ settings: BridgePortSettings) throws(SystemError) {
        let message = try NetlinkMessage(Int(RTM_SETLINK))
        var header = ifinfomsg()
        header.ifi_family = UInt8(AF_BRIDGE)
        header.ifi_index = index
        message.header(header)
        try message.nest(IFLA_PROTINFO, flags: NLA_F_NESTED) { () throws(SystemError) in
            for (attribute, value) in [
                (IFLA_BRPORT_ISOLATED, settings.isolated), (IFLA_BRPORT_LEARNING, settings.learning),
                (IFLA_BRPORT_UNICAST_FLOOD, settings.unicastFlood), (IFLA_BRPORT_MCAST_FLOOD, settings.multicastFlood),
                (IFLA_BRPORT_BCAST_FLOOD, settings.broadcastFlood), (Self.lockedAttribute, settings.locked),
            ] {
                if let value { message.put(attribute, UInt8(value ? 1 : 0)) }
            }
        }
        try request(message, "set up the bridge port", "number \(index)")
    }

    /// IFLA_BRPORT_LOCKED of linux/if_link.h, which older headers lack.
    private static let lockedAttribute = 39

    /// Tells the bridge of the port numbered `port` that `mac` is behind it, for good.
    public func addForwardingEntry(_ mac: MACAddress, port: Int32) throws(SystemError) {
        try forwardingEntry(
            Int(RTM_NEWNEIGH), flags: NLM_F_CREATE | NLM_F_REPLACE, mac, port, "add the bridge forwarding entry")
    }

    /// Takes back a forwarding entry.
    public func deleteForwardingEntry(_ mac: MACAddress, port: Int32) throws(SystemError) {
        try forwardingEntry(Int(RTM_DELNEIGH), flags: 0, mac, port, "delete the bridge forwarding entry")
    }

    private func forwardingEntry(
        _ type: Int, flags: Int32, _ mac: MACAddress, _ port: Int32, _ operation: String
    ) throws(SystemError) {
        let message = try NetlinkMessage(type, flags: flags)
        var header = ndmsg()
        header.ndm_family = UInt8(AF_BRIDGE)
        header.ndm_ifindex = port
        // NUD_PERMANENT would make it an address of the bridge itself.
        header.ndm_state = UInt16(NUD_NOARP)
        header.ndm_flags = UInt8(NTF_MASTER)
        message.header(header)
        message.put(Int(NDA_LLADDR), octets: mac.octets)
        try request(message, operation, "\(mac) on port \(port)")
    }
}
