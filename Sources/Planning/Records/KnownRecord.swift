import Plan
import TopologyFiles
import Wire

/// A record in force, as it was read, and what it has in common with others. A class, because there are many of them and
/// they are put into lists again and again.
final class KnownRecord: Sendable {
    let record: ServiceRecord
    let id: String
    let service: RawService
    let addresses: [IPPrefix]
    /// What its part in the plan depends on besides its addresses and ports: two records of one shape use the same nodes,
    /// legs and customers in the same way.
    let shape: Int
    /// True if a customer may send from one of its addresses.
    let isExposed: Bool

    struct Shape: Hashable, Sendable {
        var from: [String]
        var distribute: [String]
        var sequence: [String]
        var addresses: [Kind]
    }

    /// A single address, a prefix, or everything.
    struct Kind: Hashable, Sendable {
        var family: AddressFamily
        var isHost: Bool
        var isEverything: Bool
    }

    /// - Parameters:
    ///   - shapes: The numbers of the shapes that are known.
    ///   - customers: The addresses that customers may send from.
    init(
        _ record: ServiceRecord, _ service: RawService, _ shapes: inout [Shape: Int], customers: AddressSpace
    ) {
        self.record = record
        id = record.id
        self.service = service
        addresses = service.addresses.map(\.value)
        isExposed = addresses.contains { customers.overlaps($0) }
        let own = Shape(
            from: record.from, distribute: record.distribute, sequence: record.sequence,
            addresses: addresses.map { Kind(family: $0.family, isHost: $0.isHost, isEverything: $0.length == 0) }
                .uniqued())
        shape = shapes[own] ?? shapes.count
        shapes[own] = shape
    }
}

/// The records after an instruction.
struct NextRecords {
    var records: [KnownRecord] = []
    /// The place that the record with the same id has before; nil for one that is new. Ascending, and the new ones last.
    var places: [Int?] = []
}

/// A growing part of the address space.
struct AddressSpace: Sendable {
    private var prefixes: Set<IPPrefix> = []
    private var lengths: [AddressFamily: Set<Int>] = [:]

    var isEmpty: Bool { prefixes.isEmpty }

    mutating func add(_ prefix: IPPrefix) {
        prefixes.insert(prefix)
        lengths[prefix.family, default: []].insert(prefix.length)
    }

    /// True if some address of the prefix is in it.
    func overlaps(_ prefix: IPPrefix) -> Bool {
        guard let lengths = lengths[prefix.family] else { return false }
        for length in lengths where length <= prefix.length {
            if prefixes.contains(IPPrefix(prefix.address, length: length)) { return true }
        }
        return !prefix.isHost && prefixes.contains { prefix.contains($0) }
    }
}
