/// A set of queue sets. A queue set is the queues that go from one engine to another as a whole. There are at most
/// `capacity`, and the value needs no allocation.
public struct QueueSets: Sendable, Hashable {
    /// Queue sets are numbered from 0 to one less than this: as many as the queues that the kernel gives a TAP
    /// (MAX_TAP_QUEUES).
    public static let capacity = 256

    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// The empty set.
    public init() {}

    /// The queue sets of a sequence. Numbers that are no queue sets are ignored.
    public init(_ queueSets: some Sequence<Int>) {
        for queueSet in queueSets { insert(queueSet) }
    }

    private subscript(word index: Int) -> UInt64 {
        get {
            switch index {
            case 0: words.0
            case 1: words.1
            case 2: words.2
            default: words.3
            }
        }
        set {
            switch index {
            case 0: words.0 = newValue
            case 1: words.1 = newValue
            case 2: words.2 = newValue
            default: words.3 = newValue
            }
        }
    }

    /// True if the queue set is in the set.
    public func contains(_ queueSet: Int) -> Bool {
        queueSet >= 0 && queueSet < Self.capacity && self[word: queueSet / 64] & 1 << UInt64(queueSet % 64) != 0
    }

    /// Adds a queue set.
    public mutating func insert(_ queueSet: Int) {
        guard queueSet >= 0, queueSet < Self.capacity else { return }
        self[word: queueSet / 64] |= 1 << UInt64(queueSet % 64)
    }

    /// Removes a queue set.
    public mutating func remove(_ queueSet: Int) {
        guard queueSet >= 0, queueSet < Self.capacity else { return }
        self[word: queueSet / 64] &= ~(1 << UInt64(queueSet % 64))
    }

    /// True if there is no queue set in it.
    public var isEmpty: Bool { words.0 | words.1 | words.2 | words.3 == 0 }

    /// The queue sets in their order.
    public var numbers: [Int] { (0..<Self.capacity).filter(contains) }

    /// True if both hold the same queue sets.
    public static func == (first: QueueSets, second: QueueSets) -> Bool { first.words == second.words }

    /// Adds the queue sets to a hash.
    public func hash(into hasher: inout Hasher) {
        for index in 0..<4 { hasher.combine(self[word: index]) }
    }
}
