/// The SHA-256 of a certificate in DER, which tells it from all others.
package struct CertificateFingerprint: Hashable, Sendable {
    /// Thirty-two octets.
    package let octets: [UInt8]

    /// That of a certificate.
    package init(der: [UInt8]) { octets = SHA256.hash(der) }

    /// That of a text: 64 hexadecimal digits, with colons between pairs or without; nil if it is none.
    package init?(_ text: String) {
        let digits = Array(text.utf8.filter { $0 != UInt8(ascii: ":") })
        guard digits.count == 64 else { return nil }
        var octets: [UInt8] = []
        for place in stride(from: 0, to: 64, by: 2) {
            guard let octet = UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16),
                digits[place] != UInt8(ascii: "+"), digits[place] != UInt8(ascii: "-")
            else { return nil }
            octets.append(octet)
        }
        self.octets = octets
    }

    /// `AB:CD:…`, as openssl shows it.
    package var text: String {
        octets.map { octet in
            let digits = String(octet, radix: 16, uppercase: true)
            return digits.count == 1 ? "0" + digits : digits
        }.joined(separator: ":")
    }
}
