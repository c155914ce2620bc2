import Wire

/// Things to be looked at, each at a time of its own: the earliest first, and of equal times in any order.
///
/// A binary heap. What is put in a second time stays in it twice: whoever takes it out asks the thing itself whether it
/// is time.
public struct TimeQueue: Sendable {
    private var heap: [(time: MonotonicTime, item: Int)] = []

    /// An empty queue.
    public init() {}

    /// The earliest in it.
    public var first: (time: MonotonicTime, item: Int)? { heap.first }
    /// How many are in it.
    public var count: Int { heap.count }

    /// Puts an item in.
    public mutating func insert(_ item: Int, at time: MonotonicTime) {
        heap.append((time, item))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].time < heap[parent].time else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes the earliest out; nothing where it is empty.
    public mutating func removeFirst() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in 2 * parent + 1...2 * parent + 2 where child < heap.count && heap[child].time < heap[least].time
            {
                least = child
            }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
