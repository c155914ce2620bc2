import Forwarding
import Reporting

/// A link of a topology that can be impaired.
public enum ImpairmentPlace: Sendable, Hashable {
    /// All frames of an interface.
    case interface(String)
    /// The frames of a node's device on an interface.
    case leg(node: String, interface: String)
    /// The frames of a service, between its customers and the engine.
    case service(String)

    /// As commands and listings name it: `wan`, `alice/wan`, `service/shop`.
    public var text: String {
        switch self {
        case .interface(let name): name
        case .leg(let node, let interface): "\(node)/\(interface)"
        case .service(let name): "service/\(name)"
        }
    }
}

/// What happens to the packets of a link in each direction; nil: nothing.
public struct ImpairmentPair: Sendable, Hashable {
    /// From the engine to the nodes.
    public var toNodes: Impairment?
    /// From the nodes to the engine.
    public var fromNodes: Impairment?

    /// Memberwise.
    public init(toNodes: Impairment? = nil, fromNodes: Impairment? = nil) {
        self.toNodes = toNodes
        self.fromNodes = fromNodes
    }

    /// True if nothing happens in either direction.
    public var isNothing: Bool { (toNodes?.isNothing ?? true) && (fromNodes?.isNothing ?? true) }

    /// The impairment of a direction.
    public subscript(direction: ImpairedPlace.Direction) -> Impairment? {
        get { direction == .toNodes ? toNodes : fromNodes }
        set { if direction == .toNodes { toNodes = newValue } else { fromNodes = newValue } }
    }
}

extension ImpairedPlace.Direction {
    /// As files, commands and listings write it.
    public var text: String { self == .toNodes ? "to-nodes" : "from-nodes" }
}

/// An impaired link, as the file has it.
public struct ImpairmentPlan: Sendable, Hashable {
    /// The most impaired links of a topology.
    public static let most = 512
    /// The link.
    public var place: ImpairmentPlace
    /// What happens to its packets.
    public var impairment: ImpairmentPair

    /// Memberwise.
    public init(place: ImpairmentPlace, impairment: ImpairmentPair) {
        self.place = place
        self.impairment = impairment
    }
}

/// What a step of a check does to a link until the check ends, or until another step changes it.
public struct ImpairmentStep: Sendable, Hashable {
    /// The link.
    public var place: ImpairmentPlace
    /// What happens to its packets from now on; nothing: the link is as if it were not impaired.
    public var impairment: ImpairmentPair

    /// Memberwise.
    public init(place: ImpairmentPlace, impairment: ImpairmentPair) {
        self.place = place
        self.impairment = impairment
    }
}

/// A link that can be impaired in a topology, and the frames that cross it.
public struct ImpairableLink: Sendable, Hashable {
    /// Its name.
    public var place: ImpairmentPlace
    /// The frames that cross it, in both directions.
    public var frames: [ImpairedPlace]

    /// The frames that cross it in one direction.
    public func frames(_ direction: ImpairedPlace.Direction) -> [ImpairedPlace] {
        frames.filter { $0.direction == direction }
    }
}

extension AppliancePlan {
    /// The link of a place; nil if the topology has none.
    public func link(_ place: ImpairmentPlace) -> ImpairableLink? {
        func index(_ name: String) -> Int? { interfaces.firstIndex { $0.name == name } }
        func both(_ interface: Int, _ match: ImpairedPlace.Match) -> [ImpairedPlace] {
            ImpairedPlace.Direction.allCases.map {
                ImpairedPlace(interface: interface, direction: $0, match: match)
            }
        }
        switch place {
        case .interface(let name):
            return index(name).map { ImpairableLink(place: place, frames: both($0, .everything)) }
        case .leg(let node, let interface):
            guard let index = index(interface),
                let leg = nodes.first(where: { $0.name == node })?.legs.first(where: { $0.interface == index })
            else { return nil }
            return ImpairableLink(
                place: place, frames: ([leg.mac] + leg.deliverToo).flatMap { both(index, .station($0)) })
        case .service(let name):
            guard let service = services.first(where: { $0.name == name }) else { return nil }
            let frames = service.interfaces.flatMap { interface in
                service.matches.flatMap { both(interface, $0) }
            }
            // A service between neighbours has no side of customers.
            return frames.isEmpty ? nil : ImpairableLink(place: place, frames: frames)
        }
    }

    /// The links that a name may mean: an interface's, a node's if it has one device, a service's; or the one that is written
    /// in full, as `ImpairmentPlace.text`.
    public func links(named name: String) -> [ImpairmentPlace] {
        let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if parts.count == 2 {
            let place: ImpairmentPlace =
                parts[0] == "service" ? .service(parts[1]) : .leg(node: parts[0], interface: parts[1])
            return link(place) == nil ? [] : [place]
        }
        var found: [ImpairmentPlace] = []
        if interfaces.contains(where: { $0.name == name }) { found.append(.interface(name)) }
        if let node = nodes.first(where: { $0.name == name }) {
            found += node.legs.map { .leg(node: name, interface: interfaces[$0.interface].name) }
        }
        if found.isEmpty, link(.service(name)) != nil { found.append(.service(name)) }
        return found
    }
}
