import Synchronization
import Wire

/// Which connections with the management address count together: those from the network of one customer, else those from one
/// address.
final class ConnectionSources: Sendable {
    /// What connections are counted by.
    enum Source: Hashable, Sendable {
        case network(Int)
        case address(IPAddress)
    }

    private let known = Mutex<[[IPPrefix]]>([])

    /// The networks of the customers that have any.
    var networks: [[IPPrefix]] {
        get { known.withLock { $0 } }
        set { known.withLock { $0 = newValue } }
    }

    /// What the connections from an address count as.
    func source(of address: IPAddress) -> Source {
        let host = IPPrefix(host: address)
        let network = known.withLock { networks in
            networks.firstIndex { $0.contains { $0.contains(host) } }
        }
        return network.map { .network($0) } ?? .address(address)
    }
}

/// The places of the connections with the management address. One source has a bounded number of them; and when all are taken,
/// the source with the most loses its oldest one to a source that has fewer. So no customer can shut others out.
struct SourcePlaces<Occupant> {
    /// The places of one source.
    static var mostOfOne: Int { 64 }
    /// All places.
    static var most: Int { 512 }

    /// What became of a connection that came.
    enum Outcome {
        /// It has a place with this number.
        case admitted(Int)
        /// The same, and this one has lost its place.
        case inPlaceOf(Int, Occupant)
        /// There is no place for it.
        case refused
    }

    private var occupants: [Int: (source: ConnectionSources.Source, occupant: Occupant)] = [:]
    /// The numbers of each source's connections, the oldest first.
    private var bySource: [ConnectionSources.Source: [Int]] = [:]
    private var next = 0

    /// How many are taken.
    var count: Int { occupants.count }

    /// Gives a connection a place, if there is one for it.
    mutating func enter(_ source: ConnectionSources.Source, _ occupant: Occupant) -> Outcome {
        let own = bySource[source]?.count ?? 0
        guard own < Self.mostOfOne else { return .refused }
        guard occupants.count >= Self.most else { return .admitted(add(source, occupant)) }
        guard let largest = bySource.max(by: { $0.value.count < $1.value.count }), largest.value.count > own,
            let oldest = largest.value.first, let gone = occupants[oldest]?.occupant
        else { return .refused }
        leave(oldest)
        return .inPlaceOf(add(source, occupant), gone)
    }

    /// A connection has ended, or has lost its place.
    mutating func leave(_ number: Int) {
        guard let source = occupants.removeValue(forKey: number)?.source else { return }
        bySource[source]?.removeAll { $0 == number }
        if bySource[source]?.isEmpty ?? false { bySource[source] = nil }
    }

    private mutating func add(_ source: ConnectionSources.Source, _ occupant: Occupant) -> Int {
        let number = next
        next += 1
        occupants[number] = (source, occupant)
        bySource[source, default: []].append(number)
        return number
    }
}
