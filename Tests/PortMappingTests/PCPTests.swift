import Testing
import Wire

@testable import PortMapping

/// Requests of PCP, and what RFC 6887 wants for an answer.
struct PCPTests {
    var desk = NegotiationDesk(beginning: 0)
    let office = Office()

    init() { _ = desk.adopt([.game]) }

    private mutating func ask(_ octets: [UInt8], _ asker: Asker = .game, at now: UInt64 = 7000) -> NegotiationOutcome {
        desk.answer(octets, from: asker, at: now, office: office)
    }

    private mutating func ask(_ request: MapRequest, at now: UInt64 = 7000) -> NegotiationOutcome {
        ask(request.octets, request.asker, at: now)
    }

    @Test mutating func anAnswerWithoutOptionsHasSixtyOctets() throws {
        let answer = try #require(ask(MapRequest(suggested: 27003, address: "203.0.113.83")).answer)
        #expect(answer.count == 60)
        // Version, R and MAP, success, lifetime, epoch.
        #expect(answer[..<12] == [2, 0x81, 0, 0, 0, 0, 0, 120, 0, 0, 0, 7])
        #expect(answer[12..<24].allSatisfy { $0 == 0 })
        #expect(answer[24..<36].allSatisfy { $0 == 1 })
        #expect(answer[36..<40] == [17, 0, 0, 0])
        #expect(PCPMessage.number(answer, at: 40) == 5000)
        #expect(PCPMessage.number(answer, at: 42) == 27003)
        #expect(PCPMessage.address(answer, at: 44) == IPAddress("203.0.113.83"))
    }

    @Test(arguments: [(UInt32(1), UInt32(30)), (500, 500), (4000, 3600), (.max, 3600)])
    mutating func lifetimesAreHeldInTheirRange(asked: UInt32, granted: UInt32) throws {
        let answer = try #require(ask(MapRequest(lifetime: asked)).answer)
        #expect(Array(answer[4..<8]) == PCPMessage.octets(granted))
    }

    @Test mutating func theSameNonceRenewsAndAnotherIsRefused() throws {
        let first = ask(MapRequest(), at: 0)
        #expect(ask(MapRequest(suggested: 27008), at: 100_000).mapping?.port == first.mapping?.port)
        #expect(ask(MapRequest(nonce: 2), at: 100_000).result == .notAuthorized)
        #expect(ask(MapRequest(nonce: 2, lifetime: 0), at: 100_000).result == .notAuthorized)
        #expect(office.puts == 1)
        #expect(desk.expire(at: 219_000).isEmpty)
        #expect(desk.expire(at: 220_000).map(\.port) == [27000])
        #expect(ask(MapRequest(nonce: 2), at: 221_000).result == .success)
    }

    @Test mutating func aLifetimeOfZeroEndsIt() throws {
        #expect(ask(MapRequest()).result == .success)
        let end = ask(MapRequest(suggested: 27005, lifetime: 0))
        #expect(end.result == .success && office.inForce.isEmpty && desk.mappings.isEmpty)
        #expect(end.answer.map { Array($0[4..<8]) } == [0, 0, 0, 0])
        #expect(end.answer.map { PCPMessage.number($0, at: 42) } == 27005)
        // What there is not any more is gone, too.
        #expect(ask(MapRequest(lifetime: 0)).result == .success)
    }

    @Test mutating func portZeroWithoutLifetimeEndsAllOfTheProtocol() {
        for port in 1...3 { #expect(ask(MapRequest(port: UInt16(port))).result == .success) }
        #expect(ask(MapRequest(number: 6, port: 8080)).result == .success)
        #expect(ask(MapRequest(port: 0, lifetime: 0)).result == .success)
        #expect(desk.mappings.values.map(\.key.protocolNumber) == [6])
        #expect(ask(MapRequest(number: 0, port: 0, lifetime: 0)).result == .success)
        #expect(desk.mappings.isEmpty)
    }

    @Test mutating func refusalsRepeatTheRequest() throws {
        func refused(_ octets: [UInt8], _ result: PCPResult, _ comment: Comment) throws {
            var desk = desk
            let outcome = desk.answer(octets, from: .game, at: 7000, office: office)
            let answer = try #require(outcome.answer, comment)
            #expect(outcome.result == result, comment)
            #expect(answer[0] == 2 && answer[1] == octets[1] | 0x80 && answer[3] == result.rawValue, comment)
            #expect(answer[4..<8] == [0, 0, 0, 30], "a short lifetime")
            #expect(answer.count % 4 == 0 && answer.count >= 24 && answer.count <= 1100, comment)
            if octets.count > 24 { #expect(answer[24...].starts(with: octets[24...].prefix(1076)), comment) }
        }
        let whole = MapRequest().octets
        try refused(Array(whole.prefix(56)), .malformedRequest, "too short for MAP")
        try refused(Array(whole.prefix(58)), .malformedRequest, "not a multiple of four")
        try refused(whole + [UInt8](repeating: 0x80, count: 1044), .malformedRequest, "longer than 1,100")
        try refused(MapRequest(asker: .second).octets, .addressMismatch, "another's address")
        try refused(MapRequest(number: 0).octets, .malformedRequest, "all protocols have no port")
        try refused(MapRequest(number: 132).octets, .unsupportedProtocol, "SCTP")
        try refused(MapRequest(port: 0).octets, .unsupportedProtocol, "all ports")
        try refused([2, 2] + whole[2...] + [UInt8](repeating: 0, count: 20), .unsupportedOpcode, "PEER")
        try refused([2, 99] + whole[2...], .unsupportedOpcode, "unknown")
        try refused(MapRequest(options: [4, 0, 0, 0]).octets, .unsupportedOption, "a mandatory option")
        try refused(MapRequest(options: [2, 0, 0, 4, 0, 0, 0, 0]).octets, .malformedOption, "its length")
        try refused(MapRequest(options: [2, 0, 0, 0, 2, 0, 0, 0]).octets, .malformedOption, "twice")
        try refused(MapRequest(options: [200, 0, 0, 9, 0, 0, 0, 0]).octets, .malformedOption, "beyond the end")
        let third: [UInt8] = [1, 0, 0, 16]
        try refused(
            MapRequest(options: third + PCPMessage.mapped(Asker.game.address)).octets, .malformedRequest, "oneself")
        try refused(
            MapRequest(options: third + PCPMessage.mapped(Asker.second.address)).octets, .unsupportedOption, "another")
        try refused([1, 1] + whole[2...], .unsupportedVersion, "version 1")
        try refused([9, 0, 0, 0], .unsupportedVersion, "version 9, short")
    }

    @Test mutating func anOptionThatMayBeIgnoredIsNotInTheAnswer() {
        #expect(ask(MapRequest(options: [200, 0, 0, 1, 7, 0, 0, 0])).answer?.count == 60)
    }

    @Test(arguments: [[], [2], [2, 1], [2, 0x81] + [UInt8](repeating: 0, count: 58), [0, 0x80], [0, 1, 0]])
    mutating func someGetNoAnswer(octets: [UInt8]) {
        let outcome = ask(octets)
        #expect(outcome.answer == nil && outcome.drop != nil)
    }

    @Test mutating func aHintThatCannotBeMetGivesAnother() {
        #expect(ask(MapRequest(suggested: 9999)).mapping?.port == 27000)
        #expect(ask(MapRequest(port: 5001, suggested: 27000)).mapping?.address == IPAddress("203.0.113.83"))
        office.taken = [27001]
        #expect(ask(MapRequest(port: 5002, suggested: 27001)).mapping?.port == 27002)
        // The address of somebody else.
        #expect(ask(MapRequest(port: 5003, address: "192.0.2.1")).mapping?.address == IPAddress("203.0.113.82"))
    }

    @Test mutating func preferFailureTakesNothingElse() {
        let strict: [UInt8] = [2, 0, 0, 0]
        #expect(ask(MapRequest(suggested: 9999, options: strict)).result == .cannotProvideExternal)
        #expect(ask(MapRequest(address: "192.0.2.1", options: strict)).result == .cannotProvideExternal)
        #expect(ask(MapRequest(asker: .game6, address: "0.0.0.0", options: strict)).result == .success)
        let granted = ask(MapRequest(suggested: 27004, options: strict))
        #expect(granted.mapping?.port == 27004 && granted.answer?.suffix(4) == strict[...])
        #expect(ask(MapRequest(suggested: 27005, options: strict)).result == .cannotProvideExternal)
    }

    private func filter(_ length: UInt8, _ address: String, port: UInt16 = 0) -> [UInt8] {
        [3, 0, 0, 20, 0, length] + PCPMessage.octets(port) + PCPMessage.mapped(IPAddress(address)!)
    }

    @Test mutating func filtersKeepSendersOut() throws {
        let one = ask(MapRequest(options: filter(120, "192.0.2.0")))
        #expect(one.mapping?.filters == [SenderFilter(IPPrefix("192.0.2.0/24")!)] && one.answer?.count == 84)
        #expect(one.answer.map { Array($0[60...]) } == filter(120, "192.0.2.0"), "the answer repeats the option")
        #expect(ask(MapRequest(options: filter(128, "192.0.3.7", port: 9))).mapping?.filters.count == 2)
        // Once more, which changes nothing.
        #expect(ask(MapRequest(options: filter(128, "192.0.3.7", port: 9))).mapping?.filters.count == 2)
        #expect(ask(MapRequest()).mapping?.filters.count == 2, "without the option they stay")
        #expect(office.puts == 2)
        let fresh = filter(0, "::") + filter(128, "192.0.3.8")
        let changed = ask(MapRequest(options: fresh))
        #expect(changed.mapping?.filters == [SenderFilter(IPPrefix("192.0.3.8/32")!)])
        #expect(changed.answer.map { Array($0[60...]) } == fresh)
        #expect(ask(MapRequest(options: filter(0, "::"))).mapping?.filters == [])
        #expect(office.inForce.values.map(\.filters) == [[]])
    }

    @Test mutating func aFilterThatIsNoneIsRefused() {
        #expect(ask(MapRequest(options: filter(64, "192.0.3.7"))).result == .malformedOption)
        #expect(ask(MapRequest(options: filter(64, "2001:db8::"))).result == .malformedOption)
        #expect(ask(MapRequest(options: filter(129, "192.0.3.7"))).result == .malformedOption)
        #expect(ask(MapRequest(options: [3, 0, 0, 16] + filter(128, "192.0.3.7")[8...])).result == .malformedOption)
        #expect(ask(MapRequest(asker: .game6, options: filter(120, "192.0.3.0"))).result == .malformedOption)
        #expect(ask(MapRequest(lifetime: 0, options: filter(120, "192.0.3.0"))).result == .malformedOption)
        #expect(ask(MapRequest(lifetime: 0, options: filter(0, "::"))).result == .malformedOption)
        #expect(office.puts == 0 && desk.mappings.isEmpty)
    }

    @Test mutating func tooManyFiltersAreRefusedAsAWhole() {
        let sixteen = (0..<16).flatMap { filter(128, "192.0.2.\($0)") }
        #expect(ask(MapRequest(options: sixteen + filter(128, "192.0.2.99"))).result == .excessiveRemotePeers)
        #expect(desk.mappings.isEmpty)
        #expect(ask(MapRequest(options: sixteen)).mapping?.filters.count == 16)
        #expect(ask(MapRequest(options: filter(128, "192.0.2.99"))).result == .excessiveRemotePeers)
        #expect(ask(MapRequest()).mapping?.filters.count == 16, "nothing has changed")
        // All of an application's filters together.
        var rules = NegotiationRules.game
        (rules.mappings, rules.ports[0].range) = (1000, 20000...29999)
        _ = desk.adopt([rules])
        var granted = 1
        while granted < 100, ask(MapRequest(port: UInt16(6000 + granted), options: sixteen)).result == .success {
            granted += 1
        }
        #expect(granted == 58 && 58 * 17 <= NegotiationDesk.mostRules)
        #expect(ask(MapRequest(port: 7000, options: sixteen)).result == .excessiveRemotePeers)
        #expect(ask(MapRequest(port: 7000)).result == .success)
    }

    @Test mutating func whatTheProofRefusesIsTriedElsewhere() {
        office.refused = [27000, 27001]
        #expect(ask(MapRequest()).mapping?.port == 27002)
        office.refused = Set(27000...27009)
        let outcome = ask(MapRequest(port: 5001))
        #expect(outcome.result == .noResources && outcome.reason == "it would take the packets of shop")
        #expect(office.puts == 3 + NegotiationDesk.attempts)
        office.failure = "the topology is going down"
        #expect(ask(MapRequest(port: 5001)).result == .networkFailure)
    }

    @Test mutating func quotasAndRatesAreTheApplications() {
        for port in 1...4 { #expect(ask(MapRequest(port: UInt16(port))).result == .success) }
        #expect(ask(MapRequest(port: 5)).result == .quotaExceeded)
        #expect(ask(MapRequest(number: 6, port: 6)).result == .quotaExceeded)
        var answered = 0
        for _ in 0..<5000 where ask(MapRequest(port: 1)).answer != nil { answered += 1 }
        #expect(answered == 2000 - 6)
        #expect(ask(MapRequest(port: 1), at: 8000).answer != nil)
    }

    @Test mutating func aProtocolThatTheFileDoesNotGiveIsRefused() {
        var rules = NegotiationRules.game
        rules.ports.removeLast()
        _ = desk.adopt([rules])
        #expect(ask(MapRequest(number: 6)).result == .notAuthorized)
    }

    @Test mutating func rulesThatChangeTakeMappingsAway() {
        #expect(ask(MapRequest()).mapping?.port == 27000)
        #expect(ask(MapRequest(number: 6)).mapping?.port == 80)
        var rules = NegotiationRules.game
        rules.ports = [NegotiationRules.Ports(protocolNumber: 6, range: 80...81)]
        #expect(desk.adopt([rules]).map(\.port) == [27000])
        #expect(desk.adopt([]).map(\.port) == [80])
        #expect(ask(MapRequest()).answer == nil)
    }

    @Test mutating func aMappingGoesWithItsLastInstance() {
        #expect(ask(MapRequest()).result == .success)
        #expect(ask(MapRequest(asker: .second, nonce: 9)).mapping?.port == 27000)
        #expect(desk.lose(node: "game").isEmpty)
        #expect(desk.lose(node: "game-2").map(\.port) == [27000])
        #expect(desk.mappings.isEmpty)
    }

    @Test mutating func anInstanceThatTakesOverGetsTheMappings() {
        #expect(ask(MapRequest()).result == .success)
        #expect(desk.lose(node: "game", heir: .second).isEmpty)
        // Its program knows nothing of the nonce, and asks with its own.
        #expect(ask(MapRequest(asker: .second, nonce: 9)).mapping?.port == 27000)
        #expect(ask(MapRequest(asker: .second, nonce: 8)).result == .notAuthorized)
    }

    @Test mutating func eachFamilyHasItsOwn() {
        #expect(ask(MapRequest()).mapping?.address == IPAddress("203.0.113.82"))
        #expect(ask(MapRequest(asker: .game6, address: "::")).mapping?.address == IPAddress("2001:db8::82"))
        #expect(desk.mappings.count == 2)
    }

    @Test mutating func theEpochStartsAnewWhereStateWasLost() {
        #expect(ask(MapRequest(), at: 9000).answer.map { Array($0[8..<12]) } == [0, 0, 0, 9])
        desk.beginAnew(at: 9000)
        #expect(ask(MapRequest(), at: 9999).answer.map { Array($0[8..<12]) } == [0, 0, 0, 0])
        #expect(ask(MapRequest(), at: 12_000).answer.map { Array($0[8..<12]) } == [0, 0, 0, 3])
    }

    @Test mutating func announceTellsTheEpoch() {
        #expect(
            ask([2, 0] + [UInt8](repeating: 0, count: 6) + PCPMessage.mapped(Asker.game.address), at: 61_999).answer
                == [2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 61] + [UInt8](repeating: 0, count: 12))
    }
}
