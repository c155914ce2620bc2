import Foundation
import Testing

/// Applications that ask for service ports by PCP and NAT-PMP (RFC 6887, RFC 6886), with real clients.
@Suite(.serialized) struct MappingTests {
    /// A game behind a detector and a firewall, which serves its port by HTTP.
    static let game = """
        name: mappings
        interfaces:
          customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
        applications:
          ids: { type: intrusion-detection, passive: true, attach: inspection }
          firewall: { type: firewall, attach: { in: inspection, out: inspected } }
          game:
            attach: { in: { interface: servers, address: [198.18.4.10/24, "2001:db8:14::10/64"] } }
            run: "exec python3 -m http.server 27005 --bind ::"
            ready: { tcp: 27005 }
            restart: always
            negotiate:
              addresses: [192.0.1.82, "2001:db8:cb::82"]
              ports: [udp/27000-27009, tcp/27000-27009]
              through: [ids, firewall]
              from: customers
              lifetime: 2s..1d
              requests: 1000
          other: { attach: { in: { interface: servers, address: [198.18.4.11/24, "2001:db8:14::11/64"] } } }
        """

    /// A PCP request for a mapping, as hexadecimal digits.
    static func map(
        _ address: String = "198.18.4.10", nonce: String = "01", number: UInt8 = 6, port: UInt16 = 27005,
        suggested: UInt16 = 0, lifetime: UInt32 = 60
    ) -> String {
        func hex(_ number: some FixedWidthInteger & UnsignedInteger) -> String {
            let text = String(number, radix: 16)
            return String(repeating: "0", count: number.bitWidth / 4 - text.count) + text
        }
        let client =
            address.contains(":")
            ? "20010db8001400000000000000000010"
            : "00000000000000000000ffff"
                + address.split(separator: ".").map { hex(UInt8($0) ?? 0) }.joined()
        let none = address.contains(":") ? String(repeating: "0", count: 32) : "00000000000000000000ffff00000000"
        return "02010000" + hex(lifetime) + client + String(repeating: nonce, count: 12) + hex(number) + "000000"
            + hex(port) + hex(suggested) + none
    }

    @Test func anApplicationGetsAServiceAndGivesItBack() throws {
        try Lab.with(Self.game) { lab in
            #expect(try lab.misses())
            let asked = try lab.exec("game", "natpmpc -g 198.18.4.1 -a 27005 27005 tcp 60")
            #expect(asked.output.contains("Public IP address : 192.0.1.82"), "\(asked.output)")
            #expect(asked.output.contains("Mapped public port 27005 protocol TCP to local port 27005"))
            #expect(try lab.fetches())
            let tables = try lab.tapline("tables", lab.name).output
            #expect(tables.contains("game/tcp-27005.request"), "\(tables)")
            let end = try lab.exec("game", "natpmpc -g 198.18.4.1 -a 27005 27005 tcp 0")
            #expect(end.status == 0, "\(end.output)")
            #expect(try lab.misses())
            #expect(try lab.mappings().isEmpty)
            let events = try lab.tapline("events", lab.name, "--text").output
            #expect(events.contains("mapping-granted") && events.contains("mapping-ended"), "\(events)")
        }
    }

    @Test func bothFamiliesAreGrantedRenewedAndExpire() throws {
        try Lab.with(Self.game) { lab in
            let six = "2001:db8:14::10"
            for (server, own, address) in [
                ("198.18.4.1", "198.18.4.10", "192.0.1.82"), ("2001:db8:14::1", six, "[2001:db8:cb::82]"),
            ] {
                let first = try lab.ask(
                    "game", "\(server) \(Self.map(own)) \(Self.map(own)) \(Self.map(own, nonce: "02"))")
                #expect(first.map(\.count) == [120, 120, 120], "60 octets each: \(first)")
                #expect(first.map { $0.dropFirst(4).prefix(4) } == ["0000", "0000", "0002"], "\(first)")
                #expect(try lab.fetches(address))
            }
            #expect(try lab.mappings().count == 2)
            // The shortest lifetime of the file.
            _ = try lab.ask("game", "198.18.4.1 \(Self.map(lifetime: 1))")
            let limit = Date().addingTimeInterval(60)
            while try lab.mappings().count > 1, Date() < limit { usleep(100_000) }
            #expect(try lab.mappings().map { $0["serviceAddress"] as? String } == ["2001:db8:cb::82"])
            #expect(try lab.misses() && lab.fetches("[2001:db8:cb::82]"))
        }
    }

    @Test func nobodyElseIsHeard() throws {
        try Lab.with(Self.game) { lab in
            let own = Self.map(), others = Self.map("198.18.4.11")
            #expect(try lab.ask("other", "198.18.4.1 \(others)", patience: 2) == ["-"])
            // A neighbour with the address of the game, and a customer.
            #expect(try lab.ask("other", "198.18.4.1 --source 198.18.4.10 \(own)", patience: 2) == ["-"])
            #expect(try lab.ask("alice", "192.0.2.1 \(own)", patience: 2) == ["-"])
            #expect(try lab.ask("alice", "198.18.4.1 --source 198.18.4.10 \(own)", patience: 2) == ["-"])
            #expect(try lab.ask("firewall", "198.18.3.1 \(own)", patience: 2) == ["-"])
            #expect(try lab.mappings().isEmpty)
            // ADDRESS_MISMATCH, with the request's own octets behind the header.
            let mismatch = try #require(try lab.ask("game", "198.18.4.1 \(others)").first)
            #expect(mismatch.hasPrefix("0281000c") && mismatch.dropFirst(48) == others.dropFirst(48), "\(mismatch)")
        }
    }

    @Test func anApplicationThatEndsLosesItsMappings() throws {
        try Lab.with(Self.game) { lab in
            #expect(try lab.ask("game", "198.18.4.1 \(Self.map(lifetime: 3600))").first?.hasPrefix("02810000") == true)
            #expect(try lab.mappings().count == 1)
            #expect(try lab.tapline("kill", lab.name, "game").status == 0)
            let limit = Date().addingTimeInterval(60)
            while try !lab.mappings().isEmpty, Date() < limit { usleep(50_000) }
            #expect(try lab.mappings().isEmpty)
            let tables = try lab.tapline("tables", lab.name).output
            #expect(!tables.contains("game/"), "\(tables)")
        }
    }

    @Test func aFloodOfRequestsIsBoundedAndPacketsGoOn() throws {
        try Lab.with(Self.game.replacing("requests: 1000", with: "requests: 20")) { lab in
            _ = try lab.ask("game", "198.18.4.1 \(Self.map(lifetime: 3600))")
            let answers = try lab.ask("game", "198.18.4.1 --flood 20000 \(Self.map(lifetime: 3600))")
            // A second or more of them is answered, and what is behind it is not.
            #expect(answers.first.flatMap(Int.init).map { (1...2000).contains($0) } == true, "\(answers)")
            #expect(try lab.fetches())
            let listed = try lab.tapline("mappings", lab.name, "--json").output
            #expect(listed.contains("too many requests"), "\(listed)")
        }
    }

    @Test func mappingsFollowTheFile() throws {
        try Lab.with(Self.game) { lab in
            _ = try lab.ask("game", "198.18.4.1 \(Self.map(lifetime: 3600))")
            let epoch = try lab.tapline("engine", "replace", lab.name)
            #expect(epoch.status == 0, "\(epoch.output)")
            #expect(try lab.fetches() && lab.mappings().count == 1)
            let path = lab.folder.appendingPathComponent("topology.yaml")
            func apply(_ text: String) throws {
                try text.write(to: path, atomically: true, encoding: .utf8)
                let applied = try lab.tapline("apply", lab.name, path.path)
                #expect(applied.status == 0, "\(applied.output)")
            }
            // A service of the file takes the port: the file goes first.
            try apply(
                Self.game
                    + "\nservices:\n  shop: { address: 192.0.1.82, ports: tcp/27005, sequence: [firewall, other] }")
            let limit = Date().addingTimeInterval(60)
            while try !lab.mappings().isEmpty, Date() < limit { usleep(50_000) }
            #expect(try lab.mappings().isEmpty)
            // The next one is another port, because this one is the file's.
            let answer = try #require(try lab.ask("game", "198.18.4.1 \(Self.map())").first)
            #expect(answer.hasPrefix("02810000") && answer.dropFirst(84).prefix(4) != "697d", "\(answer)")
            try apply(Self.game.replacing("tcp/27000-27009", with: "tcp/80"))
            while try !lab.mappings().isEmpty, Date() < limit { usleep(50_000) }
            #expect(try lab.mappings().isEmpty)
        }
    }

    @Test func tsharkFindsNothingMalformed() throws {
        try Lab.with(Self.game) { lab in
            let capture = try lab.capturing("game", "servers") {
                let own = Self.map()
                var requests: [String] = [own, Self.map(number: 132), Self.map(lifetime: 0)]
                for option in ["02000000", "c8000000", "05000000"] { requests.append(own + option) }
                requests.append(String(own.prefix(112)))
                requests.append("01" + String(own.dropFirst(2)))
                requests.append("0200" + String(own.dropFirst(4).prefix(44)))
                requests += ["00010000697d697d0000003c", "0000", "0009"]
                let answers = try lab.ask("game", "198.18.4.1 " + requests.joined(separator: " "))
                #expect(!answers.contains("-"))
            }
            let shown = try run(
                "/usr/bin/tshark",
                [
                    // Not the announcements of a new epoch, and what the kernel says of them.
                    "-r", capture, "-Y", "udp.srcport == 5351 && udp.dstport != 5350 && !icmp", "-T", "fields", "-e",
                    "_ws.col.Protocol", "-e",
                    "_ws.expert.message",
                ])
            let lines = shown.output.split(separator: "\n").filter { !$0.contains("Running as user") }
            let all = try run("/usr/bin/tshark", ["-r", capture])
            let log = (try? String(contentsOfFile: capture + ".log", encoding: .utf8)) ?? ""
            #expect(lines.count == 12, "\(shown.output) \(all.output) \(log)")
            #expect(
                lines.allSatisfy { $0.contains("PCP") || $0.contains("NAT-PMP") || $0.contains("NATPMP") },
                "\(shown.output)")
            #expect(!shown.output.lowercased().contains("malformed"), "\(shown.output)")
        }
    }
}
