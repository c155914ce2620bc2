/// Asks for the names of a topology's parts, for captures and traces.
package struct DescribeRequest: ControlCommand {
    package typealias Answer = NetworkDescription
    package enum CodingKeys: CodingKey, CaseIterable { case entries }

    /// True if the entries' names are wanted, too; nil: false.
    package var entries: Bool?

    package init(entries: Bool = false) { self.entries = entries }

    package var request: ControlRequest { .describe(self) }

    package func check(_ key: CodingKeys) {}
}

/// The names of a topology's parts. Addresses are texts; lists have the order of the file.
package struct NetworkDescription: Codable, Sendable, Hashable {
    /// A node's device on an interface.
    package struct Leg: Codable, Sendable, Hashable {
        /// The index of the interface.
        package var interface: Int
        /// The MAC addresses that frames to and from the node carry there; its device's first.
        package var macs: [String]
        /// The device's network addresses.
        package var addresses: [String]

        /// Memberwise.
        package init(interface: Int, macs: [String], addresses: [String]) {
            self.interface = interface
            self.macs = macs
            self.addresses = addresses
        }
    }

    /// A node.
    package struct Node: Codable, Sendable, Hashable {
        /// The name in the file.
        package var name: String
        /// `customer`, `inline`, `passive`, `terminal` or `router`.
        package var kind: String
        /// The type that the file gives, for people: `firewall`.
        package var type: String?
        /// Its devices.
        package var legs: [Leg]
        /// The prefixes that it sends from, beside its legs' addresses.
        package var prefixes: [String]
        /// Its folder on the machine, for key logs.
        package var folder: String?
        /// The application that it is an instance of, if that has another name.
        package var application: String?

        /// Memberwise.
        package init(
            name: String, kind: String, type: String?, legs: [Leg], prefixes: [String], folder: String?,
            application: String? = nil
        ) {
            self.name = name
            self.kind = kind
            self.type = type
            self.legs = legs
            self.prefixes = prefixes
            self.folder = folder
            self.application = application
        }
    }

    /// A device that carries circuits.
    package struct Carrier: Codable, Sendable, Hashable {
        /// The index of the interface that has it.
        package var interface: Int
        /// `ethernet`, `frame-relay` or `atm`.
        package var link: String

        /// Memberwise.
        package init(interface: Int, link: String) {
            self.interface = interface
            self.link = link
        }
    }

    /// An entry of the table.
    package struct Entry: Codable, Sendable, Hashable {
        /// The index of its counters.
        package var counter: Int
        /// The name in listings.
        package var name: String
        /// The service that it was made for; nil for an entry by hand.
        package var service: String?
        /// The line of the file; 0 if there is none.
        package var line: Int

        /// Memberwise.
        package init(counter: Int, name: String, service: String?, line: Int) {
            self.counter = counter
            self.name = name
            self.service = service
            self.line = line
        }
    }

    /// A service.
    package struct Service: Codable, Sendable, Hashable {
        /// The name in the file.
        package var name: String
        /// The service addresses.
        package var addresses: [String]
        /// The nodes that its packets pass or end at.
        package var applications: [String]

        /// Memberwise.
        package init(name: String, addresses: [String], applications: [String]) {
            self.name = name
            self.addresses = addresses
            self.applications = applications
        }
    }

    /// An address or a network that the file leaves to Tapline.
    package struct Given: Codable, Sendable, Hashable {
        /// The address, or the network.
        package var prefix: String
        /// The expression that stands for it in a file; nil: there is none.
        package var expression: String?
        /// What it belongs to, for people.
        package var owner: String

        /// Memberwise.
        package init(prefix: String, expression: String?, owner: String) {
            self.prefix = prefix
            self.expression = expression
            self.owner = owner
        }
    }

    /// A rule of a tenant's access list, or a list's default, that the engine judges by.
    package struct Rule: Codable, Sendable, Hashable {
        /// The index of its counters.
        package var counter: Int
        /// What it is: `rule 3 of alice's access list at firewall`.
        package var words: String

        /// Memberwise.
        package init(counter: Int, words: String) {
            self.counter = counter
            self.words = words
        }
    }

    /// The topology.
    package var name: String
    /// The names of the interfaces, in the order of the table's.
    package var interfaces: [String]
    /// The devices that carry circuits.
    package var carriers: [Carrier] = []
    /// The nodes.
    package var nodes: [Node]
    /// The entries, if they were asked for.
    package var entries: [Entry]
    /// The services.
    package var services: [Service]
    /// The rules of access lists, if the entries were asked for.
    package var rules: [Rule] = []
    /// What the file leaves to Tapline, if the entries were asked for.
    package var given: [Given] = []

    /// Memberwise.
    package init(name: String, interfaces: [String], nodes: [Node], entries: [Entry], services: [Service]) {
        self.name = name
        self.interfaces = interfaces
        self.nodes = nodes
        self.entries = entries
        self.services = services
    }
}
