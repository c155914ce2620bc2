import Foundation
import Testing

/// Requests of those who mean no good, and of programs that are wrong: each is answered or dropped by the RFC, counted and told.
@Suite(.serialized) struct MappingAttackTests {
    /// One request, and what becomes of it.
    private struct Row {
        var what: String
        var request: String
        /// The first digits of the answer; "-": none.
        var answer: String
        /// What counts it.
        var counted: String
        /// What tells the operator of it; nil: it is no refusal.
        var told: String?
        var server = "198.18.4.1"
    }

    private static let six = "2001:db8:14::10"
    private static let none4 = "00000000000000000000ffff00000000"
    private static let another = "00000000000000000000ffffc0000201"

    /// A request with other digits from a place on.
    private static func changed(_ request: String, at octet: Int, _ digits: String) -> String {
        let start = octet * 2
        return String(request.prefix(start)) + digits + String(request.dropFirst(start + digits.count))
    }

    private static let rows: [Row] = [
        // 60 seconds, as asked.
        Row(what: "a mapping", request: MappingTests.map(), answer: "028100000000003c", counted: "SUCCESS"),
        Row(what: "a replay", request: MappingTests.map(), answer: "028100000000003c", counted: "SUCCESS"),
        Row(
            what: "another nonce", request: MappingTests.map(nonce: "02"), answer: "028100020000001e",
            counted: "NOT_AUTHORIZED", told: "NOT_AUTHORIZED: it has another nonce than the mapping"),
        Row(
            what: "another nonce that ends it", request: MappingTests.map(nonce: "03", lifetime: 0),
            answer: "028100020000001e", counted: "NOT_AUTHORIZED"),
        Row(
            what: "NAT-PMP ends what PCP made", request: "00020000697d697d00000000",
            answer: "00820002", counted: "NOT_AUTHORIZED"),
        Row(
            what: "NAT-PMP ends all that PCP made", request: "000200000000000000000000", answer: "00820002",
            counted: "NOT_AUTHORIZED"),
        // One day, the longest of the file.
        Row(
            what: "a lifetime of 2^32-1", request: MappingTests.map(lifetime: .max), answer: "0281000000015180",
            counted: "SUCCESS"),
        Row(
            what: "a lifetime of 0 of what there is not", request: MappingTests.map(port: 9, lifetime: 0),
            answer: "0281000000000000", counted: "SUCCESS"),
        Row(
            what: "internal port 0", request: MappingTests.map(port: 0), answer: "028100090000001e",
            counted: "UNSUPP_PROTOCOL", told: "UNSUPP_PROTOCOL"),
        Row(
            what: "protocol 0", request: MappingTests.map(number: 0, port: 0), answer: "028100090000001e",
            counted: "UNSUPP_PROTOCOL"),
        Row(
            what: "protocol 0 with a port", request: MappingTests.map(number: 0), answer: "028100030000001e",
            counted: "MALFORMED_REQUEST", told: "MALFORMED_REQUEST"),
        Row(
            what: "SCTP", request: MappingTests.map(number: 132), answer: "028100090000001e", counted: "UNSUPP_PROTOCOL"
        ),
        // The address that it can have, not 0.0.0.0.
        Row(
            what: "external 0.0.0.0 in a session of IPv6", request: changed(MappingTests.map(six), at: 44, none4),
            answer: "028100000000003c", counted: "SUCCESS", server: "2001:db8:14::1"),
        Row(
            what: "an IPv4 client in a session of IPv6", request: MappingTests.map(), answer: "0281000c0000001e",
            counted: "ADDRESS_MISMATCH", told: "ADDRESS_MISMATCH", server: "2001:db8:14::1"),
        Row(
            what: "the suggested address of another", request: changed(MappingTests.map(port: 10), at: 44, another),
            answer: "028100000000003c", counted: "SUCCESS"),
        Row(
            what: "the same, and nothing else will do",
            request: changed(MappingTests.map(port: 11), at: 44, another) + "02000000",
            answer: "0281000b0000001e", counted: "CANNOT_PROVIDE_EXTERNAL", told: "CANNOT_PROVIDE_EXTERNAL"),
        Row(
            what: "the address of another client", request: MappingTests.map("198.18.4.11"), answer: "0281000c0000001e",
            counted: "ADDRESS_MISMATCH"),
        Row(
            what: "a third party", request: MappingTests.map() + "01000010" + "00000000000000000000ffffc612040b",
            answer: "028100050000001e", counted: "UNSUPP_OPTION", told: "UNSUPP_OPTION"),
        Row(
            what: "a client of version 1", request: "01" + MappingTests.map().dropFirst(2), answer: "028100010000001e",
            counted: "UNSUPP_VERSION", told: "UNSUPP_VERSION"),
        Row(
            what: "PEER", request: "0202" + MappingTests.map().dropFirst(4) + String(repeating: "0", count: 40),
            answer: "028200040000001e", counted: "UNSUPP_OPCODE", told: "UNSUPP_OPCODE"),
        Row(
            what: "an answer", request: "0281" + MappingTests.map().dropFirst(4), answer: "-", counted: "not a request"),
        Row(what: "one octet", request: "02", answer: "-", counted: "too short"),
        Row(
            what: "half a header", request: String(MappingTests.map().prefix(40)), answer: "-", counted: "too short"),
        Row(
            what: "more than a message may have", request: MappingTests.map() + String(repeating: "80", count: 1044),
            answer: "028100030000001e", counted: "MALFORMED_REQUEST"),
        Row(
            what: "NAT-PMP in a session of IPv6", request: "0000", answer: "028000010000001e",
            counted: "UNSUPP_VERSION",
            server: "2001:db8:14::1"),
    ]

    @Test func eachIsAnsweredOrDroppedCountedAndTold() throws {
        try Lab.with(MappingTests.game) { lab in
            var before = try lab.requests()
            for row in Self.rows {
                let answer = try #require(
                    try lab.ask("game", "\(row.server) \(row.request)", patience: row.answer == "-" ? 2 : 20).first)
                #expect(answer.hasPrefix(row.answer), "\(row.what): \(answer)")
                var expected = before
                expected[row.counted, default: 0] += 1
                #expect(try lab.waitUntil { try lab.requests() == expected }, "\(row.what)")
                before = try lab.requests()
                if let told = row.told {
                    let events = try lab.tapline("events", lab.name, "--text").output
                    #expect(events.contains(told), "\(row.what): \(events)")
                }
            }
            // What was granted is the owner's still, with its own nonce.
            let ports = try lab.mappings().compactMap { $0["port"] as? Int }
            #expect(ports.sorted() == [10, 27005, 27005])
            let addresses = Set(try lab.mappings().compactMap { $0["serviceAddress"] as? String })
            #expect(addresses == ["192.0.1.82", "2001:db8:cb::82"])
            #expect(try lab.fetches() && lab.fetches("[2001:db8:cb::82]"))
        }
    }

    @Test func nobodyGuessesANonce() throws {
        try Lab.with(MappingTests.game) { lab in
            _ = try lab.ask("game", "198.18.4.1 \(MappingTests.map(nonce: "a7", lifetime: 3600))")
            let guesses = (0..<256).filter { $0 != 0xA7 }.map { number in
                let nonce = (number < 16 ? "0" : "") + String(number, radix: 16)
                return MappingTests.map(nonce: nonce, lifetime: number % 2 == 0 ? 0 : 60)
            }
            let answers = try lab.ask("game", "198.18.4.1 " + guesses.joined(separator: " "))
            #expect(answers.count == 255 && answers.allSatisfy { $0.hasPrefix("02810002") })
            #expect(try lab.requests()["NOT_AUTHORIZED"] == 255)
            // They are told, and fill no log.
            let events = try lab.tapline("events", lab.name, "--text").output
            let told = events.split(separator: "\n").filter { $0.contains("NOT_AUTHORIZED") }.count
            #expect((1..<100).contains(told), "\(told) of 255")
            let left = try #require(try lab.mappings().first?["expires"] as? Int)
            #expect(left > 3000 && left <= 3600, "none of them has shortened it")
            #expect(try lab.fetches())
        }
    }

    /// How many frames the engines dropped for a reason.
    private func drops(_ lab: Lab, _ reason: String) throws -> Int {
        let drops = try #require(try lab.status()["drops"] as? [[String: Any]])
        return drops.first { $0["reason"] as? String == reason }?["frames"] as? Int ?? 0
    }

    @Test func forgedSourcesAndCustomersAreDroppedByTheEngine() throws {
        try Lab.with(MappingTests.game) { lab in
            let own = MappingTests.map()
            _ = try lab.ask("game", "198.18.4.1 \(own)")
            let before = try lab.requests()
            for (node, words, reason) in [
                // With an address that is not theirs.
                ("other", "198.18.4.1 --source 198.18.4.10", "no-sequencing-entry"),
                ("game", "198.18.4.1 --source 198.18.4.11", "no-sequencing-entry"),
                ("alice", "198.18.4.1 --source 198.18.4.10", "spoofed-source"),
                // With their own: no entry leads there.
                ("other", "198.18.4.1", "no-sequencing-entry"), ("alice", "198.18.4.1", "no-service"),
                ("alice", "192.0.2.1", "to-the-engine"),
            ] {
                let known = try drops(lab, reason)
                #expect(try lab.ask(node, "\(words) \(own)", patience: 2) == ["-"], "\(node)")
                #expect(try lab.waitUntil { try drops(lab, reason) > known }, "\(node)")
            }
            #expect(try lab.requests() == before, "none of these has reached the server")
            #expect(try lab.mappings().count == 1)
        }
    }

    @Test func aFloodCostsCustomersNoPacket() throws {
        try Lab.with(MappingTests.game) { lab in
            _ = try lab.ask("game", "198.18.4.1 \(MappingTests.map(lifetime: 3600))")
            // 10,000 a second for three seconds, each of which would be granted, from the game itself and from a neighbour.
            let floods = try ["game", "other"].map { node in
                let flood = Process()
                flood.executableURL = URL(fileURLWithPath: Product.tapline)
                flood.arguments = [
                    "exec", lab.name, node, "--", "python3", Lab.asking, "198.18.4.1", "--flood", "30000",
                    MappingTests.map(node == "game" ? "198.18.4.10" : "198.18.4.11", lifetime: 3600),
                ]
                flood.standardOutput = FileHandle.nullDevice
                flood.standardInput = FileHandle.nullDevice
                try flood.run()
                return flood
            }
            var fetched = 0
            while floods.contains(where: \.isRunning) {
                #expect(try lab.fetches())
                fetched += 1
            }
            #expect(fetched > 1)
            for flood in floods { #expect(flood.terminationStatus == 0) }
            let requests = try lab.requests()
            #expect(requests["SUCCESS", default: 0] + requests["too many requests", default: 0] > 1000, "\(requests)")
            #expect(try lab.mappings().count == 1 && lab.fetches())
            // The neighbour's are dropped by the engine, or by the kernel where the engine cannot keep up.
            let unread = try RingDropTests.ringDrops(lab, "servers")
            #expect(try drops(lab, "no-sequencing-entry") + unread >= 25_000)
        }
    }
}
