/// A set of octets of one packet, as ranges that do not touch.
struct Coverage: Sendable, Hashable {
    private(set) var ranges: [Range<Int>] = []

    init() {}

    init(_ range: Range<Int>) { if !range.isEmpty { ranges = [range] } }

    var isEmpty: Bool { ranges.isEmpty }

    /// The number of octets.
    var count: Int { ranges.reduce(0) { $0 + $1.count } }

    /// True if all of `range` is in the set.
    func covers(_ range: Range<Int>) -> Bool {
        range.isEmpty || ranges.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
    }

    /// True if all of `other` is in the set.
    func covers(_ other: Coverage) -> Bool { other.ranges.allSatisfy { covers($0) } }

    mutating func add(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        var merged = range
        var kept: [Range<Int>] = []
        for other in ranges {
            if other.upperBound < merged.lowerBound || other.lowerBound > merged.upperBound {
                kept.append(other)
            } else {
                merged = min(merged.lowerBound, other.lowerBound)..<max(merged.upperBound, other.upperBound)
            }
        }
        kept.append(merged)
        ranges = kept.sorted { $0.lowerBound < $1.lowerBound }
    }

    mutating func add(_ other: Coverage) { for range in other.ranges { add(range) } }

    mutating func remove(_ range: Range<Int>) {
        ranges = ranges.flatMap { other -> [Range<Int>] in
            let overlap = other.clamped(to: range)
            guard !overlap.isEmpty else { return [other] }
            return [other.lowerBound..<overlap.lowerBound, overlap.upperBound..<other.upperBound].filter { !$0.isEmpty }
        }
    }

    func subtracting(_ other: Coverage) -> Coverage {
        var rest = self
        for range in other.ranges { rest.remove(range) }
        return rest
    }

    /// The parts of `range` that are in the set.
    func intersection(_ range: Range<Int>) -> [Range<Int>] {
        ranges.map { $0.clamped(to: range) }.filter { !$0.isEmpty }
    }
}
