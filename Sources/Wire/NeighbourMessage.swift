/// A valid neighbour discovery message (RFC 4861, section 4).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +---------------+---------------+-------------------------------+
///     |     type      |     code      |           checksum            |
///     +-+-+-+---------+---------------+-------------------------------+
///     |R|S|O|        reserved (flags in an advertisement)             |
///     +-+-+-+---------------------------------------------------------+
///     |      target (16 octets; solicitation, advertisement, redirect)|
///     +---------------+---------------+-------------------------------+
///     | option: type, length in 8 octets, data …
///     +---------------+
public struct NeighbourMessage: Sendable, Equatable {
    /// The ICMPv6 type.
    public enum Kind: UInt8, Sendable, CaseIterable {
        case routerSolicitation = 133
        case routerAdvertisement = 134
        case neighbourSolicitation = 135
        case neighbourAdvertisement = 136
        case redirect = 137

        /// The octets before the options.
        var minimumLength: Int {
            switch self {
            case .routerSolicitation: 8
            case .routerAdvertisement: 16
            case .neighbourSolicitation, .neighbourAdvertisement: 24
            case .redirect: 40
            }
        }

        /// The option whose link-layer address matters: source (1) or target (2).
        var linkLayerOption: UInt8 {
            switch self {
            case .routerSolicitation, .routerAdvertisement, .neighbourSolicitation: 1
            case .neighbourAdvertisement, .redirect: 2
            }
        }

        /// True where a target address follows the first eight octets.
        var hasTarget: Bool {
            switch self {
            case .neighbourSolicitation, .neighbourAdvertisement, .redirect: true
            case .routerSolicitation, .routerAdvertisement: false
            }
        }
    }

    /// The octets of a solicitation's or advertisement's frame with one link-layer option.
    public static let frameLength = EthernetView.length + IPv6View.length + 32

    /// Solicitation, advertisement or redirect.
    public var kind: Kind
    /// The Ethernet destination.
    public var destinationMAC: MACAddress
    /// The Ethernet source.
    public var sourceMAC: MACAddress
    /// The packet's source; :: where an address is being probed (RFC 4862).
    public var source: IPAddress
    /// The packet's destination.
    public var destination: IPAddress
    /// The address asked for or told of; :: in router messages.
    public var target: IPAddress
    /// The source's (solicitations, router advertisements) or the target's (advertisements, redirects) address.
    public var linkLayerAddress: MACAddress?
    /// The R flag of an advertisement: the sender is a router.
    public var isRouter = false
    /// The S flag of an advertisement: it answers a solicitation.
    public var isSolicited = false
    /// The O flag of an advertisement: it replaces what is known.
    public var isOverriding = false

    /// Asks, by multicast, who has `target`.
    public init(solicitationFor target: IPAddress, from mac: MACAddress, _ source: IPAddress) {
        kind = .neighbourSolicitation
        destination = target.solicitedNode
        destinationMAC = .ipv6Multicast(for: target.solicitedNode)
        sourceMAC = mac
        self.source = source
        self.target = target
        linkLayerAddress = mac
    }

    /// The answer to `solicitation`: its target is at `mac`, a router.
    ///
    /// A probe from :: is answered to all nodes (RFC 4861, section 7.2.4).
    public init(advertisementFor solicitation: NeighbourMessage, from mac: MACAddress) {
        kind = .neighbourAdvertisement
        let isProbe = solicitation.source.isUnspecified
        let allNodes = IPAddress(ipv6High: 0xFF02_0000_0000_0000, low: 1)
        destination = isProbe ? allNodes : solicitation.source
        destinationMAC = isProbe ? .ipv6Multicast(for: allNodes) : solicitation.sourceMAC
        sourceMAC = mac
        source = solicitation.target
        target = solicitation.target
        linkLayerAddress = mac
        isRouter = true
        isSolicited = !isProbe
        isOverriding = true
    }

    /// Reads and validates a frame that `fields` was parsed from, and whose message is `neighbourDiscovery`.
    ///
    /// - Parameter checksum: A partial one is not verified.
    /// - Throws: `badNeighbourMessage` for whatever RFC 4861, sections 6.1, 7.1 and 8.1, or RFC 6980 (fragments) says to
    ///   discard.
    public init(_ frame: RawSpan, _ fields: PacketFields, checksum: ChecksumState = .full) throws(MalformedReason) {
        let start = fields.transportOffset
        guard fields.family == .ipv6, fields.message == .neighbourDiscovery, fields.fragment == .whole,
            start == EthernetView.length + IPv6View.length, fields.end <= frame.byteCount,
            fields.hopLimit == 255, fields.icmpCode == 0,
            let kind = Kind(rawValue: fields.icmpType), fields.end - start >= kind.minimumLength,
            checksum == .partial || fields.controlChecksumIsValid(frame)
        else { throw .badNeighbourMessage }
        self.kind = kind
        destinationMAC = fields.destinationMAC
        sourceMAC = fields.sourceMAC
        source = fields.flow.source
        destination = fields.flow.destination
        target = kind.hasTarget ? frame.uncheckedIPv6(at: start + 8) : IPAddress(ipv6High: 0, low: 0)
        if kind == .neighbourAdvertisement {
            let flags = frame.uncheckedUInt8(at: start + 4)
            isRouter = flags & 0x80 != 0
            isSolicited = flags & 0x40 != 0
            isOverriding = flags & 0x20 != 0
        }
        try readOptions(frame, start + kind.minimumLength..<fields.end)
        guard isPlausible else { throw .badNeighbourMessage }
    }

    /// Takes the link-layer address; an option of length zero makes the whole message invalid.
    private mutating func readOptions(_ frame: RawSpan, _ range: Range<Int>) throws(MalformedReason) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            guard range.upperBound - offset >= 8 else { throw .badNeighbourMessage }
            let length = Int(frame.uncheckedUInt8(at: offset + 1)) * 8
            guard length > 0, length <= range.upperBound - offset else { throw .badNeighbourMessage }
            if frame.uncheckedUInt8(at: offset) == kind.linkLayerOption {
                guard length == 8 else { throw .badNeighbourMessage }
                linkLayerAddress = frame.uncheckedMAC(at: offset + 2)
            }
            offset += length
        }
    }

    /// The rules about addresses.
    private var isPlausible: Bool {
        if let linkLayerAddress, linkLayerAddress.isMulticast || linkLayerAddress.isZero { return false }
        switch kind {
        case .routerSolicitation:
            return !source.isUnspecified || linkLayerAddress == nil
        case .routerAdvertisement:
            return source.isLinkLocal
        case .neighbourSolicitation:
            guard isHostAddress(target) else { return false }
            return !source.isUnspecified || (linkLayerAddress == nil && destination == target.solicitedNode)
        case .neighbourAdvertisement:
            guard isHostAddress(target), !source.isUnspecified else { return false }
            return !destination.isMulticast || !isSolicited
        case .redirect:
            return source.isLinkLocal && !target.isMulticast
        }
    }

    /// An address that one host on a link can have: the loopback address is never seen outside of a host (RFC 4291, 2.5.3).
    private func isHostAddress(_ address: IPAddress) -> Bool {
        !address.isMulticast && !address.isUnspecified && !address.isLoopback
    }

    /// Writes a neighbour solicitation or advertisement, with its option where there is an address for one.
    ///
    /// - Returns: The frame's length; 0 for other kinds, and where `frame` has no room for it.
    public func write(into frame: inout MutableRawSpan) -> Int {
        let length = 24 + (linkLayerAddress == nil ? 0 : 8)
        let start = EthernetView.length + IPv6View.length
        guard kind == .neighbourSolicitation || kind == .neighbourAdvertisement, frame.byteCount >= start + length
        else { return 0 }
        EthernetView.write(&frame, destination: destinationMAC, source: sourceMAC, type: EtherType.ipv6)
        IPv6View.write(
            &frame, at: EthernetView.length, source: source, destination: destination,
            nextHeader: IPProtocol.icmpv6, payloadLength: length, hopLimit: 255)
        frame.store(UInt32(kind.rawValue) << 24, at: start)
        let flags: UInt32 = (isRouter ? 0x8000_0000 : 0) | (isSolicited ? 0x4000_0000 : 0)
        frame.store(flags | (isOverriding ? 0x2000_0000 : 0), at: start + 4)
        frame.store(target, at: start + 8)
        if let linkLayerAddress {
            frame.store(kind.linkLayerOption, at: start + 24)
            frame.store(1 as UInt8, at: start + 25)
            frame.store(linkLayerAddress, at: start + 26)
        }
        ICMPView.writeChecksum(
            &frame, at: start, length: length, source: source, destination: destination, family: .ipv6)
        return start + length
    }
}
