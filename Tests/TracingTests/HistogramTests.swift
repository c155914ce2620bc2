import Seeds
import Testing
@testable import Tracing

@Suite struct HistogramTests {
    /// The share of sorted values, by counting.
    private func naive(_ sorted: [UInt64], _ share: Double) -> UInt64 {
        sorted[max(1, Int((Double(sorted.count) * share).rounded(.up))) - 1]
    }

    @Test func agreesWithSortedValuesToAThousandth() {
        var generator = SeededGenerator(seed: Seed.drawn())
        for _ in 0..<40 {
            var histogram = LatencyHistogram()
            var values: [UInt64] = []
            let bits = UInt64.random(in: 1...63, using: &generator)
            for _ in 0..<Int.random(in: 1...3_000, using: &generator) {
                let value = UInt64.random(
                    in: 0..<(1 << UInt64.random(in: 1...bits, using: &generator)), using: &generator)
                histogram.record(value)
                values.append(value)
            }
            values.sort()
            #expect(histogram.count == UInt64(values.count))
            #expect(histogram.max == values.last && histogram.min == values.first)
            for share in [0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1] {
                let exact = naive(values, share)
                let told = histogram.value(at: share)
                #expect(told >= exact && told - exact <= exact / 1_000, "\(share): \(exact), told as \(told)")
            }
            #expect(histogram.buckets.reduce(0) { $0 + $1.count } == histogram.count)
        }
    }

    @Test func bucketsMeetWithoutGaps() {
        var last: UInt64?
        // 2,048 values of one bucket each, then steps of 2, 4, 8 …
        for value: UInt64 in 0..<20_000 {
            var histogram = LatencyHistogram()
            histogram.record(value)
            histogram.record(.max)
            let end = histogram.buckets[0].upperEnd
            #expect(end >= value)
            if let last { #expect(end == last || last == value - 1) }
            last = end
        }
        var histogram = LatencyHistogram()
        histogram.record(.max)
        #expect(histogram.buckets[0].upperEnd == .max)
        #expect(histogram.figures == LatencyFigures(count: 1, p50: .max, p90: .max, p99: .max, p999: .max, max: .max))
    }

    @Test func twoTogetherAreAsOne() {
        var generator = SeededGenerator(seed: Seed.drawn())
        var (one, two, both) = (LatencyHistogram(), LatencyHistogram(), LatencyHistogram())
        for index in 0..<5_000 {
            let value = UInt64.random(in: 0..<1_000_000_000, using: &generator)
            both.record(value)
            if index % 3 == 0 { one.record(value) } else { two.record(value) }
        }
        one.add(two)
        #expect(one == both)
        one.add(LatencyHistogram())
        #expect(one == both)
    }

    @Test func anEmptyOneHasNothing() {
        #expect(LatencyHistogram().figures == LatencyFigures(count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0))
    }
}
