import Foundation
import Testing

/// Stages that hold packets while they are taken out of a running topology: every datagram comes through, and back.
@Suite(.enabled(if: getuid() == 0, "these tests make namespaces, which takes root")) struct ApplyDrainTests {
    /// Holds each frame for 200 ms, then sends it on, by the other device or the only one.
    private static let relay = """
        import collections, os, select, socket, subprocess, sys, time
        hold, kind, devices = 0.2, sys.argv[1], sys.argv[2:]
        sockets = []
        for device in devices:
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)
            s.bind((device, 3))
            sockets.append(s)
        macs = [bytes.fromhex(open(f"/sys/class/net/{d}/address").read().strip().replace(":", "")) for d in devices]
        def engine(device):
            while True:
                for line in subprocess.run(["ip", "-4", "neigh", "show", "dev", device], capture_output=True, text=True).stdout.splitlines():
                    words = line.split()
                    if "lladdr" in words: return bytes.fromhex(words[words.index("lladdr") + 1].replace(":", ""))
                time.sleep(0.05)
        engines = [engine(d) for d in devices] if kind == "routed" else []
        open(os.environ["TAPLINE_DIR"] + "/relaying", "w").close()
        held = collections.deque()
        while True:
            wait = max(0, held[0][0] - time.monotonic()) if held else None
            for s in select.select(sockets, [], [], wait)[0]:
                index = sockets.index(s)
                out = (index + 1) % len(devices)
                for _ in range(256):
                    try: frame, address = s.recvfrom(65600, socket.MSG_DONTWAIT)
                    except BlockingIOError: break
                    # What it sent itself, and what is no UDP.
                    if address[2] == 4: continue
                    protocol = frame[23:24] if frame[12:14] == b"\\x08\\x00" else frame[20:21] if frame[12:14] == b"\\x86\\xdd" else b""
                    if protocol != b"\\x11": continue
                    if kind == "routed":
                        if frame[:6] != macs[index]: continue
                        frame = engines[out] + macs[out] + frame[12:]
                    held.append((time.monotonic() + hold, out, frame))
            while held and held[0][0] <= time.monotonic():
                _, out, frame = held.popleft()
                sockets[out].send(frame)
        """

    /// Sends back what comes, from the address that it came to.
    private static let echo = """
        import os, socket
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IPV6, 49, 1)
        s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        s.bind(("::", 7))
        open(os.environ["TAPLINE_DIR"] + "/ready", "w").close()
        while True:
            data, control, _, peer = s.recvmsg(100, 200)
            s.sendmsg([data], [c for c in control if c[1] == 50], 0, peer)
        """

    /// 3,000 numbered datagrams from eight ports to each address, and how many different answers came.
    private static let client = """
        import os, socket, sys, time
        sockets = []
        for address in sys.argv[1:]:
            for _ in range(8):
                s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
                s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
                s.connect((address, 7))
                s.setblocking(False)
                sockets.append((address, s))
        answers = {address: set() for address in sys.argv[1:]}
        def read():
            for address, s in sockets:
                while True:
                    try: answers[address].add(s.recv(100))
                    except (BlockingIOError, ConnectionRefusedError): break
        def send(s, data):
            try: s.send(data)
            except OSError: s.send(data)  # an ICMP error about one before
        def missing(): return any(len(a) < sent for a in answers.values())
        sent, last = 0, None
        while last is None or sent < last:
            if sent == 500: open("sending", "w").close()
            # At least 3,000, and some behind the change.
            if last is None and os.path.exists("changed"): last = max(3000, sent + 200)
            for family in range(len(answers)): send(sockets[family * 8 + sent % 8][1], b"%06d" % sent)
            sent += 1
            time.sleep(0.0008)
            read()
        end = time.monotonic() + 20
        while missing() and time.monotonic() < end:
            time.sleep(0.02)
            read()
        print("missing", *(sent - len(a) for a in answers.values()), "of", sent)
        """

    private static let files = ["relay.py": relay, "echo.py": echo, "client.py": client]

    /// How the relay sits in the chain.
    enum Shape: String, CaseIterable {
        case transparent, routed, oneArmed

        var text: String {
            switch self {
            case .transparent:
                "  SLOW:\n    attach: { in: before, out: behind }\n    transparent: true\n    run: exec python3 relay.py bump before behind"
            case .routed: routed("{ in: before, out: behind }", ["198.18.2.1", "198.18.3.1"], "before behind")
            case .oneArmed: routed("before", ["198.18.2.1"], "before")
            }
        }

        private func routed(_ attach: String, _ gateways: [String], _ devices: String) -> String {
            """
              SLOW:
                attach: \(attach)
                offload: off
                setup: |
                  sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
            \(gateways.map { "      ping -c 1 -W 20 \($0) > ping.log" }.joined(separator: "\n"))
                run: exec python3 relay.py routed \(devices)
            """
        }
    }

    private static func topology(_ slow: String, _ sequence: String, web: String = "", others: String = "") -> String {
        """
        name: drain
        filesystem: shared
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.12.1/24, "2001:db8:12::1/64"] }
          inspected: { address: [198.18.13.1/24, "2001:db8:13::1/64"] }
          before: { address: [198.18.2.1/24, "2001:db8:22::1/64"] }
          behind: { address: [198.18.3.1/24, "2001:db8:23::1/64"] }
          servers: { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers }
        applications:
          fw: { attach: { in: inspection, out: inspected } }
        \(slow.replacingOccurrences(of: "SLOW", with: "slow"))
          web: { attach: servers, run: exec python3 echo.py, ready: { run: test -e "$TAPLINE_DIR/ready" }\(web) }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], ports: [udp/7], from: customers, sequence: [\(sequence)] }
        \(others)
        """
    }

    private static let ready = "\n    ready: { run: test -e \"$TAPLINE_DIR/relaying\" }"

    /// Brings a topology up, has alice send, makes the change in the midst of that, and returns what alice says and what
    /// the change printed.
    private func underTraffic(_ topology: String, _ change: (Lab) throws -> Finished) throws -> (String, String) {
        var said = ("", "")
        try Lab.with(topology, files: Self.files) { lab in
            let client = Process()
            let output = Pipe()
            client.executableURL = URL(fileURLWithPath: Product.tapline)
            client.arguments = [
                "exec", lab.name, "alice", "--", "python3", "client.py", "203.0.113.80", "2001:db8:cb::80",
            ]
            client.currentDirectoryURL = lab.folder
            client.standardOutput = output
            client.standardInput = FileHandle.nullDevice
            try client.run()
            let sending = lab.folder.appendingPathComponent("sending").path
            for _ in 0..<1_000 where !FileManager.default.fileExists(atPath: sending) { usleep(20_000) }
            let changed = try change(lab)
            #expect(changed.status == 0, "\(changed.output)")
            try "".write(to: lab.folder.appendingPathComponent("changed"), atomically: true, encoding: .utf8)
            client.waitUntilExit()
            said = (String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self), changed.output)
        }
        return said
    }

    private func applying(_ text: String, _ words: String...) -> (Lab) throws -> Finished {
        { lab in
            let file = lab.folder.appendingPathComponent("topology.yaml")
            try text.write(to: file, atomically: true, encoding: .utf8)
            return try run(Product.tapline, ["apply", lab.name] + words)
        }
    }

    @Test("a stage that is taken out gives back all that it holds", arguments: Shape.allCases)
    func disabled(shape: Shape) throws {
        let (said, summary) = try underTraffic(
            Self.topology(shape.text + Self.ready, "fw, slow, web"), applying(Self.topology("", "fw, web")))
        #expect(said.hasPrefix("missing 0 0 of "), "\(said) \(summary)")
        #expect(summary.contains("node slow is removed"))
    }

    @Test("a stage that another one takes the place of gives back all that it holds")
    func replaced() throws {
        let slow = Shape.transparent.text + Self.ready
        let after = Self.topology(slow, "fw, slow, web")
            .replacingOccurrences(of: "  slow:", with: "  other:").replacingOccurrences(of: "slow,", with: "other,")
        let (said, summary) = try underTraffic(
            Self.topology(slow, "fw, slow, web"), applying(after, "--drain", "2s"))
        #expect(said.hasPrefix("missing 0 0 of "), "\(said) \(summary)")
        #expect(summary.contains("node other is added") && summary.contains("node slow is removed"))
    }

    @Test("a stage that stays, and is passed over or stands elsewhere in the order, gives back all that it holds")
    func moved() throws {
        let slow = Shape.transparent.text + Self.ready
        let (said, summary) = try underTraffic(Self.topology(slow, "fw, slow, web")) { lab in
            let first = try applying(Self.topology(slow, "slow, fw, web"))(lab)
            #expect(first.status == 0, "\(first.output)")
            usleep(300_000)
            return try applying(Self.topology(slow, "fw, web", others: Self.other))(lab)
        }
        #expect(said.hasPrefix("missing 0 0 of "), "\(said) \(summary)")
    }

    /// Another service through the stage, so that it is still of use.
    private static let other =
        "  other: { address: 203.0.113.81, ports: [udp/7], from: customers, sequence: [fw, slow, web] }"

    @Test("an instance that is removed gives back all that it holds, with and without a time of its own")
    func instance() throws {
        let slow = Shape.routed.text + Self.ready + "\n    instances: [slow-1, slow-2, slow-3]\n    hash: ports"
        let (said, summary) = try underTraffic(Self.topology(slow, "fw, slow, web")) { lab in
            let first = try lab.tapline("remove", lab.name, "slow-3")
            #expect(first.status == 0, "\(first.output)")
            return try lab.tapline("remove", lab.name, "slow-2", "--drain", "2s")
        }
        #expect(said.hasPrefix("missing 0 0 of "), "\(said) \(summary)")
    }

    @Test("a service that is removed serves what is in its chain, and nothing new")
    func service() throws {
        let slow = Shape.transparent.text + Self.ready
        let before = Self.topology(slow, "fw, slow, web", others: Self.other)
        let after = before.split(separator: "\n").filter { !$0.contains("  shop:") }.joined(separator: "\n")
        try Lab.with(before, files: Self.files) { lab in
            let change = applying(after)
            let client = Process()
            let output = Pipe()
            client.executableURL = URL(fileURLWithPath: Product.tapline)
            client.arguments = ["exec", lab.name, "alice", "--", "python3", "client.py", "203.0.113.80"]
            client.currentDirectoryURL = lab.folder
            client.standardOutput = output
            client.standardInput = FileHandle.nullDevice
            try client.run()
            let sending = lab.folder.appendingPathComponent("sending").path
            for _ in 0..<1_000 where !FileManager.default.fileExists(atPath: sending) { usleep(20_000) }
            let changed = try change(lab)
            #expect(changed.status == 0, "\(changed.output)")
            try "".write(to: lab.folder.appendingPathComponent("changed"), atomically: true, encoding: .utf8)
            client.waitUntilExit()
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            try #require(numbers.count == 2, "\(text)")
            let (missing, sent) = (numbers[0], numbers[1])
            let drops = try #require(try lab.status()["drops"] as? [[String: Any]])
            let unserved = drops.first { $0["reason"] as? String == "no-service" }?["frames"] as? Int ?? 0
            // Each of them was answered, or never entered the chain.
            #expect(missing > 0 && missing < sent)
            #expect(missing == unserved, "\(text) and \(drops)")
        }
    }
}
