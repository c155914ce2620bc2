import CLinux
import Wire

/// A frame as a packet socket saw it; its octets last as long as the call that it is handed to.
public struct SeenFrame {
    /// The octets that were kept, from its Ethernet header on.
    public let bytes: UnsafeRawBufferPointer
    /// Its whole length in octets.
    public let length: Int
    /// Nanoseconds since 1970, by the kernel's clock as the device handed it over.
    public let nanoseconds: UInt64
    /// True if it left the namespace by the device.
    public let isOutgoing: Bool
    /// True if the sending device has yet to finish its transport checksum.
    public let hasPartialChecksum: Bool
}

/// The condition on which the kernel keeps a frame: a word at an offset from its transport header.
public struct FrameMatch: Sendable, Hashable {
    /// IPv4 or IPv6, whose transport header is right behind the fixed one.
    public var family: AddressFamily
    /// The protocol of the transport header.
    public var protocolNumber: UInt8
    /// From the beginning of the transport header, in octets.
    public var offset: Int
    /// The word, a host integer.
    public var value: UInt32
    /// Only sixteen bits are compared.
    public var isHalf: Bool
    /// Where the network header is in the frame, whatever stands before it, in octets; nil: behind an Ethernet header that has its
    /// type.
    public var network: Int?

    /// Memberwise.
    public init(
        _ family: AddressFamily, protocolNumber: UInt8, offset: Int, value: UInt32, isHalf: Bool = false,
        network: Int? = nil
    ) {
        self.family = family
        self.protocolNumber = protocolNumber
        self.offset = offset
        self.value = value
        self.isHalf = isHalf
        self.network = network
    }
}

/// Sees the frames that pass a device in both directions (AF_PACKET, a ring of TPACKET_V3). It sees them as the kernel
/// does, from its making until its end. One thread reads it.
public final class PacketSocket: @unchecked Sendable {
    /// Becomes readable when frames are there; valid as long as this object lives.
    public let descriptor: Int32
    private var ring: clinux_packet_ring
    private let memory: UnsafeMutableRawPointer
    private var cursor = clinux_packet_cursor()

    /// Frames wait in the kernel for no longer than this until they can be read.
    public static let patience = Duration.milliseconds(8)

    /// Opens a socket on a device.
    ///
    /// - Parameters:
    ///   - matches: A frame is kept where one of them holds, at most 64; every frame where there are none.
    ///   - etherType: Frames of this type are kept, too; 0 for none.
    ///   - frameLength: The most octets that are kept of a frame.
    ///   - room: Octets in the ring, in two blocks at least; a frame must fit into one.
    /// - Throws: ENODEV if there is no such device; the kernel's refusal of the socket or its ring.
    public init(
        on device: String, in namespace: NetworkNamespace, matches: [FrameMatch] = [], etherType: UInt16 = 0,
        frameLength: Int, room: Int
    ) throws(SystemError) {
        let link = try namespace.netlink.existingLink(named: device)
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let wanted = max(16 << 10, min(room / 2, 1 << 20))
        let size = UInt32((wanted + page - 1) / page * page)
        var ring = clinux_packet_ring(
            device: link.index, block_size: size, block_count: UInt32(max(2, room / Int(size))),
            retire_milliseconds: UInt32(Self.patience.wholeMilliseconds), frame_length: UInt32(frameLength),
            matches: nil, match_count: 0, ether_type: etherType)
        let words = matches.map {
            clinux_word_match(
                family: $0.family == .ipv4 ? AF_INET : AF_INET6, network: UInt32($0.network ?? 0),
                protocol: $0.protocolNumber,
                is_half: $0.isHalf ? 1 : 0, offset: UInt32($0.offset), value: $0.value)
        }
        var memory: UnsafeMutableRawPointer?
        descriptor = try namespace.perform { () throws(SystemError) in
            let opened = words.withUnsafeBufferPointer { words in
                ring.matches = words.baseAddress
                ring.match_count = words.count
                return clinux_packet_open(&ring, &memory)
            }
            ring.matches = nil
            ring.match_count = 0
            return try SystemError.check(opened, "watch the device", device)
        }
        guard let memory else { throw SystemError("watch the device", device, errno: ENOMEM) }
        self.memory = memory
        self.ring = ring
    }

    deinit {
        munmap(memory, Int(ring.block_size) * Int(ring.block_count))
        Self.closeAside(descriptor)
    }

    /// Closing a packet socket takes some milliseconds, until no processor can still be using it. Another thread does
    /// it, so no caller waits.
    private static func closeAside(_ descriptor: Int32) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let argument = UnsafeMutableRawPointer(bitPattern: Int(descriptor) + 1)
        let created = pthread_create(
            &thread, &attributes,
            { argument in
                close(Int32(Int(bitPattern: argument) - 1))
                return nil
            }, argument)
        if created != 0 { close(descriptor) }
    }

    /// Calls `body` with every frame that is there.
    public func drain(_ body: (SeenFrame) -> Void) {
        var packet = clinux_packet()
        while clinux_packet_next(memory, &ring, &cursor, &packet) == 1 {
            let bytes = UnsafeRawBufferPointer(start: packet.bytes, count: Int(packet.captured))
            func give(_ bytes: UnsafeRawBufferPointer, tag: Int = 0) {
                body(
                    SeenFrame(
                        bytes: bytes, length: Int(packet.length) + tag, nanoseconds: packet.nanoseconds,
                        isOutgoing: packet.is_outgoing != 0, hasPartialChecksum: packet.has_partial_checksum != 0))
            }
            if packet.tag != 0, bytes.count >= EthernetView.length {
                // The kernel has taken the outer tag off: it is put back where it was.
                let tag = (0..<4).map { UInt8(truncatingIfNeeded: packet.tag >> (24 - 8 * UInt32($0))) }
                (Array(bytes[..<12]) + tag + bytes[12...]).withUnsafeBytes { give($0, tag: tag.count) }
            } else {
                give(bytes)
            }
            if cursor.is_last != 0 { clinux_packet_release(memory, &ring, &cursor) }
        }
    }

    /// How many frames found no room since the last call.
    ///
    /// - Throws: The kernel's refusal.
    public func losses() throws(SystemError) -> Int {
        var count: UInt32 = 0
        try SystemError.check(clinux_packet_losses(descriptor, &count), "count the losses of the packet socket", "")
        return Int(count)
    }
}
