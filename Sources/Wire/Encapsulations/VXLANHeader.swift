/// The header of VXLAN (RFC 7348, section 5), and of its generic protocol extension (draft-ietf-nvo3-vxlan-gpe), behind UDP:
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-------+-+-+---+---------------+---------------+---------------+
///     |R R Ver I P B O|           reserved            | next protocol |
///     +---------------+---------------+---------------+---------------+
///     |       VXLAN network identifier (VNI)          |   reserved    |
///     +-----------------------------------------------+---------------+
///
/// Plain VXLAN has the flag I alone, and always carries Ethernet. What is reserved is sent as 0 and ignored.
public enum VXLANHeader {
    /// The header's length in octets.
    public static let length = 8
    /// The port of VXLAN (IANA).
    public static let port = 4789
    /// The port of the generic protocol extension (IANA).
    public static let genericPort = 4790
    /// Network identifiers: 24 bits.
    public static let identifiers = 0...0xFF_FFFF
    /// The flag of a valid network identifier.
    static let hasIdentifier: UInt32 = 0x0800_0000
    /// The flag of a valid next protocol.
    static let hasProtocol: UInt32 = 0x0400_0000
    /// The version, and the flag of packets for the far end's operators.
    private static let versionAndOperations: UInt32 = 0x3100_0000
    /// The next protocol that is NSH.
    static let nsh: UInt32 = 4

    /// Reads a header at `offset`, and moves behind it.
    ///
    /// - Parameter generic: True: it must say that NSH follows.
    /// - Returns: The network identifier.
    @inline(__always)
    static func read(
        _ frame: RawSpan, at offset: inout Int, end: Int, generic: Bool
    ) -> Result<UInt32, TunnelFault> {
        guard offset <= end &- length else { return .failure(.truncated) }
        let first = frame.unchecked(HeaderField<UInt32>(0), at: offset)
        guard first & hasIdentifier != 0 else { return .failure(.badHeader) }
        if generic {
            guard first & hasProtocol != 0, first & versionAndOperations == 0, first & 0xFF == nsh else {
                return .failure(.badHeader)
            }
        }
        let identifier = frame.unchecked(HeaderField<UInt32>(4), at: offset) >> 8
        offset &+= length
        return .success(identifier)
    }

    /// Writes a header; `MutableRawSpan` checks that there is room.
    ///
    /// - Returns: The octets written.
    @_lifetime(target: copy target)
    static func write(_ target: inout MutableRawSpan, at offset: Int, _ identifier: UInt32, generic: Bool) -> Int {
        target.store(generic ? hasIdentifier | hasProtocol | nsh : hasIdentifier, at: offset)
        target.store(identifier << 8, at: offset &+ 4)
        return length
    }
}
