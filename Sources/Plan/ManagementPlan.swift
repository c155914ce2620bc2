import Reporting
import Wire

/// The management address: where tenants give instructions by HTTPS, from their own nodes. A node of Tapline's own has it, and
/// a service of Tapline's own leads there.
public struct ManagementPlan: Sendable, Hashable {
    /// The node that has the address, and the service that leads there. Nothing of a file may have this name beside it.
    public static let name = "records"
    /// The type of that node.
    public static let type = "management"
    /// The TCP port where the file gives none.
    public static let usualPort = 443

    /// A PEM file that was read with the topology file.
    public struct File: Sendable, Hashable {
        /// Its path as it is written.
        public var path: String
        /// Its text.
        public var text: String
        /// Where the file names it.
        public var origin: SourceOrigin

        /// Memberwise.
        public init(path: String, text: String, origin: SourceOrigin) {
            self.path = path
            self.text = text
            self.origin = origin
        }
    }

    /// A certificate that the file names.
    public struct Certificate: Sendable, Hashable {
        /// The certificate, and those between it and its authority.
        public var chain: File
        /// Its private key.
        public var key: File

        /// Memberwise.
        public init(chain: File, key: File) {
            self.chain = chain
            self.key = key
        }
    }

    /// The addresses.
    public var addresses: [IPAddress]
    /// The TCP port.
    public var port: Int
    /// The certificate; nil: one is made when the topology comes up.
    public var certificate: Certificate?
    /// The authorities of client certificates; nil: there are none.
    public var authorities: File?
    /// Where the file has it.
    public var origin: SourceOrigin
    /// Networks behind customers: all connections from one of these lists count together. Every other address counts by itself.
    public var networks: [[IPPrefix]] = []

    /// Memberwise.
    public init(
        addresses: [IPAddress], port: Int, certificate: Certificate?, authorities: File?, origin: SourceOrigin
    ) {
        self.addresses = addresses
        self.port = port
        self.certificate = certificate
        self.authorities = authorities
        self.origin = origin
    }

    /// True if a process that serves this one serves the other as well: lines may have moved.
    public func isServed(as other: ManagementPlan) -> Bool {
        addresses == other.addresses && port == other.port && certificate?.chain.text == other.certificate?.chain.text
            && certificate?.key.text == other.certificate?.key.text && authorities?.text == other.authorities?.text
    }
}
