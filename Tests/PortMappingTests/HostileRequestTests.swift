import Seeds
import Testing
import Wire

@testable import PortMapping

/// Whatever comes, an answer is whole, and what is in force is what is remembered.
struct HostileRequestTests {
    @Test func anythingIsAnsweredByTheRules() {
        var random = SeededGenerator(seed: Seed.drawn())
        var desk = NegotiationDesk(beginning: 0)
        var rules = NegotiationRules.game
        rules.requests = 1_000_000
        _ = desk.adopt([rules])
        let office = Office()
        var results: Set<PCPResult> = []
        for turn in 0..<20_000 {
            let asker = [Asker.game, .game6, .second].randomElement(using: &random)!
            let octets = Self.datagram(asker, &random)
            office.refused = Set((27000...27009).filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
            office.failure = Int.random(in: 0..<50, using: &random) == 0 ? "down" : nil
            let before = desk.mappings
            let outcome = desk.answer(octets, from: asker, at: UInt64(turn) * 100, office: office)
            #expect((outcome.answer == nil) == (outcome.drop != nil))
            if let answer = outcome.answer, let result = outcome.result {
                results.insert(result)
                #expect(answer[1] == octets[1] | 0x80)
                #expect(answer[0] == (octets[0] == 0 && asker.address.family == .ipv4 ? 0 : 2))
                #expect(answer.count >= 8 && answer.count <= 1100 && answer.count % 4 == 0)
                if answer[0] == 2 { #expect(answer[3] == result.rawValue && answer.count >= 24) }
                if result != .success { #expect(desk.mappings == before) }
            }
            #expect(desk.mappings == desk.mappings.filter { $0.value.holders.isEmpty == false })
            #expect(Set(desk.mappings.keys) == Set(office.inForce.keys))
            #expect(desk.mappings.count <= rules.mappings)
            if turn % 500 == 0 { for gone in desk.expire(at: UInt64(turn) * 100) { office.inForce[gone.key] = nil } }
        }
        #expect(results.count >= 10, "\(results.map(\.name))")
    }

    private static func datagram(_ asker: Asker, _ random: inout some RandomNumberGenerator) -> [UInt8] {
        var request = MapRequest(asker: asker)
        request.nonce = UInt8.random(in: 0...3, using: &random)
        request.number = [17, 17, 6, 0, 132].randomElement(using: &random)!
        request.port = UInt16.random(in: 0...6, using: &random)
        request.suggested = UInt16.random(in: 26_998...27_011, using: &random)
        request.address = ["0.0.0.0", "::", "203.0.113.83", "2001:db8::82", "192.0.2.9"].randomElement(using: &random)!
        request.lifetime = [0, 1, 60, .max].randomElement(using: &random)!
        let filter: [UInt8] = [3, 0, 0, 20, 0, 120, 0, 0] + PCPMessage.mapped(IPAddress("192.0.2.0")!)
        request.options = [[], [2, 0, 0, 0], filter, [200, 0, 0, 0], [5, 0, 0, 0]].randomElement(using: &random)!
        var octets = request.octets
        switch Int.random(in: 0..<8, using: &random) {
        case 0: octets = Array(octets.prefix(Int.random(in: 0...octets.count, using: &random)))
        case 1: octets[Int.random(in: 0..<octets.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        case 2:
            octets += (0..<Int.random(in: 0...1200, using: &random)).map { _ in .random(in: 0...255, using: &random) }
        case 3: octets = (0..<Int.random(in: 0...80, using: &random)).map { _ in .random(in: 0...255, using: &random) }
        case 4: octets = [0, .random(in: 0...3, using: &random)] + octets[38..<48]
        default: break
        }
        return octets
    }
}
