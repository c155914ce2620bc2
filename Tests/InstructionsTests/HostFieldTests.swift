import Testing

@testable import Instructions

/// The field `Host` (RFC 9112, section 3.2).
@Suite struct HostFieldTests {
    @Test(arguments: [
        "x", "192.0.2.254", "192.0.2.254:443", "[2001:db8::fe]", "[2001:db8::fe]:8443", "[fe80::1%25eth0]",
        "records.example", "",
        "records.example:", ":443", "a%2Fb", "x-y_z~", "[v1.a:b]",
    ])
    func hasAHostAndAPort(_ value: String) {
        #expect(HostField.fault(of: [value], isRequired: true) == (value.contains("%25") ? Self.form : nil))
    }

    private static let form = "the field Host is no name or address"

    @Test(arguments: [
        "a b", "a/b", "http://x", "x@y", "x:y", "x:80:80", "[::1", "::1", "[]", "[::1]x", "[::1]80", "x%", "x%2",
        "x%gg", "x\u{7F}", "é",
        "x\t", "x?", "x#", "\"x\"", "<x>", String(repeating: "x", count: 513),
    ])
    func otherFormsAreNone(_ value: String) {
        #expect(HostField.fault(of: [value], isRequired: false) == Self.form)
    }

    @Test func thereIsExactlyOne() {
        #expect(HostField.fault(of: [], isRequired: true) == "the field Host is missing")
        #expect(HostField.fault(of: [], isRequired: false) == nil)
        for isRequired in [true, false] {
            #expect(HostField.fault(of: ["x", "x"], isRequired: isRequired) == "the field Host is given twice")
        }
    }
}
