/// Asks for the service ports that applications got.
package struct MappingsRequest: ControlCommand {
    package typealias Answer = MappingListing
    package enum CodingKeys: CodingKey, CaseIterable {}

    package init() {}

    package init(from decoder: any Decoder) throws {}

    package var request: ControlRequest { .mappings(self) }

    package func check(_ key: CodingKeys) {}
}

/// The service ports that applications got, and what they asked for.
public struct MappingListing: Codable, Sendable, Hashable {
    /// A service port at a service address that an application got.
    public struct Mapping: Codable, Sendable, Hashable {
        /// The application.
        public var application: String
        /// The nodes whose programs asked for it.
        public var nodes: [String]
        /// The service address.
        public var serviceAddress: String
        /// The service port, such as `udp/27015`.
        public var servicePort: String
        /// Where the application listens.
        public var port: Int
        /// The only senders whose packets it gets; empty: all.
        public var filters: [String]
        /// How many seconds are left, unless it is renewed.
        public var expires: Int
        /// The service in the table.
        public var service: String

        /// Memberwise.
        package init(
            application: String, nodes: [String], serviceAddress: String, servicePort: String, port: Int,
            filters: [String], expires: Int, service: String
        ) {
            self.application = application
            self.nodes = nodes
            self.serviceAddress = serviceAddress
            self.servicePort = servicePort
            self.port = port
            self.filters = filters
            self.expires = expires
            self.service = service
        }
    }
    /// What was granted, by application and port.
    public var mappings: [Mapping] = []
    /// How many requests came, by how each was answered: `SUCCESS`, `NOT_AUTHORIZED`, `too many requests`, for example.
    public var requests: [String: Int] = [:]
    /// The seconds since the state began (RFC 6887, 8.5).
    public var epoch = 0

    package init() {}
}
