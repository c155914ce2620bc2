/// Inverse ARP on a circuit of frame relay (RFC 2390): "who is at the other end of this circuit?"
///
///     Q.922 address, control 0x03, 0x00, NLPID 0x80, OUI 00-00-00, EtherType 0x0806 (10 octets), then
///
///     +-------------------------------+-------------------------------+
///     | hardware: 15 (frame relay)    | protocol: 0x0800              |
///     +---------------+---------------+-------------------------------+
///     | length: 2     | length: 4     | 8 request, 9 reply            |
///     +---------------+---------------+-------------------------------+
///     | source Q.922 address          | source protocol address       |
///     +-------------------------------+-------------------------------+
///     | (rest of that)                | target Q.922 address          |
///     +-------------------------------+-------------------------------+
///     | target protocol address                                       |
///     +---------------------------------------------------------------+
public struct InverseARP: Sendable, Equatable {
    /// The octets of a message with what stands before it.
    public static let length = 30
    private static let start = 10
    /// What stands behind the Q.922 address.
    private static let header: UInt64 = 0x0300_8000_0000_0806
    private static let fixed: UInt64 = 0x000F_0800_0204_0000
    private static let request: UInt64 = 8
    private static let reply: UInt64 = 9

    /// The Q.922 address of the circuit.
    private var circuit: UInt16
    /// The Q.922 address that the sender gives itself: it means nothing at this end.
    private var sender: UInt16
    /// Who asks.
    public var address: IPAddress

    /// True if a frame, from its Q.922 address on, has the type of ARP.
    @inline(__always)
    public static func isOne(_ frame: RawSpan) -> Bool {
        frame.byteCount >= start && frame.load(HeaderField<UInt64>(2), at: 0) == header
    }

    /// - Parameter frame: A frame from its Q.922 address on.
    /// - Returns: Nil if it is no request, or one of nobody.
    public init?(_ frame: RawSpan) {
        guard Self.isOne(frame), frame.byteCount >= Self.length,
            frame.load(HeaderField<UInt64>(0), at: Self.start) == Self.fixed | Self.request
        else { return nil }
        circuit = frame.load(HeaderField<UInt16>(0), at: 0) & 0xFCF0 | 1
        sender = frame.load(HeaderField<UInt16>(8), at: Self.start)
        address = IPAddress(ipv4: frame.load(HeaderField<UInt32>(10), at: Self.start))
        guard !address.isUnspecified, !address.isMulticast else { return nil }
    }

    /// Writes the reply, from its Q.922 address on.
    ///
    /// - Parameters:
    ///   - target: Room for `length` octets (checked).
    ///   - own: The engine's IPv4 address on the circuit.
    @_lifetime(target: copy target)
    public func writeReply(_ target: inout MutableRawSpan, at offset: Int, from own: IPAddress) {
        target.store(circuit, at: offset)
        target.store(Self.header, at: offset + 2)
        let start = offset + Self.start
        target.store(Self.fixed | Self.reply, at: start)
        target.store(circuit, at: start + 8)
        target.store(UInt32(truncatingIfNeeded: own.low), at: start + 10)
        target.store(sender, at: start + 14)
        target.store(UInt32(truncatingIfNeeded: address.low), at: start + 16)
    }
}
