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
    /// True where the other end is in another namespace.
    var isPeerApart = false

    /// True where frames pass: those that it is given to send, and those that arrive.
    public var carriesFrames: Bool { isUp && isRunning && hasQueues && portForwards }

    init?(_ reply: NetlinkReply) {
        guard reply.type == RTM_NEWLINK, let header = reply.familyHeader(ifinfomsg.self) else { return nil }
        index = header.ifi_index
        isUp = header.ifi_flags & UInt32(IFF_UP) != 0
        hasCarrier = header.ifi_flags & (1 << 16) != 0
        isRunning = header.ifi_flags & UInt32(IFF_RUNNING) != 0
        var link = self
        reply.forEachAttribute(after: ifinfomsg.self) { type, payload in
            switch type {
            case IFLA_IFNAME: link.name = payload.text
            case IFLA_MTU: link.mtu = Int(payload.integer(UInt32.self))
            case IFLA_TXQLEN: link.transmitQueueLength = Int(payload.integer(UInt32.self))
            case IFLA_IFALIAS: link.alias = payload.text
            case IFLA_QDISC: link.hasQueues = payload.text != "noop"
            case IFLA_LINK_NETNSID: link.isPeerApart = true
            case IFLA_MASTER: link.master = payload.integer(Int32.self)
            case IFLA_LINK: link.peer = payload.integer(Int32.self)
            case IFLA_ADDRESS where payload.count == 6:
                link.mac = MACAddress(bits: payload.reduce(0) { $0 << 8 | UInt64($1) })
            case IFLA_LINKINFO:
                NetlinkReply.forEachAttribute(in: payload) { type, payload in
                    switch type {
                    case IFLA_INFO_KIND: link.kind = payload.text
                    case IFLA_INFO_SLAVE_DATA:
                        NetlinkReply.forEachAttribute(in: payload) { type, payload in
                            guard type == IFLA_BRPORT_STATE else { return }
                            link.portForwards = payload.integer(UInt8.self) == BR_STATE_FORWARDING
                        }
                    default: break
                    }
                }
            default: break
            }
        }
        self = link
    }
}

/// What one end of a veth pair, a bridge or a TAP is to be.
public struct LinkSettings: Hashable, Sendable {
    /// The device's name, at most 15 octets.
    public var name: String
    /// Its MAC address; the kernel picks one where nil.
    public var mac: MACAddress?
    /// Its MTU in octets; the kernel's default (1500) where nil.
    public var mtu: Int?
    /// Packets that its transmit queue holds; the kernel's default where nil.
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
