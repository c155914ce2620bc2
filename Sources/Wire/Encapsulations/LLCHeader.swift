/// A packet in AAL5 (RFC 2684): behind an LLC/SNAP header of eight octets, AA-AA-03-00-00-00 and an EtherType, or by itself,
/// if the virtual circuit carries nothing else (VC multiplexing).
///
/// What is read and written is the AAL5 CPCS-SDU: the octets that AAL5 carries, without padding and trailer, as a device that
/// segments into cells by itself takes them. A TUN of link type ATM has the four octets of SunATM before it, as captures of link
/// type 123 do:
///
///     +---------------+---------------+-------------------------------+
///     | flags: 2 LLC  |      VPI      |              VCI              |
///     +---------------+---------------+-------------------------------+
public enum LLCHeader {
    /// Octets of the LLC/SNAP header.
    static let length = 8
    /// Octets of the cell header of a TUN.
    static let cellLength = 4
    /// The flags of what is sent.
    static let flagLLC: UInt8 = 2
    private static let snap: UInt64 = 0xAAAA_0300_0000

    /// Reads an LLC/SNAP header at `offset`, and moves behind it.
    ///
    /// - Returns: The EtherType of the packet.
    @inline(__always)
    static func read(_ frame: RawSpan, at offset: inout Int, end: Int) -> Result<UInt16, EncapsulationFault> {
        guard offset <= end &- length else { return .failure(.truncatedLLC) }
        let word = frame.unchecked(HeaderField<UInt64>(0), at: offset)
        let type = UInt16(truncatingIfNeeded: word)
        guard word >> 16 == snap, type == EtherType.ipv4 || type == EtherType.ipv6 else { return .failure(.badLLC) }
        offset &+= length
        return .success(type)
    }

    /// Writes an LLC/SNAP header.
    ///
    /// - Returns: The octets written.
    @_lifetime(target: copy target)
    static func write(_ target: inout MutableRawSpan, at offset: Int, _ type: UInt16) -> Int {
        target.store(snap << 16 | UInt64(type), at: offset)
        return length
    }
}
