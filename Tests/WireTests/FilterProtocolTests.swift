import Testing

@testable import Wire

/// The protocol that Linux' packet filters see. `NftablesAccessTests` has the kernel itself judge packets by it.
@Suite struct FilterProtocolTests {
    private static let pad: [UInt8] = [1, 4, 0, 0, 0, 0]
    private static let message: [UInt8] = [128, 0, 0, 0, 0, 0, 0, 0]
    /// An authentication header of 16 octets.
    private static func authentication(_ next: UInt8) -> [UInt8] { [next, 2] + [UInt8](repeating: 7, count: 14) }
    private static func fragment(_ next: UInt8, _ place: UInt8) -> [UInt8] { [next, 0, 0, place, 0, 0, 0, 9] }

    private static func parsed(_ frame: [UInt8]) -> PacketFields {
        var fields = PacketFields()
        #expect(fields.parse(frame.span.bytes) == .packet)
        return fields
    }

    @Test(
        arguments: [
            (58, message, 58), (0, [58, 0] + pad + message, 58), (60, [58, 0] + pad + message, 58),
            (43, [58, 0, 4, 0, 0, 0, 0, 0] + message, 58), (44, fragment(58, 0) + message, 58),
            // What follows is not looked at.
            (51, authentication(58) + message, 51), (135, [58, 0] + pad + message, 135),
            (139, [58, 0] + pad + message, 139), (140, [58, 0] + pad + message, 140),
            (60, [51, 0] + pad + authentication(135) + [58, 0] + pad + message, 51),
            (59, [], 59),
            // Later fragments: the fragment header says it, unless a header before it hides it.
            (44, fragment(58, 8) + message, 58), (44, fragment(59, 8) + message, 59),
            (44, fragment(135, 8) + message, 135), (44, fragment(60, 8) + message, nil),
            (44, fragment(51, 8) + message, nil), (44, fragment(0, 8) + message, nil),
            (44, fragment(43, 8) + message, nil), (51, authentication(44) + fragment(60, 8) + message, 51),
            // A first fragment goes on.
            (44, fragment(60, 1) + [58, 0] + pad + message, 58),
        ] as [(UInt8, [UInt8], UInt8?)])
    func ofIPv6(_ next: UInt8, _ octets: [UInt8], _ expected: UInt8?) {
        let packet = TestFrames.ipv6(ip("2001:db8::1"), ip("2001:db8::2"), next, octets)
        #expect(Self.parsed(TestFrames.ethernet(0x86DD, packet)).filterProtocol == expected)
    }

    @Test(arguments: [0, 0x2000, 0x0002])
    func ofIPv4(_ fragmentWord: Int) {
        let packet = TestFrames.ipv4(
            ip("192.0.2.1"), ip("192.0.2.2"), 51, Self.authentication(47) + Self.message, fragmentWord: fragmentWord)
        let fields = Self.parsed(TestFrames.ethernet(0x0800, packet))
        #expect(fields.filterProtocol == 51 && (fields.transportProtocol == 47) == (fragmentWord != 2))
    }
}
