import Testing
import Wire

@testable import PortMapping

/// Requests of NAT-PMP, and what RFC 6886 wants for an answer.
struct NATPMPTests {
    var desk = NegotiationDesk(beginning: 0)
    let office = Office()

    init() { _ = desk.adopt([.game]) }

    private mutating func ask(_ octets: [UInt8], _ asker: Asker = .game) -> NegotiationOutcome {
        desk.answer(octets, from: asker, at: 7000, office: office)
    }

    private func map(_ port: UInt16, _ suggested: UInt16 = 0, opcode: UInt8 = 1, lifetime: UInt32 = 120) -> [UInt8] {
        [0, opcode, 0, 0] + PCPMessage.octets(port) + PCPMessage.octets(suggested) + PCPMessage.octets(lifetime)
    }

    @Test mutating func theAddressIsTheFirst() {
        #expect(ask([0, 0]).answer == [0, 128, 0, 0, 0, 0, 0, 7, 203, 0, 113, 82])
        var rules = NegotiationRules.game
        rules.addresses = [IPAddress("2001:db8::82")!]
        _ = desk.adopt([rules])
        #expect(ask([0, 0]).answer == [0, 128, 0, 3, 0, 0, 0, 7, 0, 0, 0, 0])
    }

    @Test mutating func aMappingIsAtTheAddressThatIsTold() {
        #expect(ask(map(5000, 27003)).answer == [0, 129, 0, 0, 0, 0, 0, 7, 0x13, 0x88, 0x69, 0x7B, 0, 0, 0, 120])
        #expect(ask(map(5001, 27003)).mapping?.address == IPAddress("203.0.113.82"))
        #expect(ask(map(8080, 80, opcode: 2)).answer?.prefix(4) == [0, 130, 0, 0])
    }

    @Test mutating func aLifetimeOfZeroEndsIt() {
        #expect(ask(map(5000)).result == .success)
        #expect(ask(map(5000, 27000, lifetime: 0)).answer?.suffix(8) == [0x13, 0x88, 0, 0, 0, 0, 0, 0])
        for port in 1...3 { #expect(ask(map(UInt16(port))).result == .success) }
        #expect(ask(map(0, lifetime: 0)).result == .success)
        #expect(desk.mappings.isEmpty)
    }

    @Test mutating func errorsAreTold() {
        #expect(ask([0, 3]).answer == [0, 131, 0, 5, 0, 0, 0, 7])
        #expect(ask([0, 0], .game6).answer?[..<4] == [2, 128, 0, 1])
        for port in 1...4 { #expect(ask(map(UInt16(port))).result == .success) }
        #expect(ask(map(5)).answer == [0, 129, 0, 4, 0, 0, 0, 7, 0, 5, 0, 0, 0, 0, 0, 0])
        office.failure = "down"
        desk = NegotiationDesk(beginning: 0)
        _ = desk.adopt([.game])
        #expect(ask(map(1)).answer?[..<4] == [0, 129, 0, 3])
    }
}
