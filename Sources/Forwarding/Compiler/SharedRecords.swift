/// Records of a section under construction. Equal runs are stored once.
struct SharedRecords {
    /// The words of all records.
    private(set) var words: [UInt64] = []
    /// The size of a record, in words of 8 octets.
    let width: Int
    /// A hash table: one more than the first record of a run.
    private var slots = [UInt32](repeating: 0, count: 16)
    private var runs = 0

    /// - Parameter width: Words of a record.
    init(width: Int) {
        self.width = width
    }

    /// The number of records.
    var count: Int { words.count / width }

    subscript(word: Int) -> UInt64 {
        get { words[word] }
        set { words[word] = newValue }
    }

    /// Adds a record that is not shared and may be changed.
    mutating func append(_ record: [UInt64]) {
        words += record
    }

    /// The index of the first record of a run of these words: an existing run, or a new one. Do not change it.
    mutating func share(_ run: [UInt64]) -> Int {
        if (runs + 1) * 2 > slots.count { grow() }
        var index = Int(truncatingIfNeeded: Self.hash(run)) & (slots.count - 1)
        while slots[index] != 0 {
            let start = Int(slots[index] - 1) * width
            if start + run.count <= words.count, words[start..<start + run.count].elementsEqual(run) {
                return start / width
            }
            index = (index + 1) & (slots.count - 1)
        }
        let first = count
        words += run
        slots[index] = UInt32(first + 1)
        lengths.append((UInt32(first), UInt32(run.count)))
        runs += 1
        return first
    }

    /// Where the runs start, and their words.
    private var lengths: [(first: UInt32, count: UInt32)] = []

    private static func hash(_ run: some Sequence<UInt64>) -> UInt64 {
        run.reduce(0) { Layout.spread(($0 << 7 | $0 >> 57) &+ $1 &+ 0x9E37_79B9_7F4A_7C15) }
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 4)
        for run in lengths {
            let start = Int(run.first) * width
            var index =
                Int(truncatingIfNeeded: Self.hash(words[start..<start + Int(run.count)])) & (slots.count - 1)
            while slots[index] != 0 { index = (index + 1) & (slots.count - 1) }
            slots[index] = run.first + 1
        }
    }
}
