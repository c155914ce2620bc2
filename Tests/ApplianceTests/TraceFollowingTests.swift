import Foundation
import Glibc
import Testing

/// `tapline trace` behind a firewall that translates addresses, and with readers, devices and processes that fail it.
@Suite("following packets through translation and mishaps", .serialized)
struct TraceFollowingTests {
    private static let topology = """
        interfaces:
          customers: { address: 192.0.2.1/24 }
          outside:   { address: 198.18.2.1/24 }
          inside:    { address: 198.18.3.1/24 }
          servers:   { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers, address: 192.0.2.10/24 }
        applications:
          firewall:
            attach: { in: outside, out: inside }
            setup: [nft -f rules.nft]
          web:
            attach: servers
            run: exec python3 echo.py
            ready: { run: test -e "$TAPLINE_DIR/ready" }
        services:
          shop: { address: 203.0.113.80, ports: [any], sequence: [firewall, web] }

        """

    /// To an address that no node has.
    private static let rules = """
        table ip nat {
          chain post {
            type nat hook postrouting priority 100;
            ip saddr 192.0.2.0/24 snat to 198.18.3.200
          }
        }
        table ip filter {
          chain forward { type filter hook forward priority 0; udp dport 99 drop; }
        }
        """

    private static let server = """
        import os, socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("0.0.0.0", 53))
        open(os.environ["TAPLINE_DIR"] + "/ready", "w").close()
        while True:
            data, address = s.recvfrom(65535)
            s.sendto(data, address)
        """

    private func with(_ body: (ScratchTopology) throws -> Void) throws {
        let topology = try ScratchTopology(small: nil)
        defer { _ = try? CommandLineRun.run("down", topology.name) }
        try "name: \(topology.name)\n\(Self.topology)".write(toFile: topology.file, atomically: true, encoding: .utf8)
        for (name, text) in [("rules.nft", Self.rules), ("echo.py", Self.server)] {
            try text.write(to: topology.folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up)")
        try body(topology)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    private func waitForCapture(_ topology: ScratchTopology) throws {
        try CommandLineRun.eventually("the engine captures") {
            guard let pid = try topology.enginePid() else { return false }
            return try String(contentsOfFile: "/proc/\(pid)/maps", encoding: .utf8).contains("tapline-capture")
        }
    }

    /// What alice does in Python with a socket `s` for datagrams.
    private func alice(_ topology: ScratchTopology, _ script: String) throws {
        let file = topology.folder.appendingPathComponent("alice.py")
        try "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(30)\n\(script)\n"
            .write(to: file, atomically: true, encoding: .utf8)
        let ran = try CommandLineRun.run("exec", topology.name, "alice", "--", "python3", file.path)
        #expect(ran.status == 0, "\(ran)")
    }

    /// The traces of a command that runs while alice does something.
    private func traces(
        _ topology: ScratchTopology, _ words: [String], _ script: String
    ) throws -> [[String: Any]] {
        let started = try CommandLineRun.Started(
            [CommandLineRun.tapline, "trace", topology.name, "--json", "--for", "60s"] + words)
        try waitForCapture(topology)
        try alice(topology, script)
        let ended = started.finish()
        #expect(ended.status == 0, "\(ended)")
        return ended.output.split(separator: "\n").compactMap {
            (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
        }.filter { $0["end"] != nil }
    }

    private func end(_ trace: [String: Any]?) -> (kind: String, node: String, sentence: String) {
        let end = trace?["end"] as? [String: Any]
        return (end?["kind"] as? String ?? "", end?["node"] as? String ?? "", end?["sentence"] as? String ?? "")
    }

    private static let asking = """
        s.sendto(b"abcdefgh" * 500, ("203.0.113.80", 53))
        assert len(s.recvfrom(65535)[0]) == 4000
        """

    @Test("fragments are followed through address translation, there and back, and nothing is a guess")
    func fragments() throws {
        try with { topology in
            let traces = try traces(topology, ["--from", "alice", "--first", "1"], Self.asking)
            #expect(traces.count == 2, "\(traces)")
            #expect(traces.map { self.end($0).node } == ["web", "alice"], "\(traces)")
            #expect(traces.allSatisfy { self.end($0).kind == "delivered" && $0["isGuess"] as? Bool == false })
            let hops = try #require(traces.first?["hops"] as? [[String: Any]])
            #expect(hops.map { $0["frames"] as? Int } == [3, 3], "\(hops)")
            #expect((hops.last?["translated"] as? String)?.hasPrefix("198.18.3.200:") == true, "\(hops)")
        }
    }

    @Test(
        "a filter picks packets by their first frame, and they are followed whatever is changed",
        arguments: ["udp and ip[8] = 64 and src host 192.0.2.10", "src host 192.0.2.10 and udp port 53"])
    func filters(expression: String) throws {
        try with { topology in
            let traces = try traces(topology, [expression, "--first", "1"], Self.asking)
            #expect(traces.map { self.end($0).kind } == ["delivered", "delivered"], "\(traces)")
            #expect(traces.map { $0["from"] as? String } == ["alice", "web"], "\(traces)")
        }
    }

    @Test("a rule that drops a superframe explains each datagram in it")
    func superframe() throws {
        try with { topology in
            let script = """
                s.connect(("203.0.113.80", 99))
                s.setsockopt(17, 103, 100)  # UDP_SEGMENT
                s.send(b"".join(bytes([65 + i]) * 100 for i in range(8)))
                """
            let traces = try traces(topology, ["--from", "alice", "--first", "8", "--explain"], script)
            #expect(traces.count == 8)
            #expect(traces.allSatisfy { self.end($0).kind == "filtered" }, "\(traces)")
            #expect(traces.allSatisfy { self.end($0).sentence.contains("udp dport 99 drop") })
        }
    }

    @Test("what a node sends under a false address, and what no one can read, came from that node")
    func falseAddresses() throws {
        try with { topology in
            let script = """
                import struct
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                device = [n for _, n in socket.if_nameindex() if n != "lo"][0]
                s.bind((device, 0))
                own = bytes.fromhex(open(f"/sys/class/net/{device}/address").read().strip().replace(":", ""))
                head = bytes.fromhex("4500001c000100004011") + b"\\0\\0"
                head += socket.inet_aton("9.9.9.9") + socket.inet_aton("203.0.113.80")
                total = sum(struct.unpack("!10H", head))
                total = (total & 0xFFFF) + (total >> 16)
                head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
                packet = b"\\x08\\0" + head + struct.pack("!HHHH", 1, 53, 8, 0)
                s.send(b"\\xff" * 6 + own + packet)
                s.send(b"\\xff" * 6 + b"\\2\\0\\0\\0\\x0b\\xad" + packet)
                s.send(b"\\xff" * 6 + own + b"\\x88\\xcc" + b"x" * 50)
                """
            let traces = try traces(topology, ["--from", "alice", "--first", "3"], script)
            #expect(traces.count == 3, "\(traces)")
            let reasons = traces.map { ($0["end"] as? [String: Any])?["reason"] as? String ?? "" }
            #expect(reasons.sorted() == ["spoofed-source", "spoofed-source", "unsupported-ethertype"], "\(traces)")
            #expect(traces.compactMap { $0["device"] as? String } == ["alice"])
        }
    }

    @Test("a packet that is sent tells why it goes nowhere: a device that is down, a rule of the sender, a wrong name")
    func sending() throws {
        try with { topology in
            func send(_ words: String) throws -> RunResult {
                try CommandLineRun.shell(
                    "timeout 60 \(CommandLineRun.tapline) trace \(topology.name) --send \(words) 2>&1")
            }
            func exec(_ node: String, _ script: String) throws {
                let ran = try CommandLineRun.run("exec", topology.name, node, "--", "sh", "-c", script)
                #expect(ran.status == 0, "\(ran)")
            }
            let nobody = try send("nobody 203.0.113.80 udp/53")
            #expect(nobody.status == 64 && nobody.output.contains("--send nobody: the topology has no such node"))
            try exec(
                "alice",
                "nft 'add table ip f; add chain ip f out { type filter hook output priority 0; }; add rule ip f out udp dport 54 drop'"
            )
            let own = try send("alice 203.0.113.80 udp/54 --explain")
            #expect(
                own.status == 2 && own.output.contains("alice dropped it: table ip f, chain out, handle")
                    && own.output.contains("udp dport 54 drop"), "\(own)")
            let unexplained = try send("alice 203.0.113.80 udp/54")
            #expect(unexplained.status == 2 && unexplained.output.contains("--explain"), "\(unexplained)")
            try exec("web", "ip link set dev $(ls /sys/class/net | grep -v '^lo$' | head -n 1) down")
            let down = try send("alice 203.0.113.80 udp/53")
            #expect(down.output.contains("dropped, interface-gone: "), "\(down)")
            #expect(!down.output.contains("a guess"))
        }
    }

    @Test("a reader that stalls holds up neither --for nor Ctrl-C, and one that goes ends the trace")
    func readers() throws {
        try with { topology in
            let (tapline, name) = (CommandLineRun.tapline, topology.name)
            let pipe = topology.folder.appendingPathComponent("pipe").path
            #expect(mkfifo(pipe, 0o600) == 0)
            for words in ["--for 5s", ""] {
                // The pipe stays open at this end, and nobody reads.
                let started = try CommandLineRun.Started([
                    "/bin/bash", "-c", "exec 7<>'\(pipe)'; exec \(tapline) trace \(name) --json \(words) >&7",
                ])
                try waitForCapture(topology)
                let ping = try CommandLineRun.run(
                    "exec", name, "alice", "--", "ping", "-q", "-f", "-c", "1000", "203.0.113.80")
                #expect(ping.status == 0)
                if words.isEmpty { started.signal(SIGINT) }
                let ended = started.finish()
                #expect(ended.status == 2 && ended.errors.contains("standard output is not read"), "\(words): \(ended)")
            }
            let gone = try CommandLineRun.Started([
                "/bin/bash", "-o", "pipefail", "-c", "\(tapline) trace \(name) --json | head -n 1",
            ])
            try waitForCapture(topology)
            for _ in 0..<2 {
                _ = try CommandLineRun.run("exec", name, "alice", "--", "ping", "-q", "-c", "1", "203.0.113.80")
            }
            let ended = gone.finish()
            #expect(ended.status == 0 && ended.output.hasPrefix("{"), "\(ended)")
        }
    }

    @Test("lines are whole in a pipe, and fit COLUMNS; a picture that cannot be written is refused at once")
    func output() throws {
        try with { topology in
            func sent(_ variables: String, _ words: String = "") throws -> RunResult {
                try CommandLineRun.shell(
                    "\(variables) timeout 30 \(CommandLineRun.tapline) trace \(topology.name) \(words) "
                        + "--send alice 203.0.113.80 udp/53 2>&1 | cat")
            }
            let whole = try sent("env -u COLUMNS").output.split(separator: "\n")
            #expect(whole.contains { $0.count > 80 && $0.hasSuffix(" → 203.0.113.80:53") }, "\(whole)")
            let narrow = try sent("COLUMNS=72").output.split(separator: "\n")
            #expect(narrow.allSatisfy { $0.count <= 72 }, "\(narrow)")
            let refused = try CommandLineRun.run("trace", topology.name, "--svg", "/nowhere/x.svg")
            #expect(refused.status == 64 && refused.errors.contains("/nowhere/x.svg cannot be written"), "\(refused)")
        }
    }

    @Test("a control process that is killed is told as that, by traces, captures and records")
    func killed() throws {
        try with { topology in
            let tapline = CommandLineRun.tapline
            let file = topology.folder.appendingPathComponent("x.pcapng").path
            let commands = [
                [tapline, "trace", topology.name], [tapline, "capture", topology.name, "-w", file],
                [tapline, "record", topology.name],
            ].map { try? CommandLineRun.Started($0) }.compactMap { $0 }
            try waitForCapture(topology)
            try CommandLineRun.eventually("all observe") {
                let sockets = try CommandLineRun.shell(
                    "ss -xH state connected | grep -c '/run/tapline/\(topology.name)/control.sock'"
                ).output
                return Int(sockets.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0 >= 3
            }
            let status = try CommandLineRun.json("status", topology.name, "--json")
            kill(try #require((status["pid"] as? Int).map(Int32.init)), SIGKILL)
            for command in commands {
                let ended = command.finish()
                #expect(ended.status == 2, "\(ended)")
                // A command that was about to ask for more hears it in other words.
                #expect(
                    ["it was killed", "is gone; 'tapline down"].contains(where: ended.errors.contains)
                        && !ended.errors.contains("taken away;"), "\(ended)")
            }
        }
    }

    @Test("a trace with a filter that falls behind has engines copy what the filter matches, says so, and goes on")
    func fallsBehind() throws {
        try with { topology in
            let started = try CommandLineRun.Started([
                CommandLineRun.tapline, "trace", topology.name, "udp", "port", "7",
            ])
            try waitForCapture(topology)
            // The firewall drops those: more of them than a ring holds, faster than anybody reads.
            try alice(
                topology,
                """
                import time
                for port, count, pause in ((99, 300000, 0), (7, 50, 0.1)):
                    s.connect(("203.0.113.80", port))
                    for _ in range(count):
                        try: s.send(b"x" * 100)
                        except OSError: pass
                        if pause: time.sleep(pause)
                """)
            try CommandLineRun.eventually("it tells of those that are let through") {
                started.text().contains("203.0.113.80:7")
            }
            started.signal(SIGINT)
            let ended = started.finish()
            #expect(ended.status == 0, "\(ended)")
            #expect(ended.errors.contains("the topology is too busy to follow every packet"), "\(ended.errors)")
            #expect(ended.output.contains("203.0.113.80:7"), "\(ended.output.suffix(2_000))")
            #expect(!ended.output.contains("203.0.113.80:99"))
        }
    }
}
