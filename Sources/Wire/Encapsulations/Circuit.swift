/// One circuit as the engine reads and writes its frames: an encapsulation in a fixed form, without arrays.
public struct Circuit: Hashable, Sendable {
    /// The octets that `write` may write.
    public static let mostOctets = 80
    /// Where MPLS frames may go on a link of two ends, whose addresses nobody knows (RFC 7213, 2).
    public static let pointToPoint = MACAddress(bits: 0x0100_5E90_0000)

    /// Which of the interface's frames are its own.
    public var key: CircuitKey
    /// The labels of what is sent.
    var labels: LabelStack
    /// What its innermost header carries.
    public var payload: Encapsulation.Payload
    /// Bits of `Flag`.
    public var flags: UInt8
    /// The engine's MAC address on the circuit.
    public var engine: MACAddress
    /// The MAC address of the customer's device.
    public var peer: MACAddress

    enum Flag {
        static let controlWord: UInt8 = 1
        static let snap: UInt8 = 2
        static let uniform: UInt8 = 4
        static let all: UInt8 = 7
    }

    /// The circuit of an encapsulation.
    public init(_ encapsulation: Encapsulation, engine: MACAddress, peer: MACAddress) {
        key = CircuitKey(encapsulation)
        labels = encapsulation.labelsOut
        payload = encapsulation.payload
        flags =
            (encapsulation.hasControlWord ? Flag.controlWord : 0) | (encapsulation.isSNAP ? Flag.snap : 0)
            | (encapsulation.isUniform ? Flag.uniform : 0)
        self.engine = engine
        self.peer = peer
    }

    /// A circuit from the words of a snapshot: the key, the labels, the payload | flags << 8, both MAC addresses.
    ///
    /// - Returns: Nil if they describe none.
    public init?(words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)) {
        key = CircuitKey(high: words.0, low: words.1)
        labels = LabelStack(bits: words.2)
        flags = UInt8(truncatingIfNeeded: words.3 >> 8)
        engine = MACAddress(bits: words.4 & 0xFFFF_FFFF_FFFF)
        peer = MACAddress(bits: words.5 & 0xFFFF_FFFF_FFFF)
        guard let payload = Encapsulation.Payload(rawValue: UInt8(truncatingIfNeeded: words.3)), words.3 >> 16 == 0,
            flags & ~Flag.all == 0, words.4 >> 48 == 0, words.5 >> 48 == 0, words.2 >> 60 <= 3,
            Encapsulation.Link(rawValue: UInt8(truncatingIfNeeded: words.0 >> 62)) != nil,
            CircuitKey(high: words.0, low: 0).tags <= VLANTag.most,
            // Of two tags, the outer one is the provider's.
            (words.0 & CircuitKey.isProvider != 0) == (CircuitKey(high: words.0, low: 0).tags > 1)
        else { return nil }
        self.payload = payload
        let isWire = key.high & CircuitKey.hasLabels != 0
        // What is written depends on these, and has its room by them.
        let isSound =
            switch (link, payload) {
            case (.ethernet, .tagged): !isWire && labels.count == 0 && key.tags > 0
            case (.ethernet, _): isWire && labels.count > 0
            case (.frameRelay, .frameRelay), (.atm, .llc), (.atm, .multiplexed): labels.count == 0
            case (.frameRelay, _), (.atm, _): false
            }
        guard isSound else { return nil }
    }

    /// A circuit from words that `init(words:)` takes.
    public init(checked words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)) {
        key = CircuitKey(high: words.0, low: words.1)
        labels = LabelStack(bits: words.2)
        payload = Encapsulation.Payload(rawValue: UInt8(truncatingIfNeeded: words.3)) ?? .tagged
        flags = UInt8(truncatingIfNeeded: words.3 >> 8)
        engine = MACAddress(bits: words.4)
        peer = MACAddress(bits: words.5)
    }

    /// The words of `init(words:)`.
    public var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) {
        (key.high, key.low, labels.bits, UInt64(payload.rawValue) | UInt64(flags) << 8, engine.bits, peer.bits)
    }

    /// The device that its frames are on.
    public var link: Encapsulation.Link {
        Encapsulation.Link(rawValue: UInt8(truncatingIfNeeded: key.high >> 62)) ?? .ethernet
    }

    // MARK: - Receipt

    /// What is inside a frame of a circuit.
    public enum Content: Sendable, Equatable {
        /// The frame without its tags: the type and the rest of the frame begin at an offset, the addresses are the frame's own.
        case tagged(type: Int)
        /// A whole Ethernet frame.
        case frame(Range<Int>)
        /// A packet of an EtherType. With the uniform model, the label's TTL is the packet's.
        case packet(Range<Int>, type: UInt16, ttl: UInt8?)
        /// It cannot be read.
        case fault(EncapsulationFault)
    }

    /// What is behind the outer headers of a frame, which have the circuit's key.
    @inline(__always)
    public func content(of frame: RawSpan, _ outer: OuterHeaders) -> Content {
        if payload == .tagged { return .tagged(type: outer.end &- 2) }
        return untagged(frame, outer)
    }

    private func untagged(_ frame: RawSpan, _ outer: OuterHeaders) -> Content {
        var (offset, end) = (outer.end, frame.byteCount)
        let isWire = key.high & CircuitKey.hasLabels != 0
        if payload == .packets {
            guard offset < end else { return .fault(.notAPacket) }
            let version = frame.unchecked(HeaderField<UInt8>(0), at: offset) >> 4
            guard version == 4 || version == 6, outer.nullFamily == 0 || outer.nullFamily == version else {
                return .fault(.notAPacket)
            }
            let ttl = flags & Flag.uniform != 0 ? outer.ttl : nil
            return .packet(offset..<end, type: version == 4 ? EtherType.ipv4 : EtherType.ipv6, ttl: ttl)
        }
        if isWire, outer.nullFamily != 0 { return .fault(.reservedLabel) }
        if isWire, payload != .ethernet || flags & Flag.controlWord != 0 {
            if let fault = ControlWord.read(frame, at: offset, ethernet: payload == .ethernet, end: &end) {
                return .fault(fault)
            }
            offset &+= ControlWord.length
        }
        switch payload {
        case .ethernet:
            return end &- offset < EthernetHeader.length ? .fault(.truncatedPseudoWire) : .frame(offset..<end)
        case .frameRelay:
            return packet(FrameRelayHeader.readProtocol(frame, at: &offset, end: end), offset, end)
        case .llc:
            return packet(LLCHeader.read(frame, at: &offset, end: end), offset, end)
        case .multiplexed:
            guard offset < end else { return .fault(.truncatedPseudoWire) }
            switch frame.unchecked(HeaderField<UInt8>(0), at: offset) >> 4 {
            case 4: return .packet(offset..<end, type: EtherType.ipv4, ttl: nil)
            case 6: return .packet(offset..<end, type: EtherType.ipv6, ttl: nil)
            default: return .fault(.notAPacket)
            }
        case .tagged, .packets: return .fault(.notAPacket)
        }
    }

    private func packet(_ type: Result<UInt16, EncapsulationFault>, _ offset: Int, _ end: Int) -> Content {
        switch type {
        case .failure(let fault): .fault(fault)
        case .success(let type): .packet(offset..<end, type: type, ttl: nil)
        }
    }

    // MARK: - Sending

    /// Writes what stands before a frame, from the Ethernet header or the TUN's first octet on.
    ///
    /// - Parameters:
    ///   - target: At least `mostOctets` octets (checked).
    ///   - frame: At least the Ethernet header of the frame (checked). With the uniform model also the packet's TTL.
    ///   - length: The octets of the whole frame.
    /// - Returns: The octets written, and how many of the frame's own they are in place of; nil if the circuit carries no
    ///   packets of this EtherType.
    @_lifetime(target: copy target)
    public func write(
        _ target: inout MutableRawSpan, before frame: RawSpan, length: Int
    ) -> (written: Int, replaced: Int)? {
        let type = frame.load(EthernetHeader.type, at: 0)
        let isPacket = type == EtherType.ipv4 || type == EtherType.ipv6
        guard payload == .tagged || payload == .ethernet || isPacket else { return nil }
        guard link == .ethernet else { return (writeCircuit(&target, type), EthernetHeader.length) }
        let isWire = payload != .tagged && payload != .packets
        target.store(isWire ? peer : frame.unchecked(EthernetHeader.destinationAddress, at: 0), at: 0)
        target.store(isWire ? engine : frame.unchecked(EthernetHeader.sourceAddress, at: 0), at: 6)
        var offset = EthernetHeader.length &- 2
        for place in 0..<key.tags {
            let isOuter = place == 0 && key.tags > 1
            target.store(isOuter ? VLANTag.provider : VLANTag.customer, at: offset)
            let shift = UInt64(truncatingIfNeeded: 12 &* (key.tags &- 1 &- place))
            target.store(UInt16(truncatingIfNeeded: key.high >> shift & 0xFFF), at: offset &+ 2)
            offset &+= VLANTag.length
        }
        if payload == .tagged { return (offset, EthernetHeader.length &- 2) }
        target.store(LabelStack.etherType, at: offset)
        offset &+= 2
        labels.write(&target, at: offset, ttl: ttl(of: frame, type))
        offset &+= labels.count &* LabelStack.entryLength
        if payload == .packets { return (offset, EthernetHeader.length) }
        let word = offset
        let hasWord = payload != .ethernet || flags & Flag.controlWord != 0
        if hasWord { offset &+= ControlWord.length }
        let start = offset
        var replaced = EthernetHeader.length
        switch payload {
        case .ethernet: replaced = 0
        case .frameRelay:
            offset &+= FrameRelayHeader.writeProtocol(&target, at: offset, type, snap: flags & Flag.snap != 0)
        case .llc: offset &+= LLCHeader.write(&target, at: offset, type)
        case .multiplexed, .tagged, .packets: break
        }
        if hasWord {
            ControlWord.write(
                &target, at: word, ethernet: payload == .ethernet,
                following: offset &- start &+ length &- replaced)
        }
        return (offset, replaced)
    }

    /// Writes what stands before a packet on a link without Ethernet: `tun_pi` (linux/if_tun.h), then the circuit's headers.
    @_lifetime(target: copy target)
    private func writeCircuit(_ target: inout MutableRawSpan, _ type: UInt16) -> Int {
        Self.writeTunInformation(&target, link)
        if link == .frameRelay {
            target.store(FrameRelayHeader.address(UInt16(truncatingIfNeeded: key.low)), at: Self.tunLength)
            let offset = Self.tunLength &+ FrameRelayHeader.addressLength
            return offset
                &+ FrameRelayHeader.writeProtocol(&target, at: offset, type, snap: flags & Flag.snap != 0)
        }
        let flags = payload == .llc ? UInt32(LLCHeader.flagLLC) << 24 : 0
        target.store(flags | UInt32(truncatingIfNeeded: key.low), at: Self.tunLength)
        let offset = Self.tunLength &+ LLCHeader.cellLength
        return payload == .llc ? offset &+ LLCHeader.write(&target, at: offset, type) : offset
    }

    /// The octets before each frame of a TUN (`tun_pi`).
    public static let tunLength = 4

    /// Writes them: no flags, then a protocol of linux/if_ether.h.
    @_lifetime(target: copy target)
    public static func writeTunInformation(_ target: inout MutableRawSpan, _ link: Encapsulation.Link) {
        target.store(link == .frameRelay ? 0x0019 : 0x8884 as UInt32, at: 0)
    }

    private func ttl(of frame: RawSpan, _ type: UInt16) -> UInt8 {
        guard payload == .packets, flags & Flag.uniform != 0 else { return LabelStack.usualTTL }
        let offset = EthernetHeader.length &+ (type == EtherType.ipv4 ? 8 : 7)
        return offset < frame.byteCount ? frame.load(HeaderField<UInt8>(0), at: offset) : LabelStack.usualTTL
    }
}
