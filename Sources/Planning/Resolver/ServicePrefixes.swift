import Wire

/// The addresses of many services, in an order in which those are found that overlap with a prefix. So nothing compares
/// every service with every other one.
struct ServicePrefixes: Sendable {
    /// In the order of the first address, then of the length.
    private let sorted: [(prefix: IPPrefix, service: Int)]
    /// The services that have exactly this address, in their order.
    private let members: [IPPrefix: [Int]]
    private let lengths: [AddressFamily: [Int]]

    /// - Parameter addresses: The addresses of each service, in the order of the services.
    init(_ addresses: [[IPPrefix]]) {
        var members: [IPPrefix: [Int]] = [:]
        var lengths: [AddressFamily: Set<Int>] = [:]
        var sorted: [(prefix: IPPrefix, service: Int)] = []
        for (service, own) in addresses.enumerated() {
            for prefix in own where members[prefix]?.last != service {
                members[prefix, default: []].append(service)
                lengths[prefix.family, default: []].insert(prefix.length)
                sorted.append((prefix, service))
            }
        }
        self.members = members
        self.lengths = lengths.mapValues { $0.sorted() }
        self.sorted = sorted.sorted { Self.isBefore($0.prefix, $1.prefix) }
    }

    /// The services that have exactly this address, in their order.
    func having(_ prefix: IPPrefix) -> [Int] { members[prefix] ?? [] }

    /// The services that have an address which contains the prefix and is not the same.
    func wider(than prefix: IPPrefix) -> [Int] {
        (lengths[prefix.family] ?? []).prefix { $0 < prefix.length }.flatMap {
            having(IPPrefix(prefix.address, length: $0))
        }
    }

    /// The services that have an address which overlaps with one of these, each once and in their order.
    func overlapping(_ prefixes: some Sequence<IPPrefix>) -> [Int] {
        var found: Set<Int> = []
        for prefix in prefixes {
            found.formUnion(wider(than: prefix))
            found.formUnion(having(prefix))
            guard !prefix.isHost else { continue }
            var index = firstIndex(from: prefix)
            while index < sorted.count, prefix.contains(sorted[index].prefix) {
                found.insert(sorted[index].service)
                index += 1
            }
        }
        return found.sorted()
    }

    /// The index of the first address that may be inside a prefix.
    private func firstIndex(from prefix: IPPrefix) -> Int {
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if Self.isBefore(sorted[middle].prefix, prefix) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func isBefore(_ left: IPPrefix, _ right: IPPrefix) -> Bool {
        (left.family.rawValue, left.address, left.length) < (right.family.rawValue, right.address, right.length)
    }
}
