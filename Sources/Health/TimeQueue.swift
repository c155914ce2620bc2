import Wire

/// Items, each with a time: the earliest comes first, items of equal times come in any order.
///
/// A binary heap. An item that is inserted twice is in it twice. After you have removed an item, ask the item itself
/// whether it is due.
public struct TimeQueue: Sendable {
    private var heap: [(time: MonotonicTime, item: Int)] = []

    /// An empty queue.
    public init() {}

    /// The earliest item.
    public var first: (time: MonotonicTime, item: Int)? { heap.first }
    /// The number of items.
    public var count: Int { heap.count }

    /// Inserts an item.
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

    /// Removes the earliest item. Does nothing if the queue is empty.
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
