import Wire

/// A circuit: an interface whose frames are on another interface's device, behind the headers of an encapsulation.
///
/// Entries, neighbours and sources name it like every interface. What is received on it, and sent towards it, is plain Ethernet for
/// them: the engine takes the headers off before it decides, and writes them in front of what it sends.
public struct TableCircuit: Hashable, Sendable {
    /// The index of the interface whose device has the frames. That one is no circuit and no tunnel.
    public var carrier: Int
    /// The headers. No two circuits of a carrier have the same ones in what they receive.
    public var encapsulation: Encapsulation
    /// The MAC address of the customer's device.
    public var peer: MACAddress

    /// Memberwise.
    public init(carrier: Int, encapsulation: Encapsulation, peer: MACAddress) {
        self.carrier = carrier
        self.encapsulation = encapsulation
        self.peer = peer
    }
}

extension ForwardingTable {
    /// How many places have to have queues: all up to the last interface that is no circuit and no tunnel. In a new topology
    /// these come first. An interface that comes later may have its place behind circuits.
    public var queuedPlaces: Int { (interfaces.lastIndex { $0.hasDevice } ?? -1) + 1 }

    /// The interface whose device has an interface's frames: itself, or the one that carries it.
    public func carrier(of interface: Int) -> Int { interfaces[interface].circuit?.carrier ?? interface }
}

extension TableInterface {
    /// True if it is no circuit and no tunnel, whose frames are on another interface's device.
    public var hasDevice: Bool { circuit == nil && tunnel == nil }
}
