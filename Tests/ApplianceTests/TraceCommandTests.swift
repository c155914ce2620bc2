import Foundation
import Testing

/// `tapline trace` and `tapline capture`, on topologies that run and with real traffic.
@Suite("traces and captures of a running topology", .serialized)
struct TraceCommandTests {
    /// A chain of a firewall and a web server that is up while `body` runs.
    private func withChain(_ body: (ScratchTopology) throws -> Void) throws {
        let topology = try ScratchTopology()
        defer { _ = try? CommandLineRun.run("down", topology.name) }
        try #require(try CommandLineRun.run("up", topology.file, "-d").status == 0)
        try body(topology)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    /// What a command printed while `command` ran in a node of the topology, a while after the command began.
    private func meanwhile(
        _ words: String, _ topology: ScratchTopology, _ command: String, from node: String = "alice"
    ) throws -> RunResult {
        let tapline = CommandLineRun.tapline
        return try CommandLineRun.shell(
            "(\(try Self.wait(topology)); \(tapline) exec \(topology.name) \(node) -- \(command) >/dev/null 2>&1) & "
                + "\(tapline) \(words.replacingOccurrences(of: "NAME", with: topology.name)) 2>&1; status=$?; wait; exit $status"
        )
    }

    /// A command of the shell that waits until the engine captures for somebody.
    private static func wait(_ topology: ScratchTopology) throws -> String {
        let engine = try #require(try topology.enginePid())
        return "for i in $(seq 1200); do grep -q tapline-capture /proc/\(engine)/maps && break; sleep 0.05; done"
    }

    /// The lines of JSON.
    private func objects(_ output: String) -> [[String: Any]] {
        output.split(separator: "\n").compactMap {
            (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
        }
    }

    @Test("each packet is told hop by hop, with the time in the application, and so is its answer")
    func hops() throws {
        try withChain { topology in
            let ran = try meanwhile(
                "trace NAME icmp --from alice --first 3 --for 60s --json", topology,
                "ping -n -c 3 -i 0.05 203.0.113.80")
            let lines = objects(ran.output)
            #expect(ran.status == 0 && lines.count == 7, "\(ran)")
            let requests = lines.filter { $0["from"] as? String == "alice" }
            #expect(requests.count == 3)
            for request in requests {
                let hops = try #require(request["hops"] as? [[String: Any]])
                let entries = hops.map { $0["entry"] as? String }
                try #require(entries == ["shop.request.customers", "shop.request.firewall"])
                #expect(hops.map { $0["from"] as? String } == ["alice", "firewall"])
                #expect(hops[0]["inside"] == nil && hops[1]["inside"] as? Int ?? 0 > 0)
                #expect((request["end"] as? [String: Any])?["kind"] as? String == "delivered")
            }
            let answers = lines.filter { $0["from"] as? String == "web" }
            #expect(answers.count == 3 && answers.allSatisfy { ($0["answers"] as? [String: Any])?["trace"] != nil })
            let paths = try #require(lines.last?["paths"] as? [[String: Any]])
            #expect(paths.count == 2 && paths.allSatisfy { $0["count"] as? Int == 3 }, "\(paths)")
        }
    }

    @Test("a packet is sent and followed with its answer")
    func send() throws {
        try withChain { topology in
            func sent(_ words: String) throws -> [[String: Any]] {
                let ran = try CommandLineRun.shell(
                    "timeout 60 \(CommandLineRun.tapline) trace \(topology.name) --json --send \(words) 2>&1")
                #expect(ran.status == 0, "\(ran)")
                return objects(ran.output)
            }
            let reset = try sent("alice 203.0.113.80 tcp/80")
            #expect(reset.count >= 3 && reset[0]["from"] as? String == "alice" && reset[1]["from"] as? String == "web")
            let echo = try sent("bob 203.0.113.80 icmp")
            #expect(echo.first?["from"] as? String == "bob" && echo.count == 3, "\(echo)")
            let dropped = try sent("alice 203.0.113.80 udp/9")
            #expect((dropped.first?["end"] as? [String: Any])?["kind"] as? String == "dropped", "\(dropped)")
            for (words, text) in [
                ("carol 203.0.113.80 icmp", "alice"), ("alice nowhere icmp", "is no IPv4 or IPv6 address"),
                ("alice 203.0.113.80 tcp", "tcp/80"), ("alice 203.0.113.80", "NODE ADDRESS PORT"),
            ] {
                let ran = try CommandLineRun.shell(
                    "timeout 60 \(CommandLineRun.tapline) trace \(topology.name) --send \(words) 2>&1")
                #expect(ran.status == 64 && ran.output.contains(text), "\(words): \(ran)")
            }
        }
    }

    @Test("packets that an application swallows, and that the engine drops, are told with where they ended")
    func ends() throws {
        try withChain { topology in
            let block =
                "nft add table inet t; nft add chain inet t f '{ type filter hook forward priority 0; policy drop; }'"
            #expect(
                try CommandLineRun.shell(
                    "\(CommandLineRun.tapline) exec \(topology.name) firewall -- sh -c \"\(block)\""
                ).status == 0)
            let swallowed = try meanwhile(
                "trace NAME --dropped --via firewall --first 1 --for 60s", topology, "ping -n -c 1 -W 1 203.0.113.80")
            #expect(
                swallowed.status == 0 && swallowed.output.contains("did not come out"), "\(swallowed)")
            let dropped = try meanwhile(
                "trace NAME udp --dropped --first 1 --for 60s --json", topology,
                "bash -c 'echo x > /dev/udp/203.0.113.80/9'")
            let end = objects(dropped.output).first?["end"] as? [String: Any]
            #expect(end?["kind"] as? String == "dropped" && end?["reason"] is String, "\(dropped)")
        }
    }

    @Test("recorded paths are checks that hold, and that fail once the path is another one")
    func record() throws {
        try withChain { topology in
            let file = topology.folder.appendingPathComponent("recorded.yaml").path
            let recorded = try meanwhile(
                "record NAME --for 6s -o \(file)", topology,
                "bash -c 'ping -n -c 2 -i 0.05 203.0.113.80; curl -m 1 http://203.0.113.80/; echo x > /dev/udp/203.0.113.80/9'"
            )
            #expect(recorded.status == 0 && recorded.output.contains("into \(file)"), "\(recorded)")
            let text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(
                text.contains("port: icmp }\n    reaches: [firewall, web]\n    answer: [firewall, alice]"), "\(text)")
            #expect(
                text.contains("port: tcp/80 }\n    reaches: [firewall, web]\n    answer: [firewall, alice]"), "\(text)")
            let own = try String(contentsOfFile: topology.file, encoding: .utf8)
            try (own + "\ninclude: [recorded.yaml]\n").write(toFile: topology.file, atomically: true, encoding: .utf8)
            let validated = try CommandLineRun.run("validate", topology.file)
            #expect(validated.status == 0, "\(validated)")
            let held = try CommandLineRun.run("test", topology.file)
            #expect(held.status == 0 && held.output.contains("takes its recorded path"), "\(held)")
            // Without the firewall, the same packets take another path.
            try
                (own.replacingOccurrences(of: "distribute: [firewall]", with: "")
                .replacingOccurrences(of: "sequence: [firewall, web]", with: "sequence: [web]")
                + "\ninclude: [recorded.yaml]\n").write(toFile: topology.file, atomically: true, encoding: .utf8)
            let failed = try CommandLineRun.run("test", topology.file)
            #expect(
                failed.status == 1 && failed.output.contains("expected that the packet reaches firewall"), "\(failed)")
            try own.write(toFile: topology.file, atomically: true, encoding: .utf8)
            let none = try CommandLineRun.run("record", topology.name, "--for", "100ms", "-o", file)
            #expect(none.status == 2 && none.errors.contains("no packet came whose path a check can prove"), "\(none)")
            // The file of before is as it was.
            #expect(try String(contentsOfFile: file, encoding: .utf8) == text)
        }
    }

    @Test("what is wrong is said before anything is followed or written")
    func refusals() throws {
        try withChain { topology in
            let name = topology.name
            func refused(_ words: [String], _ status: Int32, _ text: String) throws {
                let ran = try CommandLineRun.shell(
                    ([CommandLineRun.tapline] + words.map { "'\($0)'" }).joined(separator: " ") + " 2>&1")
                #expect(ran.status == status && ran.output.contains(text), "\(words): \(ran)")
            }
            let file = topology.folder.appendingPathComponent("x.pcapng").path
            for command in [["trace", name], ["capture", name, "-w", file]] {
                try refused(command + ["tcp prot 80"], 64, "the filter does not compile")
                try refused(command + ["port http or or"], 64, "the filter does not compile")
                try refused(command + ["--for", "soon"], 64, "--for")
            }
            try refused(["trace", name, "--from", "carol"], 64, "alice, bob, firewall, web")
            try refused(["trace", name, "firewall"], 64, "'firewall' is a node: select by it with --from or --via")
            try refused(["trace", name, "--service", "shops"], 64, "it has shop")
            try refused(["trace", name, "--sample", "64"], 64, "1/64")
            try refused(["capture", name, "-w", file, "--interface", "server"], 5, "customers, inspection")
            try refused(
                ["capture", name, "firewal", "-w", file], 5, "there is no node 'firewal', so it was read as a filter")
            try refused(["capture", name, "firewal", "tcp port 80", "-w", file], 5, "did you mean \"firewall\"?")
            try refused(["capture", name, "-w", "/nowhere/x.pcapng"], 2, "/nowhere/x.pcapng")
            try refused(["capture", name, "-w", file, "--ring", "1×1"], 64, "--ring 100M")
            try refused(["trace", "nosuchtopology"], 5, "there is no topology 'nosuchtopology'")
            #expect(!FileManager.default.fileExists(atPath: file))
            let alive = try topology.echo()
            #expect(alive)
        }
    }

    @Test("a capture has a packet at every hop under one number, and tshark and tcpdump read it")
    func capture() throws {
        try withChain { topology in
            let file = topology.folder.appendingPathComponent("chain.pcapng").path
            let ran = try meanwhile(
                "capture NAME icmp -w \(file) --count 16 --for 60s", topology,
                "ping -n -c 2 -i 0.05 203.0.113.80")
            #expect(ran.status == 0 && ran.output.contains("captured 16 packets into \(file)"), "\(ran)")
            let fields = [
                "frame.packet_id", "frame.interface_name", "icmp.type", "icmp.seq", "ip.dst_host", "frame.comment",
            ].map { "-e \($0)" }.joined(separator: " ")
            let read = try CommandLineRun.shell("tshark -r \(file) -N n -T fields \(fields) 2>/dev/null").output
            let rows = read.split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
            try #require(rows.count == 16 && rows.allSatisfy { $0.count >= 6 }, "\(read)")
            let first = rows.filter { $0[0] == "1" }
            #expect(
                first.map { $0[1] } == [
                    "alice on customers", "firewall on inspection", "firewall on inspected", "web on servers",
                ], "\(read)")
            #expect(first.allSatisfy { $0[2] == "8" && $0[4] == "shop" })
            #expect(Set(rows.map { "\($0[2]) \($0[3]) \($0[0])" }).count == 4)
            try #require(first.count == 4, "\(read)")
            #expect(first[0][5] == "service: shop\\n,entry: shop.request.customers\\n")
            #expect(first[2][5].contains("entry: shop.request.firewall\\n,") && first[2][5].contains(" in firewall"))
            let count = try CommandLineRun.shell("tcpdump -nr \(file) 2>/dev/null | wc -l").output
            #expect(count.contains("16"), "\(count)")
        }
    }

    /// Sends frames that the engine drops before it asks the table: from a device, in this order.
    private static let hostile = """
        import socket, struct, sys
        def sum16(data):
            total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
            while total >> 16:
                total = (total & 0xffff) + (total >> 16)
            return ~total & 0xffff
        def ip(source, ttl=64, length=28, error=0):
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 7, 0, ttl, 17, 0,
                               socket.inet_aton(source), socket.inet_aton("203.0.113.80"))
            head = head[:10] + struct.pack("!H", sum16(head) ^ error) + head[12:]
            return b"\\x08\\x00" + head + struct.pack("!HHHH", 4000, 80, 8, 0)
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        link.bind((sys.argv[1], 0))
        ends = b"\\xff" * 6 + link.getsockname()[4]
        own = sys.argv[2]
        for packet in (ip(own, error=1), ip(own, ttl=0), ip(own, length=600), b"\\x88\\xccx", ip("192.0.2.99")):
            link.send(ends + packet)
        """

    @Test("what the engine drops before it asks the table is captured with its reason, as status counts it")
    func dropped() throws {
        try withChain { topology in
            let file = topology.folder.appendingPathComponent("dropped.pcapng").path
            let script = topology.folder.appendingPathComponent("hostile.py").path
            try Self.hostile.write(toFile: script, atomically: true, encoding: .utf8)
            let status = try CommandLineRun.json("status", topology.name, "--json")
            let nodes = try #require(status["nodes"] as? [[String: Any]])
            let legs = try #require(nodes.first { $0["name"] as? String == "alice" }?["legs"] as? [[String: Any]])
            let address = try #require((legs.first?["addresses"] as? [String])?.first).split(separator: "/")[0]
            let ran = try meanwhile(
                "capture NAME --dropped 'ether broadcast and not arp' -w \(file) --count 5 --for 60s", topology,
                "python3 \(script) customers \(address)")
            #expect(ran.status == 0 && ran.output.contains("captured 5 packets"), "\(ran)")
            let read = try CommandLineRun.shell(
                "tshark -r \(file) -T fields -e frame.interface_name -e frame.comment 2>/dev/null")
            let rows = read.output.split(separator: "\n").map { $0.split(separator: "\t").map(String.init) }
            let reasons = [
                "bad-header-checksum", "bad-network-header", "lying-length", "unsupported-ethertype", "spoofed-source",
            ]
            #expect(rows.count == reasons.count, "\(read)")
            for (row, reason) in zip(rows, reasons) {
                try #require(row.count >= 2, "\(row)")
                // Nothing else is said: no entry took it.
                #expect(row[0] == "alice on customers" && row[1].hasPrefix("dropped: \(reason): "), "\(row)")
                #expect(!row[1].contains("service:") && !row[1].contains("entry:"), "\(row)")
            }
            let drops = try #require(
                try CommandLineRun.json("status", topology.name, "--json")["drops"] as? [[String: Any]])
            let counted = Set(drops.compactMap { $0["reason"] as? String })
            #expect(counted.isSuperset(of: reasons), "\(counted)")
        }
    }

    @Test("a capture into a pipe is read live, one node alone is captured, and a topology that goes away ends it")
    func live() throws {
        try withChain { topology in
            let name = topology.name
            let ran = try CommandLineRun.shell(
                "(\(try Self.wait(topology)); \(CommandLineRun.tapline) exec \(name) alice -- ping -n -c 3 -i 0.05 203.0.113.80 >/dev/null) & "
                    + "timeout 60 \(CommandLineRun.tapline) capture \(name) web icmp -w - 2>/dev/null"
                    + " | tshark -i - -c 6 -T fields -e frame.interface_name 2>/dev/null; wait")
            let rows = ran.output.split(separator: "\n")
            #expect(rows.count == 6 && rows.allSatisfy { $0 == "web on servers" }, "\(ran)")
            let file = topology.folder.appendingPathComponent("end.pcapng").path
            let ended = try CommandLineRun.shell(
                "(\(try Self.wait(topology)); \(CommandLineRun.tapline) down \(name) >/dev/null) & "
                    + "timeout 60 \(CommandLineRun.tapline) capture \(name) -w \(file) 2>&1; status=$?; wait; exit $status"
            )
            #expect(ended.status == 5 && ended.output.contains("was taken away"), "\(ended)")
            #expect(try CommandLineRun.shell("tshark -r \(file) >/dev/null 2>&1").status == 0)
            try #require(try CommandLineRun.run("up", topology.file, "-d").status == 0)
        }
    }
}
