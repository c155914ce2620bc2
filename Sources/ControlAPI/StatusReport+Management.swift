extension StatusReport {
    /// The management address, where tenants give instructions.
    public struct Management: Codable, Sendable, Hashable {
        /// The addresses.
        public var addresses: [String]
        /// The TCP port.
        public var port: Int
        /// The SHA-256 of its certificate in DER: `AB:CD:…`.
        public var fingerprint: String
        /// When the certificate expires, as ISO 8601 has it.
        public var expires: String
        /// True if Tapline has made the certificate.
        public var made: Bool
        /// True if client certificates show who asks.
        public var clientCertificates: Bool
        /// The certificate, and those between it and its authority, in PEM.
        public var certificate: String

        /// Memberwise.
        package init(
            addresses: [String], port: Int, fingerprint: String, expires: String, made: Bool,
            clientCertificates: Bool, certificate: String
        ) {
            self.addresses = addresses
            self.port = port
            self.fingerprint = fingerprint
            self.expires = expires
            self.made = made
            self.clientCertificates = clientCertificates
            self.certificate = certificate
        }

        /// Where it is asked: `https://192.0.2.254`, one for each address.
        public var locations: [String] {
            addresses.map { address in
                "https://" + (address.contains(":") ? "[\(address)]" : address) + (port == 443 ? "" : ":\(port)")
            }
        }
    }
}
