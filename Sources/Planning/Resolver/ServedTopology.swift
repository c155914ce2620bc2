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
    /// The leg that it sends its requests by.
    var leg = 0
}

/// The destination of answers to customers: an interface's link, or the networks behind a customer on it.
struct CustomerSide: Hashable, Sendable {
    var interface: Int
    var prefix: IPPrefix
    var via: IPAddress?
    /// The application or router that the prefix lies behind, or whose own it is; nil for customers.
    var node: Int?
    /// The leg that answers reach it by.
    var leg = 0
}

/// A service whose names have been found.
struct ResolvedService: Sendable {
    var index: Int
    var raw: RawService
    /// Inline applications in order and the end of the chain, with the legs that its packets pass.
    var stops: [Stop] { didSet { chain = stops.map(\.node) } }
    /// The nodes of `stops`.
    private(set) var chain: [Int] = []
    /// The passive applications that get a copy before each of `stops`, by the leg that requests enter by.
    var passives: [[Stop]]
    var scopes: [Scope]
    var sides: [CustomerSide]
    /// True if only the customer's address tells this service's packets from another's.
    var needsSource = false

    init(index: Int, raw: RawService) {
        self.index = index
        self.raw = raw
        stops = []
        passives = []
        scopes = []
        sides = []
    }

    /// The passive applications that get copies.
    var listeners: [Int] { passives.joined().map(\.node) }

    var families: Set<AddressFamily> { Set(raw.addresses.map(\.value.family)) }

    /// The applications and routers that are its customers.
    var openers: [Int] { scopes.compactMap(\.node).uniqued() }

    /// The legs that a node sends requests of the service by as a customer.
    func openingLegs(of node: Int) -> [Int] { scopes.filter { $0.node == node }.map(\.leg).uniqued() }

    /// The place of a node in the chain, and the legs that packets pass there.
    func stop(of lead: Int) -> Stop? { stops.first { $0.node == lead } }
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
    /// The services between neighbours.
    let neighbourhoods: [Neighbourhood]
    /// The packets that applications and routers send as customers of services.
    let openings: [Opening]
    /// For each node: its kind, by its place in the chains, else by its interfaces.
    let systems: [DestinationSystemType]
    /// For each passive application: the legs that copies reach it by.
    let copyLegs: [Int: Set<Int>]

    init(_ addressed: AddressedTopology, _ diagnostics: Diagnostics) {
        self.addressed = addressed
        let resolver = ServiceResolver(addressed: addressed, diagnostics: diagnostics)
        let all = addressed.file.services.enumerated()
        let found = all.filter(\.element.between.isEmpty).compactMap { resolver.resolve($1, $0) }
        neighbourhoods = all.filter { !$0.element.between.isEmpty }.compactMap { resolver.neighbourhood($1, $0) }
        for neighbourhood in neighbourhoods { resolver.checkFamilies(of: neighbourhood) }
        resolver.checkNeighbourCustomers(found, neighbourhoods)
        resolver.checkRouterPorts(found, neighbourhoods)
        resolver.checkOpeners(of: found)
        openings = resolver.openings(of: found)
        services = resolver.widened(found)
        systems = resolver.systems(services)
        copyLegs = resolver.copyLegs(services.flatMap { $0.passives.joined() } + neighbourhoods.flatMap(\.listeners))
        resolver.checkPolicies(services)
        resolver.checkMovable()
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
    /// The services between neighbours.
    var neighbourhoods: [Neighbourhood] { served.neighbourhoods }
    /// For each node: its kind.
    var systems: [DestinationSystemType] { served.systems }

    /// The kind of a node for packets that reach it by a leg. The further legs of a passive application are as those of
    /// a server.
    func system(_ node: Int, leg: Int) -> DestinationSystemType {
        guard let copied = served.copyLegs[node], !copied.contains(leg) else { return systems[node] }
        return .terminalApplication
    }

    /// How a node is sent packets by a leg.
    func target(_ node: Int, leg: Int) -> SendTarget {
        let own = legs[node][leg]
        let other = legs[node][across(node, leg)]
        // A frame through a transparent application carries the engine's two aliases as its ends.
        return SendTarget(
            interface: own.interface, address: .mac(other.alias ?? own.mac), sourceMAC: own.alias,
            system: system(node, leg: leg))
    }

    /// How a node at a place of a chain is sent packets of a direction.
    func target(_ stop: Stop, _ direction: ChainDirection, of member: Int) -> SendTarget {
        target(member, leg: direction == .request ? stop.enter : stop.leave)
    }

    /// True if a passive application sends packets of its own where its copies arrive: as a customer of a service.
    func isOpener(_ node: Int, leg: Int) -> Bool {
        services.contains { $0.scopes.contains { $0.node == node && $0.leg == leg } }
            || neighbourhoods.contains { $0.members.contains(Neighbour(node: node, leg: leg)) }
    }

    /// True if a node may send by a leg: its packets are not those of a passive application, or the file allows them.
    func maySend(_ node: Int, leg: Int) -> Bool {
        system(node, leg: leg) != .passiveApplication || file.nodes[node].activeResponses?.value ?? false
            || isOpener(node, leg: leg)
    }

    /// The service addresses that terminal applications with a MAC send address answer for.
    func servedAddresses() -> [Int: [IPAddress]] {
        var served: [Int: [IPAddress]] = [:]
        for service in services {
            guard let stop = service.stops.last, file.nodes[stop.node].kind == .application,
                file.nodes[stop.node].networkAddress == nil, file.nodes[stop.node].announced == nil
            else { continue }
            for member in members(of: stop.node) {
                served[member, default: []] += service.raw.addresses.map(\.value)
                    .filter { $0.isHost && !isOwn($0, member, leg: stop.enter) }.map(\.address)
            }
        }
        for answerer in answerers { served[answerer.node] = answeredAddresses(answerer) }
        return served.mapValues { $0.uniqued() }
    }
}
