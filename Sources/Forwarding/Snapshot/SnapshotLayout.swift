/// The sections of a snapshot, in the order of its section table. All integers are little-endian; every section
/// starts at a multiple of 8 octets from the snapshot's first.
///
/// ```
/// header        magic, version | sections<<32, generation, size, counters, fallback4 | fallback6<<32,
///               heartbeat token, 0
/// section table (offset, count) for each section, 8 octets each
/// ```
@usableFromInline
enum Section: Int, CaseIterable, Sendable {
    /// mac; mtu | firstAddress<<32; addresses | sequencing scope<<32; distribution scope.
    case interfaces
    /// high; low; family | length<<8: the engine's own addresses, those of one interface beside each other.
    case addresses
    /// Hash table of (interface, MAC address): key; sequencing | distribution<<32 scope; flags.
    case macs
    /// Hash table of (address, role, interface): high; low; tag; value.
    case addressSlots
    /// Which prefix lengths a scope's entries have: 2 families x (source, destination) x 3 words.
    case scopes
    /// One longest-prefix index each: slots' start; mask; lengths | default<<32; the populated lengths, an octet each.
    case prefixIndexes
    /// Hash tables of the longest-prefix indexes: high; low; length | best<<32.
    case prefixSlots
    /// parent | length<<32 by prefix identifier; 0 stands for any.
    case sourcePrefixes
    case destinationPrefixes
    case claimedPrefixes
    /// Hash set of (interface + 1)<<32 | claimed prefix.
    case claims
    /// Hash table: scope | source<<32; destination | group<<32.
    case groupSlots
    /// requests | count<<32; responses | count<<32; fragments | count<<32; any-protocol entry.
    case groups
    /// first | last<<32; entry | rank<<32: disjoint and ascending within a group and direction.
    case intervals
    /// protocol | entry<<32: ascending within a group.
    case fragments
    /// firstTarget | targets<<32; counter | flags<<32; high; low of the rewritten source.
    case entries
    /// interface | kind<<32 | system<<40 | family<<48; source MAC; high; low (of the address, or the MAC in low).
    /// Of a choice between instances: group | kind<<32 | answer<<40; first of the members' targets | count<<32; first of
    /// the hops while it is down | count<<32; 0. Of two ways: group | kind<<32; first | count<<32 of the hops while it is
    /// up, and while it is down; 0. What a record refers to by way of hops stands behind it.
    case targets
    /// members | flags<<32 (hashing<<8); seed; first slot record | first slot record for what is new<<32; the one member
    /// that has all slots | the one for what is new<<32.
    case instanceGroups
    /// Four members of 16 bits for four slots that follow each other; a table has 16,384 of these.
    case instanceSlots

    /// The octets of one record.
    @inlinable
    var stride: Int {
        switch self {
        case .sourcePrefixes, .destinationPrefixes, .claimedPrefixes, .claims, .fragments, .instanceSlots: 8
        case .groupSlots, .intervals: 16
        case .addresses, .macs, .prefixSlots: 24
        case .interfaces, .addressSlots, .groups, .entries, .targets, .instanceGroups: 32
        case .scopes: 96
        case .prefixIndexes: 160
        }
    }
}

/// The constants of a snapshot's layout, and the hash functions that its builder and its reader share.
@usableFromInline
enum Layout {
    /// "TAPLINE" and a zero octet.
    @usableFromInline static let magic: UInt64 = 0x0045_4E49_4C50_4154
    /// Raised with every change of the layout: a snapshot of another version is refused.
    @usableFromInline static let version: UInt32 = 2
    /// Octets of the header before the section table.
    @usableFromInline static let headerSize = 64
    /// Octets of the header and the section table.
    @usableFromInline static var preambleSize: Int { headerSize + 16 * Section.allCases.count }
    /// No entry, no address.
    @usableFromInline static let none: UInt32 = .max
    /// The prefix length of an unused slot in a longest-prefix index.
    @usableFromInline static let emptyLength: UInt32 = .max
    /// The key of an unused slot in the table of MAC addresses.
    @usableFromInline static let emptyMAC: UInt64 = .max
    /// The bit of a scope's length mask that stands for any: one beyond the longest prefix.
    @usableFromInline static let anyBit: UInt32 = 129
    /// The most interfaces that a table has.
    @usableFromInline static let maximumInterfaces = 4096

    /// Where the populated lengths start in a record of `prefixIndexes`.
    @usableFromInline static let lengthsOffset = 24
    /// The most distinct prefix lengths above zero.
    @usableFromInline static let maximumLengths = 128

    // Bits of a MAC slot's flags.
    @usableFromInline static let flagOwn: UInt64 = 1
    @usableFromInline static let flagKnown: UInt64 = 2
    @usableFromInline static let flagMayEmit: UInt64 = 4

    // Kinds of send address.
    @usableFromInline static let kindMAC: UInt8 = 1
    @usableFromInline static let kindNetwork: UInt8 = 2
    @usableFromInline static let kindNeighbour: UInt8 = 3
    /// Not a send address: a choice between the instances of a group, and between two ways.
    @usableFromInline static let kindInstance: UInt8 = 4
    @usableFromInline static let kindWhether: UInt8 = 5
    /// Of a choice whose group is down: its hops, instead of a `DownAnswer`.
    @usableFromInline static let answerHops: UInt8 = .max
    /// How deep choices may hold each other.
    static let maximumDepth = 64
    /// The most copies of one packet.
    static let maximumCopies = 4_096

    // Bits of an instance group's flags.
    @usableFromInline static let groupDown: UInt32 = 1
    @usableFromInline static let groupDrains: UInt32 = 2
    /// The most groups and members.
    static let maximumGroups = 1_024
    static let maximumMembers = 4_096
    /// Slot records of one table.
    @usableFromInline static let slotRecords = 16_384

    @inlinable @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed ^= mixed >> 32
        mixed = mixed &* 0xD6E8_FEB8_6659_FD93
        mixed ^= mixed >> 32
        mixed = mixed &* 0xD6E8_FEB8_6659_FD93
        mixed ^= mixed >> 32
        return mixed
    }

    @inlinable @inline(__always)
    static func hash(high: UInt64, low: UInt64, tag: UInt64) -> UInt64 {
        mix(mix(low &+ tag &* 0x9E37_79B9_7F4A_7C15) ^ high &* 0xC2B2_AE3D_27D4_EB4F)
    }

    @inlinable @inline(__always)
    static func groupHash(scope: UInt32, source: UInt32, destination: UInt32) -> UInt64 {
        mix((UInt64(source) << 32 | UInt64(destination)) &+ UInt64(scope) &* 0x9E37_79B9_7F4A_7C15)
    }

    @inlinable @inline(__always)
    static func macKey(interface: Int, bits: UInt64) -> UInt64 {
        UInt64(truncatingIfNeeded: interface) << 48 | bits
    }

    @inlinable @inline(__always)
    static func addressTag(_ role: AddressRole, family: UInt8, interface: Int) -> UInt64 {
        UInt64(family) | UInt64(role.rawValue) << 8 | UInt64(UInt32(truncatingIfNeeded: interface)) << 32
    }
}

/// What a slot in the table of addresses says about its address.
@usableFromInline
enum AddressRole: UInt8 {
    /// The value is the neighbour's MAC address.
    case neighbour = 1
    /// One of the engine's, on whichever interface; the value is the first interface that has it.
    case own = 2
    /// One of the engine's on the slot's interface.
    case ownOnInterface = 3
}

/// The six longest-prefix indexes.
@usableFromInline
enum PrefixIndexKind: Int, CaseIterable {
    case source4, source6, destination4, destination6, claimed4, claimed6
}
