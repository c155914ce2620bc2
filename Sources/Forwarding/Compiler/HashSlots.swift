/// The words of an open-addressing hash table under construction. Each slot has `width` words.
struct HashSlots {
    /// The number of slots for a number of keys, and the slot where a search starts.
    enum Shape {
        /// A power of two, at most half full; a search starts at the lower bits of the hash.
        case masked
        /// Five thirds of the number of keys. A search starts where `Layout.place` says.
        case placed
    }

    let width: Int
    let count: Int
    private(set) var words: [UInt64]
    private let shape: Shape
    private let emptyWord: UInt64
    private let emptyField: Int

    /// - Parameters:
    ///   - entries: The largest number of keys that will be inserted.
    ///   - shape: The number of slots.
    ///   - empty: The words of an unused slot, as many as every slot has.
    ///   - emptyField: The index of the word that marks an unused slot.
    init(entries: Int, shape: Shape, empty: [UInt64], emptyField: Int = 0) {
        width = empty.count
        self.shape = shape
        switch shape {
        case .masked:
            var capacity = 2
            while capacity < entries * 2 { capacity *= 2 }
            count = capacity
        case .placed:
            count = entries * 5 / 3 + 1
        }
        words = Array(repeating: empty[emptyField], count: count * width)
        if empty.contains(where: { $0 != empty[emptyField] }) {
            for index in words.indices { words[index] = empty[index % width] }
        }
        emptyWord = empty[emptyField]
        self.emptyField = emptyField
    }

    /// The index of the first word of the slot that `matches`, or of the unused slot where it belongs.
    func slot(hash: UInt64, matches: (Int) -> Bool) -> (word: Int, isNew: Bool) {
        var index =
            switch shape {
            case .masked: Int(truncatingIfNeeded: hash & UInt64(count - 1))
            case .placed: Layout.place(hash, of: UInt64(count))
            }
        while true {
            let word = index * width
            if words[word + emptyField] == emptyWord { return (word, true) }
            if matches(word) { return (word, false) }
            index = index + 1 == count ? 0 : index + 1
        }
    }

    subscript(word: Int) -> UInt64 {
        get { words[word] }
        set { words[word] = newValue }
    }
}

extension UInt64 {
    /// One word of two halves, of 32 bits each.
    @inlinable
    init(low: UInt32, high: UInt32) {
        self = UInt64(low) | UInt64(high) << 32
    }

    /// One word of two counts or indices, each below 2^32.
    init(low: Int, high: Int) {
        self.init(low: UInt32(low), high: UInt32(high))
    }
}
