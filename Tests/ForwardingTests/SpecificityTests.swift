import Forwarding
import Testing
import Wire

/// An entry of one interface whose name says what it matches.
private func entry(
    _ name: String, _ kind: EntryKind = .sequencing, _ direction: ChainDirection = .request, mac: MACAddress? = nil,
    from source: String? = nil, to destination: String? = nil, _ port: ServicePort = .any
) -> Entry {
    Entry(
        name: name, kind: kind, direction: direction, receivedInterface: 0, sourceMAC: mac,
        source: source.map { prefix($0) }, destination: destination.map { prefix($0) }, servicePort: port,
        targets: [SendTarget(interface: 0, address: .neighbour(via: nil), system: .router)], counter: 0)
}

private func entry(_ name: String, _ port: ServicePort) -> Entry {
    entry(name, .sequencing, .request, port)
}

private func table(_ entries: [Entry]) -> ForwardingTable {
    var numbered = entries
    for index in numbered.indices { numbered[index].counter = index }
    return ForwardingTable(
        interfaces: [TableInterface(name: "one", mac: mac("02:00:00:00:00:01"))], entries: numbered)
}

private let known = mac("02:00:00:00:00:0a")

/// Two entries that match one packet, the one that wins first.
struct Duel: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var winner: Entry
    var loser: Entry
    var packet: FlowFields

    static let all: [Duel] = {
        let packet = flow(tcp, "10.1.2.3", 4000, to: "10.9.8.7", 80)
        let packet6 = flow(tcp, "2001:db8::1", 4000, to: "2001:db8:9::7", 80)
        func duel(_ text: String, _ winner: Entry, over loser: Entry, _ flow: FlowFields = packet) -> Duel {
            Duel(testDescription: text, winner: winner, loser: loser, packet: flow)
        }
        return [
            duel(
                "sequencing before a far more specific distribution entry",
                entry("w"),
                over: entry("l", .distribution, mac: known, from: "10.1.2.3", to: "10.9.8.7", .tcp(80))),
            duel(
                "a known source before any, whatever the prefixes",
                entry("w", mac: known),
                over: entry("l", from: "10.1.2.3", to: "10.9.8.7", .tcp(80))),
            duel(
                "a longer source prefix before a longer destination prefix",
                entry("w", from: "10.1.0.0/16"),
                over: entry("l", from: "10.0.0.0/8", to: "10.9.8.7", .tcp(80))),
            duel(
                "a source prefix of length 0 before any source",
                entry("w", from: "0.0.0.0/0"), over: entry("l", to: "10.9.8.7", .tcp(80))),
            duel(
                "a longer destination prefix before a port",
                entry("w", to: "10.9.8.0/24"), over: entry("l", to: "10.9.0.0/16", .tcp(80))),
            duel(
                "a destination prefix of length 0 before any destination",
                entry("w", to: "0.0.0.0/0"), over: entry("l", .tcp(80))),
            duel("an exact port before a range", entry("w", .tcp(80)), over: entry("l", .tcp(79...80))),
            duel("a narrower range before a wider", entry("w", .tcp(80...81)), over: entry("l", .tcp(70...90))),
            duel(
                "a range before any port of the protocol",
                entry("w", .tcp(1...65535)), over: entry("l", ServicePort(protocolNumber: tcp))),
            duel(
                "any port of the protocol before any protocol",
                entry("w", ServicePort(protocolNumber: tcp)), over: entry("l")),
            duel(
                "a response's exact port before a request's range",
                entry("w", .sequencing, .response, .tcp(4000)), over: entry("l", .tcp(80...81))),
            duel(
                "IPv6: a longer source prefix before a longer destination prefix",
                entry("w", from: "2001:db8::/33"),
                over: entry("l", from: "2001:db8::/32", to: "2001:db8:9::7", .tcp(80)), packet6),
            duel(
                "IPv6: beyond 64 bits",
                entry("w", to: "2001:db8:9::/127", .any), over: entry("l", to: "2001:db8:9::/65", .tcp(80)),
                flow(tcp, "2001:db8::1", 4000, to: "2001:db8:9::1", 80)),
            duel(
                "an entry of one family before one of both",
                entry("w", to: "::/0"), over: entry("l", .tcp(80)), packet6),
        ]
    }()
}

@Suite("Specificity")
struct SpecificityTests {
    @Test("the more specific entry wins, in whichever order they are written", arguments: Duel.all)
    func wins(_ duel: Duel) throws {
        for entries in [[duel.winner, duel.loser], [duel.loser, duel.winner]] {
            let row = Row(duel.testDescription, duel.packet, from: known, on: 0, .forward("w"))
            #expect(try row.decide(by: table(entries)) == row.verdict)
        }
        // Each matches on its own: without the winner the loser has the packet.
        let alone = Row("alone", duel.packet, from: known, on: 0, .forward("l"))
        #expect(try alone.decide(by: table([duel.loser])) == alone.verdict)
    }

    @Test("a more specific group without the port leaves the packet to a less specific one with it")
    func fallsThrough() throws {
        let entries = [
            entry("host-443", mac: known, from: "10.1.2.3", to: "10.9.8.7", .tcp(443)),
            entry("net-22", to: "10.9.8.0/24", .tcp(22)),
            entry("wide-80", to: "10.0.0.0/8", .tcp(80)),
        ]
        let row = Row("", flow(tcp, "10.1.2.3", 4000, to: "10.9.8.7", 80), from: known, on: 0, .forward("wide-80"))
        #expect(try row.decide(by: table(entries)) == row.verdict)
    }

    @Test("an exact port inside of a range inside of a protocol: each packet has its entry")
    func nestedPorts() throws {
        let entries = [
            entry("any"), entry("tcp", ServicePort(protocolNumber: tcp)), entry("8000-8999", .tcp(8000...8999)),
            entry("8080-8090", .tcp(8080...8090)), entry("8085", .tcp(8085)), entry("65535", .tcp(65535)),
            entry("0", .tcp(0)),
        ]
        let buffer = try table(entries).snapshot()
        let expected: [(UInt8, UInt16, String)] = [
            (tcp, 0, "0"), (tcp, 1, "tcp"), (tcp, 7999, "tcp"), (tcp, 8000, "8000-8999"), (tcp, 8079, "8000-8999"),
            (tcp, 8080, "8080-8090"), (tcp, 8084, "8080-8090"), (tcp, 8085, "8085"), (tcp, 8086, "8080-8090"),
            (tcp, 8090, "8080-8090"), (tcp, 8091, "8000-8999"), (tcp, 8999, "8000-8999"), (tcp, 9000, "tcp"),
            (tcp, 65534, "tcp"), (tcp, 65535, "65535"), (udp, 8085, "any"), (udp, 0, "any"), (udp, 65535, "any"),
        ]
        for (number, port, name) in expected {
            let packet = flow(number, "10.0.0.1", 4000, to: "10.0.0.2", port)
            let verdict = buffer.snapshot.decide(packet, sourceMAC: known, receivedInterface: 0)
            #expect(verdict == .forward(entry: entries.firstIndex { $0.name == name }!), "\(number)/\(port)")
        }
        withExtendedLifetime(buffer) {}
    }

    @Test("fragments and quotes without ports go by addresses and protocol")
    func fragments() throws {
        let rows: [(String, [Entry], FlowFields, Row.Verdict)] = {
            let packet = flow(tcp, "10.1.2.3", to: "10.9.8.7")
            return [
                (
                    "the lowest port", [entry("443", .tcp(443)), entry("80", .tcp(80)), entry("8080", .tcp(8080))],
                    packet, .forward("80")
                ),
                (
                    "any port before the lowest",
                    [entry("80", .tcp(80)), entry("tcp", ServicePort(protocolNumber: tcp))],
                    packet, .forward("tcp")
                ),
                (
                    "a port of the protocol before any protocol", [entry("any"), entry("80", .tcp(80))],
                    packet, .forward("80")
                ),
                (
                    "any protocol where the protocol has none", [entry("any"), entry("80", .tcp(80))],
                    flow(udp, "10.1.2.3", to: "10.9.8.7"), .forward("any")
                ),
                (
                    "a range that starts lower", [entry("80", .tcp(80)), entry("79-90", .tcp(79...90))],
                    packet, .forward("79-90")
                ),
                (
                    "of two that start alike the narrower", [entry("80-90", .tcp(80...90)), entry("80", .tcp(80))],
                    packet, .forward("80")
                ),
                (
                    "a response's entry as well",
                    [entry("80", .sequencing, .response, .tcp(80)), entry("443", .tcp(443...444))],
                    packet, .forward("80")
                ),
                (
                    "the group before the port: the longer prefix decides",
                    [entry("net", to: "10.9.0.0/16", .tcp(9000)), entry("all", ServicePort(protocolNumber: tcp))],
                    packet, .forward("net")
                ),
                (
                    "a group without the protocol is passed over",
                    [entry("net", to: "10.9.0.0/16", ServicePort(protocolNumber: udp)), entry("all", .tcp(80))],
                    packet, .forward("all")
                ),
                (
                    "a protocol without ports", [entry("gre", ServicePort(protocolNumber: gre)), entry("any")],
                    flow(gre, "10.1.2.3", to: "10.9.8.7"), .forward("gre")
                ),
                (
                    "nothing", [entry("80", .tcp(80))], flow(gre, "10.1.2.3", to: "10.9.8.7"),
                    .drop(.noService, .networkUnreachable)
                ),
            ]
        }()
        for (text, entries, packet, verdict) in rows {
            let row = Row(text, packet, from: known, on: 0, verdict)
            #expect(try row.decide(by: table(entries)) == verdict, "\(text)")
            #expect(try row.decide(by: table(entries.reversed())) == verdict, "\(text), reversed")
        }
    }

    @Test("a response's service port is its source port, a request's its destination port")
    func directions() throws {
        let entries = [
            entry("request", to: "10.9.8.7", .tcp(80)),
            entry("response", .sequencing, .response, from: "10.9.8.7", .tcp(80)),
        ]
        let rows = [
            Row("request", flow(tcp, "10.1.2.3", 4000, to: "10.9.8.7", 80), from: known, on: 0, .forward("request")),
            Row("response", flow(tcp, "10.9.8.7", 80, to: "10.1.2.3", 4000), from: known, on: 0, .forward("response")),
            Row(
                "from port 80 to another port", flow(tcp, "10.1.2.3", 80, to: "10.9.8.7", 4000), from: known, on: 0,
                .drop(.noService, .networkUnreachable)),
            Row(
                "to port 80 from another port", flow(tcp, "10.9.8.7", 4000, to: "10.1.2.3", 80), from: known, on: 0,
                .drop(.noService, .networkUnreachable)),
        ]
        for row in rows { #expect(try row.decide(by: table(entries)) == row.verdict, "\(row.testDescription)") }
    }
}
