import Plan
import Planning
import Reporting
import Testing
import TopologyFiles

/// A chain written by hand that works: customers, an IDS that gets copies, a firewall, a server.
private let byHand = """
    name: hand
    interfaces:
      outside: { address: 192.0.2.1/24 }
      near:    { address: 198.18.2.1/24 }
      far:     { address: 198.18.3.1/24 }
      inside:  { address: 198.18.4.1/24 }
    customers:
      alice: { interface: outside, address: 192.0.2.10/24 }
      bob:   { interface: outside, address: 192.0.2.11/24 }
    applications:
      ids: { passive: true, attach: near }
      fw:  { attach: { in: near, out: far } }
      web: { attach: inside, setup: ip address add 203.0.113.80/32 dev lo }
    entries:
      distribution:
        - { name: in, received-interface: outside, destination: 203.0.113.80, service-port: tcp/80, to: [ids, fw] }
      sequencing:
        - { name: to-web, received-interface: far, source: fw, destination: 203.0.113.80, service-port: tcp/80, to: web }
        - { name: from-web, received-interface: inside, source: web, service-port: tcp/80, direction: response, to: { application: fw, interface: far } }
        - { name: home, received-interface: near, source: fw, destination: 192.0.2.0/24, service-port: tcp/80, direction: response, to: [ids, { interface: outside, neighbour: true }] }

    """

/// What a proof refuses: the text, and what is told about it.
struct Refusal: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var text: String
    var place: String
    var message: String
    var hint: String
    var example: String
    /// Lines of the notes.
    var related: [Int]

    init(
        _ description: String, _ text: String, _ place: String, _ message: String, hint: String, example: String,
        related: [Int] = []
    ) {
        testDescription = description
        self.text = text
        self.place = place
        self.message = message
        self.hint = hint
        self.example = example
        self.related = related
    }

    /// The chain by hand with one text in place of another.
    init(
        _ description: String, swap: String, for other: String, _ place: String, _ message: String, hint: String,
        example: String, related: [Int] = []
    ) {
        self.init(
            description, byHand.replacing(swap, with: other), place, message, hint: hint, example: example,
            related: related)
    }
}

private func line(_ name: String) -> String {
    byHand.split(separator: "\n", omittingEmptySubsequences: false).first { $0.contains("name: \(name),") }
        .map { $0 + "\n" } ?? ""
}

private let refusals: [Refusal] = [
    Refusal(
        "a packet sent back", swap: "service-port: tcp/80, to: web }",
        for: "service-port: tcp/80, to: { application: fw, interface: near } }", "18:7",
        "entry \"to-web\" sends what \"fw\" passes on back to it: packets run in a loop", hint: "another node",
        example: "from alice (192.0.2.10) on interface outside to 203.0.113.80 tcp/80: outside → fw → far → fw → …",
        related: [12]),
    Refusal(
        "a circle of two that no customer enters",
        byHand.replacing("  web: {", with: "  other: { attach: { in: inside, out: far } }\n  web: {")
            .replacing(
                "  sequencing:\n",
                with: """
                      sequencing:
                        - { name: there, received-interface: near, source: fw, destination: 203.0.113.99, to: { application: other, interface: far } }
                        - { name: back, received-interface: inside, source: other, destination: 203.0.113.99, to: { application: fw, interface: far } }

                    """), "20:7",
        "entry \"back\" closes a loop: packets run between \"fw\" and \"other\" for ever", hint: "match less",
        example: "from fw (", related: [19, 12, 13]),
    Refusal(
        "an entry behind a wider one of the other table", swap: "  sequencing:\n",
        for:
            "  sequencing:\n    - { name: all, received-interface: outside, destination: 203.0.113.80, service-port: tcp/80, to: fw }\n",
        "16:7",
        "entry \"in\" can never match: entry \"all\" on line 18 takes all packets that it matches, and sequencing entries go first",
        hint: "narrow the other", example: "on interface outside to 203.0.113.80 tcp/80: decided by all", related: [18]),
    Refusal(
        "an entry that two narrower ones cover", swap: "  sequencing:\n",
        for: """
              sequencing:
                - { name: low, received-interface: inside, source: web, destination: 192.0.2.0/25, service-port: udp, to: { application: fw, interface: far } }
                - { name: high, received-interface: inside, source: web, destination: 192.0.2.128/25, service-port: udp, to: { application: fw, interface: far } }
                - { name: dead, received-interface: inside, source: web, destination: 192.0.2.0/24, service-port: udp, to: { application: fw, interface: far } }

            """, "20:7",
        "entry \"dead\" can never match: entry \"low\" on line 18 and entry \"high\" on line 19 take all",
        hint: "narrow the others", example: "decided by low", related: [18, 19]),
    Refusal(
        "an entry on an interface without nodes",
        byHand.replacing("customers:\n", with: "  empty:   { address: 198.18.9.1/24 }\ncustomers:\n")
            .replacing("received-interface: outside, d", with: "received-interface: empty, d"), "17:39",
        "entry \"in\" can never match: no node is on interface \"empty\"", hint: "attach a node to it",
        example: "on interface empty to 203.0.113.80 tcp/80: no node there sends it", related: [7]),
    Refusal(
        "a service from an interface without nodes",
        picture.replacing("customers:\n  alice", with: "  empty: { address: 198.18.9.1/24 }\ncustomers:\n  alice")
            .replacing("    distribute: [ids, fw]\n", with: "    from: empty\n")
            .replacing(", \"2001:db8:cb::80\"]", with: "]"),
        "19:11", "service \"shop\" (shop.request.customers) can never match: no node is on interface \"empty\"",
        hint: "attach a node to it", example: "on interface empty to 203.0.113.80 tcp/80", related: [7]),
    Refusal(
        "an entry for nobody's MAC address", swap: "  sequencing:\n",
        for: "  sequencing:\n    - { name: x, received-interface: inside, source: \"02:00:00:00:00:77\", to: web }\n",
        "18:54", "no node on interface \"inside\" has the MAC address 02:00:00:00:00:77", hint: "the name of a node",
        example: "no node there sends it"),
    Refusal(
        "an entry for a passive application", swap: "  sequencing:\n",
        for:
            "  sequencing:\n    - { name: reset, received-interface: near, source: ids, destination: 192.0.2.0/24, to: { interface: outside, neighbour: true } }\n",
        "18:56", "\"ids\" is passive, so its packets are dropped before any entry is read",
        hint: "active-responses: true", example: "from ids (192.0.2.10) on interface near", related: [11]),
    Refusal(
        "an entry for customers of another place", swap: "outside, destination",
        for: "outside, source: 198.18.4.0/24, destination", "16:56",
        "no node on interface \"outside\" sends from 198.18.4.0/24, which is \"web\"'s elsewhere", hint: "`prefixes`",
        example: "from 198.18.4.1 on interface outside to 203.0.113.80 tcp/80", related: [13]),
    Refusal(
        "an entry of a family that nobody there has", swap: "  sequencing:\n",
        for:
            "    - { name: six, received-interface: outside, destination: \"2001:db8::80\", to: ids }\n  sequencing:\n",
        "17:62", "no node on interface \"outside\" has an IPv6 address to send from", hint: "address of that family",
        example: "to 2001:db8::80", related: [3]),
    Refusal(
        "an entry for the engine itself", swap: "  sequencing:\n",
        for: "    - { name: own, received-interface: outside, destination: 192.0.2.1, to: ids }\n  sequencing:\n",
        "17:62",
        "192.0.2.1 is the engine's own address", hint: "an unused service address",
        example: "to 192.0.2.1 any port: the engine answers it"),
    Refusal(
        "a request that breaks off", swap: line("to-web"), for: "", "16:7",
        "\"fw\" passes on what entry \"in\" sends it, but no entry takes it from interface \"far\"",
        hint: "received-interface far, source fw and destination 203.0.113.80",
        example: "tcp/80: outside → fw → no entry", related: [12]),
    Refusal(
        "an answer that nobody takes", swap: line("from-web"), for: "", "18:7",
        "no entry takes the answers of \"web\" from interface \"inside\" back to \"alice\"",
        hint: "received-interface inside, source web and direction response",
        example: "outside → fw → far → web; its answer: web → inside → no entry", related: [13]),
    Refusal(
        "an answer that breaks off", swap: line("home"), for: "", "19:7",
        "\"fw\" passes the answers to \"alice\" on, but no entry takes them from interface \"near\"",
        hint: "received-interface near, source fw", example: "its answer: inside → fw → no entry",
        related: [16, 12, 13]),
    Refusal(
        "an answer by the port of the wrong side", swap: "source: web, service-port: tcp/80, direction: response",
        for: "source: web, service-port: tcp/80", "18:7",
        "no entry takes the answers of \"web\" from interface \"inside\"", hint: "direction response",
        example: "its answer: web → inside → no entry", related: [19, 13]),
    Refusal(
        "an answer for another", swap: "{ interface: outside, neighbour: true }", for: "bob", "20:7",
        "the answers to \"alice\" are sent to \"bob\", which did not ask", hint: "neighbour: true",
        example: "its answer: inside → fw → near → bob", related: [16, 9, 13]),
    Refusal(
        "an answer from another address", swap: "service-port: tcp/80, to: web }",
        for: "service-port: tcp/80, to: { interface: inside, network: 198.18.4.2 } }", "20:7",
        "\"alice\" asks 203.0.113.80 and is answered from 198.18.4.2", hint: "`rewrite-source: 203.0.113.80`",
        example: "its answer: inside → fw → near → alice", related: [16, 13]),
    Refusal(
        "a MAC address that nobody has", swap: "service-port: tcp/80, to: web }",
        for: "service-port: tcp/80, to: { interface: inside, mac: \"02:00:00:00:00:01\" } }", "18:113",
        "sends to 02:00:00:00:00:01 on interface \"inside\", but no node there has it", hint: "`system`",
        example: "on interface far to 203.0.113.80 tcp/80: sent to interface inside, but no node takes it"),
    Refusal(
        "a network address of another interface", swap: "service-port: tcp/80, to: web }",
        for: "service-port: tcp/80, to: { interface: near, network: 198.18.4.2 } }", "18:113",
        "sends to 198.18.4.2 on interface \"near\", which has no such network; it is \"web\"'s elsewhere",
        hint: "name the interface that 198.18.4.2 is on", example: "sent to interface near, but no node takes it",
        related: [13]),
    Refusal(
        "a next hop that nobody has", swap: "{ interface: outside, neighbour: true }",
        for: "{ interface: outside, neighbour: 192.0.2.99 }", "20:139",
        "sends to 192.0.2.99 on interface \"outside\", but no node there has it", hint: "the address of a node there",
        example: "sent to interface outside"),
    Refusal(
        "customers looked for on another interface", swap: "{ interface: outside, neighbour: true }",
        for: "{ interface: inside, neighbour: true }", "20:139",
        "sends to the host with 192.0.2.0/24 on interface \"inside\", which has no such network",
        hint: "`neighbour: ADDRESS`",
        example: "to 192.0.2.10 tcp/80 as its source port"),
    Refusal(
        "a bump between two MTUs",
        picture.replacing("type: firewall, attach", with: "transparent: true, attach")
            .replacing("\"2001:db8:13::1/64\"]", with: "\"2001:db8:13::1/64\"], mtu: 1400"), "12:3",
        "\"fw\" is transparent, and its interfaces \"inspection\" and \"inspected\" have MTUs of 1500 and 1400",
        hint: "the same `mtu`", example: "a packet of 1500 octets", related: [4, 5]),
    Refusal(
        "copies larger than a passive application's interface",
        picture.replacing("  servers: ", with: "  small: { mtu: 1300 }\n  servers: ")
            .replacing("passive: true, attach: { in: inspection }", with: "passive: true, attach: small"), "6:17",
        "\"ids\" gets copies of packets of up to 1500 octets, and its interface \"small\" carries 1300",
        hint: "write `mtu: 1500`", example: "no copy reaches ids", related: [3, 16]),
    Refusal(
        "two services of one application that answers from one address",
        """
        name: a
        interfaces: { i: { address: 192.0.2.1/24 }, j: { address: 198.18.0.1/24 } }
        customers: { c: { interface: i } }
        applications: { web: { attach: j, send: network } }
        services:
          s: { address: 203.0.113.1, ports: tcp/80, sequence: web }
          t: { address: 203.0.113.2, ports: tcp/80, sequence: web }

        """, "7:3", "nothing tells its answers for the one from those for the other", hint: "MAC send address",
        example: "from web (198.18.0.2) on interface j to 192.0.2.2", related: [6, 4]),
]

@Suite struct ProofTests {
    @Test func servicesThatShareAnApplicationAreNotToldToChangeEntries() {
        let found = problems(
            """
            name: a
            interfaces: { i: { address: 192.0.2.1/24 }, j: { address: 198.18.0.1/24 } }
            customers: { c: { interface: i } }
            applications: { web: { attach: j, send: network } }
            services:
              s: { address: 203.0.113.1, ports: tcp/80, sequence: web }
              t: { address: 203.0.113.2, sequence: web }

            """)
        let wrong = found.first { $0.message.contains("\"c\" asks 203.0.113.2 and is answered from 203.0.113.1") }
        #expect(wrong?.hint?.hasPrefix("give the services of \"web\" ports that do not overlap") == true, "\(found)")
    }

    @Test(arguments: refusals)
    func isRefusedWithLinesExampleAndHint(_ refusal: Refusal) throws {
        let found = problems(refusal.text)
        #expect(found.count == 1, "\(found.map(\.description).joined(separator: "\n"))")
        let problem = try #require(found.first, "nothing was told")
        #expect("\(problem.line):\(problem.column)" == refusal.place, "\(problem)")
        #expect(problem.message.contains(refusal.message), "\(problem)")
        #expect(problem.hint?.contains(refusal.hint) == true, "\(problem)")
        #expect(problem.example?.contains(refusal.example) == true, "\(problem)")
        #expect(problem.related.map(\.origin.lineNumber) == refusal.related, "\(problem)")
    }

    @Test func whatWorksIsProvedHopByHop() throws {
        let proved = try Planner.prove(TopologyFile.parse(byHand, path: "t.yaml"))
        #expect(proved.services.map(\.name) == ["in"])
        let path = try #require(proved.services[0].paths.first)
        #expect(proved.services[0].paths.count == 1)
        #expect(path.customers == ["alice", "bob"])
        #expect(path.destinations == ["203.0.113.80"])
        #expect(path.servicePorts == ["tcp/80"])
        #expect(path.request.map(\.entry) == ["in", "to-web"])
        #expect(path.request[0].copies.map(\.to) == [["ids"], ["fw"]])
        #expect(path.request[0].copies.map(\.isPassive) == [true, false])
        #expect(path.response.map(\.entry) == ["from-web", "home"])
        #expect(path.response[1].copies.last?.to == ["alice", "bob"])
    }

    @Test func customersThatAreAlikeShareAPath() throws {
        let many = (0..<200).map { "  c\($0): { interface: customers }\n" }.joined()
        let text = picture.replacing("  bob:   { interface: customers }\n", with: many)
        let proved = try Planner.prove(TopologyFile.parse(text, path: "t.yaml"))
        let paths = try #require(proved.services.first).paths
        #expect(paths.count == 1)
        #expect(paths[0].customers.count == 201)
        #expect(paths[0].destinations == ["203.0.113.80", "2001:db8:cb::80"])
        #expect(paths[0].servicePorts == ["tcp/80", "icmp", "icmpv6"])
    }

    /// They are customers of a proof without being nodes of the file.
    @Test func hostsBehindADeviceAreNamedInPaths() throws {
        let text = """
            name: street
            interfaces:
              wan:     { device: eth1, address: 10.0.0.1/8, behind: 10.0.0.0/8 }
              lan:     { address: 192.0.2.1/24 }
              middle:  { address: 198.18.2.1/24 }
              servers: { address: 198.18.4.1/24 }
            customers:
              box: { interface: lan }
            applications:
              ids: { passive: true, attach: middle }
              web: { attach: servers }
            services:
              shop: { address: 203.0.113.80, ports: tcp/80, from: [wan, lan], distribute: ids, sequence: web }

            """
        let proved = try Planner.prove(TopologyFile.parse(text, path: "t.yaml"))
        let paths = try #require(proved.services.first).paths
        #expect(Set(paths.flatMap(\.customers)) == ["box", "hosts behind eth1"])
        #expect(Set(paths.flatMap(\.response).flatMap(\.copies).flatMap(\.to)).contains("hosts behind eth1"))
    }

    @Test func aCopyAloneNeedsNoAnswer() throws {
        let text = byHand.replacing("to: [ids, fw] }", with: "to: ids }")
        let proved = try Planner.prove(TopologyFile.parse(text, path: "t.yaml"))
        #expect(proved.services[0].paths[0].response.isEmpty)
    }

    @Test func theFileVouchesForWhatItSaysItself() throws {
        // A station that the file does not name, with the system type beside it, and an application that ends here.
        let stranger = byHand.replacing(
            "service-port: tcp/80, to: web }",
            with:
                "service-port: tcp/80, to: { interface: inside, mac: \"02:00:00:00:00:01\", system: terminal-application } }"
        ).replacing("source: web, service", with: "source: \"02:00:00:00:00:01\", service")
        #expect(problems(stranger).isEmpty)
        let ending = byHand.replacing(line("to-web"), with: "")
            .replacing("[ids, fw]", with: "[ids, { application: fw, system: terminal-application }]")
        #expect(problems(ending).isEmpty)
    }

    @Test func aProofIsPrintedAsACompilerDoes() throws {
        let problem = try #require(problems(byHand.replacing(line("to-web"), with: "")).first)
        #expect(
            problem.description.hasSuffix(
                """
                    example: from alice (192.0.2.10) on interface outside to 203.0.113.80 tcp/80: outside → fw → no entry
                t.yaml:12:3: note: "fw" is here
                      fw:  { attach: { in: near, out: far } }
                      ^
                """))
    }
}
