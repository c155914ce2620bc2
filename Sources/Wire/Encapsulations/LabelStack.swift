/// A stack of MPLS labels (RFC 3032), outermost first. One entry:
///
///      0                   1                   2                   3
///     +---------------------------------------+-----+-+---------------+
///     |                Label                  | TC  |S|      TTL      |
///     +---------------------------------------+-----+-+---------------+
public struct LabelStack: Hashable, Sendable, BitwiseCopyable {
    /// The EtherType of MPLS, unicast.
    public static let etherType: UInt16 = 0x8847
    /// Octets of an entry.
    public static let entryLength = 4
    /// The most entries that are read, with null and entropy labels.
    public static let mostEntries = 8
    /// The most labels of a stack that mean something.
    public static let mostLabels = 3
    /// The labels that are not special (RFC 7274).
    public static let labels = 16...1_048_575
    /// The TTL of labels that hide the packet's own (the pipe model of RFC 3443, 2.1).
    public static let usualTTL: UInt8 = 255

    static let explicitNull4: UInt32 = 0
    static let explicitNull6: UInt32 = 2
    static let entropyIndicator: UInt32 = 7

    /// The number of labels << 60 | the outermost << 40 | the next << 20 | the last. A shorter stack has its labels in the
    /// upper places.
    public private(set) var bits: UInt64 = 0

    /// No labels.
    @inlinable
    public init() {}

    /// - Parameter bits: As `bits`.
    init(bits: UInt64) { self.bits = bits }

    /// - Parameter labels: Outermost first.
    /// - Returns: Nil for no labels, for more than `mostLabels`, and for special ones.
    public init?(_ labels: [Int]) {
        guard (1...Self.mostLabels).contains(labels.count), labels.allSatisfy(Self.labels.contains) else { return nil }
        for label in labels { append(UInt32(label)) }
    }

    /// How many labels.
    @inline(__always)
    public var count: Int { Int(truncatingIfNeeded: bits >> 60) }

    /// The label at a place below `count`.
    @inline(__always)
    public func label(_ place: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: bits >> UInt64(truncatingIfNeeded: 40 &- 20 &* place)) & 0xF_FFFF
    }

    /// The labels, outermost first.
    public var labels: [Int] { (0..<count).map { Int(label($0)) } }

    /// The caller has checked that there is room.
    @inline(__always)
    mutating func append(_ label: UInt32) {
        bits |= UInt64(label) << UInt64(truncatingIfNeeded: 40 &- 20 &* count)
        bits &+= 1 << 60
    }

    /// Gives a packet the TTL or hop limit of its label, if that is lower (RFC 3443, 3.1).
    ///
    /// - Parameter packet: At least the fixed IPv4 or IPv6 header (checked).
    @_lifetime(packet: copy packet)
    public static func lowerHopLimit(_ packet: inout MutableRawSpan, _ type: UInt16, to ttl: UInt8) {
        guard type == EtherType.ipv4 else {
            let before: UInt8 = packet.bytes.load(IPv6Header.hopLimit, at: 0)
            packet.store(min(before, ttl), to: IPv6Header.hopLimit, at: 0)
            return
        }
        // The TTL is the upper half of a word of the header's checksum.
        let old = packet.uint16(at: IPv4Header.timeToLive.offset)
        let new = min(old >> 8, UInt16(ttl)) << 8 | old & 0xFF
        var change = ChecksumChange()
        change.add(from: old, to: new)
        let checksum = packet.uint16(at: IPv4Header.headerChecksum.offset)
        packet.store(new, at: IPv4Header.timeToLive.offset)
        packet.store(change.applied(to: checksum, .full), to: IPv4Header.headerChecksum, at: 0)
    }

    /// Writes the stack at `offset`; `MutableRawSpan` checks that there is room.
    @_lifetime(target: copy target)
    func write(_ target: inout MutableRawSpan, at offset: Int, ttl: UInt8) {
        for place in 0..<count {
            let bottom: UInt32 = place == count &- 1 ? 0x100 : 0
            target.store(
                label(place) << 12 | bottom | UInt32(ttl), at: offset &+ place &* Self.entryLength)
        }
    }
}

/// What a label stack says.
struct LabelStackReading {
    var stack = LabelStack()
    /// The offset behind the entry with the bottom-of-stack bit.
    var end = 0
    /// The TTL of the top label.
    var ttl: UInt8 = 0
    /// The address family that the last explicit null label names: 4, 6, or 0.
    var nullFamily: UInt8 = 0

    /// Reads the stack at `offset`.
    @inline(__always)
    mutating func read(_ frame: RawSpan, at offset: Int) -> EncapsulationFault? {
        var offset = offset
        var isEntropy = false
        for place in 0..<LabelStack.mostEntries {
            guard offset <= frame.byteCount &- LabelStack.entryLength else { return .truncatedLabelStack }
            let entry = frame.unchecked(HeaderField<UInt32>(0), at: offset)
            offset &+= LabelStack.entryLength
            let label = entry >> 12
            if place == 0 {
                ttl = UInt8(truncatingIfNeeded: entry)
                if ttl < 2 { return .labelExpired }
            }
            let isBottom = entry & 0x100 != 0
            if isEntropy {
                // The entropy label itself, which may have any value that is not special, and any TTL (RFC 6790, 4.2).
                if label < 16 { return .reservedLabel }
                isEntropy = false
            } else if label >= 16 {
                if stack.count == LabelStack.mostLabels { return .labelStackTooDeep }
                stack.append(label)
            } else if label == LabelStack.explicitNull4 || label == LabelStack.explicitNull6 {
                // It may be anywhere in the stack (RFC 4182).
                nullFamily = label == LabelStack.explicitNull4 ? 4 : 6
            } else if label == LabelStack.entropyIndicator, !isBottom {
                isEntropy = true
            } else {
                return .reservedLabel
            }
            if isBottom {
                end = offset
                return nil
            }
        }
        return .labelStackTooDeep
    }
}
