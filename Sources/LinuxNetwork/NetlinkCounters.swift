import CLinux
import CNetlink

/// What a device has carried since it was made.
public struct LinkCounters: Hashable, Sendable {
    /// Packets that came in by the device.
    public var receivedPackets: UInt64
    /// Packets that went out by the device.
    public var sentPackets: UInt64
    /// Packets that were to go out and that the device dropped: of a TAP, those that its queues had no room for.
    public var sentDrops: UInt64

    /// struct rtnl_link_stats64, host order: eight numbers of 64 bits each from its beginning are rx_packets, tx_packets,
    /// rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped and tx_dropped. nil where it is shorter.
    init?(_ statistics: UnsafeRawBufferPointer) {
        guard statistics.count >= 64 else { return nil }
        func number(_ place: Int) -> UInt64 {
            statistics.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self)
        }
        receivedPackets = number(0)
        sentPackets = number(1)
        sentDrops = number(7)
    }
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
            let (name, read) = Self.counters(reply)
            if let read { counters[name] = read }
        }
        return counters
    }

    /// The counters of the device numbered `index`, or nil where there is none.
    public func counters(index: Int32) throws(SystemError) -> LinkCounters? {
        let message = try NetlinkMessage(Int(RTM_GETLINK))
        var header = ifinfomsg()
        header.ifi_index = index
        message.header(header)
        var counters: LinkCounters?
        do throws(SystemError) {
            try request(message, "read the counters of the link", "number \(index)") { reply in
                counters = Self.counters(reply).counters ?? counters
            }
        } catch {
            if error.errno == ENODEV { return nil }
            throw error
        }
        return counters
    }

    private static func counters(_ reply: NetlinkReply) -> (name: String, counters: LinkCounters?) {
        var name = ""
        var counters: LinkCounters?
        guard reply.type == RTM_NEWLINK else { return (name, nil) }
        reply.forEachAttribute(after: ifinfomsg.self) { type, payload in
            switch type {
            case IFLA_IFNAME: name = payload.text
            case IFLA_STATS64: counters = LinkCounters(payload)
            default: break
            }
        }
        return (name, counters)
    }
}
