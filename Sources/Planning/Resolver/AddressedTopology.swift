import Forwarding
import Reporting
import TopologyFiles
import Wire

/// A node's place on an interface, with its addresses.
struct ResolvedLeg: Sendable {
    let placed: PlacedLeg
    let addresses: [InterfaceAddress]

    var interface: Int { placed.interface }
    var role: String { placed.role }
    var mac: MACAddress { placed.mac }
    var alias: MACAddress? { placed.alias }
    var device: String { placed.device }
    var origin: SourceOrigin { placed.origin }

    func address(_ family: AddressFamily) -> IPAddress? {
        addresses.first { $0.address.family == family }?.address
    }
}

/// The second stage: every leg with its addresses, both those in the file and the chosen ones.
///
/// It guarantees that no two nodes have one address: it reports the second one, and leaves it out. It reports a service
/// address that is a node's own, unless the service ends at that node. It knows no service's chain: the next stage
/// does.
struct AddressedTopology: Sendable {
    let named: NamedTopology
    /// For each node: its legs.
    let legs: [[ResolvedLeg]]

    init(_ named: NamedTopology, _ diagnostics: Diagnostics) {
        self.named = named
        let addresses = AddressResolver(named: named, diagnostics: diagnostics).resolve()
        legs = zip(named.nodes.legs, addresses).map { legs, addresses in
            zip(legs, addresses).map { ResolvedLeg(placed: $0, addresses: $1) }
        }
    }
}

/// The questions that a stage can answer as soon as addresses are known.
protocol AddressStage: NameStage {
    var addressed: AddressedTopology { get }
}

extension AddressedTopology: AddressStage {
    var addressed: AddressedTopology { self }
}

extension AddressStage {
    var named: NamedTopology { addressed.named }
    /// For each node: its legs, `in` first.
    var legs: [[ResolvedLeg]] { addressed.legs }

    /// True if a node has the address itself, on the leg that requests enter by.
    func isOwn(_ address: IPPrefix, _ node: Int, leg: Int = 0) -> Bool {
        address.isHost && legs[node][leg].addresses.contains { $0.address == address.address }
    }

    /// The mark of the packets that a node sends by a leg.
    func emission(_ node: Int, leg: Int) -> Emission {
        let own = legs[node][leg]
        return Emission(interface: own.interface, mac: legs[node][across(node, leg)].alias ?? own.mac)
    }

    /// The mark of the packets that come from a place of a chain: requests from the leg that they leave by, responses
    /// from the leg that requests enter by.
    func emission(_ stop: Stop, _ direction: ChainDirection, of member: Int) -> Emission {
        emission(member, leg: direction == .request ? stop.leave : stop.enter)
    }
}

/// The mark by which an entry knows a node's packets: the interface and the Ethernet source.
struct Emission: Hashable, Sendable {
    var interface: Int
    var mac: MACAddress
}
