/// The words of an open-addressing hash table under construction, of slots of `width` words each, at most half full.
struct HashSlots {
    let width: Int
    let mask: UInt64
    private(set) var words: [UInt64]
    private let isEmpty: (UInt64) -> Bool
    private let emptyField: Int

    /// - Parameters:
    ///   - entries: The number of keys that will be inserted, at most.
    ///   - empty: The words of an unused slot; as many as every slot has.
    ///   - emptyField: The word by which an unused slot is told.
    init(entries: Int, empty: [UInt64], emptyField: Int = 0) {
        width = empty.count
        var capacity = 2
        while capacity < entries * 2 { capacity *= 2 }
        mask = UInt64(capacity - 1)
        words = []
        words.reserveCapacity(capacity * empty.count)
        for _ in 0..<capacity { words += empty }
        let marker = empty[emptyField]
        isEmpty = { $0 == marker }
        self.emptyField = emptyField
    }

    /// The index of the first word of the slot that `matches`, or of the unused slot where it belongs.
    func slot(hash: UInt64, matches: (Int) -> Bool) -> (word: Int, isNew: Bool) {
        var index = hash & mask
        while true {
            let word = Int(index) * width
            if isEmpty(words[word + emptyField]) { return (word, true) }
            if matches(word) { return (word, false) }
            index = (index + 1) & mask
        }
    }

    subscript(word: Int) -> UInt64 {
        get { words[word] }
        set { words[word] = newValue }
    }
}

extension UInt64 {
    /// One word of two halves.
    init(low: UInt32, high: UInt32) {
        self = UInt64(low) | UInt64(high) << 32
    }

    /// One word of two counts or indices, each below 2^32.
    init(low: Int, high: Int) {
        self.init(low: UInt32(low), high: UInt32(high))
    }
}
