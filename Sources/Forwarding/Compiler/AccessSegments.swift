import Wire

/// The numbers of one dimension (addresses, or ports with their protocols), cut where the set of rules that match changes.
///
/// A rule's bit in a segment's vector says that the rule matches the numbers of the segment. A packet has one number in each
/// dimension: the rules that match it are those whose bits are in all of its vectors.
struct AccessSegments<Number: FixedWidthInteger & UnsignedInteger> {
    /// The first number of each segment, ascending from 0, and its vector. Neighbours' vectors differ.
    private(set) var segments: [(start: Number, vector: [UInt64])] = []

    /// - Parameters:
    ///   - ranges: Numbers with the rule that matches them. The ranges of one rule are disjoint.
    ///   - words: The length of a vector, in words of 64 rules.
    init(_ ranges: [(numbers: ClosedRange<Number>, rule: Int)], words: Int) {
        var changes: [(at: Number, rule: Int)] = []
        changes.reserveCapacity(ranges.count * 2)
        for (numbers, rule) in ranges {
            changes.append((numbers.lowerBound, rule))
            if numbers.upperBound < .max { changes.append((numbers.upperBound + 1, rule)) }
        }
        changes.sort { $0.at < $1.at }
        var vector = [UInt64](repeating: 0, count: words)
        var place = 0
        if changes.first?.at != 0 { segments.append((0, vector)) }
        while place < changes.count {
            let start = changes[place].at
            // A rule that ends where it begins again changes twice.
            while place < changes.count, changes[place].at == start {
                vector[changes[place].rule / 64] ^= 1 << UInt64(changes[place].rule % 64)
                place += 1
            }
            if segments.last?.vector != vector { segments.append((start, vector)) }
        }
    }
}

extension IPPrefix {
    /// The numbers of its addresses.
    package var numbers: ClosedRange<UInt128> {
        let rest = family.width - length
        return address.number...address.number | (rest == 128 ? .max : (1 << UInt128(rest)) - 1)
    }
}
