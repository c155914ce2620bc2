import ControlAPI
import EngineControl
import Forwarding

/// The sums of a table's counters by name and by service.
struct EntrySums {
    /// By name, in the order of the table.
    private(set) var entries: [Sample.Entry] = []
    /// In the order of their names.
    private(set) var services: [Sample.Service]

    private let table: ForwardingTable
    /// The places of the services by name.
    private let known: [String: Int]
    /// The services of entries by the entries' names: a table has a million entries, but few names.
    private var owners: [String: Int] = [:]
    /// The services of which some answers go to what is a customer and nothing else.
    private var named: Set<Int> = []
    /// By service the interfaces of its customers.
    private var interfaces: [Int: Set<Int>] = [:]

    /// - Parameters:
    ///   - counts: By the entries' counters.
    ///   - services: The names of the topology's services.
    init(_ table: ForwardingTable, _ counts: [CounterReading.EntryCount], services: [String]) {
        self.table = table
        self.services = services.map { Sample.Service(name: $0) }
        known = Dictionary(services.enumerated().map { ($1, $0) }) { first, _ in first }
        look()
        add(counts)
    }

    /// Finds the service of each entry, and the customers of each service.
    private mutating func look() {
        var seen: Set<String> = []
        for entry in table.entries where !entry.isByHand {
            if seen.insert(entry.name).inserted { owners[entry.name] = owner(of: entry) }
            guard let service = owners[entry.name] else { continue }
            if entry.kind == .distribution {
                interfaces[service, default: []].insert(entry.receivedInterface)
            } else if entry.direction == .response, entry.targets.contains(where: { $0.system == .customer }) {
                named.insert(service)
            }
        }
    }

    /// The service whose name the entry begins with: `shop.request.firewall` is of `shop`.
    private func owner(of entry: Entry) -> Int? {
        // Names of services and nodes may have full stops.
        let parts = entry.name.split(separator: ".", omittingEmptySubsequences: false)
        let word = entry.direction == .request ? "request" : "response"
        for index in parts.indices where parts[index] == word {
            if let service = known[parts[..<index].joined(separator: ".")] { return service }
        }
        return nil
    }

    private mutating func add(_ counts: [CounterReading.EntryCount]) {
        var places: [String: Int] = [:]
        var counted: Set<Int> = []
        for entry in table.entries {
            let service = entry.isByHand ? nil : owners[entry.name]
            let place = places[entry.name] ?? entries.count
            if place == entries.count {
                places[entry.name] = place
                entries.append(
                    Sample.Entry(
                        name: entry.name, kind: entry.kind == .distribution ? "distribution" : "sequencing",
                        service: service.map { services[$0].name }, traffic: Sample.Traffic()))
            }
            guard counts.indices.contains(entry.counter), counted.insert(entry.counter).inserted else { continue }
            let count = counts[entry.counter]
            entries[place].traffic.add(count)
            guard let service else { continue }
            if entry.kind == .distribution { services[service].requests.add(count) }
            if isLast(entry, of: service) { services[service].responses.add(count) }
        }
    }

    /// True if the entry sends answers to customers. Applications and routers may be customers: then the interface
    /// tells.
    private func isLast(_ entry: Entry, of service: Int) -> Bool {
        guard entry.direction == .response else { return false }
        return entry.targets.contains { target in
            named.contains(service)
                ? target.system == .customer
                : target.system != .passiveApplication && interfaces[service]?.contains(target.interface) == true
        }
    }
}

extension Sample.Traffic {
    fileprivate mutating func add(_ count: CounterReading.EntryCount) {
        // Engines write these values, so a sum wraps and never traps.
        packets &+= count.packets
        bytes &+= count.bytes
    }
}
