import EngineRig
import Testing
import Wire

@testable import Tracing

/// What nft tells of packets, and the traces that it is told for. The lines are nft's own.
@Suite struct RuleTests {
    private typealias F = TestFrame

    private static let ethernet = "ether saddr 0e:03:69:9d:ae:ab ether daddr c2:90:3b:f0:fd:fb"
    private static let mark = "inet \(RuleTraces.tablePrefix)ab12"

    private func lines(_ id: String, _ packet: String, _ verdict: String) -> [String] {
        [
            "trace id \(id) \(Self.mark) follow packet: iif \"va\" \(Self.ethernet) \(packet) ",
            "trace id \(id) \(Self.mark) follow rule limit rate 200/second meta nftrace set 1 # handle 4 (verdict continue)",
            "trace id \(id) \(Self.mark) prerouting policy accept ",
            "trace id \(id) inet filter forward packet: iif \"va\" oif \"vb\" \(Self.ethernet) \(packet) ",
            "trace id \(id) inet filter forward rule jump sub # handle 9 (verdict jump sub)",
            "trace id \(id) \(verdict)",
        ]
    }

    private func syn(_ port: Int, id: Int, from source: Int = 4_000) -> String {
        "ip saddr 192.0.2.10 ip daddr 203.0.113.80 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id \(id) ip protocol tcp "
            + "ip length 40 tcp sport \(source) tcp dport \(port) tcp flags == syn tcp window 64240"
    }

    private func arrival(
        _ port: UInt16, id: UInt32?, from source: UInt16 = 4_000, bits: UInt8 = 2, length: Int = 40
    ) throws -> PacketArrival {
        var arrival = PacketArrival(
            source: try #require(IPAddress("192.0.2.10")), destination: try #require(IPAddress("203.0.113.80")))
        (arrival.sourcePort, arrival.destinationPort) = (source, port)
        (arrival.identification, arrival.controlBits, arrival.length) = (id, bits, length)
        return arrival
    }

    private func rules(_ lines: [String], text: String? = nil) -> RuleTraces {
        var rules = RuleTraces(nodes: ["firewall"])
        for line in lines { rules.add(line, at: "firewall") { _, _, _, _ in text } }
        return rules
    }

    private func sentence(_ finding: RuleTraces.Finding?) -> String? {
        guard case .dropped(let verdict)? = finding else { return nil }
        return verdict.sentence
    }

    @Test(
        "a verdict names table, chain and handle, whatever the comment of the rule says",
        arguments: [
            (
                "inet filter sub rule tcp dport 23 drop # handle 7 (verdict drop)",
                "firewall dropped it: table inet filter, chain sub, handle 7: tcp dport 23 drop"
            ),
            (
                "inet filter sub rule drop comment \"x # handle 3 (verdict accept)\" # handle 7 (verdict drop)",
                "firewall dropped it: table inet filter, chain sub, handle 7: drop comment \"x # handle 3 (verdict accept)\""
            ),
            (
                "ip filter FORWARD rule tcp dport 23 counter reject with tcp reset # handle 12 (verdict drop)",
                "firewall rejected it: table ip filter, chain FORWARD, handle 12: tcp dport 23 counter reject with tcp reset"
            ),
            (
                "inet filter sub rule drop comment \"no reject\" # handle 7 (verdict drop)",
                "firewall dropped it: table inet filter, chain sub, handle 7: drop comment \"no reject\""
            ),
            (
                "inet filter forward policy drop meta mark 0x000000d4 ",
                "firewall dropped it: table inet filter, the policy of chain forward"
            ),
            (
                "bridge f forward unknown rule handle 2 (verdict drop)",
                "firewall dropped it: table bridge f, chain forward, handle 2: the text"
            ),
        ])
    func verdicts(line: String, sentence: String) throws {
        var rules = rules(lines("1f", syn(23, id: 77), line), text: "the text")
        #expect(self.sentence(rules.find(try arrival(23, id: 77), at: "firewall")) == sentence)
        // Each packet is found once.
        #expect(rules.find(try arrival(23, id: 77), at: "firewall") == nil)
    }

    @Test("a packet that no rule drops has passed, and one that nft did not report is not known")
    func passed() throws {
        var rules = rules(lines("1f", syn(80, id: 5), "inet filter sub rule accept # handle 8 (verdict accept)"))
        #expect(rules.find(try arrival(80, id: 6), at: "firewall") == nil)
        #expect(rules.find(try arrival(80, id: 5), at: "web") == nil)
        #expect(rules.find(try arrival(80, id: 5), at: "firewall") == .passed)
    }

    @Test("packets are told apart by their identification, ports, bits and length")
    func likeness() throws {
        let drop = "inet filter forward policy drop "
        var rules = rules(
            lines("1", syn(23, id: 1), "inet filter sub rule accept # handle 8 (verdict accept)")
                + lines("2", syn(23, id: 2), drop) + lines("3", syn(23, id: 3, from: 4_001), drop))
        #expect(rules.find(try arrival(23, id: 3), at: "firewall") == nil)
        #expect(sentence(rules.find(try arrival(23, id: 2), at: "firewall")) != nil)
        #expect(rules.find(try arrival(23, id: 1), at: "firewall") == .passed)
        // One without an identification fits what is left, and what fits equally well is a guess.
        var others = self.rules(
            lines("1", syn(23, id: 0), drop)
                + lines("2", syn(23, id: 0), "inet filter sub rule drop # handle 8 (verdict drop)"))
        guard case .dropped(let guess) = others.find(try arrival(23, id: nil), at: "firewall"),
            case .dropped(let sure) = others.find(try arrival(23, id: nil), at: "firewall")
        else {
            Issue.record("nothing was found")
            return
        }
        #expect(guess.isGuess && guess.isPolicy && !sure.isGuess && sure.handle == 8)
    }

    private func datagram(_ id: Int, _ length: Int) -> String {
        "ip saddr 192.0.2.10 ip daddr 203.0.113.80 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id \(id) ip protocol udp "
            + "ip length \(length) udp sport 4000 udp dport 9 udp length \(length - 20) udp checksum 0"
    }

    /// The traces of three datagrams that the engine writes as one superframe.
    private func superframe(_ identification: Int) throws -> [PacketTrace] {
        let lab = try Lab(TranslatedFragmentTests.translating)
        let packet = F.udp(
            "192.0.2.10", 4_000, "203.0.113.80", 9, payload: (0..<300).map { UInt8($0 / 100) }, partial: true,
            identification: identification)
        lab.send("alice", "customers", packet, offload: [1, 5, 42, 0, 100, 0, 34, 0, 6, 0])
        let traces = try lab.trace().traces
        try #require(traces.count == 3 && traces.allSatisfy { $0.end.kind == .vanished })
        return traces.sorted { $0.id < $1.id }
    }

    private func explained(_ traces: [PacketTrace], _ lines: [String]) -> [String] {
        var rules = RuleTraces(nodes: ["fw"])
        for line in lines { rules.add(line, at: "fw") }
        return traces.map { trace in
            var trace = trace
            trace.explain(&rules)
            return trace.end.sentence
        }
    }

    @Test("a superframe that a node does not cut is one packet there, and explains each datagram in it")
    func superframes() throws {
        let drop = "inet filter f rule udp dport 9 drop # handle 3 (verdict drop)"
        let sentence = "fw dropped it: table inet filter, chain f, handle 3: udp dport 9 drop."
        for identification in [0x500, 0] {
            let traces = try superframe(identification)
            // One packet, and one for each datagram.
            let whole = lines("1", datagram(identification, 328), drop)
            #expect(explained(traces, whole) == [sentence, sentence, sentence], "\(identification)")
            let cut = (0..<3).flatMap { index in
                lines(
                    "\(index + 1)", datagram(identification + index, 128),
                    index == 1 ? "inet filter f policy accept " : drop)
            }
            guard identification > 0 else { continue }
            let ends = explained(traces, cut)
            #expect(ends[0] == sentence && ends[2] == sentence && ends[1].hasPrefix("It entered fw"))
            // Another superframe of the flow is not it.
            #expect(explained(traces, lines("1", datagram(0x900, 328), drop)).allSatisfy { $0 != sentence })
        }
    }

    @Test("packets of TCP that the engine coalesces are one packet in the node, and each is explained")
    func coalesced() throws {
        let lab = try Lab(TranslatedFragmentTests.translating)
        let packets = (0..<3).map {
            F.tcp(
                "192.0.2.10", 4_000, "203.0.113.80", 80, payload: [UInt8](repeating: 9, count: 1_000), partial: true,
                flags: 0x10, sequence: 1 + 1_000 * $0, identification: 20 + $0)
        }
        let out = lab.send(
            "alice", "customers", packets[0], packets[1], packets[2], offload: [1, 0, 0, 0, 0, 0, 34, 0, 16, 0])
        try #require(out.count == 1)
        let packet =
            "ip saddr 192.0.2.10 ip daddr 203.0.113.80 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 20 ip protocol tcp "
            + "ip length 3040 tcp sport 4000 tcp dport 80 tcp flags == ack tcp window 65535"
        let ends = explained(
            try lab.trace().traces, lines("1", packet, "inet filter f rule drop # handle 3 (verdict drop)"))
        #expect(ends.count == 3 && ends.allSatisfy { $0.hasSuffix("handle 3: drop.") }, "\(ends)")
    }

    @Test("the kernel's numbers of packets are used again")
    func numbers() throws {
        let drop = "inet filter forward policy drop "
        var rules = rules(lines("1f", syn(23, id: 1), drop) + lines("1f", syn(24, id: 1), drop))
        #expect(sentence(rules.find(try arrival(23, id: 1), at: "firewall")) != nil)
        #expect(sentence(rules.find(try arrival(24, id: 1), at: "firewall")) != nil)
    }

    @Test("IPv6 and echoes are known again, and what a node makes itself is kept apart")
    func others() throws {
        let six =
            "ip6 saddr 2001:db8:2::2 ip6 daddr 2001:db8:80::80 ip6 dscp cs0 ip6 ecn not-ect ip6 hoplimit 64 ip6 flowlabel "
            + "875834 ip6 nexthdr ipv6-icmp ip6 length 64 icmpv6 type echo-request icmpv6 code no-route "
            + "icmpv6 parameter-problem 1711538177 @th,64,96 0xc4fe0b6b0000000034e00700"
        var rules = rules(
            lines("1", six, "inet filter forward policy drop ") + [
                "trace id 2 \(Self.mark) follow packet: oif \"va\" ip saddr 192.0.2.10 ip daddr 203.0.113.80 ip id 0 "
                    + "ip protocol icmp ip length 84 icmp type echo-reply icmp code 0 icmp id 3 icmp sequence 1 ",
                "trace id 2 ip mine output rule icmp type echo-reply drop # handle 4 (verdict drop)",
            ])
        var echo = PacketArrival(
            source: try #require(IPAddress("2001:db8:2::2")), destination: try #require(IPAddress("2001:db8:80::80")))
        echo.echo = 0x6604_0002
        #expect(rules.find(echo, at: "firewall") == nil)
        echo.echo = 0x6604_0001
        #expect(sentence(rules.find(echo, at: "firewall")) != nil)
        var own = PacketArrival(
            source: try #require(IPAddress("192.0.2.10")), destination: try #require(IPAddress("203.0.113.80")))
        own.echo = 0x0003_0001
        #expect(rules.find(own, at: "firewall") == nil)
        #expect(rules.takeOwnDrops().map(\.short) == ["ip mine output handle 4"])
        #expect(rules.takeOwnDrops().isEmpty)
    }

    @Test("what is no line of a trace is passed over, and memory is bounded")
    func hostile() throws {
        let text = lines("1f", syn(23, id: 1), "inet filter sub rule tcp dport 23 drop # handle 7 (verdict drop)")
        for line in text {
            for end in line.indices { _ = RuleTraceLine(String(line[..<end])) }
        }
        for line in [
            "", "trace", "trace id", "trace id 1 inet f c rule", "trace id 1 inet f c rule # handle x (verdict",
        ] {
            #expect(RuleTraceLine(line) == nil, "\(line)")
        }
        var rules = RuleTraces(nodes: ["firewall"])
        for number in 1...(RuleTraces.mostPackets * 2) {
            rules.add(
                "trace id \(number) \(Self.mark) follow packet: iif \"va\" \(syn(23, id: number))", at: "firewall")
        }
        #expect(rules.find(try arrival(23, id: 1), at: "firewall") == nil)
        #expect(rules.find(try arrival(23, id: UInt32(RuleTraces.mostPackets * 2)), at: "firewall") == .passed)
    }

    @Test("the end of a trace, its path and the summary name the rule, and the packet counts as lost")
    func traces() throws {
        let lab = try Lab("four-interface")
        let first = lab.send(
            "alice", "customers",
            F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 1))
        #expect(!lab.frames(first, for: "firewall", "inspection").isEmpty)
        var trace = try #require(try lab.trace().traces.first)
        #expect(trace.end.kind == .vanished)
        var passed = rules(lines("1", syn(80, id: 0), "inet filter f policy accept "))
        var untouched = trace
        untouched.explain(&passed)
        #expect(untouched.end.kind == .vanished && untouched.notes.last?.contains("let it pass") == true)
        var rules = rules(lines("1", syn(80, id: 0), "inet filter f rule drop # handle 3 (verdict drop)"))
        trace.explain(&rules)
        #expect(trace.end.kind == .filtered && trace.isLost && trace.rules.count == 1)
        #expect(trace.end.sentence == "firewall dropped it: table inet filter, chain f, handle 3: drop.")
        #expect(trace.path.hasSuffix("→ dropped: inet filter f handle 3"))
        var summary = TraceSummary()
        summary.add(trace)
        summary.add(own: trace.rules[0])
        let report = summary.report()
        #expect(report.ends == ["filtered": 1] && report.ownDrops.map(\.packets) == [1])
        #expect(TraceText.lines(report, width: 200).contains { $0.contains("1 packet that firewall made itself") })
    }

    @Test("marks let through what may be followed: addresses, ports, errors and the nodes' own addresses")
    func marks() throws {
        let network = try Lab("four-interface").network
        func matches(_ filter: String?, _ selection: TraceSelection = TraceSelection()) -> [String] {
            RuleMark.matches(filter, selection, network)
        }
        #expect(matches(nil) == [""] && matches("tcp port 80 or udp") == [""] && matches("tcp[13] & 2 != 0") == [""])
        let port = matches("tcp port 80")
        #expect(port.prefix(2) == ["meta l4proto tcp th sport 80", "meta l4proto tcp th dport 80"])
        #expect(port.contains { $0.hasPrefix("icmp type") } && port.contains { $0.hasPrefix("ip saddr 198.18.") })
        let host = matches("host 192.0.2.10 and port 80")
        #expect(host.contains("ip saddr 192.0.2.10 meta l4proto { tcp, udp, sctp } th dport 80"))
        #expect(matches(nil, TraceSelection(from: "alice")).contains("ip saddr 192.0.2.10"))
        #expect(matches(nil, TraceSelection(service: "shopping")).contains("ip daddr 203.0.113.80"))
        // No text of a person is in a command.
        #expect(!matches("host x;flush and tcp").contains { $0.contains("flush") })
    }
}
