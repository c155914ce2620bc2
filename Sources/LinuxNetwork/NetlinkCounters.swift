import CLinux
import CNetlink

/// What a device has carried since it was made.
public struct LinkCounters: Hashable, Sendable {
    /// Packets that came in by the device.
    public var receivedPackets: UInt64
    /// Packets that went out by the device.
    public var sentPackets: UInt64
}

/// The counters of devices.
extension NetlinkSocket {
    /// The counters of every device of the namespace, by the devices' names.
    ///
    /// A segment that the kernel has not cut yet (GSO) is one packet.
    public func counters() throws(SystemError) -> [String: LinkCounters] {
        let message = try NetlinkMessage(Int(RTM_GETLINK), flags: NLM_F_DUMP)
        message.header(ifinfomsg())
        var counters: [String: LinkCounters] = [:]
        try request(message, "list the counters of links", "") { reply in
            guard reply.type == RTM_NEWLINK else { return }
            var name = ""
            var read: LinkCounters?
            reply.forEachAttribute(after: ifinfomsg.self) { type, payload in
                switch type {
                case IFLA_IFNAME: name = payload.text
                case IFLA_STATS64 where payload.count >= 16:
                    // struct rtnl_link_stats64 begins with rx_packets and tx_packets, host order.
                    read = LinkCounters(
                        receivedPackets: payload.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                        sentPackets: payload.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                default: break
                }
            }
            if let read { counters[name] = read }
        }
        return counters
    }
}
