import Foundation
import Testing

/// A customer floods with what makes the engine work on its own account: questions for neighbours, echoes, packets that are
/// too big, fragments, packets for neighbours that are not there. What others send arrives, health stays up, and memory is
/// bounded. It prints what was measured before, during and after.
@Suite(.serialized) struct CustomerFloodTests {
    static let topology = """
        name: floods
        interfaces:
          shared:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          other:   { address: [192.0.3.1/24, "2001:db8:3::1/64"] }
          near:    { address: 198.18.2.1/24, mtu: 1300 }
          far:     { address: 198.18.3.1/24, mtu: 1300 }
          servers: { address: 198.18.4.1/24, mtu: 1300 }
        customers:
          alice: { interface: shared, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
          bob:   { interface: shared, address: [192.0.2.20/24, "2001:db8:2::20/64"] }
          carol: { interface: other, address: [192.0.3.10/24, "2001:db8:3::10/64"] }
        applications:
          firewall:
            type: firewall
            attach: { in: near, out: far }
            instances: [fw-a, fw-b]
            health: { heartbeat: true, interval: 100ms }
          web: { type: server, attach: servers, run: exec python3 echo.py 7, ready: { run: test -e "$TAPLINE_DIR/ready" } }
          dns: { type: server, attach: servers, run: exec python3 echo.py 53, ready: { run: test -e "$TAPLINE_DIR/ready" } }
        services:
          shop:  { address: 203.0.113.80, ports: [udp/7, icmp], sequence: [firewall, web] }
          names: { address: 203.0.113.80, ports: udp/53, sequence: [firewall, dns] }
        entries:
          distribution:
            - name: hosts
              received-interface: shared
              destination: 198.18.4.128/25
              to: { interface: servers, neighbour: true, system: terminal-application }
          sequencing:
            - name: hosts-back
              received-interface: servers
              source: 198.18.4.128/25
              direction: response
              to: { interface: shared, neighbour: true, system: customer }
        """

    static let files = [
        // Sends datagrams back.
        "echo.py": """
        import os, socket, sys
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(('', int(sys.argv[1])))
        open(os.environ['TAPLINE_DIR'] + '/ready', 'w')
        while True:
            data, peer = s.recvfrom(65535)
            s.sendto(data, peer)
        """,
        // Asks two services of one address, whole and in fragments, and the engine itself; prints how many answers came,
        // how many were asked for, and the median and the longest time to one, in microseconds.
        "ask.py": """
        import socket, subprocess, sys, time
        own, count = sys.argv[1], int(sys.argv[2])
        times, asked = [], 0
        for i in range(count):
            for port, size in ((7, 20), (53, 20), (53, 3000)):
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                s.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: fragments, not errors
                s.connect(('203.0.113.80', port))
                s.settimeout(20 if own == '192.0.3.1' else 5)
                asked += 1
                start = time.monotonic()
                s.send(bytes(size))
                try:
                    s.recv(65535)
                    times.append(time.monotonic() - start)
                except OSError: pass
                s.close()
            time.sleep(0.01)
        pings = subprocess.run(['fping', '-q', '-c', '20', '-p', '50', '-t', '5000', own], capture_output=True, text=True).stderr
        asked += 20
        answered = len(times) + int(pings.split('/')[3])
        times.sort()
        print(answered, asked, int(times[len(times) // 2] * 1e6), int(times[-1] * 1e6))
        """,
        // flood.py ENGINE: 25 frames a millisecond of every kind, 16,000 each, for 15 seconds at most; prints how many.
        "flood.py": """
        import os, socket, struct, sys, time
        engine = bytes.fromhex(sys.argv[1].replace(':', ''))
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(('shared', 0))
        own = raw.getsockname()[4]
        four, six = socket.inet_aton('192.0.2.10'), socket.inet_pton(socket.AF_INET6, '2001:db8:2::10')
        def check(data):
            data += bytes(len(data) % 2)
            total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
            while total >> 16: total = (total & 0xFFFF) + (total >> 16)
            return ~total & 0xFFFF
        def packet(to, number, upper, word=0x4000, identification=1):
            head = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(upper), identification, word, 64, number, 0) + four + socket.inet_aton(to)
            return engine + own + b'\\x08\\x00' + head[:10] + struct.pack('>H', check(head)) + head[12:] + upper
        def udp(port, data): return struct.pack('>HHHH', 4000, port, 8 + len(data), 0) + data
        def arp(i):
            return b'\\xff' * 6 + own + bytes.fromhex('08060001080006040001') + own + four + bytes(6) + socket.inet_aton('192.0.2.1')
        def discovery(i):
            target = socket.inet_pton(socket.AF_INET6, 'fe80::1')
            upper = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + target + b'\\x01\\x01' + own
            group = socket.inet_pton(socket.AF_INET6, 'ff02::1:ff00:1')
            upper = upper[:2] + struct.pack('>H', check(six + group + struct.pack('>II', len(upper), 58) + upper)) + upper[4:]
            return bytes.fromhex('3333ff000001') + own + b'\\x86\\xdd' + struct.pack('>IHBB', 6 << 28, len(upper), 58, 255) + six + group + upper
        def echo(i):
            upper = struct.pack('>BBHHH', 8, 0, 0, 1, i & 0xFFFF) + bytes(16)
            return packet('192.0.2.1', 1, upper[:2] + struct.pack('>H', check(upper)) + upper[4:])
        def big(i): return packet('203.0.113.80', 17, udp(7, bytes(1400)))
        def unserved(i): return packet('198.51.100.1', 17, udp(7, b'x'))
        def first(i): return packet('203.0.113.80', 17, struct.pack('>HHHH', 4000, 7, 1000, 0) + bytes(16), 0x2000, i & 0xFFFF)
        def later(i): return packet('203.0.113.80', 17, bytes(24), 3, (i + 30000) & 0xFFFF)
        def absent(i): return packet('198.18.4.%d' % (130 + i % 120), 17, udp(7, b'x'))
        sent, end = 0, time.monotonic() + 15
        for make in (arp, discovery, echo, big, unserved, first, later, absent):
            frames = [make(i) for i in range(2000)]
            due = time.monotonic()
            for burst in range(640):
                if time.monotonic() > end: break
                for i in range(25):
                    raw.send(frames[(burst * 25 + i) % 2000])
                    sent += 1
                due += 0.001
                time.sleep(max(0, due - time.monotonic()))
        print(sent)
        """,
    ]

    private struct Asked {
        var answered = 0
        var count = 0
        var median = 0
        var longest = 0

        init(_ started: (process: Process, output: Pipe)) throws {
            let text = String(decoding: started.output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            started.process.waitUntilExit()
            let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            try #require(numbers.count == 4, "\(text)")
            (answered, count, median, longest) = (numbers[0], numbers[1], numbers[2], numbers[3])
        }
    }

    private static func start(_ lab: Lab, _ node: String, _ program: [String]) throws -> (
        process: Process, output: Pipe
    ) {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Product.tapline)
        process.arguments =
            ["exec", lab.name, node, "--", "python3", lab.folder.appendingPathComponent(program[0]).path]
            + program.dropFirst()
        process.standardOutput = output
        try process.run()
        return (process, output)
    }

    /// Resident memory of the engines, in KiB.
    private static func memory(_ lab: Lab) throws -> Int {
        let engines = try #require(try lab.status()["engines"] as? [[String: Any]])
        return try engines.compactMap { $0["pid"] as? Int }.reduce(0) { sum, pid in
            let text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
            return sum + (line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0)
        }
    }

    /// Bob and carol ask at the same time.
    private static func ask(_ lab: Lab, _ count: Int) throws -> (bob: Asked, carol: Asked) {
        let bob = try start(lab, "bob", ["ask.py", "192.0.2.1", "\(count)"])
        let carol = try start(lab, "carol", ["ask.py", "192.0.3.1", "\(count)"])
        return (try Asked(bob), try Asked(carol))
    }

    @Test func aCustomersFloodHarmsNobodyElse() throws {
        try Lab.with(Self.topology, files: Self.files) { lab in
            let interfaces = try #require(try lab.status()["interfaces"] as? [[String: Any]])
            let engine = try #require(interfaces.first { $0["name"] as? String == "shared" }?["mac"] as? String)
            var summary: [String] = []
            var memories: [Int] = []
            func measure(_ when: String, _ count: Int) throws {
                let (bob, carol) = try Self.ask(lab, count)
                let lost = try RingDropTests.ringDrops(lab, "shared")
                memories.append(try Self.memory(lab))
                let up = try lab.tapline("events", lab.name).output.contains("instance-down") ? "DOWN" : "up"
                summary.append(
                    "\(when): engine \(memories.last ?? 0) KiB, health \(up); bob \(bob.answered)/\(bob.count), "
                        + "\(bob.median) us, at most \(bob.longest) us; carol \(carol.answered)/\(carol.count), "
                        + "\(carol.median) us, at most \(carol.longest) us; \(lost) lost in the shared queue")
                #expect(carol.answered == carol.count, "\(when)")
                // Customers of one interface share its queue, and nothing else.
                #expect(bob.answered == bob.count || lost > 0, "\(when)")
            }
            try measure("before", 50)
            let flood = try Self.start(lab, "alice", ["flood.py", engine])
            var rounds = 0
            while flood.process.isRunning, rounds < 20 {
                try measure("during", 50)
                // The engine tells bob what is too big, whatever it has told alice.
                for (node, _) in [("bob", "shared"), ("carol", "other")] {
                    let big = try lab.exec(node, "ip route flush cache; ping -n -M do -s 1400 -c 1 -W 5 203.0.113.80")
                    let lost = try RingDropTests.ringDrops(lab, "shared")
                    #expect(big.output.contains("1300") || node == "bob" && lost > 0, "\(node): \(big.output)")
                }
                rounds += 1
            }
            let text = String(decoding: flood.output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            flood.process.waitUntilExit()
            let sent = try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)), "\(text)")
            try measure("after", 50)
            print("a customer's flood of \(sent) frames:\n" + summary.map { "  \($0)" }.joined(separator: "\n"))
            let drops = try #require(try lab.status()["drops"] as? [[String: Any]])
            let count = { (reason: String) in
                drops.first { $0["reason"] as? String == reason }?["frames"] as? Int ?? 0
            }
            print(
                "  dropped: \(drops.compactMap { d in (d["reason"] as? String).map { "\($0) \(d["frames"] ?? 0)" } })")
            // It was a flood: more than the engine answers.
            #expect(count("error-rate-limited") > 1_000 && sent > 50_000)
            #expect(memories.max()! - memories[0] < 16_384, "KiB of the engine: \(memories)")
            let events = try lab.tapline("events", lab.name).output
            #expect(!events.contains("instance-down") && !events.contains("engine-ended"), "\(events)")
        }
    }
}
