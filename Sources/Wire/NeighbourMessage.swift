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
            case .neighbourSolicitation, .neighbourAdvertisement: Layout.length
            case .redirect: 40
            }
        }

        /// The option whose link-layer address matters: source or target.
        var linkLayerOption: UInt8 {
            switch self {
            case .routerSolicitation, .routerAdvertisement, .neighbourSolicitation: Option.sourceLinkLayerAddress
            case .neighbourAdvertisement, .redirect: Option.targetLinkLayerAddress
            }
        }

        /// True if a target address follows the first eight octets.
        var hasTarget: Bool {
            switch self {
            case .neighbourSolicitation, .neighbourAdvertisement, .redirect: true
            case .routerSolicitation, .routerAdvertisement: false
            }
        }
    }

    /// The fields of neighbour solicitations and advertisements; a redirect's target has the same place.
    private enum Layout: FixedHeaderLayout {
        static let length = 24
        /// R, S and O in the three most significant bits.
        static let flags = HeaderField<UInt32>(4)
        static let targetAddress = HeaderField<IPAddress>(8)
        static let routerFlag: UInt32 = 0x8000_0000
        static let solicitedFlag: UInt32 = 0x4000_0000
        static let overrideFlag: UInt32 = 0x2000_0000
    }

    /// The fields of an option (RFC 4861, section 4.6), and of one with a link-layer address.
    private enum Option {
        static let type = HeaderField<UInt8>(0)
        /// In units of eight octets.
        static let length = HeaderField<UInt8>(1)
        static let linkLayerAddress = HeaderField<MACAddress>(2)
        /// Octets of `length`'s unit, and so of the shortest option.
        static let unit = 8
        static let sourceLinkLayerAddress: UInt8 = 1
        static let targetLinkLayerAddress: UInt8 = 2
    }

    /// The octets of a solicitation's or advertisement's frame with one link-layer option.
    /// 32 octets behind the IPv6 header: those before the options, and the option.
    @inlinable public static var frameLength: Int { EthernetView.length + IPv6View.length + 32 }

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

    /// Asks by multicast for the MAC address of `target`.
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
    /// - Throws: `badNeighbourMessage` for messages that RFC 4861 (sections 6.1, 7.1 and 8.1) or RFC 6980 (fragments)
    ///   says to discard.
    public init(_ frame: RawSpan, _ fields: PacketFields, checksum: ChecksumState = .full) throws(MalformedReason) {
        let start = fields.transportOffset
        guard fields.family == .ipv6, fields.message == .neighbourDiscovery, fields.fragment == .whole,
            start == fields.networkOffset + IPv6View.length, fields.end <= frame.byteCount,
            fields.hopLimit == 255, fields.icmpCode == 0,
            let kind = Kind(rawValue: fields.icmpType), fields.end - start >= kind.minimumLength,
            checksum == .partial || fields.controlChecksumIsValid(frame)
        else { throw .badNeighbourMessage }
        self.kind = kind
        destinationMAC = fields.destinationMAC
        sourceMAC = fields.sourceMAC
        source = fields.flow.source
        destination = fields.flow.destination
        target = kind.hasTarget ? frame.unchecked(Layout.targetAddress, at: start) : IPAddress(ipv6High: 0, low: 0)
        if kind == .neighbourAdvertisement {
            let flags = frame.unchecked(Layout.flags, at: start)
            isRouter = flags & Layout.routerFlag != 0
            isSolicited = flags & Layout.solicitedFlag != 0
            isOverriding = flags & Layout.overrideFlag != 0
        }
        try readOptions(frame, start + kind.minimumLength..<fields.end)
        guard isPlausible else { throw .badNeighbourMessage }
    }

    /// Takes the link-layer address; an option of length zero makes the whole message invalid.
    private mutating func readOptions(_ frame: RawSpan, _ range: Range<Int>) throws(MalformedReason) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            guard range.upperBound - offset >= Option.unit else { throw .badNeighbourMessage }
            let length = Int(frame.unchecked(Option.length, at: offset)) * Option.unit
            guard length > 0, length <= range.upperBound - offset else { throw .badNeighbourMessage }
            if frame.unchecked(Option.type, at: offset) == kind.linkLayerOption {
                guard length == Option.unit else { throw .badNeighbourMessage }
                linkLayerAddress = frame.unchecked(Option.linkLayerAddress, at: offset)
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
        let length = Layout.length + (linkLayerAddress == nil ? 0 : Option.unit)
        let start = EthernetView.length + IPv6View.length
        guard kind == .neighbourSolicitation || kind == .neighbourAdvertisement, frame.byteCount >= start + length
        else { return 0 }
        EthernetView.write(&frame, destination: destinationMAC, source: sourceMAC, type: EtherType.ipv6)
        IPv6View.write(
            &frame, at: EthernetView.length, source: source, destination: destination,
            nextHeader: IPProtocol.icmpv6, payloadLength: length, hopLimit: 255)
        frame.store(kind.rawValue, to: ICMPHeader.type, at: start)
        frame.store(0, to: ICMPHeader.code, at: start)
        let flags = (isRouter ? Layout.routerFlag : 0) | (isSolicited ? Layout.solicitedFlag : 0)
        frame.store(flags | (isOverriding ? Layout.overrideFlag : 0), to: Layout.flags, at: start)
        frame.store(target, to: Layout.targetAddress, at: start)
        if let linkLayerAddress {
            let option = start + Layout.length
            frame.store(kind.linkLayerOption, to: Option.type, at: option)
            frame.store(1, to: Option.length, at: option)
            frame.store(linkLayerAddress, to: Option.linkLayerAddress, at: option)
        }
        ICMPView.writeChecksum(
            &frame, at: start, length: length, source: source, destination: destination, family: .ipv6)
        return start + length
    }
}
