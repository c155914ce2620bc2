/// Counts of durations with three significant digits, whatever their size: the log-linear buckets of HdrHistogram.
///
/// A duration lies in a bucket with no more than a thousandth of its size between the bucket's ends. Figures are the
/// upper ends, as HdrHistogram tells them, so that none is told as shorter than it was. Only buckets with counts take
/// memory.
package struct LatencyHistogram: Sendable, Hashable {
    /// 2,048 buckets up to 2,047 ns with one value each, then 1,024 for each doubling.
    private static let magnitude = 11
    private static let half = 1 << (magnitude - 1)
    private var counts: [Int: UInt64] = [:]
    /// The durations that were counted.
    package private(set) var count: UInt64 = 0
    /// The longest duration in nanoseconds, exact; 0 if there is none.
    package private(set) var max: UInt64 = 0
    /// The shortest duration in nanoseconds, exact; 0 if there is none.
    package private(set) var min: UInt64 = 0
    /// The sum of all in nanoseconds; it stops at the largest number.
    package private(set) var sum: UInt64 = 0

    /// An empty histogram.
    package init() {}

    /// Counts a duration in nanoseconds.
    package mutating func record(_ value: UInt64) {
        counts[Self.bucket(value), default: 0] += 1
        min = count == 0 ? value : Swift.min(min, value)
        max = Swift.max(max, value)
        count += 1
        let (total, isBeyond) = sum.addingReportingOverflow(value)
        sum = isBeyond ? .max : total
    }

    /// Counts all that another histogram has counted.
    package mutating func add(_ other: LatencyHistogram) {
        guard other.count > 0 else { return }
        for (bucket, number) in other.counts { counts[bucket, default: 0] += number }
        min = count == 0 ? other.min : Swift.min(min, other.min)
        max = Swift.max(max, other.max)
        count += other.count
        let (total, isBeyond) = sum.addingReportingOverflow(other.sum)
        sum = isBeyond ? .max : total
    }

    /// The duration in nanoseconds that a share of all does not exceed; 0 if there is none.
    ///
    /// - Parameter share: 0…1: 0.999 for p99.9.
    package func value(at share: Double) -> UInt64 {
        let wanted = Swift.max(1, UInt64((Double(count) * Swift.min(Swift.max(share, 0), 1)).rounded(.up)))
        var seen: UInt64 = 0
        for bucket in counts.keys.sorted() {
            seen += counts[bucket] ?? 0
            if seen >= wanted { return Swift.min(Self.upperEnd(bucket), max) }
        }
        return max
    }

    /// Count, percentiles and maximum.
    package var figures: LatencyFigures {
        LatencyFigures(
            count: count, p50: value(at: 0.5), p90: value(at: 0.9), p99: value(at: 0.99), p999: value(at: 0.999),
            max: max)
    }

    /// The buckets with counts, each with its upper end in nanoseconds.
    package var buckets: [(upperEnd: UInt64, count: UInt64)] {
        counts.keys.sorted().map { (Self.upperEnd($0), counts[$0] ?? 0) }
    }

    static func bucket(_ value: UInt64) -> Int {
        let bits = UInt64.bitWidth - value.leadingZeroBitCount
        let shift = Swift.max(0, bits - magnitude)
        return shift * half + Int(value >> UInt64(shift))
    }

    static func upperEnd(_ bucket: Int) -> UInt64 {
        guard bucket >= 2 * half else { return UInt64(bucket) }
        let shift = UInt64(bucket / half - 1)
        let first = UInt64(bucket - Int(shift) * half) << shift
        return first + (1 << shift - 1)
    }
}

/// The figures of a histogram. All but `count` are nanoseconds.
package struct LatencyFigures: Codable, Sendable, Hashable {
    /// The durations.
    package var count: UInt64
    /// Half of them are no longer.
    package var p50: UInt64
    /// Nine tenths of them are no longer.
    package var p90: UInt64
    /// 99 % of them are no longer.
    package var p99: UInt64
    /// 99.9 % of them are no longer.
    package var p999: UInt64
    /// The longest.
    package var max: UInt64
}
