/// The fragments of one IPv4 packet for a smaller MTU (RFC 791, section 3.2), one after the other.
///
///     var fragments = IPv4Fragmentation(frame, fields, mtu: 1280)
///     while let length = fragments?.next(of: frame, into: &buffer) { … }
///
/// A transport checksum that is partial must be completed before (`InternetChecksum.complete`), since it covers the
/// whole datagram. A packet that is a fragment itself is fragmented further.
public struct IPv4Fragmentation: Sendable {
    /// Fragments other than the last have a multiple of this many octets.
    private static let unit = 8
    private let networkOffset: Int
    private let headerEnd: Int
    private let end: Int
    private let mtu: Int
    /// The packet's own place in its datagram, in octets.
    private let base: Int
    private let moreFragments: Bool
    private var next: Int

    /// Nil in these cases:
    ///
    /// - The packet fits.
    /// - The packet has DF set, or is IPv6.
    /// - The MTU leaves no room for eight octets of data.
    ///
    /// - Parameters:
    ///   - frame: The frame that `fields` was parsed from.
    ///   - mtu: The most octets of a network packet.
    public init?(_ frame: RawSpan, _ fields: PacketFields, mtu: Int) {
        guard fields.family == .ipv4, !fields.dontFragment, fields.packetLength > mtu, fields.end <= frame.byteCount,
            let header = IPv4View(frame, at: fields.networkOffset),
            mtu >= header.headerLength + Self.unit
        else { return nil }
        networkOffset = fields.networkOffset
        headerEnd = fields.networkOffset + header.headerLength
        end = fields.end
        self.mtu = mtu
        base = header.fragmentOffset
        moreFragments = header.moreFragments
        next = headerEnd
    }

    /// Writes the next fragment's frame.
    ///
    /// The first carries all options. The others carry options with the copied flag. Options are padded to a multiple
    /// of four octets.
    ///
    /// - Parameters:
    ///   - frame: The same octets as were given to the initializer; the octets before the packet are taken from it.
    ///   - buffer: At least the octets before the packet and the MTU.
    /// - Returns: The fragment's length with its Ethernet header; nil after the last, and where `buffer` is too small.
    public mutating func next(of frame: RawSpan, into buffer: inout MutableRawSpan) -> Int? {
        guard next < end, end <= frame.byteCount, buffer.byteCount >= networkOffset + mtu else { return nil }
        let isFirst = next == headerEnd
        buffer.copy(frame, 0..<(isFirst ? headerEnd : networkOffset + IPv4View.minimumLength), to: 0)
        var dataStart = headerEnd
        if !isFirst {
            dataStart = networkOffset + IPv4View.minimumLength
            var options = IPv4Options(frame, dataStart..<headerEnd)
            while let option = options.next() {
                guard option.isCopied else { continue }
                buffer.copy(frame, option.offset..<option.offset + option.length, to: dataStart)
                dataStart += option.length
            }
            while (dataStart - networkOffset) % 4 != 0 {
                buffer.store(0 as UInt8, at: dataStart)
                dataStart += 1
            }
        }
        let headerLength = dataStart - networkOffset
        let isLast = headerLength + end - next <= mtu
        let length = isLast ? end - next : (mtu - headerLength) & ~(Self.unit - 1)
        let place = (base + next - headerEnd) / Self.unit
        let more = !isLast || moreFragments
        buffer.store(0x40 | UInt8(headerLength >> 2), to: IPv4Header.versionAndIHL, at: networkOffset)
        buffer.store(UInt16(headerLength + length), to: IPv4Header.totalLength, at: networkOffset)
        buffer.store(
            UInt16(place) | (more ? IPv4View.moreFragmentsBit : 0), to: IPv4Header.flagsAndFragmentOffset,
            at: networkOffset)
        IPv4View.writeHeaderChecksum(&buffer, at: networkOffset, headerLength: headerLength)
        buffer.copy(frame, next..<next + length, to: dataStart)
        next += length
        return dataStart + length
    }
}
