import CLinux
import CNetlink
import Synchronization
import Wire

/// The work that the reader of a TAP can finish by itself: TUNSETOFFLOAD's flags (linux/if_tun.h).
public struct TapOffloads: OptionSet, Hashable, Sendable {
    /// The flags as the kernel has them.
    public let rawValue: UInt32

    /// Flags as the kernel has them.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Packets whose checksum is partial.
    public static let checksum = TapOffloads(rawValue: 0x01)
    /// TCP segments larger than the MTU, over IPv4.
    public static let tcp4 = TapOffloads(rawValue: 0x02)
    /// TCP segments larger than the MTU, over IPv6.
    public static let tcp6 = TapOffloads(rawValue: 0x04)
    /// UDP segments larger than the MTU, over IPv4 (Linux 6.2).
    public static let udp4 = TapOffloads(rawValue: 0x20)
    /// UDP segments larger than the MTU, over IPv6 (Linux 6.2).
    public static let udp6 = TapOffloads(rawValue: 0x40)
    /// TCP and UDP segments larger than the MTU in VXLAN, Geneve and the like (Linux 6.18).
    public static let tunnels = TapOffloads(rawValue: 0x080)
    /// The same where the outer UDP header has a checksum.
    public static let tunnelChecksums = TapOffloads(rawValue: 0x100)
    /// All for devices without tunnels: 0x67.
    public static let all: TapOffloads = [.checksum, .tcp4, .tcp6, .udp4, .udp6]
    /// The offloads that kernels before 6.2 take: 0x07.
    public static let withoutUDP: TapOffloads = [.checksum, .tcp4, .tcp6]
    /// All for a device that carries tunnels: 0x1e7.
    public static let underlay: TapOffloads = [.all, .tunnels, .tunnelChecksums]
}

/// A TAP device made here, and its queues.
///
/// Frames on a queue start with a virtio_net_hdr, little-endian: of 24 octets where it took `TapOffloads.tunnels`, else of 10. The device goes when the last descriptor
/// of the last queue is closed, in any process. The descriptors keep its namespace alive.
public final class TapDevice: Sendable {
    /// The device's name.
    public var name: String { place.withLock { $0.name } }
    /// Its number in its namespace.
    public var index: Int32 { place.withLock { $0.index } }
    /// What its frames are.
    public let kind: Kind
    /// The offloads that the kernel took.
    public let offloads: TapOffloads
    /// True if the offloads of tunnels were asked for, and the kernel does not know them.
    public let refusesTunnels: Bool
    /// Why the kernel divides frames among the queues by its own rule, which looks into tunnels. Nil if there is one
    /// queue, or if they are divided by their outermost addresses, both directions alike.
    public var steeringRefusal: SystemError? { state.withLock { $0.steeringRefusal } }
    /// The queues' descriptors, nonblocking, valid as long as this object lives.
    public var queues: [Int32] { state.withLock { $0.queues.numbers } }
    private let place: Mutex<(name: String, index: Int32)>
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var queues: OwnedDescriptors
        var steeringRefusal: SystemError?
    }

    /// What its frames are.
    public enum Kind: Sendable, Hashable {
        /// Ethernet frames behind a virtio_net_hdr.
        case tap
        /// Frames of frame relay or ATM (link types FRAD 770 and ATM 19) behind a `tun_pi` of four octets: a TUN.
        case frameRelay
        case atm

        /// What stands before a frame without offloads, on a device that took these.
        func leading(_ offloads: TapOffloads) -> [UInt8] {
            switch self {
            case .tap: [UInt8](repeating: 0, count: Int(offloads.header))
            case .frameRelay: [0, 0, 0x00, 0x19]
            case .atm: [0, 0, 0x88, 0x84]
            }
        }

        /// ARPHRD_FRAD, ARPHRD_ATM (linux/if_arp.h).
        var linkType: UInt32? {
            switch self {
            case .tap: nil
            case .frameRelay: 770
            case .atm: 19
            }
        }
    }

    /// Makes a TAP in `namespace` and opens its queues there.
    ///
    /// - Parameters:
    ///   - settings: Its MTU is at most 65,521 octets. Its transmit queue is what each queue's ring has room for; 1000 packets
    ///     where none is given.
    ///   - queues: At least one; all are of the same device (IFF_MULTI_QUEUE, also for one).
    ///   - offloads: Asked for. Where the kernel refuses those of tunnels, there are none: the device carries tunnels, and the
    ///     others do not reach what is inside. Where it refuses others, `.withoutUDP` of them.
    /// - Throws: EBUSY where the name is taken by a TAP in use, EINVAL where by another kind of device.
    public init(
        _ settings: LinkSettings, in namespace: NetworkNamespace, queues count: Int = 1, offloads: TapOffloads = .all,
        kind: Kind = .tap
    ) throws(SystemError) {
        var settings = try settings.checked()
        settings.transmitQueueLength = settings.transmitQueueLength ?? 1000
        let netlink = try namespace.netlink
        guard try netlink.link(named: settings.name) == nil else {
            throw SystemError("create the TAP", settings.name, errno: EEXIST)
        }
        let descriptors = try namespace.perform { () throws(SystemError) -> OwnedDescriptors in
            var queues = OwnedDescriptors()
            for _ in 0..<max(1, count) { queues.append(try Self.openQueue(settings.name, kind, [])) }
            return queues
        }
        var taken = kind == .tap ? offloads : []
        if taken.contains(.tunnels), !Self.takesTunnels(descriptors.numbers[0]) { taken = [] }
        for queue in descriptors.numbers { taken = try Self.setOffloads(queue, taken, settings.name) }
        // The kernel makes the rings of the queues that there are as long as the transmit queue becomes by this.
        let link = try netlink.existingLink(named: settings.name)
        // In one request the kernel would bring the device up before it changes the transmit queue, and lose a frame that
        // the node's kernel sends in between.
        let isUp = settings.isUp
        settings.isUp = false
        try netlink.applyLink(index: link.index, settings)
        if isUp { try netlink.setLink(index: link.index, up: true) }
        place = Mutex((settings.name, link.index))
        self.offloads = taken
        refusesTunnels = kind == .tap && offloads.contains(.tunnels) && !taken.contains(.tunnels)
        self.kind = kind
        let refusal = count < 2 || kind != .tap ? nil : Self.steer(descriptors.numbers[0])
        state = Mutex(State(queues: descriptors, steeringRefusal: refusal))
    }

    /// Opens one more queue of the device, in the namespace where the device is now.
    ///
    /// - Throws: E2BIG if the device has 256 queues already; EMFILE if the process may open no more files.
    public func openQueue(in namespace: NetworkNamespace) throws(SystemError) -> OwnedDescriptor {
        let queue = try namespace.perform { () throws(SystemError) in try Self.openQueue(name, kind, offloads) }
        _ = try Self.setOffloads(queue.number, offloads, name)
        return queue
    }

    /// Gives the device more queues until it has `count`. The kernel divides frames among all of them from then on: an
    /// engine must read them soon. A queue that is closed again loses what waits in it, so none ever is.
    ///
    /// - Parameter namespace: Where the device is now.
    /// - Throws: As `openQueue(in:)` does. The queues that were opened stay. EBUSY for a TUN that is up: its link type is set with
    ///   each queue, and the kernel sets none then.
    public func grow(to count: Int, in namespace: NetworkNamespace) throws(SystemError) {
        while queues.count < count {
            let number = try openQueue(in: namespace).release()
            state.withLock { state in
                state.queues.append(OwnedDescriptor(owning: number))
                if state.queues.count == 2, kind == .tap {
                    state.steeringRefusal = Self.steer(state.queues.numbers[0])
                }
            }
        }
    }

    /// Hands a frame to what is behind the device, as an engine does. A queue that no engine reads takes none, so each is
    /// tried.
    ///
    /// - Parameter frame: Its octets from its Ethernet header on, or behind `tun_pi`.
    /// - Returns: False if no queue takes it: the device is down, for example.
    public func deliver(_ frame: [UInt8]) -> Bool {
        let octets = kind.leading(offloads) + frame
        return queues.contains { write($0, octets, octets.count) == octets.count }
    }

    /// Moves the device to another namespace and gives it other settings there; its queues stay open, and keep what
    /// waits in them. Addresses and routes that it had stay behind.
    ///
    /// - Throws: EEXIST where the name is taken there; the device is then where it was.
    public func move(
        from before: NetworkNamespace, to namespace: NetworkNamespace, _ settings: LinkSettings
    ) throws(SystemError) {
        let settings = try settings.checked()
        try before.netlink.moveLink(index: index, to: namespace, name: settings.name)
        // Where its number is taken there, the kernel gives it another.
        let link = try namespace.netlink.existingLink(named: settings.name)
        place.withLock { $0 = (settings.name, link.index) }
        try namespace.netlink.applyLink(index: link.index, settings)
    }

    /// Attaches or detaches a queue by its descriptor (or a duplicate of it): the kernel steers frames to attached
    /// queues only.
    ///
    /// - Throws: The kernel's refusal.
    public static func setQueue(_ descriptor: Int32, attached: Bool) throws(SystemError) {
        try SystemError.check(
            clinux_tap_set_queue(descriptor, attached ? 1 : 0), attached ? "attach the queue" : "detach the queue",
            "\(descriptor)")
    }

    /// The attempt to open a queue, as the words after "cannot". The kernel's refusals: E2BIG if the device has 256
    /// queues already; EMFILE if the process may open no more files.
    public static let openingQueue = "open a queue of the TAP"

    /// Makes the program of `clinux_steering_load` divide frames among the queues. The device keeps it.
    ///
    /// - Returns: Why it does not; nil if it does.
    private static func steer(_ queue: Int32) -> SystemError? {
        let program = clinux_steering_load()
        guard program >= 0 else {
            return SystemError("load the program that divides frames among queues", "", errno: program)
        }
        let owned = OwnedDescriptor(owning: program)
        let result = clinux_tap_set_steering(queue, owned.number)
        return result == 0 ? nil : SystemError("have a program divide frames among queues", "", errno: result)
    }

    /// - Parameter offloads: Those that the device has: another queue with another header would give that to all of them.
    private static func openQueue(
        _ name: String, _ kind: Kind, _ offloads: TapOffloads
    ) throws(SystemError) -> OwnedDescriptor {
        let queue = kind.linkType.map { clinux_tun_open(name, 1, $0) } ?? clinux_tap_open(name, 1, offloads.header)
        return OwnedDescriptor(owning: try SystemError.check(queue, openingQueue, name))
    }

    /// Gives a device the header and the offloads of an underlay.
    ///
    /// - Returns: False if the kernel does not know them; the device is as it was then.
    static func takesTunnels(_ queue: Int32) -> Bool {
        // The header comes first: the kernel takes these offloads without room for them, too.
        if clinux_tap_set_header(queue, TapOffloads.underlay.header) == 0,
            clinux_tap_set_offload(queue, TapOffloads.underlay.rawValue) == 0
        {
            return true
        }
        _ = clinux_tap_set_header(queue, Int32(VirtioNetHeader.length))
        return false
    }

    private static func setOffloads(
        _ queue: Int32, _ offloads: TapOffloads, _ name: String
    ) throws(SystemError) -> TapOffloads {
        if clinux_tap_set_offload(queue, offloads.rawValue) == 0 { return offloads }
        let fewer = offloads.intersection(.withoutUDP)
        try SystemError.check(clinux_tap_set_offload(queue, fewer.rawValue), "set the offloads of the TAP", name)
        return fewer
    }
}

extension TapOffloads {
    /// The octets of the virtio_net_hdr that these need.
    fileprivate var header: Int32 {
        Int32(contains(.tunnels) ? VirtioNetHeader.longLength : VirtioNetHeader.length)
    }
}
