/// How much room a snapshot has for changes (`SnapshotEditor`), besides what a table needs.
struct SnapshotRoom: Sendable {
    /// How many records more for each record, and how many at least.
    private let share: Double
    private let least: Int

    /// No room. The snapshot is as small as it can be.
    static let none = SnapshotRoom(share: 0, least: 0)
    /// A quarter more.
    static let quarter = SnapshotRoom(share: 0.25, least: 64)

    /// True if there is any.
    var isAny: Bool { least > 0 }

    /// A number of records, with the room for more.
    func with(_ count: Int) -> Int { count + Int(Double(count) * share) + least }

    /// The octets of a section that holds so many. Hash tables have their room inside, and sections that no change extends
    /// have none.
    func octets(of section: Section, holding octets: Int) -> Int {
        section.grows && isAny ? with(octets / section.stride) * section.stride : octets
    }
}

extension Section {
    /// True if a change may add records behind those that are there.
    var grows: Bool {
        switch self {
        case .entries, .targets, .rewrites, .groups, .intervals, .fragments, .masks, .sourcePrefixes,
            .destinationPrefixes,
            .claimedPrefixes, .origins:
            true
        default: false
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
}
