import Wire

/// Which frames cross an impaired link: frames of one interface in one direction, all or some.
public struct ImpairedPlace: Sendable, Hashable {
    /// The direction, as the engine sees it.
    public enum Direction: UInt8, Sendable, Hashable, CaseIterable {
        /// From the engine to the nodes of the interface.
        case toNodes
        /// From the nodes of the interface to the engine.
        case fromNodes
    }

    /// Which of them.
    public enum Match: Sendable, Hashable {
        /// All.
        case everything
        /// Those to, or from, a node's device.
        case station(MACAddress)
        /// Those of a service, requests and answers alike: its address, its protocol (nil: any) and its ports.
        case service(IPPrefix, protocolNumber: UInt8?, ports: ClosedRange<UInt16>)
    }

    /// The index of the interface.
    public var interface: Int
    /// The direction.
    public var direction: Direction
    /// Which of them.
    public var match: Match

    /// Memberwise.
    public init(interface: Int, direction: Direction, match: Match = .everything) {
        self.interface = interface
        self.direction = direction
        self.match = match
    }

    /// A frame crosses the most specific link that it matches, and no other: a service's, else a node's, else the interface's.
    public var specificity: Int {
        switch match {
        case .service: 2
        case .station: 1
        case .everything: 0
        }
    }
}

/// An impaired link of a topology, as engines get it.
public struct ImpairedLinkOrder: Sendable, Hashable {
    /// The frames that cross it.
    public var places: [ImpairedPlace]
    /// What happens to them.
    public var impairment: Impairment
    /// Its place among the counters, which it keeps as long as it is in force.
    public var slot: Int
    /// Tells links with the same seed apart.
    public var stream: UInt64
    /// Another number, if the state of the link begins anew.
    public var epoch: UInt64

    /// Memberwise.
    public init(places: [ImpairedPlace], impairment: Impairment, slot: Int, stream: UInt64, epoch: UInt64) {
        self.places = places
        self.impairment = impairment
        self.slot = slot
        self.stream = stream
        self.epoch = epoch
    }
}
