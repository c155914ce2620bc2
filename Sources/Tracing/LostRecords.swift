/// When records were lost, as gaps in the workers' sequence numbers tell.
struct LostRecords {
    private struct Gap {
        var from: UInt64
        var to: UInt64
    }

    /// Records lost so far.
    private(set) var count: UInt64 = 0
    private var gaps: [Gap] = []
    private var seen: [Int: (sequence: UInt64, time: UInt64)] = [:]
    private static let capacity = 1_024

    /// Notes a record: of one worker they come in the order of their numbers.
    mutating func note(worker: Int, sequence: UInt64, time: UInt64) {
        if let last = seen[worker], sequence > last.sequence &+ 1 {
            count += sequence - last.sequence - 1
            if gaps.count >= Self.capacity { gaps.removeFirst(Self.capacity / 2) }
            gaps.append(Gap(from: last.time, to: max(time, last.time)))
        }
        seen[worker] = (sequence, time)
    }

    /// Records of every worker from its last one to a time are missing. They are counted elsewhere.
    mutating func missed(before time: UInt64) {
        let from = seen.values.map(\.time).min() ?? 0
        gaps.append(Gap(from: from, to: max(time, from)))
    }

    /// True if records from `from` to `to` may be missing.
    func overlap(_ from: UInt64, _ to: UInt64) -> Bool { gaps.contains { $0.from <= to && from <= $0.to } }

    /// Forgets what was before a time.
    mutating func forget(before time: UInt64) {
        guard let first = gaps.first, first.to < time else { return }
        gaps.removeAll { $0.to < time }
    }
}
