import Wire

/// The pieces that prefixes cut the address space into. Two addresses of one piece lie in exactly the same prefixes.
struct AddressPieces {
    /// In the order of first address, then length, without repetitions.
    private let prefixes: [IPPrefix]
    private let set: Set<IPPrefix>
    private let lengths: [AddressFamily: [Int]]
    /// Addresses that no packet may have here: the engine's own addresses.
    private let excluded: Set<IPAddress>
    /// Those of them that are destinations nevertheless, where an entry names them.
    private let named: Set<IPAddress>
    private var cache: [IPPrefix: [IPAddress]] = [:]

    /// - Parameters:
    ///   - prefixes: All prefixes that distinguish addresses.
    ///   - excluded: Addresses that represent no piece.
    ///   - named: Those of them that represent themselves where an entry names them.
    init(_ prefixes: some Sequence<IPPrefix>, excluding excluded: Set<IPAddress>, named: Set<IPAddress> = []) {
        self.named = named
        set = Set(prefixes).union(excluded.map { IPPrefix(host: $0) })
        self.prefixes = set.sorted { ($0.address, $0.length) < ($1.address, $1.length) }
        self.excluded = excluded
        var lengths: [AddressFamily: Set<Int>] = [:]
        for prefix in set { lengths[prefix.family, default: []].insert(prefix.length) }
        self.lengths = lengths.mapValues { $0.sorted(by: >) }
    }

    /// The prefixes that `address` lies in, the longest first.
    func around(_ address: IPAddress) -> [IPPrefix] {
        (lengths[address.family] ?? []).lazy.map { IPPrefix(address, length: $0) }.filter { set.contains($0) }
    }

    /// One address of every piece of `prefix`. The piece outside all narrower prefixes comes first, if there is one.
    mutating func representatives(in prefix: IPPrefix) -> [IPAddress] {
        if prefix.isHost {
            return excluded.contains(prefix.address) && !named.contains(prefix.address) ? [] : [prefix.address]
        }
        if let known = cache[prefix] { return known }
        let found = pieces(of: prefix)
        cache[prefix] = found
        return found
    }

    /// True if the address represents the part of `prefix` that lies in no narrower one.
    func isRemainder(_ address: IPAddress, of prefix: IPPrefix) -> Bool {
        (around(address).first?.length ?? 0) <= prefix.length
    }

    private func pieces(of prefix: IPPrefix) -> [IPAddress] {
        var open = [Piece(prefix)]
        var found: [(prefix: IPPrefix, address: IPAddress)] = []
        func close(_ piece: Piece) {
            if let address = piece.representative ?? piece.last, !excluded.contains(address) {
                found.append((piece.prefix, preferred(piece.prefix) ?? address))
            }
        }
        var index = firstIndex(after: prefix)
        while index < prefixes.count, prefix.contains(prefixes[index]) {
            let next = prefixes[index]
            index += 1
            while let top = open.last, !top.prefix.contains(next) {
                close(top)
                open.removeLast()
            }
            open[open.count - 1].cut(next)
            open.append(Piece(next))
        }
        while let top = open.popLast() { close(top) }
        return found.sorted { ($0.prefix.length, $0.address) < ($1.prefix.length, $1.address) }.map(\.address)
    }

    /// The index of the first prefix that may be nested in `prefix`.
    private func firstIndex(after prefix: IPPrefix) -> Int {
        var (low, high) = (0, prefixes.count)
        while low < high {
            let middle = (low + high) / 2
            let other = prefixes[middle]
            if (other.address, other.length) <= (prefix.address, prefix.length) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// An address for documentation in a wide prefix, which reads better in an example than the first address.
    private func preferred(_ prefix: IPPrefix) -> IPAddress? {
        guard prefix.length <= 8 else { return nil }
        let candidates =
            prefix.family == .ipv4
            ? [0xC633_6401, 0xCB00_7101, 0xC000_02FD].map { IPAddress(ipv4: $0) }
            : [IPAddress(ipv6High: 0x2001_0DB8_FFFF_0000, low: 1)]
        return candidates.first { candidate in
            guard prefix.contains(candidate), !excluded.contains(candidate) else { return false }
            return (around(candidate).first?.length ?? 0) <= prefix.length
        }
    }

    /// A prefix while its nested ones are skipped, in order.
    private struct Piece {
        let prefix: IPPrefix
        /// The first address outside all nested prefixes so far; nil if there is none left.
        private var cursor: UInt128?
        private(set) var representative: IPAddress?

        init(_ prefix: IPPrefix) {
            self.prefix = prefix
            cursor = prefix.address.number
        }

        mutating func cut(_ nested: IPPrefix) {
            guard let first = cursor else { return }
            if representative == nil, first < nested.address.number {
                representative = host(from: first, upTo: nested.address.number - 1)
            }
            let (next, isOver) = nested.last.addingReportingOverflow(1)
            cursor = isOver || next > prefix.last ? nil : max(next, first)
        }

        /// An address after all nested prefixes.
        var last: IPAddress? { cursor.map { host(from: $0, upTo: prefix.last) } }

        /// The first address looks like a network's. The address after it reads better.
        private func host(from first: UInt128, upTo last: UInt128) -> IPAddress {
            IPAddress(number: first < last && first == prefix.address.number ? first + 1 : first, prefix.family)
        }
    }
}

extension IPAddress {
    /// The address as one integer.
    var number: UInt128 { UInt128(high) << 64 | UInt128(low) }

    init(number: UInt128, _ family: AddressFamily) {
        self.init(
            family: family, high: UInt64(truncatingIfNeeded: number >> 64), low: UInt64(truncatingIfNeeded: number))
    }
}

extension IPPrefix {
    /// The last address as an integer.
    var last: UInt128 {
        let free = family.width - length
        return address.number | (free >= 128 ? .max : (1 << UInt128(free)) - 1)
    }
}
