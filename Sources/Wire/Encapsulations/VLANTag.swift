/// A VLAN tag (IEEE 802.1Q, 9.6), between the Ethernet source and the type:
///
///     +-------------------------------+
///     |  TPID: 0x8100, outer: 0x88A8  |
///     +-----+-+-----------------------+
///     | PCP |D|    VLAN identifier    |
///     +-----+-+-----------------------+
///
/// The priority (PCP) and the drop eligibility (D) are ignored on receipt, and zero in what is sent.
public enum VLANTag {
    /// Octets of a tag.
    public static let length = 4
    /// The EtherType of a customer's tag.
    public static let customer: UInt16 = 0x8100
    /// The EtherType of a provider's tag (IEEE 802.1ad), the outer one of two.
    public static let provider: UInt16 = 0x88A8
    /// The identifiers that a VLAN may have.
    public static let identifiers = 1...4094
    /// The most tags of a frame.
    public static let most = 2

    @inline(__always)
    static func isTag(_ type: UInt16) -> Bool { type == customer || type == provider }
}
