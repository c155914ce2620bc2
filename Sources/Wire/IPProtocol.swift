/// Upper-layer protocol numbers (IANA) that the engine reads.
public enum IPProtocol {
    /// The hop-by-hop options header of IPv6 (RFC 8200).
    public static let hopByHopOptions: UInt8 = 0
    /// ICMP for IPv4.
    public static let icmp: UInt8 = 1
    /// TCP.
    public static let tcp: UInt8 = 6
    /// UDP.
    public static let udp: UInt8 = 17
    /// The routing header of IPv6 (RFC 8200).
    public static let routing: UInt8 = 43
    /// The fragment header of IPv6 (RFC 8200).
    public static let fragment: UInt8 = 44
    /// The authentication header (RFC 4302).
    public static let authentication: UInt8 = 51
    /// The destination options header of IPv6 (RFC 8200).
    public static let destinationOptions: UInt8 = 60
    /// The mobility header of IPv6 (RFC 6275).
    public static let mobility: UInt8 = 135
    /// The Host Identity Protocol (RFC 7401).
    public static let hostIdentity: UInt8 = 139
    /// The Shim6 protocol (RFC 5533).
    public static let shim6: UInt8 = 140
    /// IGMP (RFC 3376).
    static let igmp: UInt8 = 2
    /// DCCP.
    public static let dccp: UInt8 = 33
    /// ICMP for IPv6.
    public static let icmpv6: UInt8 = 58
    /// No next header.
    public static let none: UInt8 = 59
    /// SCTP.
    public static let sctp: UInt8 = 132
    /// UDP-Lite.
    public static let udpLite: UInt8 = 136

    /// True for the protocols whose first four octets are the ports.
    @inlinable
    public static func hasPorts(_ number: UInt8) -> Bool {
        switch number {
        case tcp, udp, dccp, sctp, udpLite: true
        default: false
        }
    }

    /// The least octets a header of the protocol has; 0 for protocols that are passed unread.
    @inlinable
    static func minimumLength(_ number: UInt8, _ family: AddressFamily) -> Int {
        switch number {
        case tcp: TCPHeader.minimumLength
        case udp, udpLite: UDPHeader.length
        case dccp: DCCPHeader.minimumLength
        case sctp: SCTPHeader.length
        case icmp: family == .ipv4 ? ICMPHeader.length : 0
        case icmpv6: family == .ipv6 ? ICMPHeader.length : 0
        default: 0
        }
    }

    /// The offset of the checksum field whose sum covers the network addresses; nil if none does.
    @inlinable
    public static func pseudoHeaderChecksumOffset(_ number: UInt8, _ family: AddressFamily) -> Int? {
        switch number {
        case tcp: TCPHeader.checksum.offset
        case udp, udpLite: UDPHeader.checksum.offset
        case dccp: DCCPHeader.checksum.offset
        case icmpv6: family == .ipv6 ? ICMPHeader.checksum.offset : nil
        default: nil
        }
    }
}

/// The ports at the beginning of the headers of TCP, UDP, UDP-Lite, SCTP and DCCP.
public enum PortHeader: FixedHeaderLayout {
    /// Both ports, in octets.
    public static let length = 4
    /// The source port.
    @inlinable public static var sourcePort: HeaderField<UInt16> { HeaderField(0) }
    /// The destination port.
    @inlinable public static var destinationPort: HeaderField<UInt16> { HeaderField(2) }
    /// The source port and the destination port behind it.
    static let ports = HeaderField<UInt32>(0)
}

/// The common header of SCTP (RFC 9260, section 3.1), of which only the ports are read. Its checksum does not cover
/// addresses.
public enum SCTPHeader: FixedHeaderLayout {
    /// The header's length in octets.
    public static let length = 12
}

/// The generic header of DCCP (RFC 4340, section 5.1).
public enum DCCPHeader: HeaderLayout {
    /// The length of a header with short sequence numbers, in octets.
    public static let minimumLength = 12
    /// The checksum.
    @inlinable public static var checksum: HeaderField<UInt16> { HeaderField(6) }
}
