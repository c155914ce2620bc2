/// The two families of network addresses.
public enum AddressFamily: UInt8, Sendable, Hashable, CaseIterable {
    case ipv4 = 4
    case ipv6 = 6

    /// The number of bits in an address of this family.
    @inlinable
    public var width: Int { self == .ipv4 ? 32 : 128 }
}

/// An IPv4 or IPv6 address: the number that its octets spell on the wire, most significant first.
///
/// An IPv4 address is in the low 32 bits of `low`, and `high` is zero; `family` keeps it apart from `::a.b.c.d`.
public struct IPAddress: Hashable, Sendable {
    /// Bits 127…64 of an IPv6 address; zero for IPv4.
    public let high: UInt64
    /// Bits 63…0 of an IPv6 address; the 32 bits of an IPv4 address.
    public let low: UInt64
    /// Which of the two families.
    public let family: AddressFamily

    /// An IPv4 address from its 32 bits (host integer: 192.0.2.1 is 0xC000_0201).
    @inlinable
    public init(ipv4 bits: UInt32) {
        high = 0
        low = UInt64(bits)
        family = .ipv4
    }

    /// An IPv6 address from its two halves (host integers).
    @inlinable
    public init(ipv6High high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
        family = .ipv6
    }

    /// An address of `family` from its bits, as `high` and `low` hold them.
    @inlinable
    public init(family: AddressFamily, high: UInt64, low: UInt64) {
        self.family = family
        self.high = family == .ipv4 ? 0 : high
        self.low = family == .ipv4 ? low & 0xFFFF_FFFF : low
    }

    /// The 4 or 16 octets in the order of the wire.
    public var octets: [UInt8] {
        switch family {
        case .ipv4: (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * UInt64($0))) }
        case .ipv6: (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> (56 - 8 * UInt64($0 % 8))) }
        }
    }

    /// The 32 bits of an IPv4 address.
    @inlinable
    public var ipv4Bits: UInt32 { UInt32(truncatingIfNeeded: low) }

    /// 0.0.0.0 or ::.
    @inlinable
    public var isUnspecified: Bool { high == 0 && low == 0 }

    /// 224.0.0.0/4 or ff00::/8.
    @inlinable
    public var isMulticast: Bool {
        family == .ipv4 ? low >> 28 == 0xE : high >> 56 == 0xFF
    }

    /// 255.255.255.255.
    @inlinable
    public var isLimitedBroadcast: Bool { family == .ipv4 && low == 0xFFFF_FFFF }

    /// 127.0.0.0/8 or ::1.
    @inlinable
    public var isLoopback: Bool {
        family == .ipv4 ? low >> 24 == 127 : high == 0 && low == 1
    }

    /// 169.254.0.0/16 or fe80::/10.
    @inlinable
    public var isLinkLocal: Bool {
        family == .ipv4 ? low >> 16 == 0xA9FE : high >> 54 == 0x3FA
    }

    /// The solicited-node multicast address, ff02::1:ffXX:XXXX (RFC 4291, section 2.7.1). IPv6 only.
    @inlinable
    public var solicitedNode: IPAddress {
        IPAddress(ipv6High: 0xFF02_0000_0000_0000, low: 0x0000_0001_FF00_0000 | (low & 0xFF_FFFF))
    }

    /// The address with all but the first `length` bits set to zero.
    @inlinable
    public func masked(to length: Int) -> IPAddress {
        switch family {
        case .ipv4:
            let mask: UInt64 = length <= 0 ? 0 : (0xFFFF_FFFF << UInt64(32 - min(length, 32))) & 0xFFFF_FFFF
            return IPAddress(family: .ipv4, high: 0, low: low & mask)
        case .ipv6:
            let highMask: UInt64 = length <= 0 ? 0 : length >= 64 ? .max : .max << UInt64(64 - length)
            let lowMask: UInt64 = length <= 64 ? 0 : length >= 128 ? .max : .max << UInt64(128 - length)
            return IPAddress(ipv6High: high & highMask, low: low & lowMask)
        }
    }

    /// The address `offset` after this one, wrapping at the end of the family's numbers.
    public func advanced(by offset: UInt64) -> IPAddress {
        let (sum, carry) = low.addingReportingOverflow(offset)
        return IPAddress(family: family, high: carry ? high &+ 1 : high, low: sum)
    }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then by number.
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        (left.family.rawValue, left.high, left.low) < (right.family.rawValue, right.high, right.low)
    }
}

/// An address prefix: the first `length` bits of `address`, whose other bits are zero.
public struct IPPrefix: Hashable, Sendable {
    /// The prefix's lowest address.
    public let address: IPAddress
    /// The number of bits that count: 0…32 or 0…128.
    public let length: Int

    /// The prefix of `length` bits that `address` lies in; a length beyond the family's width is cut to it.
    @inlinable
    public init(_ address: IPAddress, length: Int) {
        self.length = max(0, min(length, address.family.width))
        self.address = address.masked(to: self.length)
    }

    /// The prefix that holds `address` alone.
    @inlinable
    public init(host address: IPAddress) {
        self.init(address, length: address.family.width)
    }

    /// 0.0.0.0/0 or ::/0.
    public static func everything(_ family: AddressFamily) -> IPPrefix {
        IPPrefix(IPAddress(family: family, high: 0, low: 0), length: 0)
    }

    /// The family of the prefix's addresses.
    @inlinable
    public var family: AddressFamily { address.family }

    /// True if the prefix is one address.
    @inlinable
    public var isHost: Bool { length == family.width }

    /// True if `other` is of this family and lies in this prefix.
    @inlinable
    public func contains(_ other: IPAddress) -> Bool {
        other.family == family && other.masked(to: length) == address
    }

    /// True if every address of `other` lies in this prefix.
    @inlinable
    public func contains(_ other: IPPrefix) -> Bool {
        other.length >= length && contains(other.address)
    }

    /// True if some address lies in both.
    @inlinable
    public func overlaps(_ other: IPPrefix) -> Bool {
        contains(other) || other.contains(self)
    }
}
