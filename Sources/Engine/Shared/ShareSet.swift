/// A set of shares. A share is the queues that go from one engine to another as a whole. There are at most `capacity`,
/// and the value needs no allocation.
public struct ShareSet: Sendable, Hashable {
    /// Shares are numbered from 0 to one less than this: as many as the queues that the kernel gives a TAP
    /// (MAX_TAP_QUEUES).
    public static let capacity = 256

    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// The empty set.
    public init() {}

    /// The shares of a sequence. Numbers that are no shares are ignored.
    public init(_ shares: some Sequence<Int>) {
        for share in shares { insert(share) }
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

    /// True if the share is in the set.
    public func contains(_ share: Int) -> Bool {
        share >= 0 && share < Self.capacity && self[word: share / 64] & 1 << UInt64(share % 64) != 0
    }

    /// Adds a share.
    public mutating func insert(_ share: Int) {
        guard share >= 0, share < Self.capacity else { return }
        self[word: share / 64] |= 1 << UInt64(share % 64)
    }

    /// Removes a share.
    public mutating func remove(_ share: Int) {
        guard share >= 0, share < Self.capacity else { return }
        self[word: share / 64] &= ~(1 << UInt64(share % 64))
    }

    /// True if there is no share in it.
    public var isEmpty: Bool { words.0 | words.1 | words.2 | words.3 == 0 }

    /// The shares in their order.
    public var shares: [Int] { (0..<Self.capacity).filter(contains) }

    /// True if both hold the same shares.
    public static func == (first: ShareSet, second: ShareSet) -> Bool { first.words == second.words }

    /// Adds the shares to a hash.
    public func hash(into hasher: inout Hasher) {
        for index in 0..<4 { hasher.combine(self[word: index]) }
    }
}
