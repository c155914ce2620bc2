/// A set of octets of one packet, as ranges that do not touch.
///
/// Nearly every packet comes whole, so that one range is all: it needs no memory of its own.
struct Coverage: Sendable, Hashable {
    /// The first range; empty if the set is.
    private var first = 0..<0
    /// Those after the first one.
    private var others: [Range<Int>] = []

    init() {}

    init(_ range: Range<Int>) { if !range.isEmpty { first = range } }

    private init(_ ranges: [Range<Int>]) {
        guard let first = ranges.first else { return }
        self.first = first
        others = Array(ranges.dropFirst())
    }

    var ranges: [Range<Int>] { isEmpty ? [] : [first] + others }

    var isEmpty: Bool { first.isEmpty }

    /// The number of octets.
    var count: Int { others.reduce(first.count) { $0 + $1.count } }

    /// True if all of `range` is in the set.
    func covers(_ range: Range<Int>) -> Bool {
        range.isEmpty || Self.covers(first, range) || others.contains { Self.covers($0, range) }
    }

    private static func covers(_ own: Range<Int>, _ range: Range<Int>) -> Bool {
        own.lowerBound <= range.lowerBound && range.upperBound <= own.upperBound
    }

    /// True if all of `other` is in the set.
    func covers(_ other: Coverage) -> Bool { covers(other.first) && other.others.allSatisfy { covers($0) } }

    mutating func add(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        if isEmpty {
            first = range
        } else if others.isEmpty, range.lowerBound <= first.upperBound, first.lowerBound <= range.upperBound {
            first = min(first.lowerBound, range.lowerBound)..<max(first.upperBound, range.upperBound)
        } else {
            merge(range)
        }
    }

    private mutating func merge(_ range: Range<Int>) {
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
        self = Coverage(kept.sorted { $0.lowerBound < $1.lowerBound })
    }

    mutating func add(_ other: Coverage) { for range in other.ranges { add(range) } }

    mutating func remove(_ range: Range<Int>) {
        if others.isEmpty, Self.covers(range, first) {
            first = 0..<0
            return
        }
        guard overlaps(range) else { return }
        self = Coverage(
            ranges.flatMap { other -> [Range<Int>] in
                let overlap = other.clamped(to: range)
                guard !overlap.isEmpty else { return [other] }
                return [other.lowerBound..<overlap.lowerBound, overlap.upperBound..<other.upperBound].filter {
                    !$0.isEmpty
                }
            })
    }

    func subtracting(_ other: Coverage) -> Coverage {
        if other.isEmpty { return self }
        var rest = self
        rest.remove(other.first)
        for range in other.others { rest.remove(range) }
        return rest
    }

    /// True if a part of `range` is in the set.
    func overlaps(_ range: Range<Int>) -> Bool {
        first.overlaps(range) || others.contains { $0.overlaps(range) }
    }

    /// The parts of `range` that are in the set.
    func intersection(_ range: Range<Int>) -> [Range<Int>] {
        ranges.map { $0.clamped(to: range) }.filter { !$0.isEmpty }
    }
}
