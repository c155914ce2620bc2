import CLinux
import CNetlink

/// Frames and octets that a device has carried since it was made.
public struct LinkCounters: Hashable, Sendable {
    /// Packets that came in by the device.
    public var receivedPackets: UInt64
    /// Packets that went out by the device.
    public var sentPackets: UInt64
    /// Packets that were to go out and that the device dropped: for a TAP, frames that found its queues full.
    public var sentDrops: UInt64

    /// The counters of a link that libnl has read.
    init(_ link: borrowing LinkObject) {
        receivedPackets = rtnl_link_get_stat(link.pointer, RTNL_LINK_RX_PACKETS)
        sentPackets = rtnl_link_get_stat(link.pointer, RTNL_LINK_TX_PACKETS)
        sentDrops = rtnl_link_get_stat(link.pointer, RTNL_LINK_TX_DROPPED)
    }
}

/// The counters of devices.
extension NetlinkSocket {
    /// The counters of every device of the namespace, by the devices' names.
    ///
    /// A segment that the kernel has not cut yet (GSO) is one packet.
    ///
    /// - Throws: The kernel's refusal; EINTR if devices come and go all the time.
    public func counters() throws(SystemError) -> [String: LinkCounters] {
        var counters: [String: LinkCounters] = [:]
        try request(
            "list the counters of links", "",
            { () throws(NetlinkFailure) in try NetlinkMessage.dump(Int(RTM_GETLINK), ifinfomsg()) },
            reply: { (reply) throws(NetlinkFailure) in
                guard let link = try reply.link(), let name = link.name else { return }
                counters[name] = LinkCounters(link)
            })
        return counters
    }

    /// The counters of the device numbered `index`, or nil if there is none.
    ///
    /// - Throws: The kernel's refusal.
    public func counters(index: Int32) throws(SystemError) -> LinkCounters? {
        var counters: LinkCounters?
        do throws(SystemError) {
            try request(
                "read the counters of the link", "number \(index)",
                { () throws(NetlinkFailure) in try Self.lookup(index: index, withCounters: true) },
                reply: { (reply) throws(NetlinkFailure) in
                    if let link = try reply.link() { counters = LinkCounters(link) }
                })
        } catch {
            if error.errno == ENODEV { return nil }
            throw error
        }
        return counters
    }
}
