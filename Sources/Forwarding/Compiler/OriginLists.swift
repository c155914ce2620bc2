import Wire

/// The prefixes that nodes may send from, under construction. Nodes with the same prefixes share a list.
///
/// Each list is disjoint and ascending. A list with room has some of its records twice in a row. A search finds the same in
/// it, and a prefix that comes between takes the place of the nearest repetition.
struct OriginLists: Sendable {
    struct List: Sendable {
        /// Its records in the section.
        var records: Range<Int>
        /// True if no prefix overlaps with another: then each is in the list.
        var isDisjoint: Bool
    }

    private(set) var words: [UInt64] = []
    /// By the prefixes as the table has them.
    private(set) var lists: [[IPPrefix]: List] = [:]
    private let room: SnapshotRoom

    init(_ room: SnapshotRoom) { self.room = room }

    /// The place of a list in the flags of a MAC address. The list is added if there is none like it.
    mutating func place(of prefixes: [IPPrefix]) -> UInt64 {
        let list: List
        if let known = lists[prefixes] {
            list = known
        } else {
            let disjoint = TableCompiler.disjoint(prefixes)
            let first = words.count / 3
            words += Self.records(disjoint, room)
            list = List(records: first..<words.count / 3, isDisjoint: disjoint.count == prefixes.count)
            lists[prefixes] = list
        }
        return Self.flags(list.records)
    }

    static func flags(_ records: Range<Int>) -> UInt64 {
        UInt64(records.lowerBound) << 16 | UInt64(records.count) << 40
    }

    /// The records of disjoint prefixes in ascending order.
    static func records(_ prefixes: [IPPrefix], _ room: SnapshotRoom) -> [UInt64] {
        var words: [UInt64] = []
        for (place, prefix) in prefixes.enumerated() {
            let record = record(prefix)
            words += record
            if room.isAny, place % 8 == 0 || place == prefixes.count - 1 { words += record }
        }
        return words
    }

    static func record(_ prefix: IPPrefix) -> [UInt64] {
        let family = UInt64(prefix.family.rawValue)
        return [prefix.address.high, prefix.address.low, family | UInt64(prefix.length) << 8]
    }
}
