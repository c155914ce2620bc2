/// Headers between the network header and the transport that tie a packet to its addresses. Rewriting one of these
/// addresses would make the headers wrong.
public struct AddressBindings: OptionSet, Sendable, Hashable {
    /// The bits, as the initialiser takes them.
    public let rawValue: UInt8

    /// A set of these bits.
    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A routing header with segments left: the destination is a stop on the way. The transport checksum covers the
    /// final destination (RFC 8200, section 8.1). The list of stops names the destination a second time.
    public static let routed = AddressBindings(rawValue: 1)
    /// An authentication header: its check value covers both addresses (RFC 4302, section 3.3.3.1).
    public static let authenticated = AddressBindings(rawValue: 2)
    /// A home address option: the transport checksum covers that in place of the source (RFC 6275, section 11.3.1).
    public static let away = AddressBindings(rawValue: 4)
}
