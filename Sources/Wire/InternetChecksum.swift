/// The state of a frame's transport checksum field.
public enum ChecksumState: UInt8, Sendable {
    /// The complement of the sum over pseudo-header, header and data, as on the wire.
    case full
    /// The folded sum of the pseudo-header alone, not complemented. The sending device adds the rest
    /// (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
    case partial
}

/// The Internet checksum (RFC 1071): the one's complement sum of 16-bit words.
public enum InternetChecksum {
    /// The folded sum, not complemented, of `bytes[range]`, whose first octet is the high half of a word.
    ///
    /// Eight octets at a time; the byte order does not matter to the sum until it is folded (RFC 1071, section 2).
    ///
    /// - Parameters:
    ///   - range: Must lie within `bytes` (checked once).
    ///   - initial: Any number of words already added, for example a pseudo-header's.
    public static func sum(_ bytes: RawSpan, _ range: Range<Int>, adding initial: UInt64 = 0) -> UInt16 {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount)
        var offset = range.lowerBound
        let end = range.upperBound
        var first: UInt64 = 0
        var second: UInt64 = 0
        var carries: UInt64 = 0
        while offset &+ 16 <= end {
            let low = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self).littleEndian
            let high = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset &+ 8, as: UInt64.self).littleEndian
            let one = first.addingReportingOverflow(low)
            let two = second.addingReportingOverflow(high)
            first = one.partialValue
            second = two.partialValue
            carries &+= (one.overflow ? 1 : 0) &+ (two.overflow ? 1 : 0)
            offset &+= 16
        }
        // Less than 16 octets are left: words of 32 bits cannot overflow `rest`.
        var rest = (first & 0xFFFF_FFFF) &+ (first >> 32) &+ (second & 0xFFFF_FFFF) &+ (second >> 32) &+ carries
        while offset &+ 4 <= end {
            rest &+= UInt64(
                bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self).littleEndian)
            offset &+= 4
        }
        if offset &+ 2 <= end {
            rest &+= UInt64(
                bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt16.self).littleEndian)
            offset &+= 2
        }
        if offset < end {
            rest &+= UInt64(bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt8.self))
        }
        return fold(UInt64(fold(rest).byteSwapped) &+ fold32(initial))
    }

    /// A sum of words brought to 16 bits by adding the carries back.
    @inlinable
    public static func fold(_ sum: UInt64) -> UInt16 {
        var folded = (sum & 0xFFFF_FFFF) &+ (sum >> 32)
        folded = (folded & 0xFFFF) &+ (folded >> 16)
        folded = (folded & 0xFFFF) &+ (folded >> 16)
        folded = (folded & 0xFFFF) &+ (folded >> 16)
        return UInt16(truncatingIfNeeded: folded)
    }

    /// A sum of words brought below 2³³, with room to add to.
    @inlinable
    static func fold32(_ sum: UInt64) -> UInt64 {
        (sum & 0xFFFF_FFFF) &+ (sum >> 32)
    }

    /// The sum of the pseudo-header of RFC 793 or of RFC 8200, section 8.1, not folded.
    ///
    /// - Parameter length: The upper-layer packet's length in octets.
    @inlinable
    public static func pseudoHeader(
        source: IPAddress, destination: IPAddress, protocolNumber: UInt8, length: Int
    ) -> UInt64 {
        let length = UInt64(truncatingIfNeeded: length)
        return source.wordSum &+ destination.wordSum &+ UInt64(protocolNumber) &+ (length >> 16) &+ (length & 0xFFFF)
    }

    /// Turns a partial checksum into a full one, as a network card would.
    ///
    /// A sum of zero is stored as 0xffff, which every protocol reads as the same number and UDP needs.
    ///
    /// - Parameters:
    ///   - start: The offset in `frame` of the first octet that the sum covers (`csum_start`).
    ///   - offset: The offset of the checksum field from `start` (`csum_offset`).
    ///   - end: The offset after the packet's last octet, before any Ethernet padding.
    /// - Returns: False, and nothing is stored, where the field does not lie in `start..<end`.
    @discardableResult
    public static func complete(_ frame: inout MutableRawSpan, start: Int, offset: Int, end: Int) -> Bool {
        guard start >= 0, offset >= 0, end <= frame.byteCount, start <= end, offset <= end - start - 2 else {
            return false
        }
        let checksum = ~sum(frame.bytes, start..<end)
        frame.store(checksum == 0 ? 0xFFFF : checksum, at: start + offset)
        return true
    }
}

extension IPAddress {
    /// The sum of the address's 16-bit words, not folded.
    @inlinable
    var wordSum: UInt64 {
        let sum = (high >> 32) &+ (high & 0xFFFF_FFFF) &+ (low >> 32) &+ (low & 0xFFFF_FFFF)
        return (sum & 0xFFFF) &+ (sum >> 16)
    }
}

/// A change to summed words, to be applied to every checksum that covers them (RFC 1624).
public struct ChecksumChange: Sendable {
    /// The sum of ~m and m' for every word m that became m', not folded.
    @usableFromInline
    var sum: UInt64 = 0

    /// Nothing changed.
    @inlinable
    public init() {}

    /// One address became another of the same family.
    @inlinable
    public init(from old: IPAddress, to new: IPAddress) {
        sum = UInt64(~InternetChecksum.fold(old.wordSum)) &+ new.wordSum
    }

    /// One more word changed.
    @inlinable
    public mutating func add(from old: UInt16, to new: UInt16) {
        sum &+= UInt64(~old) &+ UInt64(new)
    }

    /// Everything that `other` changed has changed too.
    @inlinable
    public mutating func add(_ other: ChecksumChange) {
        sum &+= other.sum
    }

    /// A checksum field after the change.
    ///
    /// Full: HC' = ~(~HC + ~m + m') (RFC 1624, equation 3). Partial: the field is the sum itself, so the same words
    /// are added without complementing.
    @inlinable
    public func applied(to field: UInt16, _ state: ChecksumState) -> UInt16 {
        switch state {
        case .full: ~InternetChecksum.fold(UInt64(~field) &+ sum)
        case .partial: InternetChecksum.fold(UInt64(field) &+ sum)
        }
    }

    /// A transport checksum field after the change, with UDP's meaning of zero (RFC 768, RFC 6935).
    @inlinable
    func applied(toTransport field: UInt16, _ protocolNumber: UInt8, _ state: ChecksumState) -> UInt16 {
        let isUDP = protocolNumber == IPProtocol.udp
        if isUDP, field == 0, state == .full { return 0 }
        let after = applied(to: field, state)
        return state == .full && after == 0 && (isUDP || protocolNumber == IPProtocol.udpLite) ? 0xFFFF : after
    }
}
