import Wire

/// Prefixes of both families, numbered from 1. A prefix comes after every prefix that encloses it. 0 stands for any.
struct PrefixSet {
    /// The prefix with identifier `index + 1`.
    private(set) var prefixes: [IPPrefix] = []
    /// For each identifier, the identifier of the next shorter prefix around it; 0 for none.
    private(set) var parents: [UInt32] = [0]
    /// For each given place, the identifier of its prefix; 0 for none.
    private(set) var identifiers: [UInt32]

    /// - Parameter given: The prefix at each place, in any order, with repetitions.
    init(_ given: [IPPrefix?]) {
        identifiers = Array(repeating: 0, count: given.count)
        var (four, six): ([UInt32], [UInt32]) = ([], [])
        for (place, prefix) in given.enumerated() {
            guard let prefix else { continue }
            if prefix.family == .ipv4 { four.append(UInt32(place)) } else { six.append(UInt32(place)) }
        }
        var (orderFour, orderSix) = (RadixOrder(four), RadixOrder(six))
        // An IPv4 address has 32 bits, and its prefix's length six.
        orderFour.sort { given[$0]!.address.low << 6 | UInt64(given[$0]!.length) }
        orderSix.sort { UInt64(given[$0]!.length) }
        orderSix.sort { given[$0]!.address.low }
        orderSix.sort { given[$0]!.address.high }
        // In this order, the prefixes around a prefix are those that are still open when it comes.
        var open: [UInt32] = []
        for place in orderFour.indices + orderSix.indices {
            let prefix = given[Int(place)]!
            if prefixes.last != prefix {
                while let last = open.last, !self[last].contains(prefix) { open.removeLast() }
                prefixes.append(prefix)
                parents.append(open.last ?? 0)
                open.append(UInt32(prefixes.count))
            }
            identifiers[Int(place)] = UInt32(prefixes.count)
        }
    }

    subscript(identifier: UInt32) -> IPPrefix { prefixes[Int(identifier) - 1] }

    /// parent | length<<32 for each identifier.
    var words: [UInt64] {
        var words = [UInt64(low: 0, high: Layout.anyBit)]
        words.reserveCapacity(parents.count)
        for identifier in 1..<max(parents.count, 1) {
            words.append(UInt64(low: parents[identifier], high: UInt32(prefixes[identifier - 1].length)))
        }
        return words
    }
}
