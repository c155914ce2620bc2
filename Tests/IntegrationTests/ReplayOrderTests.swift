import Foundation
import Seeds
import Testing

/// A burst of several conversations, both directions of each, that one node sends as fast as it can: what a passive
/// application gets of it, and in what order.
@Suite(.serialized) struct ReplayOrderTests {
    static func topology(_ engine: String) -> String {
        """
        name: replay
        \(engine)
        interfaces:
          outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          middle:  { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inside:  { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          # She sends what others said, too.
          alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"], anti-spoofing: off }
        applications:
          ids: { passive: true, attach: middle }
        routers:
          # It takes packets and says nothing.
          exit: { interface: inside, sysctls: { net.ipv4.ip_forward: 0, net.ipv6.conf.all.forwarding: 0 } }
        services:
          all: { address: [0.0.0.0/0, "::/0"], distribute: ids, sequence: exit }
        """
    }

    /// Sends conversations that take turns by chance: UDP and TCP, IPv4 and IPv6, two tunnels whose insides differ from
    /// packet to packet, fragments and echoes. Each packet ends in its conversation and its number in the burst. Prints
    /// the conversations, one a packet.
    static let burst = """
        import random, socket, struct, sys
        seed, count, device, engine = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], bytes.fromhex(sys.argv[4].replace(':', ''))
        choice = random.Random(seed)
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind((device, 0))
        own = raw.getsockname()[4]
        def total(data):
            data += bytes(len(data) % 2)
            value = sum(struct.unpack('>%dH' % (len(data) // 2), data))
            while value >> 16: value = (value & 0xFFFF) + (value >> 16)
            return value
        class Conversation:
            def __init__(self, kind, number):
                self.kind, self.number, self.sent = kind, number, [0, 0]
                six = kind.endswith('6')
                self.ends = [socket.inet_pton(socket.AF_INET6, '2001:db8:2::10'), socket.inet_pton(socket.AF_INET6, '2001:db8:99::%x' % (number + 1))] if six \\
                    else [socket.inet_aton('192.0.2.10'), socket.inet_aton('198.51.100.%d' % (number + 1))]
                self.octets, self.ports = [0, 0], [4000 + number, 53]
            def packet(self, mark):
                # A tunnel, fragments and echoes have one direction.
                back = choice.random() < 0.4 if self.kind[:3] in ('udp', 'tcp') else 0
                source, destination, sent = self.ends[back], self.ends[1 - back], self.sent[back]
                payload, kind, more = mark, self.kind[:3], 0x4000
                ports = struct.pack('>HH', self.ports[back], self.ports[1 - back])
                if kind == 'udp': number, upper, field = 17, ports + struct.pack('>HH', 8 + len(payload), 0) + payload, 6
                elif kind == 'tcp':
                    upper = ports + struct.pack('>IIBBHHH', 1 + self.octets[back], 1, 0x50, 0x10, 64000, 0, 0) + payload
                    number, field = 6, 16
                elif kind == 'gre': number, upper, field = 47, struct.pack('>HHI', 0x1000, 0x0800, sent) + self.inside(payload, sent), None
                elif kind == 'ipi': number, upper, field = 4, self.inside(payload, sent), None
                elif kind == 'ech': number, upper, field = 1, struct.pack('>BBHHH', 8, 0, 0, 1, sent) + payload, 2
                elif sent % 2 == 0: number, upper, field, more = 17, ports + struct.pack('>HHQ', 40, 0, 0) + payload, None, 0x2000
                else: number, upper, field, more = 17, bytes(8) + payload, None, 0x0003
                if field is not None:
                    pseudo = b'' if number == 1 else source + destination + struct.pack('>IHBB', len(upper), 0, 0, number)
                    check = ~total(pseudo + upper) & 0xFFFF
                    upper = upper[:field] + struct.pack('>H', check or (0xFFFF if number == 17 else 0)) + upper[field + 2:]
                self.sent[back] += 1
                self.octets[back] += len(payload)
                if len(source) == 16: return b'\\x86\\xdd', struct.pack('>IHBB', 6 << 28, len(upper), number, 64) + source + destination + upper
                return b'\\x08\\x00', self.four(number, sent + 7000 * back, more, source, destination) (upper)
            def four(self, number, identification, more, source, destination):
                def whole(upper):
                    header = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(upper), identification, more, 64, number, 0) + source + destination
                    return header[:10] + struct.pack('>H', ~total(header) & 0xFFFF) + header[12:] + upper
                return whole
            def inside(self, payload, sent):
                upper = struct.pack('>HHHH', 1000 + sent, 9, 8 + len(payload), 0) + payload
                return self.four(17, sent, 0x4000, socket.inet_aton('10.0.0.%d' % (sent % 250)), socket.inet_aton('10.1.0.1')) (upper)
        kinds = ['udp', 'udp', 'udp6', 'tcp', 'tcp', 'tcp6', 'gre', 'ipi', 'fra', 'ech']
        talks = [Conversation(kind, number) for number, kind in enumerate(kinds)]
        weights = [8, 8, 8, 8, 8, 8, 4, 4, 1, 1]
        frames, order = [], []
        while len(frames) < count:
            talk = choice.choices(talks, weights)[0]
            for _ in range(choice.choice([1, 1, 1, 2, 4])):
                kind, packet = talk.packet(b'mark' + struct.pack('>HH', talk.number, len(frames)))
                frames.append(engine + own + kind + packet)
                order.append(talk.number)
        for frame in frames: raw.send(frame)
        print(*order)
        """

    /// Prints conversation and number of each packet of a capture that has them.
    static let marks = """
        import struct, sys
        data, place, found = open(sys.argv[1], 'rb').read(), 24, []
        while place + 16 <= len(data):
            length = struct.unpack('=I', data[place + 8:place + 12])[0]
            packet = data[place + 16:place + 16 + length]
            place += 16 + length
            while b'mark' in packet:
                packet = packet[packet.index(b'mark') + 4:]
                found.append('%d.%d' % struct.unpack('>HH', packet[:4]))
        print(*found)
        """

    private static let files = ["burst.py": burst, "marks.py": marks]

    /// What alice sends while nobody reads, and what the detector gets of it: conversation and number of each packet.
    private func replay(_ lab: Lab, seed: UInt64) throws -> (sent: [String], came: [String]) {
        let status = try lab.status()
        let control = Int32(try #require(status["pid"] as? Int))
        let engines = try #require(status["engines"] as? [[String: Any]]).compactMap {
            ($0["pid"] as? Int).map(Int32.init)
        }
        let interfaces = try #require(status["interfaces"] as? [[String: Any]])
        let mac = try #require(interfaces.first { $0["name"] as? String == "outside" }?["mac"] as? String)
        let received = { try #require(try RingDropTests.interface(lab, "outside")["receivedPackets"] as? Int) }
        let before = try received()
        var (sent, came): ([String], [String]) = ([], [])
        let capture = try lab.capturing("ids", "middle") {
            do {
                // The control process would have others read at once.
                for process in [control] + engines { kill(process, SIGSTOP) }
                defer { for process in engines + [control] { kill(process, SIGCONT) } }
                let script = lab.folder.appendingPathComponent("burst.py").path
                let finished = try run(
                    "/sbin/ip",
                    ["netns", "exec", "\(lab.name)-alice", "python3", script, "\(seed)", "600", "outside", mac])
                try #require(finished.status == 0, "\(finished.output)")
                sent = finished.output.split { $0 == " " || $0 == "\n" }.enumerated().map { "\($1).\($0)" }
            }
            try TwoEnginesTests.eventually("the burst is forwarded") { try received() - before >= sent.count }
            // A capture gets frames from the kernel a second late.
            let folder = URL(fileURLWithPath: lab.directory(of: "ids"))
            try TwoEnginesTests.eventually("the burst is captured") {
                let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
                return try files.contains { try $0.pathExtension == "pcap" && marks(lab, $0.path).count >= sent.count }
            }
        }
        came = try marks(lab, capture)
        try? FileManager.default.removeItem(atPath: capture)
        return (sent, came)
    }

    /// The packets in a capture, each where it came first: errors quote what they are about.
    private func marks(_ lab: Lab, _ capture: String) throws -> [String] {
        let seen = try run("/usr/bin/env", ["python3", lab.folder.appendingPathComponent("marks.py").path, capture])
        var known: Set<String> = []
        return seen.output.split { $0 == " " || $0 == "\n" }.map(String.init).filter { known.insert($0).inserted }
    }

    @Test func aDetectorGetsABurstInTheOrderInWhichItWasSent() throws {
        let seed = Seed.drawn(in: 1...1_000_000)
        try Lab.with(Self.topology("engine: { io: auto }"), files: Self.files) { lab in
            for round in 0..<3 {
                let (sent, came) = try replay(lab, seed: seed + UInt64(round))
                let place = zip(sent, came).enumerated().first { $1.0 != $1.1 }?.offset ?? min(sent.count, came.count)
                #expect(
                    sent == came,
                    "seed \(seed), round \(round), packet \(place): \(came.dropFirst(place).prefix(8)) came, not \(sent.dropFirst(place).prefix(8)); \(came.count) of \(sent.count)"
                )
            }
            let coalesced = try #require((try lab.status()["engine"] as? [String: Any])?["joined"] as? Int)
            #expect(coalesced > 0, "frames were coalesced all the same")
        }
    }

    /// Of several workers each conversation keeps its order: both directions of it, and whatever a tunnel holds.
    @Test(arguments: ["engine: { workers: 2 }", "engines: { count: 2, workers: 2 }"])
    func eachConversationKeepsItsOrderAmongWorkers(_ engine: String) throws {
        let seed = Seed.drawn(in: 1...1_000_000)
        try Lab.with(Self.topology(engine), files: Self.files) { lab in
            let (sent, came) = try replay(lab, seed: seed)
            #expect(came.count == sent.count)
            for conversation in 0..<10 {
                let mine = { (packets: [String]) in packets.filter { $0.hasPrefix("\(conversation).") } }
                #expect(mine(came) == mine(sent), "seed \(seed), conversation \(conversation)")
            }
        }
    }
}
