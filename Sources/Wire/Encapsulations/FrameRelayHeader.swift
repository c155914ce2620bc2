/// A frame of frame relay that carries a packet (Q.922; RFC 2427, 3 and 4):
///
///     +-----------+-+-+-------+-+-+-+-+---------------+---------------+
///     | DLCI high |C|0| low   |F|B|D|1| control: 0x03 |     NLPID     |
///     +-----------+-+-+-------+-+-+-+-+---------------+---------------+
///
/// The NLPID is 0xCC for IPv4 and 0x8E for IPv6. Or a zero octet, the NLPID 0x80 and a SNAP header of five octets follow the
/// control octet: the OUI 00-00-00 and an EtherType. Both ways are read. FECN, BECN and DE (F, B, D) are ignored on receipt,
/// and zero in what is sent. Inside a pseudo-wire (RFC 4619) the address is not there: the label stands for it.
public enum FrameRelayHeader {
    /// The circuits that packets may use (Q.922, table 1).
    public static let identifiers = 16...1007
    /// Octets of the address.
    static let addressLength = 2
    /// Octets of control and NLPID.
    static let shortLength = 2
    /// Octets of control, padding, NLPID and SNAP header.
    static let snapLength = 8
    static let control: UInt8 = 0x03
    static let ipv4: UInt8 = 0xCC
    static let ipv6: UInt8 = 0x8E
    static let snap: UInt8 = 0x80

    /// Reads an address.
    ///
    /// - Returns: The DLCI.
    @inline(__always)
    static func readAddress(_ frame: RawSpan, at offset: Int) -> Result<UInt16, EncapsulationFault> {
        guard offset <= frame.byteCount &- addressLength else { return .failure(.truncatedFrameRelay) }
        let word = frame.unchecked(HeaderField<UInt16>(0), at: offset)
        // The last bit of each octet says whether the address ends there.
        guard word & 0x0101 == 0x0001 else { return .failure(.badFrameRelayAddress) }
        return .success((word >> 10) << 4 | (word >> 4 & 0xF))
    }

    /// Reads control and protocol at `offset`, and moves behind them.
    ///
    /// - Returns: The EtherType of the packet.
    @inline(__always)
    static func readProtocol(
        _ frame: RawSpan, at offset: inout Int, end: Int
    ) -> Result<UInt16, EncapsulationFault> {
        guard offset <= end &- shortLength else { return .failure(.truncatedFrameRelay) }
        guard frame.unchecked(HeaderField<UInt8>(0), at: offset) == control else {
            return .failure(.badFrameRelayProtocol)
        }
        switch frame.unchecked(HeaderField<UInt8>(1), at: offset) {
        case ipv4:
            offset &+= shortLength
            return .success(EtherType.ipv4)
        case ipv6:
            offset &+= shortLength
            return .success(EtherType.ipv6)
        case 0:
            guard offset <= end &- snapLength else { return .failure(.truncatedFrameRelay) }
            let word = frame.unchecked(HeaderField<UInt32>(2), at: offset)
            let type = frame.unchecked(HeaderField<UInt16>(6), at: offset)
            guard word == UInt32(snap) << 24, type == EtherType.ipv4 || type == EtherType.ipv6 else {
                return .failure(.badFrameRelayProtocol)
            }
            offset &+= snapLength
            return .success(type)
        default: return .failure(.badFrameRelayProtocol)
        }
    }

    /// The octets of an address as a big-endian word.
    static func address(_ identifier: UInt16) -> UInt16 { (identifier >> 4) << 10 | (identifier & 0xF) << 4 | 1 }

    /// Writes control and protocol.
    ///
    /// - Returns: The octets written.
    @_lifetime(target: copy target)
    static func writeProtocol(_ target: inout MutableRawSpan, at offset: Int, _ type: UInt16, snap isSNAP: Bool) -> Int
    {
        target.store(control, at: offset)
        guard isSNAP else {
            target.store(type == EtherType.ipv4 ? ipv4 : ipv6, at: offset &+ 1)
            return shortLength
        }
        target.store(UInt8(0), at: offset &+ 1)
        target.store(UInt32(snap) << 24, at: offset &+ 2)
        target.store(type, at: offset &+ 6)
        return snapLength
    }
}
