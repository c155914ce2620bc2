/// One tunnel as the engine reads and writes its frames: an encapsulation between two addresses, in a fixed form.
///
///     +----------+-----------+-----+--------------------------+-----+----------------------+
///     | Ethernet | IPv4 / v6 | UDP | VXLAN / Geneve / GPE     | NSH | inner Ethernet frame |
///     +----------+-----------+-----+--------------------------+-----+----------------------+
///
/// NSH over Ethernet has the first and the last two of these.
public struct Tunnel: Hashable, Sendable {
    /// The octets that `write` may write.
    public static let mostOctets = 112
    /// The hops that an outer packet may take. The inner TTL is the inner packet's alone (RFC 2983's pipe).
    public static let hops: UInt8 = 64

    /// The kind.
    public var kind: TunnelEncapsulation.Kind
    /// The network identifier; for NSH over Ethernet the service path.
    public var identifier: UInt32
    /// The UDP port; 0 for NSH over Ethernet.
    public var port: UInt16
    /// Where in a service path frames are sent; all zero without NSH.
    public var place: NSHHeader.Place
    /// The engine's outer address.
    public var local: IPAddress
    /// The far end's.
    public var peer: IPAddress
    /// The engine's outer MAC address.
    public var engine: MACAddress
    /// The MAC address of the next hop to the far end.
    public var nextHop: MACAddress
    /// True if customers are behind it: each packet that leaves it has one hop less, so that loops of tunnels end.
    public var takesHop = false

    /// The tunnel of an encapsulation.
    public init(
        _ encapsulation: TunnelEncapsulation, from local: IPAddress, to peer: IPAddress, engine: MACAddress,
        nextHop: MACAddress
    ) {
        kind = encapsulation.kind
        let isBare = kind == .ethernet
        identifier = UInt32(truncatingIfNeeded: isBare ? encapsulation.path : encapsulation.identifier)
        port = isBare ? 0 : UInt16(truncatingIfNeeded: encapsulation.port)
        place = NSHHeader.Place(
            path: UInt32(truncatingIfNeeded: encapsulation.path), index: UInt8(truncatingIfNeeded: encapsulation.index))
        self.local = local
        self.peer = peer
        self.engine = engine
        self.nextHop = nextHop
    }

    /// The words of a snapshot: the key; kind | family<<8 | index<<16 | takes a hop<<24 | path<<32; both addresses; both MAC
    /// addresses.
    public typealias Words = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    /// A tunnel from the words of a snapshot.
    ///
    /// - Returns: Nil if they describe none.
    public init?(words: Words) {
        guard let kind = TunnelEncapsulation.Kind(rawValue: UInt8(truncatingIfNeeded: words.1)),
            let family = AddressFamily(rawValue: UInt8(truncatingIfNeeded: words.1 >> 8)),
            words.0 >> 48 == 0, words.0 & 0xFF00_0000 == 0, words.1 >> 24 & 0xFE == 0, words.1 >> 56 == 0,
            family == .ipv6 || words.2 | words.4 == 0 && (words.3 | words.5) >> 32 == 0,
            words.6 >> 48 == 0, words.7 >> 48 == 0
        else { return nil }
        self.init(checked: words)
        self.kind = kind
        let hasNSH = kind == .genericVXLAN || kind == .ethernet
        guard (kind == .ethernet) == (port == 0), hasNSH == (place.path != 0), hasNSH == (place.index != 0),
            place.index != 1, kind != .ethernet || identifier == place.path
        else { return nil }
    }

    /// A tunnel from words that `init(words:)` takes.
    public init(checked words: Words) {
        kind = TunnelEncapsulation.Kind(rawValue: UInt8(truncatingIfNeeded: words.1)) ?? .vxlan
        identifier = UInt32(truncatingIfNeeded: words.0)
        port = UInt16(truncatingIfNeeded: words.0 >> 32)
        place = NSHHeader.Place(
            path: UInt32(truncatingIfNeeded: words.1 >> 32), index: UInt8(truncatingIfNeeded: words.1 >> 16))
        let family = AddressFamily(rawValue: UInt8(truncatingIfNeeded: words.1 >> 8)) ?? .ipv4
        local = IPAddress(family: family, high: words.2, low: words.3)
        peer = IPAddress(family: family, high: words.4, low: words.5)
        engine = MACAddress(bits: words.6)
        nextHop = MACAddress(bits: words.7)
        takesHop = words.1 >> 24 & 1 != 0
    }

    /// The words of `init(words:)`.
    public var words: Words {
        let form =
            UInt64(kind.rawValue) | UInt64(local.family.rawValue) << 8 | UInt64(place.index) << 16
            | (takesHop ? 1 << 24 : 0)
        return (
            key, form | UInt64(place.path) << 32, local.high, local.low, peer.high, peer.low, engine.bits, nextHop.bits
        )
    }

    /// What tells the tunnels of an underlay apart, besides their far ends: the identifier | the port << 32.
    @inline(__always)
    public var key: UInt64 { Self.key(port: port, identifier) }

    /// The key of a port and an identifier.
    @inlinable @inline(__always)
    public static func key(port: UInt16, _ identifier: UInt32) -> UInt64 { UInt64(port) << 32 | UInt64(identifier) }

    // MARK: - Receipt

    /// What the headers behind the outer ones say.
    public enum Content: Sendable, Equatable {
        /// An Ethernet frame of a network identifier and, with NSH, of a place in a service path.
        case frame(Range<Int>, identifier: UInt32, place: NSHHeader.Place?)
        /// They cannot be read.
        case fault(TunnelFault)
    }

    /// Reads the headers of a kind.
    ///
    /// - Parameter payload: What the datagram carries; for NSH over Ethernet all behind the Ethernet header. It lies in `frame`.
    @inline(__always)
    public static func content(
        _ frame: RawSpan, _ payload: Range<Int>, _ kind: TunnelEncapsulation.Kind
    ) -> Content {
        precondition(payload.lowerBound >= 0 && payload.upperBound <= frame.byteCount)
        var offset = payload.lowerBound
        let end = payload.upperBound
        var place: NSHHeader.Place?
        let identifier: Result<UInt32, TunnelFault> =
            switch kind {
            case .vxlan: VXLANHeader.read(frame, at: &offset, end: end, generic: false)
            case .genericVXLAN: VXLANHeader.read(frame, at: &offset, end: end, generic: true)
            case .geneve: GeneveHeader.read(frame, at: &offset, end: end)
            case .ethernet: .success(0)
            }
        guard case .success(var number) = identifier else {
            if case .failure(let fault) = identifier { return .fault(fault) }
            return .fault(.badHeader)
        }
        if kind == .genericVXLAN || kind == .ethernet {
            switch NSHHeader.read(frame, at: &offset, end: end) {
            case .failure(let fault): return .fault(fault)
            case .success(let found):
                place = found
                if kind == .ethernet { number = found.path }
            }
        }
        guard end &- offset >= EthernetHeader.length else { return .fault(.truncated) }
        return .frame(offset..<end, identifier: number, place: place)
    }

    /// The octets that a packet grows by.
    public var overhead: Int {
        TunnelEncapsulation(kind: kind, port: 0).overhead(local.family)
    }

    /// True if what is received is from its far end, for this one, and in the chain where the far end answers.
    @inline(__always)
    public func takes(_ source: IPAddress, _ destination: IPAddress) -> Bool { source == peer && destination == local }

    /// True if a place in a service path is the one behind this tunnel's.
    @inline(__always)
    public func isFollowed(by received: NSHHeader.Place?) -> Bool {
        guard let received else { return place.path == 0 }
        return received.path == place.path && received.index == place.index &- 1
    }

    /// Takes one hop off the packet of a frame that leaves the tunnel, if it has one left. A packet without hops is malformed.
    public static func takeHop(_ frame: inout MutableRawSpan) {
        let start = EthernetHeader.length
        guard frame.byteCount >= start else { return }
        let type = frame.bytes.load(EthernetHeader.type, at: 0)
        let hops: UInt8
        switch type {
        case EtherType.ipv4 where frame.byteCount >= start + IPv4View.minimumLength:
            hops = frame.bytes.load(IPv4Header.timeToLive, at: start)
        case EtherType.ipv6 where frame.byteCount >= start + IPv6View.length:
            hops = frame.bytes.load(IPv6Header.hopLimit, at: start)
        default: return
        }
        guard hops > 0 else { return }
        var packet = frame.extracting(start..<frame.byteCount)
        LabelStack.lowerHopLimit(&packet, type, to: hops - 1)
    }

    // MARK: - Sending

    /// Writes what stands before an inner frame, from the outer Ethernet header on. The UDP checksum is 0: over IPv6 it is to be
    /// filled in (`complete`).
    ///
    /// - Parameters:
    ///   - target: At least `mostOctets` octets (checked).
    ///   - frame: At least the Ethernet header of the frame (checked), and the packet's headers as far as they are at hand.
    ///   - length: The octets of the whole frame.
    /// - Returns: The octets written; nil if an outer packet has no room for the frame.
    @_lifetime(target: copy target)
    public func write(_ target: inout MutableRawSpan, before frame: RawSpan, length: Int) -> Int? {
        var offset = EthernetHeader.length
        if kind == .ethernet {
            EthernetView.write(&target, destination: nextHop, source: engine, type: NSHHeader.etherType)
            return offset &+ NSHHeader.write(&target, at: offset, place)
        }
        let family = local.family
        let extra = VXLANHeader.length &+ (kind == .genericVXLAN ? NSHHeader.length : 0)
        let datagram = UDPView.length &+ extra &+ length
        let mark = CongestionMark.read(frame)
        switch family {
        case .ipv4:
            guard datagram <= 65_535 - IPv4View.minimumLength else { return nil }
            EthernetView.write(&target, destination: nextHop, source: engine, type: EtherType.ipv4)
            IPv4View.write(
                &target, at: offset, source: local, destination: peer, protocolNumber: IPProtocol.udp,
                totalLength: IPv4View.minimumLength &+ datagram, timeToLive: Self.hops, typeOfService: mark)
            offset &+= IPv4View.minimumLength
        case .ipv6:
            guard datagram <= 65_535 else { return nil }
            EthernetView.write(&target, destination: nextHop, source: engine, type: EtherType.ipv6)
            IPv6View.write(
                &target, at: offset, source: local, destination: peer, nextHeader: IPProtocol.udp,
                payloadLength: datagram, hopLimit: Self.hops, trafficClass: mark)
            offset &+= IPv6View.length
        }
        target.store(Self.sourcePort(of: frame), to: UDPHeader.sourcePort, at: offset)
        target.store(port, to: UDPHeader.destinationPort, at: offset)
        target.store(UInt16(truncatingIfNeeded: datagram), to: UDPHeader.datagramLength, at: offset)
        target.store(0 as UInt16, to: UDPHeader.checksum, at: offset)
        offset &+= UDPView.length
        switch kind {
        case .geneve: offset &+= GeneveHeader.write(&target, at: offset, identifier)
        case .vxlan: offset &+= VXLANHeader.write(&target, at: offset, identifier, generic: false)
        case .genericVXLAN, .ethernet:
            offset &+= VXLANHeader.write(&target, at: offset, identifier, generic: true)
            offset &+= NSHHeader.write(&target, at: offset, place)
        }
        return offset
    }

    /// The outer source port: the same for all packets of an inner flow, of the dynamic ports (RFC 7348, 5).
    @inline(__always)
    static func sourcePort(of frame: RawSpan) -> UInt16 {
        var hash: UInt64
        if let flow = FlowFields(ofHeaders: frame) {
            hash = mix(flow.source.high ^ flow.source.low &* 0x9E37_79B9_7F4A_7C15)
            hash = mix(hash ^ flow.destination.high ^ flow.destination.low &* 0xC2B2_AE3D_27D4_EB4F)
            let ports = UInt64(flow.sourcePort) << 16 | UInt64(flow.destinationPort)
            hash = mix(hash ^ ports << 8 ^ UInt64(flow.protocolNumber))
        } else {
            let destination = frame.load(HeaderField<UInt64>(0), at: 0)
            hash = mix(destination ^ UInt64(frame.load(HeaderField<UInt32>(8), at: 0)) << 32)
        }
        return 0xC000 | UInt16(truncatingIfNeeded: hash >> 50)
    }

    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return product.high ^ product.low
    }
}
