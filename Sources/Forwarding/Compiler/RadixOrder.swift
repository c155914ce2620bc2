/// An order of many things by several integer keys, the least significant first. Each sort is stable and does not
/// compare. A million things take a few milliseconds for each 11 bits in which their keys differ.
struct RadixOrder {
    /// The indices of the things, in the order so far.
    private(set) var indices: [UInt32]

    /// `indices` in the given order.
    init(_ indices: [UInt32]) {
        self.indices = indices
    }

    /// Sorts by one more key, which becomes the most significant one.
    ///
    /// - Parameter key: The key of the thing with an index.
    mutating func sort(by key: (Int) -> UInt64) {
        guard indices.count > 1 else { return }
        var keys = indices.map { key(Int($0)) }
        // For a few things, comparing costs less than counting.
        if indices.count < 4_096 {
            let order = keys.indices.sorted { (keys[$0], $0) < (keys[$1], $1) }
            indices = order.map { indices[$0] }
            return
        }
        let differing = keys.reduce(0) { $0 | ($1 ^ keys[0]) }
        var nextKeys = keys
        var nextIndices = indices
        for shift in stride(from: UInt64(0), to: 64, by: 11) where differing >> shift & 0x7FF != 0 {
            var places = [Int](repeating: 0, count: 2_049)
            for key in keys { places[Int(key >> shift & 0x7FF) + 1] += 1 }
            for digit in 1..<2_049 { places[digit] += places[digit - 1] }
            for index in keys.indices {
                let digit = Int(keys[index] >> shift & 0x7FF)
                nextKeys[places[digit]] = keys[index]
                nextIndices[places[digit]] = indices[index]
                places[digit] += 1
            }
            swap(&keys, &nextKeys)
            swap(&indices, &nextIndices)
        }
    }
}
