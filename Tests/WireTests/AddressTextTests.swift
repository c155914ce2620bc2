import Seeds
import Testing
import Wire

@Suite struct AddressTextTests {
    /// Written and read, as RFC 5952, sections 4 and 5 would have it.
    @Test(arguments: [
        ("2001:db8::1", "2001:db8::1"), ("2001:0db8::0001", "2001:db8::1"), ("2001:DB8::ABCD", "2001:db8::abcd"),
        ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("0:0:0:0:0:0:0:0", "::"), ("0:0:0:0:0:0:0:1", "::1"), ("1:0:0:0:0:0:0:0", "1::"),
        ("::ffff:192.0.2.1", "::ffff:c000:201"), ("192.0.2.1", "192.0.2.1"), ("255.255.255.255", "255.255.255.255"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ])
    func canonical(_ text: String, _ expected: String) {
        #expect(IPAddress(text)?.description == expected)
    }

    @Test(arguments: [
        "", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "12345::", "g::",
        "::1%eth0",
        "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.-4", "+1.2.3.4", "1..2.3", "::1.2.3", "::+1", " ::1",
        "1.2.3.4::", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:",
    ])
    func refused(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func everyAddressIsReadBack() {
        var generator = SeededGenerator(seed: 5952)
        for _ in 0..<2_000 {
            // Many zero groups, so that the gap's rules are met.
            let groups = (0..<8).map { _ in
                Bool.random(using: &generator) ? 0 : UInt64.random(in: 0...0xFFFF, using: &generator)
            }
            let half = { (range: Range<Int>) in groups[range].reduce(UInt64(0)) { $0 << 16 | $1 } }
            let address = IPAddress(ipv6High: half(0..<4), low: half(4..<8))
            #expect(IPAddress(address.description) == address)
            let four = IPAddress(ipv4: UInt32.random(in: 0...UInt32.max, using: &generator))
            #expect(IPAddress(four.description) == four)
        }
    }

    @Test func prefixesAndMACs() {
        #expect(IPPrefix("192.0.2.0/24")?.description == "192.0.2.0/24")
        #expect(IPPrefix("192.0.2.1/24") == nil)
        #expect(IPPrefix("192.0.2.1/33") == nil)
        #expect(IPPrefix("0.0.0.0/0")?.contains(ip("203.0.113.1")) == true)
        #expect(IPPrefix("::/0")?.contains(ip("203.0.113.1")) == false)
        #expect(IPPrefix("2001:db8::/33")?.contains(ip("2001:db8:8000::")) == false)
        #expect(InterfaceAddress("192.0.2.1/24")?.prefix == IPPrefix("192.0.2.0/24"))
        #expect(MACAddress("02:00:5E:00:00:ff")?.description == "02:00:5e:00:00:ff")
        #expect(MACAddress("02:00:5e:00:00") == nil && MACAddress("02:00:5e:00:00:0g") == nil)
        #expect(ip("2001:db8::12:3456").solicitedNode == ip("ff02::1:ff12:3456"))
    }
}
