/// What the process of records serves tenants with: a certificate, and listening sockets at the descriptors behind the fixed ones.
package struct ManagementSettings: Codable, Sendable {
    /// How many listening sockets there are.
    package var listeners: Int
    /// The certificate, and those between it and its authority, in PEM.
    package var chain: String
    /// Its private key, in PEM.
    package var key: String
    /// The authorities of client certificates, in PEM; nil: there are none.
    package var authorities: String?

    package init(listeners: Int, chain: String, key: String, authorities: String?) {
        self.listeners = listeners
        self.chain = chain
        self.key = key
        self.authorities = authorities
    }
}

/// What is to be looked at: certificates and a key, in PEM. `tapline-records --certificate` reads it as a line of JSON.
package struct CertificateQuestion: Codable, Sendable {
    package var chain: String
    package var key: String
    package var authorities: String?

    package init(chain: String, key: String, authorities: String?) {
        self.chain = chain
        self.key = key
        self.authorities = authorities
    }
}

/// What a certificate says, or what is wrong with it: the answer to `CertificateQuestion`, a line of JSON.
package struct CertificateFacts: Codable, Sendable {
    /// The part that something is wrong with.
    package enum Part: String, Codable, Sendable { case chain, key, authorities }

    /// What is wrong, as the end of a sentence, and with which part; nil: nothing is.
    package var fault: String?
    package var part: Part?
    /// The SHA-256 of the certificate in DER: `AB:CD:…`, as openssl shows it.
    package var fingerprint = ""
    /// Seconds since 1970.
    package var notBefore = 0
    /// Seconds since 1970.
    package var notAfter = 0
    /// The addresses and names that it is for.
    package var names: [String] = []

    package init() {}

    package init(fault: String, part: Part) {
        self.fault = fault
        self.part = part
    }
}
