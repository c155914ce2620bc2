import CLinux
import CNetlink
import Wire

/// A network device as the kernel described it.
public struct Link: Hashable, Sendable {
    /// The device's number in its namespace.
    public var index: Int32 = 0
    /// Its name, at most 15 octets.
    public var name = ""
    /// "veth", "bridge", "tun" …; nil for devices without a kind, such as lo.
    public var kind: String?
    /// Its MAC address, where it has one.
    public var mac: MACAddress?
    /// Octets of a packet that it takes, without the Ethernet header.
    public var mtu = 0
    /// Packets that its transmit queue holds.
    public var transmitQueueLength = 0
    /// IFF_UP: switched on.
    public var isUp = false
    /// IFF_LOOPBACK: it leads back.
    public var isLoopback = false
    /// IFF_LOWER_UP: it has a carrier.
    public var hasCarrier = false
    /// IFF_RUNNING: the kernel has seen that it is up and has a carrier, which takes it up to a second.
    public var isRunning = false
    /// False until the kernel has given the device its transmit queues, which it does when it has seen the carrier; until
    /// then it drops what it is given to send ("noop").
    public var hasQueues = true
    /// False while the bridge that it is a port of keeps the port shut (BR_STATE_FORWARDING is not reached).
    public var portForwards = true
    /// The device's alias (IFLA_IFALIAS), where Tapline writes its mark.
    public var alias: String?
    /// The bridge that it is a port of.
    public var master: Int32?
    /// The other end's number, for a veth: in the other end's namespace.
    public var peer: Int32?
    /// True if the other end is in another namespace.
    var isPeerApart = false

    fileprivate init() {}

    /// True if frames pass, in both directions.
    public var carriesFrames: Bool { isUp && isRunning && hasQueues && portForwards }

    /// The link that a message describes; nil for messages of other types.
    ///
    /// - Throws: EPROTO or EINVAL if libnl cannot read it; ENOMEM.
    init?(_ reply: NetlinkReply) throws(NetlinkFailure) {
        guard let read = try reply.link() else { return nil }
        self = read.described
        // libnl does not read what a bridge says about its port.
        let path = [IFLA_LINKINFO, IFLA_INFO_SLAVE_DATA, IFLA_BRPORT_STATE].map { Int32($0) }
        if let state = reply.octet(at: path) {
            portForwards = Int32(state) == Int32(BR_STATE_FORWARDING)
        }
    }
}

extension LinkObject {
    /// The attributes of a link, as libnl read them.
    fileprivate var described: Link {
        var link = Link()
        let flags = rtnl_link_get_flags(pointer)
        link.index = rtnl_link_get_ifindex(pointer)
        link.isUp = flags & UInt32(IFF_UP) != 0
        link.isLoopback = flags & UInt32(IFF_LOOPBACK) != 0
        link.hasCarrier = flags & (1 << 16) != 0
        link.isRunning = flags & UInt32(IFF_RUNNING) != 0
        link.name = name ?? ""
        link.kind = text(rtnl_link_get_type(pointer))
        link.mac = NetlinkAddress.withOctets(of: rtnl_link_get_addr(pointer)) { octets in
            octets.count == 6 ? MACAddress(bits: octets.reduce(0) { $0 << 8 | UInt64($1) }) : nil
        }
        link.mtu = Int(rtnl_link_get_mtu(pointer))
        link.transmitQueueLength = Int(rtnl_link_get_txqlen(pointer))
        link.hasQueues = text(rtnl_link_get_qdisc(pointer)) != "noop"
        link.alias = text(rtnl_link_get_ifalias(pointer))
        // Zero stands for none in both.
        let master = rtnl_link_get_master(pointer), peer = rtnl_link_get_link(pointer)
        link.master = master == 0 ? nil : master
        link.peer = peer == 0 ? nil : peer
        var namespace: Int32 = 0
        link.isPeerApart = rtnl_link_get_link_netnsid(pointer, &namespace) == 0
        return link
    }

    /// The name that libnl has read.
    var name: String? { text(rtnl_link_get_name(pointer)) }

    private func text(_ octets: UnsafePointer<CChar>?) -> String? { octets.map { String(cString: $0) } }
}

/// The wanted settings of a veth's end, a bridge or a TAP.
public struct LinkSettings: Hashable, Sendable {
    /// The device's name, at most 15 octets.
    public var name: String
    /// Its MAC address; nil: the kernel picks one.
    public var mac: MACAddress?
    /// Its MTU in octets; nil: the kernel's default (1500).
    public var mtu: Int?
    /// Packets that its transmit queue holds; nil: the kernel's default.
    public var transmitQueueLength: Int?
    /// The device's alias: the ownership mark.
    public var mark: String?
    /// The bridge, in the device's namespace, that it becomes a port of.
    public var master: Int32?
    /// Whether it is switched on at once.
    public var isUp: Bool

    /// Settings; see the properties.
    public init(
        name: String, mac: MACAddress? = nil, mtu: Int? = nil, transmitQueueLength: Int? = nil, mark: String? = nil,
        master: Int32? = nil, isUp: Bool = true
    ) {
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.transmitQueueLength = transmitQueueLength
        self.mark = mark
        self.master = master
        self.isUp = isUp
    }
}
