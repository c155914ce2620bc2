import Foundation
import Testing

/// Mappings that take packets of some senders only (FILTER; RFC 6887, 13.3), judged by the kernels of customers.
@Suite(.serialized) struct MappingFilterTests {
    private static let game = MappingTests.game.replacing(
        #"  alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"] }"#,
        with: """
              alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
              bob:   { interface: customers, address: [192.0.2.20/24, "2001:db8:2::20/64"] }
            """)

    /// One option; a length as of an IPv6 prefix.
    private func filter(_ length: UInt8, _ address: [UInt8], port: UInt16 = 0) -> String {
        ([3, 0, 0, 20, 0, length, UInt8(port >> 8), UInt8(port & 255)] + address).hexadecimal
    }
    private let none = [UInt8](repeating: 0, count: 16)
    private let alice = JudgedRequest.mapped([192, 0, 2, 10])
    private let bob = JudgedRequest.mapped([192, 0, 2, 20])
    private let alice6: [UInt8] = [0x20, 1, 0x0D, 0xB8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]

    /// Asks for the game's port with options, and expects SUCCESS with all of them.
    private func map(_ lab: Lab, _ options: String, _ own: String = "198.18.4.10") throws {
        let server = own.contains(":") ? "2001:db8:14::1" : "198.18.4.1"
        let answer = try #require(
            try lab.ask("game", "\(server) \(MappingTests.map(own, lifetime: 3600))\(options)").first)
        #expect(answer.hasPrefix("02810000") && answer.dropFirst(120) == options, "\(answer)")
    }

    private func filters(_ lab: Lab) throws -> [[String]] {
        try lab.mappings().compactMap { $0["filters"] as? [String] }
    }

    @Test func onlyTheSendersOfTheFiltersReachIt() throws {
        try Lab.with(Self.game) { lab in
            try map(lab, filter(128, alice))
            #expect(try filters(lab) == [["192.0.2.10"]])
            #expect(try lab.fetches() && lab.misses(from: "bob"))
            // A second one is added; without the option nothing changes.
            try map(lab, filter(124, bob))
            try map(lab, "")
            #expect(try filters(lab) == [["192.0.2.10", "192.0.2.16/28"]])
            #expect(try lab.fetches() && lab.fetches(from: "bob"))
            // A prefix of length 0 removes what there is.
            try map(lab, filter(0, none) + filter(128, bob))
            #expect(try lab.misses() && lab.fetches(from: "bob"))
            // What the engine refuses is counted, and the operator sees who judges.
            let tables = try lab.tapline("tables", lab.name).output
            #expect(tables.contains("192.0.2.20") && tables.contains("deny"), "\(tables)")
            #expect(try lab.tapline("status", lab.name, "--json").output.contains("access-denied"))
            let shown = try lab.tapline("mappings", lab.name).output
            #expect(shown.contains("ONLY FROM") && shown.contains("192.0.2.20"), "\(shown)")
            // Another engine decides alike, and so does the next table.
            #expect(try lab.tapline("engine", "replace", lab.name).status == 0)
            #expect(try lab.tapline("reload", lab.name).status == 0)
            #expect(try lab.misses() && lab.fetches(from: "bob"))
            try map(lab, filter(0, none))
            #expect(try filters(lab) == [[]])
            #expect(try lab.fetches() && lab.fetches(from: "bob"))
            #expect(try !lab.tapline("tables", lab.name).output.contains("deny"))
        }
    }

    @Test func aRemotePortIsPartOfAFilter() throws {
        try Lab.with(Self.game) { lab in
            try map(lab, filter(128, alice, port: 5555))
            #expect(try filters(lab) == [["192.0.2.10 port 5555"]])
            #expect(try lab.fetches(from: "alice", "--local-port 5555"))
            #expect(try lab.misses(from: "alice", "--local-port 5556"))
            #expect(try lab.misses(from: "bob", "--local-port 5555"))
        }
    }

    @Test func filtersGoWithTheirMapping() throws {
        try Lab.with(Self.game) { lab in
            let six = "2001:db8:14::10"
            try map(lab, filter(128, alice6), six)
            try map(lab, "")
            #expect(try lab.fetches("[2001:db8:cb::82]") && lab.misses("[2001:db8:cb::82]", from: "bob"))
            #expect(try lab.fetches() && lab.fetches(from: "bob"), "the other family has no filter")
            // It ends, and is asked for without filters.
            _ = try lab.ask("game", "2001:db8:14::1 \(MappingTests.map(six, lifetime: 0))")
            try map(lab, "", six)
            #expect(try lab.fetches("[2001:db8:cb::82]", from: "bob"))
            // Too many, and one that is none: nothing changes.
            let many = (0..<17).map { filter(128, JudgedRequest.mapped([192, 0, 2, $0])) }.joined()
            let asked = try lab.ask(
                "game",
                "198.18.4.1 \(MappingTests.map())\(many) \(MappingTests.map())\(filter(95, alice)) "
                    + "\(MappingTests.map(lifetime: 0))\(filter(128, alice))")
            #expect(asked.map { $0.prefix(8) } == ["0281000d", "02810006", "02810006"], "\(asked)")
            #expect(try filters(lab) == [[], []])
            let events = try lab.tapline("events", lab.name, "--text").output
            #expect(events.contains("EXCESSIVE_REMOTE_PEERS: it would have more than 16 filters"), "\(events)")
            // With filters, and the application ends.
            try map(lab, filter(128, alice))
            #expect(try lab.tapline("kill", lab.name, "game").status == 0)
            #expect(try lab.waitUntil { try lab.mappings().isEmpty })
            #expect(try lab.waitUntil { try !lab.tapline("tables", lab.name).output.contains("deny") })
        }
    }
}
