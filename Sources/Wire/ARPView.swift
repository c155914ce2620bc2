/// An ARP packet for IPv4 over Ethernet (RFC 826) whose 28 octets are there.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-------------------------------+-------------------------------+
///     |         hardware type         |         protocol type         |
///     +---------------+---------------+-------------------------------+
///     |  hw length    | proto length  |           operation           |
///     +---------------+---------------+-------------------------------+
///     |                  sender hardware address (6)                  |
///     |                  sender protocol address (4)                  |
///     |                  target hardware address (6)                  |
///     |                  target protocol address (4)                  |
///     +---------------------------------------------------------------+
public struct ARPView: ~Escapable {
    /// The packet's length in octets.
    public static let length = 28
    /// Offset of the operation.
    public static let operationOffset = 6
    /// Offset of the sender's MAC address.
    public static let senderMACOffset = 8
    /// Offset of the sender's network address.
    public static let senderAddressOffset = 14
    /// Offset of the target's MAC address.
    public static let targetMACOffset = 18
    /// Offset of the target's network address.
    public static let targetAddressOffset = 24

    @usableFromInline let bytes: RawSpan
    @usableFromInline let offset: Int

    /// Nil where fewer than 28 octets follow `offset`.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan, at offset: Int) {
        guard offset >= 0, offset <= bytes.byteCount &- Self.length else { return nil }
        self.bytes = bytes
        self.offset = offset
    }

    /// 1 for Ethernet.
    @inlinable public var hardwareType: UInt16 { bytes.uncheckedUInt16(at: offset) }
    /// 0x0800 for IPv4.
    @inlinable public var protocolType: UInt16 { bytes.uncheckedUInt16(at: offset &+ 2) }
    /// 6 for Ethernet.
    @inlinable public var hardwareLength: UInt8 { bytes.uncheckedUInt8(at: offset &+ 4) }
    /// 4 for IPv4.
    @inlinable public var protocolLength: UInt8 { bytes.uncheckedUInt8(at: offset &+ 5) }
    /// 1 request, 2 reply.
    @inlinable public var operation: UInt16 { bytes.uncheckedUInt16(at: offset &+ Self.operationOffset) }
    /// Who speaks.
    @inlinable public var senderMAC: MACAddress { bytes.uncheckedMAC(at: offset &+ Self.senderMACOffset) }
    /// The address of who speaks.
    @inlinable public var senderAddress: IPAddress { bytes.uncheckedIPv4(at: offset &+ Self.senderAddressOffset) }
    /// Who is spoken to, zero in a request.
    @inlinable public var targetMAC: MACAddress { bytes.uncheckedMAC(at: offset &+ Self.targetMACOffset) }
    /// The address asked for, or of who is spoken to.
    @inlinable public var targetAddress: IPAddress { bytes.uncheckedIPv4(at: offset &+ Self.targetAddressOffset) }
}
