/// What tells the circuits of one interface apart: the tags and labels of a frame, or the circuit's number on a link without
/// Ethernet.
public struct CircuitKey: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The link << 62 | the number of tags << 60 | whether the outer one is the provider's << 59 | whether there are labels << 58
    /// | the outer VLAN << 12 | the inner one.
    public var high: UInt64
    /// `LabelStack.bits`, or the DLCI, or the virtual path << 16 | the virtual channel.
    public var low: UInt64

    static let isProvider: UInt64 = 1 << 59
    static let hasLabels: UInt64 = 1 << 58

    /// Both words as they were.
    @inlinable
    public init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

    /// By the words, the upper one first.
    @inlinable
    public static func < (left: CircuitKey, right: CircuitKey) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    /// The key of an encapsulation's frames.
    public init(_ encapsulation: Encapsulation) {
        high = UInt64(encapsulation.link.rawValue) << 62
        low = 0
        switch encapsulation.link {
        case .frameRelay: low = UInt64(encapsulation.dlci)
        case .atm: low = UInt64(encapsulation.path) << 16 | UInt64(encapsulation.channel)
        case .ethernet:
            for tag in encapsulation.tags { addTag(UInt16(tag)) }
            if encapsulation.tags.count > 1 { high |= Self.isProvider }
            if encapsulation.labelsIn.count > 0 {
                high |= Self.hasLabels
                low = encapsulation.labelsIn.bits
            }
        }
    }

    /// True if a frame has neither tags nor labels.
    @inline(__always)
    public var isPlain: Bool { high == 0 && low == 0 }

    /// The number of tags.
    @inline(__always)
    var tags: Int { Int(truncatingIfNeeded: high >> 60 & 3) }

    @inline(__always)
    mutating func addTag(_ identifier: UInt16) {
        let identifiers = (high & 0xFFF) << 12 | UInt64(identifier)
        high = ((high >> 24) << 24 | identifiers) &+ 1 << 60
    }
}

/// The headers of a frame before those that only its circuit gives a meaning to.
public struct OuterHeaders: Sendable {
    /// Which circuit.
    public var key = CircuitKey(high: 0, low: 0)
    /// The offset behind the tags and labels, or behind the circuit's number.
    public var end = 0
    /// The type behind the tags, if there are no labels.
    var type: UInt16 = 0
    /// The TTL of the top label.
    var ttl: UInt8 = 0
    var nullFamily: UInt8 = 0

    /// No headers.
    public init() {}

    /// Reads a frame of Ethernet, from its Ethernet header on.
    ///
    /// - Returns: Why they cannot be read; nil if they can, or if there are none.
    @inline(__always)
    public mutating func readEthernet(_ frame: RawSpan) -> EncapsulationFault? {
        guard EthernetHeader.length <= frame.byteCount else { return nil }
        var offset = EthernetHeader.length
        var type = frame.unchecked(EthernetHeader.type, at: 0)
        while VLANTag.isTag(type) {
            guard key.tags < VLANTag.most else { return .tooManyTags }
            guard offset <= frame.byteCount &- VLANTag.length else { return .truncatedTag }
            let identifier = frame.unchecked(HeaderField<UInt16>(0), at: offset) & 0xFFF
            guard identifier != 0, identifier != 0xFFF else { return .reservedVLAN }
            if key.tags == 0, type == VLANTag.provider { key.high |= CircuitKey.isProvider }
            key.addTag(identifier)
            type = frame.unchecked(HeaderField<UInt16>(2), at: offset)
            offset &+= VLANTag.length
        }
        end = offset
        self.type = type
        guard type == LabelStack.etherType else { return nil }
        var reading = LabelStackReading()
        if let fault = reading.read(frame, at: offset) { return fault }
        key.high |= CircuitKey.hasLabels
        key.low = reading.stack.bits
        (end, ttl, nullFamily) = (reading.end, reading.ttl, reading.nullFamily)
        return nil
    }

    /// Reads a frame of a TUN of link type FRAD, from its Q.922 address on.
    public mutating func readFrameRelay(_ frame: RawSpan) -> EncapsulationFault? {
        switch FrameRelayHeader.readAddress(frame, at: 0) {
        case .failure(let fault): return fault
        case .success(let identifier):
            key = CircuitKey(high: UInt64(Encapsulation.Link.frameRelay.rawValue) << 62, low: UInt64(identifier))
            end = FrameRelayHeader.addressLength
            return nil
        }
    }

    /// Reads a frame of a TUN of link type ATM, from its cell header on.
    public mutating func readATM(_ frame: RawSpan) -> EncapsulationFault? {
        guard frame.byteCount >= LLCHeader.cellLength else { return .truncatedLLC }
        let word = frame.unchecked(HeaderField<UInt32>(0), at: 0)
        key = CircuitKey(high: UInt64(Encapsulation.Link.atm.rawValue) << 62, low: UInt64(word & 0xFF_FFFF))
        end = LLCHeader.cellLength
        return nil
    }
}
