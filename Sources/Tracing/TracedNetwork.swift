import Forwarding
import Wire

/// What a trace says of a topology in words: its interfaces, nodes, entries and services.
///
/// It is made of a plan, and holds no more of it than traces need. Lookups are by place: an interface and a MAC address
/// name a node.
package struct TracedNetwork: Sendable, Hashable {
    /// The kind of a node.
    package enum NodeKind: String, Sendable, Codable, Hashable, CaseIterable {
        case customer
        /// An application that passes packets on.
        case inline
        /// An application that gets copies and returns nothing.
        case passive
        /// An application that answers packets.
        case terminal
        case router
    }

    /// A node's device on an interface.
    package struct Leg: Sendable, Hashable {
        /// The index of the interface.
        package var interface: Int
        /// The MAC addresses that frames to and from the node carry there.
        package var macs: [MACAddress]
        /// The device's network addresses.
        package var addresses: [IPAddress]

        /// Memberwise.
        package init(interface: Int, macs: [MACAddress], addresses: [IPAddress] = []) {
            self.interface = interface
            self.macs = macs
            self.addresses = addresses
        }
    }

    /// A node.
    package struct Node: Sendable, Hashable {
        /// The name in the file.
        package var name: String
        /// Its kind.
        package var kind: NodeKind
        /// Its devices.
        package var legs: [Leg]
        /// The prefixes that it sends from, besides its legs' addresses.
        package var prefixes: [IPPrefix]
        /// The application that it is an instance of, if that has another name.
        package var application: String?

        /// Memberwise.
        package init(
            name: String, kind: NodeKind, legs: [Leg], prefixes: [IPPrefix] = [], application: String? = nil
        ) {
            self.name = name
            self.kind = kind
            self.legs = legs
            self.prefixes = prefixes
            self.application = application
        }
    }

    /// An entry of the table.
    package struct EntryName: Sendable, Hashable {
        /// The name in listings: `shop.request.customers`.
        package var name: String
        /// The service that it was made for; nil for an entry by hand.
        package var service: String?
        /// The line of the file that it is from; 0 if there is none.
        package var line: Int

        /// Memberwise.
        package init(name: String, service: String? = nil, line: Int = 0) {
            self.name = name
            self.service = service
            self.line = line
        }
    }

    /// A service.
    package struct Service: Sendable, Hashable {
        /// The name in the file.
        package var name: String
        /// The service addresses.
        package var addresses: [IPPrefix]
        /// The nodes that its packets pass or end at.
        package var applications: [String]

        /// Memberwise.
        package init(name: String, addresses: [IPPrefix], applications: [String]) {
            self.name = name
            self.addresses = addresses
            self.applications = applications
        }
    }

    /// An address or a network that the file leaves to Tapline.
    package struct Given: Sendable, Hashable {
        /// The address, or the network.
        package var prefix: IPPrefix
        /// The expression that stands for it in a file: `services.shop.address`; nil: there is none.
        package var expression: String?
        /// What it belongs to, for people.
        package var owner: String

        /// Memberwise.
        package init(prefix: IPPrefix, expression: String?, owner: String) {
            self.prefix = prefix
            self.expression = expression
            self.owner = owner
        }
    }

    /// The names of the interfaces, in the order of the table's.
    package let interfaces: [String]
    /// The nodes.
    package let nodes: [Node]
    /// The entries by the index of their counters.
    package let entries: [Int: EntryName]
    /// The services.
    package let services: [Service]
    /// The rules of access lists by the index of their counters: "rule 3 of alice's list at firewall".
    package let rules: [Int: String]
    /// What the file leaves to Tapline: addresses before networks.
    package let given: [Given]
    private let places: [Place: Int]

    private struct Place: Hashable {
        var interface: Int
        var mac: MACAddress
    }

    /// Memberwise.
    package init(
        interfaces: [String], nodes: [Node], entries: [Int: EntryName] = [:], services: [Service] = [],
        rules: [Int: String] = [:], given: [Given] = []
    ) {
        self.interfaces = interfaces
        self.nodes = nodes
        self.entries = entries
        self.services = services
        self.rules = rules
        self.given = given
        var places: [Place: Int] = [:]
        for (index, node) in nodes.enumerated() {
            for leg in node.legs {
                for mac in leg.macs { places[Place(interface: leg.interface, mac: mac)] = index }
            }
        }
        self.places = places
    }

    /// The index of the node with a MAC address on an interface; nil if the network names none.
    package func node(_ mac: MACAddress, on interface: Int) -> Int? {
        places[Place(interface: interface, mac: mac)]
    }

    /// The index of the node of a name.
    package func node(named name: String) -> Int? { nodes.firstIndex { $0.name == name } }

    /// The nodes that a name means: one node, or all instances of an application.
    package func nodes(named name: String) -> [Node] {
        let own = nodes.filter { $0.name == name }
        return own.isEmpty ? nodes.filter { $0.application == name } : own
    }

    /// What nodes may be named by: applications stand before their instances.
    package var names: [String] {
        var names: [String] = []
        for node in nodes {
            if let application = node.application, !names.contains(application) { names.append(application) }
            names.append(node.name)
        }
        return names
    }

    /// The node that every frame from an interface comes from, whatever its MAC address; nil if several nodes are there.
    package func onlyNode(on interface: Int) -> Node? {
        let here = nodes.filter { $0.legs.contains { $0.interface == interface } }
        return here.count == 1 ? here[0] : nil
    }

    /// The passive applications on an interface, which get mirrored frames whatever MAC address these carry.
    package func passive(on interface: Int) -> [String] {
        nodes.filter { $0.kind == .passive && $0.legs.contains { $0.interface == interface } }.map(\.name)
    }

    /// The interface's name, or its number if the network does not name it.
    package func interfaceName(_ index: Int) -> String {
        interfaces.indices.contains(index) ? interfaces[index] : "interface \(index)"
    }
}
