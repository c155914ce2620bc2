/// The network service header (RFC 8300, section 2):
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +---+-+-+-----------+-----------+-------+-------+---------------+
///     |Ver|O|U|    TTL    |   Length  |U U U U|MD type| next protocol |
///     +---+-+-+-----------+-----------+-------+-------+---------------+
///     |          service path identifier (SPI)        | service index |
///     +-----------------------------------------------+---------------+
///     |  MD type 1: 16 octets of context; MD type 2: 0…248 octets     |
///     +---------------------------------------------------------------+
///
/// It carries Ethernet. What is sent has MD type 1 with zeros. Metadata of either type is skipped, whatever it is.
public enum NSHHeader {
    /// The octets of what is sent: the base header, the service path header, and the context of MD type 1.
    public static let length = 24
    /// The octets of the base header and the service path header.
    static let least = 8
    /// NSH over Ethernet (RFC 8300, 12.1.1).
    public static let etherType: UInt16 = 0x894F
    /// Service paths: 24 bits.
    public static let paths = 1...0xFF_FFFF
    /// Service indexes of what is sent: what comes back has one less, and that must not be 0.
    public static let indexes = 2...255
    /// The hops between forwarders that a new header allows (RFC 8300, 2.2).
    static let hops: UInt32 = 63
    /// The next protocol that is Ethernet.
    static let ethernet: UInt8 = 3
    private static let typeOne: UInt8 = 1
    private static let typeTwo: UInt8 = 2

    /// A place in a service path.
    public struct Place: Sendable, Hashable {
        /// The service path identifier.
        public var path: UInt32
        /// The service index: the functions that are left.
        public var index: UInt8

        /// Memberwise.
        public init(path: UInt32, index: UInt8) { (self.path, self.index) = (path, index) }
    }

    /// Reads a header at `offset`, and moves behind it and its metadata.
    @inline(__always)
    static func read(_ frame: RawSpan, at offset: inout Int, end: Int) -> Result<Place, TunnelFault> {
        guard offset <= end &- least else { return .failure(.truncated) }
        let first = frame.unchecked(HeaderField<UInt16>(0), at: offset)
        let type = frame.unchecked(HeaderField<UInt8>(2), at: offset) & 0xF
        let whole = Int(first & 0x3F) &* 4
        // No other version, no packet for operators, a hop left; the length of MD type 1 is fixed.
        guard first >> 13 == 0, first >> 6 & 0x3F != 0, type == typeOne ? whole == length : type == typeTwo,
            whole >= least, frame.unchecked(HeaderField<UInt8>(3), at: offset) == ethernet
        else { return .failure(.badHeader) }
        guard offset <= end &- whole else { return .failure(.truncated) }
        let path = frame.unchecked(HeaderField<UInt32>(4), at: offset)
        guard path & 0xFF != 0 else { return .failure(.pathEnded) }
        offset &+= whole
        return .success(Place(path: path >> 8, index: UInt8(truncatingIfNeeded: path)))
    }

    /// Writes a header with MD type 1; `MutableRawSpan` checks that there is room.
    ///
    /// - Returns: The octets written.
    @_lifetime(target: copy target)
    static func write(_ target: inout MutableRawSpan, at offset: Int, _ place: Place) -> Int {
        let words = UInt32(length / 4)
        target.store(hops << 22 | words << 16 | UInt32(typeOne) << 8 | UInt32(ethernet), at: offset)
        target.store(place.path << 8 | UInt32(place.index), at: offset &+ 4)
        target.store(0 as UInt64, at: offset &+ 8)
        target.store(0 as UInt64, at: offset &+ 16)
        return length
    }
}
