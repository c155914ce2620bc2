import Wire

/// A tunnel: an interface whose frames are in packets of another interface, to and from one far end.
///
/// Entries, neighbours and sources name it like every interface. What is received on it, and sent towards it, is plain Ethernet for
/// them: the engine takes the outer headers off before it decides, and writes them in front of what it sends.
public struct TableTunnel: Hashable, Sendable {
    /// The index of the interface that has the packets: the underlay. It is no tunnel.
    public var carrier: Int
    /// What is between the outer addresses and the inner frame.
    public var encapsulation: TunnelEncapsulation
    /// The engine's address on the underlay. For NSH over Ethernet it means nothing.
    public var local: IPAddress
    /// The far end's, of the same family.
    public var peer: IPAddress
    /// The MAC address on the underlay of the next hop to the far end.
    public var nextHop: MACAddress
    /// True if customers are behind it: each packet from there has one hop less, so that loops of tunnels end.
    public var takesHop: Bool

    /// Memberwise.
    public init(
        carrier: Int, encapsulation: TunnelEncapsulation, local: IPAddress, peer: IPAddress, nextHop: MACAddress,
        takesHop: Bool = false
    ) {
        self.carrier = carrier
        self.encapsulation = encapsulation
        self.local = local
        self.peer = peer
        self.nextHop = nextHop
        self.takesHop = takesHop
    }
}

extension ForwardingTable {
    /// A tunnel as the engine has it; nil if the interface is none, or if its underlay is not there.
    public func tunnel(_ interface: TableInterface) -> Tunnel? {
        guard let tunnel = interface.tunnel, interfaces.indices.contains(tunnel.carrier) else { return nil }
        var made = Tunnel(
            tunnel.encapsulation, from: tunnel.local, to: tunnel.peer, engine: interfaces[tunnel.carrier].mac,
            nextHop: tunnel.nextHop)
        made.takesHop = tunnel.takesHop
        return made
    }
}
