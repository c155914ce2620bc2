/// Where the entries of records are in a plan's table: behind those of the file's services with a chain, and together for
/// each record.
public struct RecordEntries: Sendable, Hashable {
    /// The index of the first one.
    public var start: Int
    /// How many each record has, in the order of the records.
    public var counts: [Int]

    /// Memberwise.
    public init(start: Int = 0, counts: [Int] = []) {
        (self.start, self.counts) = (start, counts)
    }

    /// The index behind the last one.
    public var end: Int { counts.reduce(start, +) }

    /// The indices of the entries of each record.
    public var ranges: [Range<Int>] {
        var next = start
        return counts.map { count in
            defer { next += count }
            return next..<next + count
        }
    }
}
