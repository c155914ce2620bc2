/// The names in a certificate of X.509 (RFC 5280), read from its DER. It was verified before, and nothing here can fail on
/// octets that are no certificate: there are no names then.
package enum CertificateNames {
    /// Who a client certificate stands for: the DNS names, e-mail addresses and URIs of its subject alternative names; if it has
    /// none of these, its common name.
    package static func clients(der: [UInt8]) -> [String] {
        guard let certificate = Certificate(der) else { return [] }
        let names = certificate.alternatives.compactMap { tag, octets -> String? in
            // GeneralName: rfc822Name [1], dNSName [2], uniformResourceIdentifier [6].
            [0x81, 0x82, 0x86].contains(tag) ? text(octets) : nil
        }
        return names.isEmpty ? [certificate.commonName].compactMap { $0 } : names
    }

    /// What a server's certificate is for: the DNS names and the addresses of its subject alternative names, the addresses as
    /// their octets: four, or sixteen.
    package static func servers(der: [UInt8]) -> (names: [String], addresses: [[UInt8]]) {
        let alternatives = Certificate(der)?.alternatives ?? []
        return (
            alternatives.compactMap { $0.tag == 0x82 ? text($0.octets) : nil },
            alternatives.compactMap { $0.tag == 0x87 ? Array($0.octets) : nil }
        )
    }

    private static func text(_ octets: ArraySlice<UInt8>) -> String? {
        guard !octets.isEmpty, octets.count <= 255, octets.allSatisfy({ $0 >= 32 && $0 != 127 }) else { return nil }
        return String(validating: octets, as: UTF8.self)
    }

    private struct Certificate {
        /// The tags and contents of the subject alternative names.
        var alternatives: [(tag: UInt8, octets: ArraySlice<UInt8>)] = []
        /// The last one of the subject: the most significant.
        var commonName: String?

        /// id-at-commonName, 2.5.4.3.
        private static let commonNameOID: [UInt8] = [0x55, 0x04, 0x03]
        /// id-ce-subjectAltName, 2.5.29.17.
        private static let alternativesOID: [UInt8] = [0x55, 0x1D, 0x11]

        init?(_ der: [UInt8]) {
            guard let outer = DERReader.values(der[...]).first, outer.tag == 0x30,
                let body = DERReader.values(outer.octets).first, body.tag == 0x30
            else { return nil }
            var fields = DERReader.values(body.octets)[...]
            // version [0] is left out where it is 1.
            if fields.first?.tag == 0xA0 { fields.removeFirst() }
            // serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, and what may follow.
            guard fields.count >= 6 else { return nil }
            let subject = fields[fields.startIndex + 4]
            for set in DERReader.values(subject.octets) {
                for attribute in DERReader.values(set.octets) {
                    let pair = DERReader.values(attribute.octets)
                    guard pair.count == 2, Array(pair[0].octets) == Self.commonNameOID else { continue }
                    commonName = CertificateNames.text(pair[1].octets)
                }
            }
            guard
                let extensions = fields.first(where: { $0.tag == 0xA3 }).flatMap({ DERReader.values($0.octets).first })
            else { return }
            for one in DERReader.values(extensions.octets) {
                let parts = DERReader.values(one.octets)
                guard let oid = parts.first, Array(oid.octets) == Self.alternativesOID, let value = parts.last,
                    let names = DERReader.values(value.octets).first
                else { continue }
                alternatives = DERReader.values(names.octets)
            }
        }
    }
}

/// Values of DER (X.690), one behind the other: a tag of one octet, a length, the contents.
private enum DERReader {
    /// The values in order, up to the first that is none.
    static func values(_ octets: ArraySlice<UInt8>) -> [(tag: UInt8, octets: ArraySlice<UInt8>)] {
        var rest = octets
        var values: [(tag: UInt8, octets: ArraySlice<UInt8>)] = []
        while let tag = rest.popFirst(), let first = rest.popFirst() {
            var length = Int(first)
            if first >= 0x80 {
                let count = Int(first & 0x7F)
                guard (1...4).contains(count), rest.count >= count else { break }
                length = rest.prefix(count).reduce(0) { $0 << 8 | Int($1) }
                rest = rest.dropFirst(count)
            }
            guard length <= rest.count else { break }
            values.append((tag, rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return values
    }
}
