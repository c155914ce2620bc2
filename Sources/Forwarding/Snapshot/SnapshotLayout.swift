import Wire

/// The sections of a snapshot, in the order of its section table. All integers are little-endian. Every section starts
/// at a multiple of 8 octets from the snapshot's first. The compiler places each at a multiple of 64, so that no record
/// of 8, 16, 32 or 64 octets lies in two cache lines.
///
/// A *group* is the entries of one scope, source prefix and destination prefix, which the service port distinguishes.
/// It is two words at every place:
/// ```
/// first | last<<24 (of protocol<<16 | port) | flags<<48; entry          if it is one entry
/// flags<<48; record of `groups`                                         if it is several
/// ```
///
/// ```
/// header        magic, version | sections<<32, generation, size, counters, fallback4 | fallback6<<32,
///               heartbeat token, counters of access lists
/// section table (offset, count) for each section, 8 octets each
/// ```
@usableFromInline
enum Section: Int, CaseIterable, Sendable {
    /// mac; mtu | whether groups of IPv6, of IPv4 are joined<<29 | whether all its nodes are named<<31 | firstAddress<<32; addresses | sequencing scope<<32; distribution scope |
    /// its mirrors<<32 | the first of them<<44.
    case interfaces
    /// high; low; family | length<<8: the engine's own addresses. Those of one interface are next to each other.
    case addresses
    /// Hash table of (interface, MAC address): key; sequencing | distribution<<32 scope; flags | system<<8 | the first of the
    /// prefixes that it may send from<<16 | how many they are<<40. Its slots need not be a power of two.
    case macs
    /// Hash table of (address, role, interface): high; low; tag; value.
    case addressSlots
    /// masks | flags<<32; 0; the group of any source and any destination.
    case scopes
    /// The prefix lengths of a scope's entries: 2 families x (source, destination) x 3 words. Scopes share these.
    case masks
    /// One longest-prefix index each: start of the slots; slots, or buckets of eight slots for IPv4; lengths |
    /// default<<32; the populated lengths, an octet each.
    case prefixIndexes
    /// Hash tables of the IPv4 longest-prefix indexes: address | length<<32 | best<<38. A search starts at a bucket of
    /// eight slots, which is a cache line.
    case prefixSlots4
    /// Hash tables of the IPv6 longest-prefix indexes: high; low; length | best<<32.
    case prefixSlots6
    /// parent | length<<32 | flags<<40; scope | prefix of the other side<<32 of the group that is stored here (scope 0
    /// if there is none); the group. By prefix identifier; 0 stands for any.
    case sourcePrefixes
    case destinationPrefixes
    /// parent | length<<32 by prefix identifier.
    case claimedPrefixes
    /// Hash set of (interface + 1)<<32 | claimed prefix.
    case claims
    /// Hash set of (interface, MAC address); claimed prefix: the nodes that may announce the addresses of a prefix.
    case holders
    /// The interface that gets every frame as it arrives. Those of one received interface are next to each other.
    case mirrors
    /// Hash table of the groups that are stored nowhere else: scope | source<<32; destination; the group. The number of
    /// slots need not be a power of two.
    case groupSlots
    /// Groups of several entries: requests | count<<32; responses | count<<32; fragments | count<<32; any-protocol entry.
    case groups
    /// first | last<<32; entry | rank<<32: disjoint and ascending within a group and direction.
    case intervals
    /// flags | protocol<<8 | entry<<32: ascending within a group.
    case fragments
    /// firstTarget | targets<<32 | what turns the service port into the customers'<<48; counter | flags<<24 | family<<28 | the IPv4 address that the source is rewritten to,
    /// or the place of the IPv6 one<<32.
    case entries
    /// high; low: IPv6 addresses that sources are rewritten to.
    case rewrites
    /// interface | what is added to the service port<<16 | kind<<32 | system<<40 | family<<48 | whether only while joined<<56; source MAC | its access point + 1<<48; high; low (of the address, or the MAC in low).
    ///
    /// A choice between instances: group | what its targets add to the service port<<16 | kind<<32 | answer<<40; first of the members' targets | count<<32; first of
    /// the hops while it is down | count<<32; 0.
    ///
    /// A choice of two hops: group | kind<<32; first | count<<32 of the hops while it is up, and while it is down; 0.
    ///
    /// A record only refers to hops behind it.
    case targets
    /// members | flags<<32 (hashing<<8); seed; first slot record | first slot record for what is new<<32; the one member
    /// that has all slots | the one for what is new<<32.
    case instanceGroups
    /// Four members of 16 bits for four consecutive slots. A table has 16,384 of these.
    case instanceSlots
    /// high; low; family | length<<8: the prefixes that nodes may send from. Those of one node are next to each other,
    /// disjoint and ascending, IPv4 first.
    case origins
    /// First | count<<32 of the segments of own addresses, IPv4; the same of IPv6. By access point.
    case accessPoints
    /// First rule | rules<<32; counter | action<<32 for packets that match none; first | count<<32 of the segments of remote IPv4
    /// addresses; of IPv6 ones; of protocols with the own port; of protocols with the remote port; of own IPv4 addresses; of
    /// IPv6 ones.
    case accessLists
    /// counter | action<<32.
    case accessRules
    /// high; low of the first address; of a point: list + 1 (0: none), of a list: first word of the vector<<32. The segments of
    /// one dimension are next to each other, ascending from address 0.
    case accessAddresses
    /// protocol<<17 | port or type (65,536 for neither) | first word of the vector<<32: the first number of a segment.
    /// As for addresses.
    case accessPorts
    /// The rules that match the numbers of a segment, one bit each, in words of 64. Behind each vector are words enough for the
    /// longest.
    case accessVectors
    /// The words of a `Circuit`; carrier | interface<<32; 0. Those of one carrier are next to each other, ascending by their keys.
    case circuits
    /// For each interface: its circuit + 1 | the first circuit that it carries<<16 | how many it carries<<32. None if there are no
    /// circuits.
    case circuitPlaces
    /// The words of a `Tunnel`; carrier | interface<<32; 0. Those of one carrier are next to each other, ascending by their keys.
    case tunnels
    /// As `circuitPlaces`, of tunnels.
    case tunnelPlaces

    /// The octets of one record.
    @inlinable
    var stride: Int {
        switch self {
        case .prefixSlots4, .claimedPrefixes, .claims, .mirrors, .fragments, .instanceSlots, .accessRules, .accessPorts,
            .accessVectors, .circuitPlaces, .tunnelPlaces:
            8
        case .holders, .intervals, .entries, .rewrites, .accessPoints: 16
        case .addresses, .macs, .prefixSlots6, .origins, .accessAddresses: 24
        case .interfaces, .addressSlots, .scopes, .sourcePrefixes, .destinationPrefixes, .groupSlots, .groups, .targets,
            .instanceGroups:
            32
        case .accessLists, .circuits: 64
        case .masks: 96
        case .tunnels: 128
        case .prefixIndexes: 160
        }
    }
}

/// The constants of a snapshot's layout, and the hash functions that its builder and its reader share.
@usableFromInline
enum Layout {
    /// "TAPLINE" and a zero octet.
    @usableFromInline static let magic: UInt64 = 0x0045_4E49_4C50_4154
    /// Rises with every change of the layout. A snapshot of another version is refused.
    @usableFromInline static let version: UInt32 = 10
    /// "TAPGRPS" and a zero octet: the groups of a table, in memory of their own.
    static let groupsMagic: UInt64 = 0x0053_5052_4750_4154
    /// Octets of the header before the section table.
    @usableFromInline static let headerSize = 64
    /// Octets of the header and the section table.
    @usableFromInline static var preambleSize: Int { headerSize + 16 * Section.allCases.count }
    /// No entry, no address.
    @usableFromInline static let none: UInt32 = .max
    /// The octets of a cache line.
    static let line = 64
    /// The prefix length of an unused slot in a longest-prefix index for IPv6; for IPv4 an unused slot is 0.
    @usableFromInline static let emptyLength: UInt32 = .max
    /// The key of an unused slot in the table of MAC addresses.
    @usableFromInline static let emptyMAC: UInt64 = .max
    /// Of a holder's prefix: its announcements move the address.
    static let holderMoves: UInt64 = 1 << 32
    /// Of a holder's prefix, which is a group: the node may join it. Such a holder announces nothing.
    static let holderJoins: UInt64 = 1 << 33
    /// Of a holder's prefix, which is a group: the node may report it, and is in it in any case.
    static let holderReports: UInt64 = 1 << 35
    /// Of a holder's prefix: it may announce it.
    static let holderAnnounces: UInt64 = 1 << 34
    /// Stands for a MAC address: some holder on the interface has the prefix, and its announcements move the address.
    static let anyHolder: UInt64 = 0xFFFF_FFFF_FFFF
    /// The bit of a scope's length mask that stands for any prefix: one beyond the longest prefix.
    @usableFromInline static let anyBit: UInt32 = 129
    /// The largest number of interfaces of a table.
    @usableFromInline static let maximumInterfaces = 4096

    /// Where the populated lengths start in a record of `prefixIndexes`.
    @usableFromInline static let lengthsOffset = 24
    /// The largest number of distinct prefix lengths above zero.
    @usableFromInline static let maximumLengths = 128

    /// Slots of a bucket in the longest-prefix indexes for IPv4.
    @usableFromInline static let bucket = 8
    /// The bits of a slot there that are its key.
    @usableFromInline static let keyMask4: UInt64 = 1 << 38 - 1

    // Bits of a group's first word.
    @usableFromInline static let groupIsOne: UInt64 = 1 << 48
    @usableFromInline static let groupIsResponse: UInt64 = 1 << 49
    @usableFromInline static let groupIsMany: UInt64 = 1 << 50

    /// Bit of the second word of an entry: the entry is by hand, and the engine answers ARP for what it forwards.
    @usableFromInline static let entryIsByHand: UInt64 = 4 << 24

    // Bits of a record of `fragments`.
    /// The entries of the protocol lead to different places for different ports.
    @usableFromInline static let fragmentDiffers: UInt64 = 1
    /// The entries of the protocol take every port.
    @usableFromInline static let fragmentIsCovered: UInt64 = 2

    /// Bit of the first word of a scope, and of a prefix: groups of it stand in the hash table of groups.
    @usableFromInline static let hasSlots: UInt64 = 1 << 40

    /// A bit of the value of an engine's own address: entries forward questions for names to a resolver.
    @usableFromInline static let answersNames: UInt64 = 1 << 32
    /// The port of DNS (RFC 1035, 4.2).
    @usableFromInline static let namePort: UInt16 = 53
    /// As `answersNames`: entries forward requests for mappings to the node that answers them.
    @usableFromInline static let answersMappings: UInt64 = 1 << 33
    /// The port of PCP and NAT-PMP (RFC 6887, 19).
    @usableFromInline static let mappingPort: UInt16 = 5351

    /// The bit for packets to an engine's own address that entries may forward; 0: the engine takes them itself.
    @inlinable
    static func answered(port: UInt16, _ protocolNumber: UInt8?) -> UInt64 {
        switch (port, protocolNumber) {
        case (namePort, IPProtocol.udp), (namePort, IPProtocol.tcp): answersNames
        case (mappingPort, IPProtocol.udp): answersMappings
        default: 0
        }
    }

    // Bits of a MAC slot's flags.
    @usableFromInline static let flagOwn: UInt64 = 1
    @usableFromInline static let flagKnown: UInt64 = 2
    @usableFromInline static let flagMayEmit: UInt64 = 4
    @usableFromInline static let flagRemoved: UInt64 = 8
    /// It may only send from certain prefixes.
    @usableFromInline static let flagBound: UInt64 = 16

    /// Bit of the second word of an interface: a sender that the table does not name there is no node.
    @usableFromInline static let interfaceIsNamed: UInt64 = 1 << 31
    /// Bits of the same word: nodes there may join groups of IPv4, and of IPv6.
    @inlinable
    static func interfaceJoins(_ family: AddressFamily) -> UInt64 { family == .ipv4 ? 1 << 30 : 1 << 29 }
    /// All bits of that word that are no part of the MTU.
    @usableFromInline static let interfaceFlags: UInt64 = 7 << 29
    /// Bit of the first word of a target: only while the node is in the packet's group.
    @usableFromInline static let targetWhileJoined: UInt64 = 1 << 56

    /// Where the port shift of a target, or of a choice between instances, begins in its first word.
    @usableFromInline static let targetShiftShift: UInt64 = 16
    /// Where the port shift of an entry begins in its first word.
    @usableFromInline static let entryShiftShift: UInt64 = 48
    /// The bits of the upper half of that word that are the number of targets.
    @usableFromInline static let entryTargetsMask: UInt32 = 0xFFFF
    /// Where one more than a target's access point begins in its second word. The MAC address is below.
    @usableFromInline static let targetAccessShift: UInt64 = 48
    /// The most words of a vector of an access list.
    static let longestVector = (AccessPoint.mostRules + 63) / 64
    /// The action of a rule of an access list that allows; other actions are an `AccessDenial`.
    @usableFromInline static let accessAllows: UInt32 = 0xFF

    /// The number of a protocol with a port, or with an ICMP type.
    @inlinable @inline(__always)
    static func upper(_ protocolNumber: UInt8, _ value: UInt16) -> UInt32 {
        UInt32(protocolNumber) << 17 | UInt32(value)
    }

    /// The number of a protocol whose ports, or type, cannot be read. It is the protocol's largest.
    @inlinable @inline(__always)
    static func upperUnread(_ protocolNumber: UInt8) -> UInt32 { UInt32(protocolNumber) << 17 | 1 << 16 }

    // Further values of `origins` of a `Sender`.
    @usableFromInline static let anySource: UInt64 = .max
    @usableFromInline static let noSource: UInt64 = .max - 1

    // Kinds of send address.
    @usableFromInline static let kindMAC: UInt8 = 1
    @usableFromInline static let kindNetwork: UInt8 = 2
    @usableFromInline static let kindNeighbour: UInt8 = 3
    /// Not a send address: a choice between the instances of a group, or between two hops.
    @usableFromInline static let kindInstance: UInt8 = 4
    @usableFromInline static let kindWhether: UInt8 = 5
    /// For a choice whose group is down: its hops, instead of a `DownAnswer`.
    @usableFromInline static let answerHops: UInt8 = .max
    /// The largest depth of nested choices.
    static let maximumDepth = 64
    /// The largest number of copies of one packet.
    static let maximumCopies = 4_096

    // Bits of an instance group's flags.
    @usableFromInline static let groupDown: UInt32 = 1
    @usableFromInline static let groupDrains: UInt32 = 2
    /// The largest number of groups, and of members.
    static let maximumGroups = 1_024
    static let maximumMembers = 4_096
    /// Slot records of one table.
    @usableFromInline static let slotRecords = 16_384

    /// The hash that deals slots out. It never changes, so that flows keep their instances.
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

    /// The hash of a key in the snapshot's own hash tables: the two halves of one long product.
    @inlinable @inline(__always)
    static func spread(_ key: UInt64) -> UInt64 {
        let product = key.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return product.high ^ product.low
    }

    @inlinable @inline(__always)
    static func spread(high: UInt64, low: UInt64, tag: UInt64) -> UInt64 {
        spread(spread(low &+ tag &* 0x9E37_79B9_7F4A_7C15) ^ (high &+ 0xC2B2_AE3D_27D4_EB4F))
    }

    @inlinable @inline(__always)
    static func groupHash(scope: UInt32, source: UInt32, destination: UInt32) -> UInt64 {
        spread((UInt64(source) << 32 | UInt64(destination)) &+ UInt64(scope) &* 0x9E37_79B9_7F4A_7C15)
    }

    @usableFromInline
    static func holderHash(_ key: UInt64, _ prefix: UInt32) -> UInt64 {
        spread(spread(key) ^ UInt64(prefix))
    }

    /// The place, of `count` (below 2^32), that a hash belongs to.
    @inlinable @inline(__always)
    static func place(_ hash: UInt64, of count: UInt64) -> Int {
        Int(truncatingIfNeeded: ((hash >> 32) &* count) >> 32)
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
    /// An address of the engine, on any interface. The value is the first interface that has it, with `answersNames` and
    /// `answersMappings`.
    case own = 2
    /// An address of the engine on the slot's interface.
    case ownOnInterface = 3
}

/// The six longest-prefix indexes.
@usableFromInline
enum PrefixIndexKind: Int, CaseIterable {
    case source4, source6, destination4, destination6, claimed4, claimed6

    /// True for IPv4 addresses.
    var isFour: Bool { self == .source4 || self == .destination4 || self == .claimed4 }

    /// Where its slots are.
    var section: Section { isFour ? .prefixSlots4 : .prefixSlots6 }

    /// The slots of one place where a search starts.
    var bucket: UInt64 { isFour ? UInt64(Layout.bucket) : 1 }

    /// The prefixes that it leads to.
    var prefixes: Section {
        switch self {
        case .source4, .source6: .sourcePrefixes
        case .destination4, .destination6: .destinationPrefixes
        case .claimed4, .claimed6: .claimedPrefixes
        }
    }
}
