import EngineRig
import Plan
import Testing
import Wire

@testable import Tracing

/// Fragments of datagrams whose addresses, ports and identification an application changes.
@Suite struct TranslatedFragmentTests {
    private typealias F = TestFrame

    static let translating = """
        name: translating
        interfaces:
          customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
        applications:
          fw:  { type: firewall, attach: { in: inspection, out: inspected } }
          web: { type: web-server, attach: servers }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], sequence: [fw, web] }

        """

    /// A datagram that is sent in fragments, or whole.
    struct Datagram {
        var source: String
        var destination: String
        var sourcePort: Int
        var destinationPort: Int
        var identification: Int
        /// The payload's octets all have this value.
        var filling: UInt8
        var isEcho = false
        var size = 3_000

        /// Fragments of `most` octets; a single whole packet if all fits.
        func packets(_ most: Int = 1_440) -> [[UInt8]] {
            let isSix = source.contains(":")
            let number: UInt8 = isEcho ? isSix ? 58 : 1 : 17
            let filled = [UInt8](repeating: filling, count: size)
            let whole =
                isEcho
                ? F.icmp(
                    source, destination, type: isSix ? 128 : 8, word: F.big16(sourcePort) + [0, filling], data: filled)
                : F.udp(source, sourcePort, destination, destinationPort, payload: filled)
            let body = Array(whole[(isSix ? 40 : 20)...])
            guard body.count > most else { return [whole] }
            return stride(from: 0, to: body.count, by: most).map { start in
                let end = min(start + most, body.count)
                let hasMore = end < body.count
                guard isSix else {
                    return F.packet(
                        source, destination, number, Array(body[start..<end]),
                        fragmentWord: start / 8 | (hasMore ? 0x2000 : 0), identification: identification)
                }
                let header: [UInt8] =
                    [number, 0] + F.big16(start | (hasMore ? 1 : 0)) + [0, 0] + F.big16(identification)
                return F.packet(source, destination, 44, header + body[start..<end])
            }
        }
    }

    private func request(_ port: Int, _ identification: Int, _ filling: UInt8, isSix: Bool = false) -> Datagram {
        Datagram(
            source: isSix ? "2001:db8:2::10" : "192.0.2.10",
            destination: isSix ? "2001:db8:cb::80" : "203.0.113.80", sourcePort: port, destinationPort: 53,
            identification: identification, filling: filling)
    }

    /// What the firewall makes of it: its own address, and another port.
    private func translated(_ datagram: Datagram, _ lab: Lab, identification: Int? = nil) -> Datagram {
        var other = datagram
        other.source = datagram.source.contains(":") ? "2001:db8:13::99" : lab.address("fw", "inspected")
        other.sourcePort = datagram.sourcePort + 57_000
        other.identification = identification ?? datagram.identification
        return other
    }

    private func enter(_ datagram: Datagram, _ lab: Lab, most: Int = 1_440) {
        for piece in datagram.packets(most) { lab.send("alice", "customers", piece) }
    }

    private func leave(_ pieces: [[UInt8]], _ lab: Lab, on interface: String = "inspected") {
        for piece in pieces { lab.send("fw", interface, piece) }
    }

    @Test("an application keeps the identification, or gives another one", arguments: [false, true], [false, true])
    func identification(isSix: Bool, isKept: Bool) throws {
        for isEcho in [false, true] {
            let lab = try Lab(Self.translating)
            var datagram = request(4_000, 0x77, 9, isSix: isSix)
            datagram.isEcho = isEcho
            enter(datagram, lab)
            lab.wait(.microseconds(30))
            leave(translated(datagram, lab, identification: isKept ? nil : 0x999).packets(), lab)
            let (traces, counts) = try lab.trace()
            #expect(traces.map(\.path) == ["alice → fw → web"], "\(isEcho) \(traces.map(\.path))")
            #expect(traces.allSatisfy { !$0.isGuess && $0.end.kind == .delivered }, "\(isEcho)")
            #expect(traces.first?.hops.map(\.frames) == [3, 3] && counts.strays == 0)
            #expect(traces.first?.hops.last?.translated != nil)
        }
    }

    @Test("several datagrams of one flow are kept apart by their contents, and the later fragments follow")
    func several() throws {
        let lab = try Lab(Self.translating)
        let datagrams = (0..<4).map { request(4_000 + $0 % 2, 100 + $0, UInt8($0 + 1)) }
        for datagram in datagrams { enter(datagram, lab) }
        lab.wait(.microseconds(30))
        // In another order, with other identifications, and in each other's midst.
        let out = [2, 0, 3, 1].map { translated(datagrams[$0], lab, identification: 900 + $0).packets(1_400) }
        for index in 0..<3 { leave(out.map { $0[index] }, lab) }
        let (traces, _) = try lab.trace()
        #expect(traces.count == 4)
        #expect(traces.allSatisfy { $0.path == "alice → fw → web" && !$0.isGuess })
        for trace in traces {
            let port = trace.packet.sourcePort ?? 0
            #expect(trace.hops.last?.translated?.contains(":\(port + 57_000) → ") == true, "\(trace)")
        }
    }

    @Test("a whole packet is cut, and fragments are put together")
    func cutting() throws {
        let lab = try Lab(Self.translating)
        var first = request(4_000, 0x31, 1)
        first.size = 1_400
        var second = request(4_001, 0x32, 2)
        second.size = 1_400
        enter(first, lab)
        enter(second, lab, most: 800)
        lab.wait(.microseconds(30))
        leave(translated(first, lab).packets(800), lab)
        leave(translated(second, lab).packets(), lab)
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → fw → web", "alice → fw → web"])
        #expect(traces.allSatisfy { !$0.isGuess })
        #expect(traces.map { $0.hops[1].frames } == [2, 1])
    }

    @Test("an answer in fragments is translated back, and finds its question")
    func answers() throws {
        let lab = try Lab(Self.translating)
        let datagram = request(4_000, 0x41, 5)
        enter(datagram, lab)
        leave(translated(datagram, lab).packets(), lab)
        lab.wait(.microseconds(30))
        var back = translated(datagram, lab)
        (back.source, back.destination) = (back.destination, back.source)
        (back.sourcePort, back.destinationPort, back.identification) = (53, back.sourcePort, 0x51)
        for piece in back.packets() { lab.send("web", "servers", piece) }
        lab.wait(.microseconds(30))
        back.destination = "192.0.2.10"
        back.destinationPort = 4_000
        leave(back.packets(), lab, on: "inspection")
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → fw → web", "web → fw → alice"])
        #expect(traces[1].answers?.trace == traces[0].id)
        #expect(traces.allSatisfy { $0.end.kind == .delivered && $0.hops.allSatisfy { !$0.isGuess } })
    }

    @Test("a later fragment that comes before the first one, or without it, is a guess", arguments: [true, false])
    func laterFirst(isKept: Bool) throws {
        let lab = try Lab(Self.translating)
        let datagram = request(4_000, 0x61, 7)
        enter(datagram, lab)
        lab.wait(.microseconds(30))
        let pieces = translated(datagram, lab, identification: isKept ? nil : 0x777).packets()
        leave([pieces[2], pieces[0], pieces[1]], lab)
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → fw → web"])
        #expect(traces.first?.hops.last?.isGuess == true && traces.first?.isGuess == true)
    }

    @Test("equal datagrams that get other identifications are guesses")
    func equal() throws {
        let lab = try Lab(Self.translating)
        for number in 0..<2 { enter(request(4_000 + number, 10 + number, 3), lab) }
        for number in 0..<2 {
            leave(translated(request(4_000 + number, 0, 3), lab, identification: 70 + number).packets(), lab)
        }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → fw → web", "alice → fw → web"])
        #expect(traces.first?.isGuess == true)
    }

    @Test("fragments that are known as nothing make it a guess that a datagram did not come out")
    func loose() throws {
        let lab = try Lab(Self.translating)
        enter(request(4_000, 0x81, 7), lab)
        lab.wait(.microseconds(30))
        // Of another length, from and to others.
        var other = translated(request(4_000, 0x82, 8), lab)
        (other.destination, other.size) = ("203.0.113.99", 4_000)
        leave(other.packets(), lab)
        let (traces, _) = try lab.trace()
        let lost = try #require(traces.first { $0.from == "alice" })
        #expect(lost.end.kind == .vanished && lost.isGuess)
        #expect(lost.end.sentence.contains("unless fragments that fw sent are of it"))
        #expect(traces.filter { $0.from == "fw" }.allSatisfy { $0.path != "alice → fw → web" })
    }

    @Test("what comes out twice is a repetition, also behind an answer with the same content")
    func repetitionBehindAnEcho() throws {
        for isTranslated in [false, true] {
            let lab = try Lab(Self.translating)
            let out = isTranslated ? (lab.address("fw", "inspected"), 61_000) : ("192.0.2.10", 4_000)
            let payload = Array("same words".utf8)
            lab.send(
                "alice", "customers",
                F.udp("192.0.2.10", 4_000, "203.0.113.80", 7, payload: payload, identification: 21))
            let again = F.udp(out.0, out.1, "203.0.113.80", 7, payload: payload, identification: 21)
            lab.send("fw", "inspected", again)
            // The server answers with what it got, and the firewall holds that while it repeats the request.
            lab.send(
                "web", "servers",
                F.udp("203.0.113.80", 7, out.0, out.1, payload: payload, identification: 22))
            lab.send("fw", "inspected", again)
            lab.send(
                "fw", "inspection",
                F.udp("203.0.113.80", 7, "192.0.2.10", 4_000, payload: payload, identification: 22))
            let (traces, _) = try lab.trace()
            let sorted = traces.sorted { $0.id < $1.id }
            #expect(sorted.map(\.beginning) == [.customer, .end, .duplicate], "\(isTranslated)")
            #expect(sorted.map(\.path) == ["alice → fw → web", "web → fw → alice", "fw → web"])
            #expect(sorted[2].follows?.trace == sorted[0].id)
        }
    }
}
