/// How much room a snapshot has for changes (`SnapshotEditor`), besides what a table needs.
struct SnapshotRoom: Sendable {
    /// How many records more for each record, and how many at least.
    private let share: Double
    private let least: Int
    /// True if there are applications that access lists may be made for.
    private var judges = false

    /// No room. The snapshot is as small as it can be.
    static let none = SnapshotRoom(0, least: 0)
    /// A quarter more.
    static let quarter = SnapshotRoom(0.25, least: 64)

    private init(_ share: Double, least: Int) { (self.share, self.least) = (share, least) }

    /// The same room for a table with such applications, or without.
    func judging(_ judges: Bool) -> SnapshotRoom {
        var room = self
        room.judges = judges
        return room
    }

    /// True if there is any.
    var isAny: Bool { least > 0 }

    /// A number of records, with the room for more.
    func with(_ count: Int) -> Int { count + Int(Double(count) * share) + least }

    /// The octets of a section that holds so many. Hash tables have their room inside, and sections that no change extends
    /// have none.
    func octets(of section: Section, holding octets: Int) -> Int {
        guard section.grows, isAny, judges || section.listRecords == 0 else { return octets }
        // The first list of a tenant has no other one's records to count by.
        return (with(octets / section.stride) + section.listRecords) * section.stride
    }
}

extension Section {
    /// True if a change may add records behind those that are there.
    var grows: Bool {
        switch self {
        case .entries, .targets, .rewrites, .groups, .intervals, .fragments, .masks, .sourcePrefixes,
            .destinationPrefixes,
            .claimedPrefixes, .origins, .scopes, .accessLists, .accessRules, .accessAddresses, .accessPorts,
            .accessVectors:
            true
        default: false
        }
    }

    /// Records that a few new access lists need.
    fileprivate var listRecords: Int {
        switch self {
        case .accessLists: 64
        case .accessRules: 1_024
        case .accessAddresses, .accessPorts: 4_096
        case .accessVectors: 16_384
        default: 0
        }
    }
}

/// What a snapshot was made from, as far as a change of it needs that.
struct CompiledParts: Sendable {
    var sources: PrefixSet
    var destinations: PrefixSet
    var claimed: PrefixSet
    /// The parts of each scope, from scope 1 on.
    var scopes: [GroupTable.ScopeKey]
    var hops: HopTable
    var origins: OriginLists
    var access: AccessTable
}
