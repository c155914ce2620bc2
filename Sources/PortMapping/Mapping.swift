import Wire

/// What an application may ask for: `negotiate` in the file.
package struct NegotiationRules: Sendable, Hashable {
    /// A range of service ports of one protocol.
    package struct Ports: Sendable, Hashable {
        /// The upper-layer protocol.
        package var protocolNumber: UInt8
        /// The ports.
        package var range: ClosedRange<UInt16>

        /// Memberwise.
        package init(protocolNumber: UInt8, range: ClosedRange<UInt16>) {
            self.protocolNumber = protocolNumber
            self.range = range
        }
    }
    /// The application.
    package var application: String
    /// The service addresses that it can be given, the preferred first.
    package var addresses: [IPAddress]
    /// The service ports that it can be given.
    package var ports: [Ports]
    /// How long a mapping lasts without renewal, in seconds.
    package var lifetime: ClosedRange<UInt32>
    /// How many mappings it may have.
    package var mappings: Int
    /// How many requests a second it may send; as many again may come at once.
    package var requests: Int

    /// Memberwise.
    package init(
        application: String, addresses: [IPAddress], ports: [Ports], lifetime: ClosedRange<UInt32>, mappings: Int,
        requests: Int
    ) {
        self.application = application
        self.addresses = addresses
        self.ports = ports
        self.lifetime = lifetime
        self.mappings = mappings
        self.requests = requests
    }
}

/// An instance that sent a request: its address and interface have told which.
package struct Asker: Sendable, Hashable {
    /// Its application.
    package var application: String
    /// The name of its node.
    package var node: String
    /// The address that it sent from.
    package var address: IPAddress

    /// Memberwise.
    package init(application: String, node: String, address: IPAddress) {
        self.application = application
        self.node = node
        self.address = address
    }
}

/// A sender whose packets a mapping takes (RFC 6887, 13.3).
package struct SenderFilter: Sendable, Hashable {
    /// Its addresses.
    package var prefix: IPPrefix
    /// Its port; 0: all.
    package var port: UInt16

    /// Memberwise.
    package init(_ prefix: IPPrefix, port: UInt16 = 0) {
        self.prefix = prefix
        self.port = port
    }
}

/// A service port at a service address, given to an application that listens on a port of its own.
package struct Mapping: Sendable, Hashable {
    /// What tells it from other mappings: one application has one for each port where it listens.
    package struct Key: Sendable, Hashable {
        /// The application.
        package var application: String
        /// IPv4 or IPv6.
        package var family: AddressFamily
        /// The upper-layer protocol.
        package var protocolNumber: UInt8
        /// Where the application listens.
        package var internalPort: UInt16
    }
    /// An instance that asked for it, and when its claim ends.
    package struct Holder: Sendable, Hashable {
        /// Its node.
        package var node: String
        /// The address that it asked from.
        package var address: IPAddress
        /// What renews and ends the claim: 12 octets. Nil: the instance took over, and has not asked yet.
        package var nonce: [UInt8]?
        /// The end, in seconds of the clock that the caller reads.
        package var end: UInt64
    }
    /// What tells it from others.
    package var key: Key
    /// The service address.
    package var address: IPAddress
    /// The service port.
    package var port: UInt16
    /// The only senders whose packets it takes; empty: all.
    package var filters: [SenderFilter]
    /// The instances that asked for it. Without any it goes.
    package var holders: [Holder]

    /// When it goes unless somebody renews it.
    package var end: UInt64 { holders.map(\.end).max() ?? 0 }
}
