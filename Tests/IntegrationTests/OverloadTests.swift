import Foundation
import Testing

/// A customer floods the engine: whoever is on another interface loses next to nothing by it, instances stay up by health
/// checks every ten milliseconds, and the control process answers.
@Suite(.serialized) struct OverloadTests {
    static let topology = """
        name: overload
        interfaces:
          flood:   { address: 192.0.2.1/24 }
          calm:    { address: 192.0.3.1/24 }
          near:    { address: 198.18.2.1/24 }
          far:     { address: 198.18.3.1/24 }
          servers: { address: 198.18.4.1/24 }
          dump:    { address: 198.18.5.1/24 }
        customers:
          alice: { interface: flood, address: 192.0.2.10/24 }
          bob:   { interface: calm, address: 192.0.3.10/24 }
        applications:
          firewall:
            type: firewall
            attach: { in: near, out: far }
            instances: [fw-a, fw-b]
            health: { heartbeat: true, interval: 10ms, timeout: 200ms }
          web: { type: server, attach: servers, run: exec python3 echo.py, ready: { run: test -e "$TAPLINE_DIR/ready" } }
          sink: { type: server, attach: dump }
        services:
          bulk: { address: 203.0.113.70, ports: [udp/7], from: flood, sequence: [sink] }
          shop: { address: 203.0.113.80, ports: [udp/7], from: calm, sequence: [firewall, web] }
        engine: { workers: 1 }
        """

    static let files = [
        // Sends datagrams back.
        "echo.py": """
        import os, socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(('', 7))
        open(os.environ['TAPLINE_DIR'] + '/ready', 'w')
        while True:
            data, peer = s.recvfrom(64)
            s.sendto(data, peer)
        """,
        // Asks 300 times, and prints how often there was an answer within a second.
        "ask.py": """
        import socket, time
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(('203.0.113.80', 7))
        s.settimeout(1)
        answered = 0
        for i in range(300):
            s.send(b'%d' % i)
            try:
                while s.recv(64) != b'%d' % i: pass
                answered += 1
            except OSError: pass
            time.sleep(0.005)
        print(answered)
        """,
        // Sends for six seconds at most until it is told to end, and at most two million datagrams; prints how many.
        "flood.py": """
        import os, socket, time
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end, sent = time.monotonic() + 6, 0
        while sent < 2000000 and time.monotonic() < end and not os.path.exists('enough'):
            for _ in range(100): s.sendto(b'x', ('203.0.113.70', 7))
            sent += 100
        print(sent)
        """,
    ]

    /// Starts a program in a node; its output is read when it has ended.
    static func start(_ lab: Lab, _ node: String, _ program: String) throws -> (process: Process, output: Pipe) {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Product.tapline)
        process.arguments = ["exec", lab.name, node, "--", "python3", lab.folder.appendingPathComponent(program).path]
        process.currentDirectoryURL = lab.folder
        process.standardOutput = output
        try process.run()
        return (process, output)
    }

    static func number(_ started: (process: Process, output: Pipe)) throws -> Int {
        let text = String(decoding: started.output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        started.process.waitUntilExit()
        return try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)), "\(text)")
    }

    @Test func whoFloodsHarmsNobodyOnAnotherInterface() throws {
        try Lab.with(Self.topology, files: Self.files) { lab in
            let floods = try (1...2).map { _ in try Self.start(lab, "alice", "flood.py") }
            let asker = try Self.start(lab, "bob", "ask.py")
            var looks = 0
            while asker.process.isRunning {
                let status = try lab.status()
                #expect(status["state"] as? String == "up")
                looks += 1
                usleep(50_000)
            }
            let answered = try Self.number(asker)
            _ = FileManager.default.createFile(atPath: lab.folder.appendingPathComponent("enough").path, contents: nil)
            let sent = try floods.reduce(0) { try $0 + Self.number($1) }
            #expect(answered >= 285, "\(answered) of 300 came through, beside \(sent)")
            #expect(looks >= 3)
            // It was a flood: far more frames came from there, or were lost there, than all else.
            #expect(sent > 20_000)
            try TwoEnginesTests.eventually("each of \(sent) datagrams was received, or dropped in the ring") {
                let flood = try RingDropTests.interface(lab, "flood")
                let received = try #require(flood["receivedPackets"] as? Int)
                return try received + #require(flood["ringDrops"] as? Int) >= sent
            }
            for interface in ["calm", "near", "far", "servers"] {
                #expect(try RingDropTests.ringDrops(lab, interface) == 0, "on \(interface)")
            }
            let events = try lab.tapline("events", lab.name).output
            #expect(!events.contains("instance-down") && !events.contains("engine-ended"), "\(events)")
        }
    }
}
