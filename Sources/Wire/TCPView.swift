/// A TCP header (RFC 9293, section 3.1).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-------------------------------+-------------------------------+
///     |          source port          |       destination port        |
///     +-------------------------------+-------------------------------+
///     |                        sequence number                        |
///     +---------------------------------------------------------------+
///     |                    acknowledgment number                      |
///     +-------+-------+---------------+-------------------------------+
///     |d.offs.| rsrvd |  control bits |            window             |
///     +-------+-------+---------------+-------------------------------+
///     |           checksum            |        urgent pointer         |
///     +-------------------------------+-------------------------------+
public enum TCPHeader: HeaderLayout {
    /// The length of a header without options, in octets.
    public static let minimumLength = 20
    /// The source port.
    @inlinable public static var sourcePort: HeaderField<UInt16> { PortHeader.sourcePort }
    /// The destination port.
    @inlinable public static var destinationPort: HeaderField<UInt16> { PortHeader.destinationPort }
    /// The sequence number.
    @inlinable public static var sequenceNumber: HeaderField<UInt32> { HeaderField(4) }
    /// The acknowledgment number.
    @inlinable public static var acknowledgmentNumber: HeaderField<UInt32> { HeaderField(8) }
    /// The data offset (the header's length in units of four octets) in the upper four bits; the others are reserved.
    @inlinable public static var dataOffset: HeaderField<UInt8> { HeaderField(12) }
    /// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from bit 7 to bit 0.
    @inlinable public static var controlBits: HeaderField<UInt8> { HeaderField(13) }
    /// The window, not scaled.
    @inlinable public static var window: HeaderField<UInt16> { HeaderField(14) }
    /// The checksum.
    @inlinable public static var checksum: HeaderField<UInt16> { HeaderField(16) }
    /// The urgent pointer.
    @inlinable public static var urgentPointer: HeaderField<UInt16> { HeaderField(18) }
    /// Data offset, control bits and window in one.
    static let dataOffsetControlBitsAndWindow = HeaderField<UInt32>(12)

    /// The header's length in octets, from the octet with the data offset: 0…60.
    @inlinable @inline(__always)
    static func length(_ dataOffset: UInt8) -> Int { Int(dataOffset >> 4) << 2 }
}

/// A TCP header whose first twenty octets are there.
public typealias TCPView = HeaderView<TCPHeader>

extension HeaderView where Header == TCPHeader {
    /// Control bit: no more data from the sender.
    @inlinable public static var fin: UInt8 { 0x01 }
    /// Control bit: the beginning of a connection.
    @inlinable public static var syn: UInt8 { 0x02 }
    /// Control bit: the connection is no more.
    @inlinable public static var rst: UInt8 { 0x04 }
    /// Control bit: the receiver hands the data on at once.
    @inlinable public static var psh: UInt8 { 0x08 }
    /// Control bit: the acknowledgment number counts.
    @inlinable public static var ack: UInt8 { 0x10 }
    /// Control bit: congestion was experienced (RFC 3168).
    @inlinable public static var ece: UInt8 { 0x40 }

    /// The source port.
    @inlinable public var sourcePort: UInt16 { self[Header.sourcePort] }
    /// The destination port.
    @inlinable public var destinationPort: UInt16 { self[Header.destinationPort] }
    /// The sequence number.
    @inlinable public var sequenceNumber: UInt32 { self[Header.sequenceNumber] }
    /// The acknowledgment number.
    @inlinable public var acknowledgmentNumber: UInt32 { self[Header.acknowledgmentNumber] }
    /// The header's length in octets, as the data offset says: 0…60.
    @inlinable public var headerLength: Int { Header.length(self[Header.dataOffset]) }
    /// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from bit 7 to bit 0.
    @inlinable public var controlBits: UInt8 { self[Header.controlBits] }
    /// The window, not scaled.
    @inlinable public var window: UInt16 { self[Header.window] }
    /// The checksum.
    @inlinable public var checksum: UInt16 { self[Header.checksum] }
}
