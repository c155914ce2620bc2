import Testing

@testable import Instructions

/// The names in certificates. The octets are of certificates that openssl has made.
@Suite struct CertificateTests {
    /// A value of DER.
    private static func der(_ tag: UInt8, _ contents: [UInt8]...) -> [UInt8] {
        let octets = contents.flatMap { $0 }
        let length: [UInt8] =
            octets.count < 128
            ? [UInt8(octets.count)] : [0x82, UInt8(octets.count >> 8), UInt8(octets.count & 0xFF)]
        return [tag] + length + octets
    }

    /// A certificate with these parts, and zeros for what nothing here reads.
    private static func certificate(
        commonNames: [String], alternatives: [(UInt8, [UInt8])]?, withVersion: Bool = true
    ) -> [UInt8] {
        let subject = commonNames.map { name in
            der(0x31, der(0x30, der(0x06, [0x55, 0x04, 0x03]), der(0x0C, Array(name.utf8))))
        }
        var fields = withVersion ? der(0xA0, der(0x02, [2])) : []
        fields += der(0x02, [1]) + der(0x30) + der(0x30) + der(0x30)
        fields += der(0x30, subject.flatMap { $0 }) + der(0x30)
        if let alternatives {
            let names = der(0x30, alternatives.flatMap { der($0.0, $0.1) })
            let basic = der(0x30, der(0x06, [0x55, 0x1D, 0x13]), der(0x01, [0xFF]), der(0x04, der(0x30)))
            fields += der(0xA3, der(0x30, basic, der(0x30, der(0x06, [0x55, 0x1D, 0x11]), der(0x04, names))))
        }
        return der(0x30, der(0x30, fields), der(0x30), der(0x03, [0]))
    }

    @Test func alternativeNamesGoBeforeTheCommonName() {
        let whole = Self.certificate(
            commonNames: ["first", "alice"],
            alternatives: [
                (0x82, Array("alice.example".utf8)), (0x81, Array("alice@example.org".utf8)),
                (0x86, Array("urn:alice".utf8)), (0x87, [192, 0, 2, 254]),
            ])
        #expect(CertificateNames.clients(der: whole) == ["alice.example", "alice@example.org", "urn:alice"])
        let (names, addresses) = CertificateNames.servers(der: whole)
        #expect(names == ["alice.example"] && addresses == [[192, 0, 2, 254]])
        let plain = Self.certificate(commonNames: ["first", "alice"], alternatives: nil)
        #expect(CertificateNames.clients(der: plain) == ["alice"])
        let addressesAlone = Self.certificate(commonNames: ["alice"], alternatives: [(0x87, [192, 0, 2, 254])])
        #expect(CertificateNames.clients(der: addressesAlone) == ["alice"])
        let old = Self.certificate(commonNames: ["alice"], alternatives: nil, withVersion: false)
        #expect(CertificateNames.clients(der: old) == ["alice"])
    }

    @Test func namesThatDeceiveAreNone() {
        let zero = Self.certificate(commonNames: ["x"], alternatives: [(0x82, Array("alice\0.evil".utf8))])
        #expect(CertificateNames.clients(der: zero) == ["x"])
        let empty = Self.certificate(commonNames: [""], alternatives: nil)
        #expect(CertificateNames.clients(der: empty).isEmpty)
    }

    /// Every beginning of a certificate, and every octet of it changed: there are names or none, and nothing else.
    @Test func tornCertificatesHaveNoNames() {
        let whole = Self.certificate(commonNames: ["alice"], alternatives: [(0x82, Array("alice.example".utf8))])
        for length in whole.indices {
            #expect(CertificateNames.clients(der: Array(whole[..<length])).isEmpty)
        }
        for place in whole.indices {
            for value in [UInt8(0), 0x7F, 0x80, 0x84, 0xFF] {
                var changed = whole
                changed[place] = value
                #expect(CertificateNames.clients(der: changed).count <= 2)
            }
        }
    }

    @Test func aFingerprintIsReadWithColonsAndWithout() throws {
        let print = CertificateFingerprint(der: Array("abc".utf8))
        #expect(print.text.hasPrefix("BA:78:16:BF"))
        #expect(CertificateFingerprint(print.text) == print)
        #expect(CertificateFingerprint(print.text.replacing(":", with: "").lowercased()) == print)
        for wrong in ["", "AB", String(repeating: "+1", count: 32), String(repeating: "g", count: 64)] {
            #expect(CertificateFingerprint(wrong) == nil)
        }
    }
}
