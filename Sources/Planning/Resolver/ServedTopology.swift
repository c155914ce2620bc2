import Forwarding
import Plan
import TopologyFiles
import Wire

/// Customers that may use a service: on an interface, with a source or any.
struct Scope: Hashable, Sendable {
    var interface: Int
    var source: IPPrefix?
    /// The application or router that is the customer, known by its MAC address; nil for customers.
    var node: Int?
}

/// The destination of answers to customers: an interface's link, or the networks behind a customer on it.
struct CustomerSide: Hashable, Sendable {
    var interface: Int
    var prefix: IPPrefix
    var via: IPAddress?
    /// The application or router that the prefix lies behind, or whose own it is; nil for customers.
    var node: Int?
}

/// A service whose names have been found.
struct ResolvedService: Sendable {
    var index: Int
    var raw: RawService
    /// Inline applications in order and the end of the chain, as indices of nodes.
    var chain: [Int]
    /// The passive applications that get a copy before each of `chain`.
    var passives: [[Int]]
    var scopes: [Scope]
    var sides: [CustomerSide]
    /// True if only the customer's address tells this service's packets from another's.
    var needsSource = false

    var families: Set<AddressFamily> { Set(raw.addresses.map(\.value.family)) }

    /// The applications and routers that are its customers.
    var openers: [Int] { scopes.compactMap(\.node).uniqued() }
}

/// The packets that an application or router sends as a customer, from one of its legs.
struct Opening: Sendable {
    var service: Int
    var node: Int
    var emission: Emission
    /// nil: everything.
    var source: IPPrefix?
    var destination: IPPrefix
}

/// The third stage: every service with its chain, its customers and the way of its answers, and the part of each node
/// in them.
///
/// It guarantees that each service in it has a chain of nodes with legs, which ends at a node that can answer. A
/// service with a mistake is not in it. It knows no entry: the next stage makes them.
struct ServedTopology: Sendable {
    let addressed: AddressedTopology
    let services: [ResolvedService]
    /// The packets that applications and routers send as customers of services.
    let openings: [Opening]
    /// For each node: its kind, by its place in the chains, else by its interfaces.
    let systems: [DestinationSystemType]

    init(_ addressed: AddressedTopology, _ diagnostics: Diagnostics) {
        self.addressed = addressed
        let resolver = ServiceResolver(addressed: addressed, diagnostics: diagnostics)
        let found = addressed.file.services.enumerated().compactMap { resolver.resolve($1, $0) }
        resolver.checkOpeners(of: found)
        openings = resolver.openings(of: found)
        services = resolver.widened(found)
        systems = resolver.systems(services)
        resolver.checkPolicies(services)
        for service in services { resolver.checkCarriage(of: service) }
    }
}

/// The questions that a stage can answer as soon as services are known.
protocol ServiceStage: AddressStage {
    var served: ServedTopology { get }
}

extension ServedTopology: ServiceStage {
    var served: ServedTopology { self }
}

extension ServiceStage {
    var addressed: AddressedTopology { served.addressed }
    var services: [ResolvedService] { served.services }
    /// For each node: its kind.
    var systems: [DestinationSystemType] { served.systems }

    /// How a node is sent packets of a direction: requests to its near side, responses to its far side.
    func target(_ node: Int, _ direction: ChainDirection) -> SendTarget {
        let own = leg(node, direction)
        let other = leg(node, direction == .request ? .response : .request)
        // A frame through a transparent application carries the engine's two aliases as its ends.
        return SendTarget(
            interface: own.interface, address: .mac(other.alias ?? own.mac), sourceMAC: own.alias,
            system: systems[node])
    }

    /// The leg that requests enter by, or leave by.
    private func leg(_ node: Int, _ side: ChainDirection) -> ResolvedLeg {
        side == .request ? legs[node][0] : legs[node][legs[node].count - 1]
    }

    /// The service addresses that terminal applications with a MAC send address answer for.
    func servedAddresses() -> [Int: [IPAddress]] {
        var served: [Int: [IPAddress]] = [:]
        for service in services {
            guard let end = service.chain.last, file.nodes[end].kind == .application,
                file.nodes[end].networkAddress == nil
            else { continue }
            for member in members(of: end) {
                served[member, default: []] += service.raw.addresses.map(\.value)
                    .filter { $0.isHost && !isOwn($0, member) }.map(\.address)
            }
        }
        return served.mapValues { $0.uniqued() }
    }
}
