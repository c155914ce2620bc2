/// A 48-bit IEEE 802 address, in the low bits of an integer: the first octet on the wire is the most significant.
public struct MACAddress: Hashable, Sendable {
    /// Bits 47…0 hold the six octets, bits 63…48 are zero.
    public let bits: UInt64

    /// - Parameter bits: The six octets, the first on the wire most significant; higher bits are cut off.
    @inlinable
    public init(bits: UInt64) {
        self.bits = bits & 0xFFFF_FFFF_FFFF
    }

    /// ff:ff:ff:ff:ff:ff.
    public static let broadcast = MACAddress(bits: 0xFFFF_FFFF_FFFF)

    /// True for group addresses, broadcast among them (the I/G bit of the first octet).
    @inlinable
    public var isMulticast: Bool { bits & 0x0100_0000_0000 != 0 }

    /// True for 00:00:00:00:00:00, which no frame may carry as its source.
    @inlinable
    public var isZero: Bool { bits == 0 }

    /// The six octets in the order of the wire.
    public var octets: [UInt8] {
        (0..<6).map { UInt8(truncatingIfNeeded: bits >> (40 - 8 * UInt64($0))) }
    }

    /// The group address that neighbour solicitations for `address` are sent to (RFC 2464, section 7).
    public static func ipv6Multicast(for address: IPAddress) -> MACAddress {
        MACAddress(bits: 0x3333_0000_0000 | (address.low & 0xFFFF_FFFF))
    }
}

extension MACAddress: CustomStringConvertible, LosslessStringConvertible {
    /// Six pairs of hexadecimal digits with colons between them.
    public var description: String {
        octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }

    /// Reads six pairs of hexadecimal digits with colons (or hyphens) between them.
    public init?(_ text: String) {
        let parts = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
        guard parts.count == 6 else { return nil }
        var bits: UInt64 = 0
        for part in parts {
            guard part.utf8.count == 2, let octet = UInt8(part, radix: 16) else { return nil }
            bits = bits << 8 | UInt64(octet)
        }
        self.init(bits: bits)
    }
}
