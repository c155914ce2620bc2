/// The header of Geneve (RFC 8926, section 3.4), behind UDP:
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +---+-----------+-+-+-----------+-------------------------------+
///     |Ver|  Opt Len  |O|C|   Rsvd.   |         protocol type         |
///     +---+-----------+-+-+-----------+---------------+---------------+
///     |       virtual network identifier (VNI)        |   reserved    |
///     +-----------------------------------------------+---------------+
///     |                 options (0…252 octets)                        |
///     +---------------------------------------------------------------+
///
/// It carries Ethernet (type 0x6558). Options are skipped, unless C says that one of them is critical: the engine knows none.
public enum GeneveHeader {
    /// The length of a header without options, in octets.
    public static let length = 8
    /// The port of Geneve (IANA).
    public static let port = 6081
    /// Ethernet in Geneve (RFC 8926, 3.4).
    static let ethernet: UInt16 = 0x6558
    /// O: the packet is for the far end's operators. C: an option is critical.
    private static let operationsAndCritical: UInt8 = 0xC0

    /// Reads a header at `offset`, and moves behind it and its options.
    ///
    /// - Returns: The network identifier.
    @inline(__always)
    static func read(_ frame: RawSpan, at offset: inout Int, end: Int) -> Result<UInt32, TunnelFault> {
        guard offset <= end &- length else { return .failure(.truncated) }
        let first = frame.unchecked(HeaderField<UInt8>(0), at: offset)
        guard first >> 6 == 0, frame.unchecked(HeaderField<UInt8>(1), at: offset) & operationsAndCritical == 0,
            frame.unchecked(HeaderField<UInt16>(2), at: offset) == ethernet
        else { return .failure(.badHeader) }
        let whole = length &+ Int(first & 0x3F) &* 4
        guard offset <= end &- whole else { return .failure(.truncated) }
        let identifier = frame.unchecked(HeaderField<UInt32>(4), at: offset) >> 8
        offset &+= whole
        return .success(identifier)
    }

    /// Writes a header without options; `MutableRawSpan` checks that there is room.
    ///
    /// - Returns: The octets written.
    @_lifetime(target: copy target)
    static func write(_ target: inout MutableRawSpan, at offset: Int, _ identifier: UInt32) -> Int {
        target.store(UInt32(ethernet), at: offset)
        target.store(identifier << 8, at: offset &+ 4)
        return length
    }
}
