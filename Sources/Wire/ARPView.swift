/// An ARP packet for IPv4 over Ethernet (RFC 826).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-------------------------------+-------------------------------+
///     |    hardware address space     |    protocol address space     |
///     +---------------+---------------+-------------------------------+
///     |  hw addr len  | prot addr len |            opcode             |
///     +---------------+---------------+-------------------------------+
///     |                  sender hardware address (6)                  |
///     |                  sender protocol address (4)                  |
///     |                  target hardware address (6)                  |
///     |                  target protocol address (4)                  |
///     +---------------------------------------------------------------+
public enum ARPPacket: FixedHeaderLayout {
    /// The packet's length in octets.
    public static let length = 28
    /// 1 for Ethernet.
    @inlinable public static var hardwareAddressSpace: HeaderField<UInt16> { HeaderField(0) }
    /// 0x0800 for IPv4.
    @inlinable public static var protocolAddressSpace: HeaderField<UInt16> { HeaderField(2) }
    /// In octets: 6 for Ethernet.
    @inlinable public static var hardwareAddressLength: HeaderField<UInt8> { HeaderField(4) }
    /// In octets: 4 for IPv4.
    @inlinable public static var protocolAddressLength: HeaderField<UInt8> { HeaderField(5) }
    /// 1 request, 2 reply.
    @inlinable public static var opcode: HeaderField<UInt16> { HeaderField(6) }
    /// The sender's MAC address.
    @inlinable public static var senderHardwareAddress: HeaderField<MACAddress> { HeaderField(8) }
    /// The sender's IPv4 address.
    @inlinable public static var senderProtocolAddress: HeaderField<UInt32> { HeaderField(14) }
    /// The target's MAC address.
    @inlinable public static var targetHardwareAddress: HeaderField<MACAddress> { HeaderField(18) }
    /// The target's IPv4 address.
    @inlinable public static var targetProtocolAddress: HeaderField<UInt32> { HeaderField(24) }

    /// `hardwareAddressSpace` of Ethernet.
    static let ethernet: UInt16 = 1
}

/// An ARP packet for IPv4 over Ethernet whose 28 octets are there.
public typealias ARPView = HeaderView<ARPPacket>

extension HeaderView where Header == ARPPacket {
    /// 1 for Ethernet.
    @inlinable public var hardwareAddressSpace: UInt16 { self[Header.hardwareAddressSpace] }
    /// 0x0800 for IPv4.
    @inlinable public var protocolAddressSpace: UInt16 { self[Header.protocolAddressSpace] }
    /// In octets: 6 for Ethernet.
    @inlinable public var hardwareAddressLength: UInt8 { self[Header.hardwareAddressLength] }
    /// In octets: 4 for IPv4.
    @inlinable public var protocolAddressLength: UInt8 { self[Header.protocolAddressLength] }
    /// 1 request, 2 reply.
    @inlinable public var opcode: UInt16 { self[Header.opcode] }
    /// The sender's MAC address.
    @inlinable public var senderHardwareAddress: MACAddress { self[Header.senderHardwareAddress] }
    /// The sender's network address.
    @inlinable public var senderProtocolAddress: IPAddress { IPAddress(ipv4: self[Header.senderProtocolAddress]) }
    /// The target's MAC address; zero in a request.
    @inlinable public var targetHardwareAddress: MACAddress { self[Header.targetHardwareAddress] }
    /// The address that is asked for, or the target's.
    @inlinable public var targetProtocolAddress: IPAddress { IPAddress(ipv4: self[Header.targetProtocolAddress]) }
}
