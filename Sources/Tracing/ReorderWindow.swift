import Engine
import Wire

/// Puts records in the order of their times: those of several workers come slightly out of order.
struct ReorderWindow {
    /// A captured frame, and where its record is from.
    struct Record {
        var frame: CapturedFrame
        var worker: Int
        var sequence: UInt64
        var generation: UInt64

        fileprivate func isBefore(_ other: Record) -> Bool {
            (frame.time.nanoseconds, worker, sequence) < (other.frame.time.nanoseconds, other.worker, other.sequence)
        }
    }

    /// How long a record waits for earlier ones, in nanoseconds.
    let window: UInt64
    /// The most records that wait.
    let capacity: Int
    private var records: [Record] = []
    /// The records before this one are taken.
    private var first = 0
    private static let moved = 4_096
    private var newest: UInt64 = 0

    init(window: UInt64, capacity: Int) {
        self.window = window
        self.capacity = capacity
    }

    mutating func insert(_ record: Record) {
        newest = max(newest, record.frame.time.nanoseconds)
        var place = records.count
        while place > first, record.isBefore(records[place - 1]) { place -= 1 }
        if place == records.count { records.append(record) } else { records.insert(record, at: place) }
    }

    /// No record before this time comes any more, except those that are out of order.
    mutating func advance(to time: UInt64) { newest = max(newest, time) }

    /// Removes and returns the first record, if no earlier one can precede it; nil if it may wait.
    ///
    /// - Parameter all: Whatever the time is.
    mutating func take(all: Bool = false) -> Record? {
        guard first < records.count else { return nil }
        let limit = newest > window ? newest - window : 0
        let isFull = records.count - first > capacity
        guard all || isFull || records[first].frame.time.nanoseconds <= limit else { return nil }
        let record = records[first]
        first += 1
        // All at once, so that the ones that wait are not moved for each.
        if first >= Self.moved || first == records.count {
            records.removeFirst(first)
            first = 0
        }
        return record
    }
}
