import Foundation
import Seeds
import Testing

/// Interfaces, legs and engines come and go while the topology is up. What stays loses no packet of its own.
@Suite(.serialized, .enabled(if: getuid() == 0, "these tests make namespaces, which takes root"))
struct InterfaceApplyTests {
    /// The chain of `FlowOrderTests` with more beside it.
    private static func topology(
        _ engine: String = "engines: { count: 1 }", interfaces: String = "", customers: String = "",
        applications: String = "", services: String = ""
    ) -> String {
        let text = FlowOrderTests.topology("").replacing("engine: {  }", with: engine)
        return
            text
            .replacing("customers:\n", with: "\(interfaces.isEmpty ? "" : "  \(interfaces)\n")customers:\n")
            .replacing("applications:\n", with: "\(customers.isEmpty ? "" : "  \(customers)\n")applications:\n")
            .replacing("services:\n", with: "\(applications.isEmpty ? "" : "  \(applications)\n")services:\n")
            + (services.isEmpty ? "" : "\n  \(services)\n")
    }

    /// A customer and a server on interfaces of their own, and a service between them.
    private static func added(_ name: String, _ number: Int) -> String {
        topology(
            interfaces: "\(name): { address: [192.0.3.1/24] }\n  \(name)-servers: { address: [198.18.5.1/24] }",
            customers: "carol: { interface: \(name), address: [192.0.3.10/24] }",
            applications: "extra: { attach: \(name)-servers, run: exec python3 -m http.server 80, ready: { tcp: 80 } }",
            services: "more: { address: 203.0.113.\(number), ports: [tcp/80], from: \(name), sequence: [extra] }")
    }

    /// Sends from 64 sockets until `stop` is there, and goes on after 256 datagrams when the server has them.
    private static let source = """
        import os, random, socket, struct, sys, time
        random.seed(int(sys.argv[1]))
        flows = []
        for address in ('203.0.113.80', '2001:db8:cb::80'):
            for _ in range(32):
                flow = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
                flow.connect((address, 7))
                flows.append(flow)
        question = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        question.connect(('203.0.113.80', 7))
        question.settimeout(20)
        numbers, total, answer, rounds = [0] * 64, 0, '', 0
        while not os.path.exists('stop') or rounds < 2:
            width, sent = random.choice([1, 1, 2, 4, 16]), 0 if rounds else 256
            rounds += 1
            while sent < 256:
                for index, flow in enumerate(flows):
                    for _ in range(width if sent < 256 else 0):
                        flow.send(struct.pack('>I', numbers[index]) + bytes(14))
                        numbers[index] += 1
                        sent += 1
                        total += 1
            for _ in range(2000):
                question.send(b'how many?')
                answer = question.recv(64).decode()
                if int(answer.split()[0]) >= total: break
                time.sleep(0.01)
            else:
                break
        print(total, answer)
        """

    private static let files = ["sink.py": FlowOrderTests.sink, "source.py": source]

    /// Sends numbered datagrams through the chain while `body` runs: each arrives, and arrives once.
    ///
    /// - Parameter keepsOrder: Whether those of one flow must arrive in their order.
    private func beside(_ lab: Lab, keepsOrder: Bool = true, _ body: () throws -> Void) throws {
        let seed = Seed.drawn(in: 1...1_000_000)
        let stop = lab.folder.appendingPathComponent("stop")
        let sent = try TwoEnginesTests.beside(lab, ["python3", "source.py", "\(seed)"]) { () throws in
            defer { _ = FileManager.default.createFile(atPath: stop.path, contents: nil) }
            try body()
        }
        let numbers = sent.output.split { $0 == " " || $0 == "\n" }.compactMap { Int($0) }
        guard numbers.count == 4 else {
            Issue.record("seed \(seed): \(sent.output)")
            return
        }
        #expect(numbers[0] > 256 && numbers[1] == numbers[0], "seed \(seed): sent and came: \(numbers)")
        #expect(numbers[2] == 0, "seed \(seed): twice")
        // What the kernel has in one processor's backlog, it may deliver after what the successor writes on another.
        if keepsOrder { #expect(numbers[3] <= numbers[0] / 1_000, "seed \(seed): behind a later one: \(numbers)") }
    }

    private func apply(_ lab: Lab, _ text: String, _ words: String...) throws -> Finished {
        let file = lab.folder.appendingPathComponent("topology.yaml")
        try text.write(to: file, atomically: true, encoding: .utf8)
        return try run(Product.tapline, ["apply", lab.name] + words)
    }

    private func interfaces(_ lab: Lab) throws -> [String] {
        try #require(try lab.status()["interfaces"] as? [[String: Any]]).compactMap { $0["name"] as? String }
    }

    /// The devices of the fabric, and the descriptors of the control process.
    private func remains(_ lab: Lab) throws -> (devices: Int, descriptors: Int) {
        let links = try run("/usr/bin/env", ["ip", "-n", "\(lab.name)-fabric", "-o", "link"])
        let pid = try #require(try lab.status()["pid"] as? Int)
        let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
        return (links.output.split(separator: "\n").count, descriptors)
    }

    private static let fetch = "python3 -c \"import urllib.request as u; u.urlopen('http://203.0.113.81', timeout=20)\""

    @Test("interfaces with their nodes come and go 20 times, and no datagram of the others is lost or twice")
    func comeAndGo() throws {
        try Lab.with(Self.topology(), files: Self.files) { lab in
            // Its interfaces have bridges from now on.
            #expect(try apply(lab, Self.added("lan", 81), "--drain", "0s").status == 0)
            #expect(try apply(lab, Self.topology(), "--drain", "0s").status == 0)
            let before = try remains(lab)
            var applied = 0
            try beside(lab) { () throws in
                for round in 1...10 {
                    let trial = try apply(lab, Self.added("lan", 81), "--dry-run")
                    #expect(trial.output.contains("interface lan is added"), "\(trial.output)")
                    let added = try apply(lab, Self.added("lan", 81))
                    #expect(added.status == 0, "\(added.output)")
                    #expect(try lab.exec("carol", Self.fetch).status == 0, "round \(round)")
                    #expect(try interfaces(lab).contains("lan"))
                    let removed = try apply(lab, Self.topology(), "--drain", "0s")
                    #expect(removed.status == 0, "\(removed.output)")
                    #expect(removed.output.contains("interface lan is removed"), "\(removed.output)")
                    #expect(try interfaces(lab) == ["outside", "middle", "behind", "inside"])
                    applied += 2
                }
            }
            #expect(applied == 20)
            let after = try remains(lab)
            #expect(after.devices == before.devices)
            #expect(after.descriptors <= before.descriptors + 4, "\(before) \(after)")
            #expect((try lab.status()["problems"] as? [String]) == [])
        }
    }

    @Test("an interface with another name takes the place of one, and its counters begin at 0; the others' go on")
    func renamed() throws {
        try Lab.with(Self.added("lan", 81), files: Self.files) { lab in
            #expect(try lab.exec("carol", Self.fetch).status == 0)
            let counted = try counts(lab)
            #expect((counted["lan"] ?? 0) > 0)
            let renamed = try apply(lab, Self.added("office", 81), "--drain", "0s")
            #expect(renamed.status == 0, "\(renamed.output)")
            #expect(renamed.output.contains("interface office is added"), "\(renamed.output)")
            #expect(renamed.output.contains("interface lan is removed"), "\(renamed.output)")
            #expect(try lab.exec("carol", Self.fetch).status == 0)
            let now = try counts(lab)
            #expect(now["lan"] == nil && (now["office"] ?? 0) > 0)
            #expect((now["outside"] ?? 0) >= (counted["outside"] ?? 0))
            // The place of `lan` is free: the next new interface gets it, and nothing of what was counted there.
            let third = Self.added("office", 81).replacing(
                "customers:\n", with: "  third: { address: [192.0.4.1/24] }\ncustomers:\n")
            #expect(try apply(lab, third).status == 0)
            #expect(try counts(lab)["third"] == 0)
            #expect(try lab.exec("carol", Self.fetch).status == 0)
            #expect((try lab.status()["problems"] as? [String]) == [])
        }
    }

    private func counts(_ lab: Lab) throws -> [String: Int] {
        let interfaces = try #require(try lab.status()["interfaces"] as? [[String: Any]])
        return Dictionary(
            interfaces.compactMap { interface in
                (interface["name"] as? String).map { ($0, interface["receivedPackets"] as? Int ?? -1) }
            }
        ) { first, _ in first }
    }

    @Test(
        "engines and workers come and go, and no datagram is lost or twice",
        arguments: [
            ["engines: { count: 2 }", "engines: { count: 1 }", "engines: { count: 3 }"],
            ["engine: { workers: 2 }", "engine: { workers: 1 }"],
            ["engine: { io: write }", "engine: { latency: low }"],
        ])
    func engines(kinds: [String]) throws {
        // More queues move flows from one to another: only then they may overtake one another.
        try Lab.with(Self.topology(), files: Self.files) { lab in
            try beside(lab, keepsOrder: kinds[0].contains("io")) { () throws in
                for _ in 1...5 {
                    for kind in kinds {
                        let changed = try apply(lab, Self.topology(kind))
                        #expect(changed.status == 0, "\(kind): \(changed.output)")
                        let engines = try #require(try lab.status()["engines"] as? [[String: Any]])
                        let count = kind.contains("count: 2") ? 2 : kind.contains("count: 3") ? 3 : 1
                        #expect(engines.count == count)
                    }
                }
            }
        }
    }

    @Test("a node gets a further leg and loses it while it runs, and what it forwards goes on")
    func legs() throws {
        let extra = "log: { address: [192.0.3.1/24] }"
        let three = Self.topology(interfaces: extra).replacing(
            "{ in: middle, out: behind }", with: "{ in: middle, out: behind, log: log }")
        try Lab.with(Self.topology(interfaces: extra), files: Self.files) { lab in
            let namespace = try lab.exec("firewall", "readlink /proc/self/ns/net").output
            try beside(lab) { () throws in
                for _ in 1...5 {
                    let more = try apply(lab, three)
                    #expect(more.status == 0, "\(more.output)")
                    #expect(more.output.contains("its legs (log is added)"), "\(more.output)")
                    #expect(try lab.exec("firewall", "ip -o link show log").status == 0)
                    #expect(try lab.exec("firewall", "ping -c 1 -W 200 192.0.3.1").status == 0)
                    let less = try apply(lab, Self.topology(interfaces: extra))
                    #expect(less.output.contains("its legs (log is removed)"), "\(less.output)")
                    #expect(try lab.exec("firewall", "ip -o link show log").status != 0)
                }
            }
            #expect(try lab.exec("firewall", "readlink /proc/self/ns/net").output == namespace)
        }
    }

    @Test("an interface changes its MTU while another one of its nodes goes")
    func reshapeBesideRemoval() throws {
        func text(_ mtu: Int, _ second: Bool) -> String {
            """
            name: reshaping
            interfaces:
              customers: { address: 192.0.2.1/24, mtu: \(mtu) }
              servers: { address: 198.18.4.1/24 }
            \(second ? "  aside: { address: 198.18.5.1/24 }" : "")
            customers: { alice: { interface: customers }, bob: { interface: customers } }
            applications:
              fw: { attach: { in: customers, \(second ? "aside: aside" : "out: servers") } }
              web: { attach: servers }
            services: { shop: { address: 203.0.113.81, sequence: [web] } }
            """
        }
        try Lab.with(text(1500, true)) { lab in
            for (mtu, second) in [(1400, false), (1300, true), (1500, false)] {
                let applied = try apply(lab, text(mtu, second))
                #expect(applied.status == 0, "\(applied.output)")
                for node in ["alice", "fw"] {
                    let link = try lab.exec(node, "cat /sys/class/net/customers/mtu")
                    #expect(link.output == "\(mtu)\n", "\(node): \(link.output)")
                }
                #expect(try lab.exec("bob", "ping -c 1 -W 20 203.0.113.81").status == 0)
            }
        }
    }

    @Test("a change that fails leaves no interface behind, and engines as they were")
    func failure() throws {
        try Lab.with(Self.topology(), files: Self.files) { lab in
            #expect(try apply(lab, Self.added("lan", 81), "--drain", "0s").status == 0)
            #expect(try apply(lab, Self.topology(), "--drain", "0s").status == 0)
            let before = try remains(lab)
            for _ in 1...3 {
                let broken = Self.added("lan", 81).replacing("-m http.server 80", with: "-c 'raise SystemExit(3)'")
                let failed = try apply(lab, broken)
                #expect(failed.status != 0)
                #expect(failed.output.contains("the former state is restored"), "\(failed.output)")
                #expect(try interfaces(lab) == ["outside", "middle", "behind", "inside"])
            }
            let after = try remains(lab)
            #expect(after.devices == before.devices)
            #expect(after.descriptors <= before.descriptors + 4, "\(before) \(after)")
            #expect((try lab.status()["problems"] as? [String]) == [])
            #expect(try apply(lab, Self.added("lan", 81)).status == 0)
            #expect(try lab.exec("carol", Self.fetch).status == 0)
        }
    }

    @Test(
        "whenever the control process is killed during such a change, nothing of it is left",
        arguments: [10, 90, 170, 300])
    func killed(pause: UInt32) throws {
        try Lab.with(Self.topology(), files: Self.files) { lab in
            let control = try #require(try lab.status()["pid"] as? Int)
            let file = lab.folder.appendingPathComponent("topology.yaml")
            try Self.added("lan", 81).write(to: file, atomically: true, encoding: .utf8)
            let apply = Process()
            apply.executableURL = URL(fileURLWithPath: Product.tapline)
            apply.arguments = ["apply", lab.name]
            (apply.standardOutput, apply.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
            try apply.run()
            usleep(pause * 1_000)
            kill(pid_t(control), SIGKILL)
            apply.waitUntilExit()
            let down = try lab.tapline("down", lab.name)
            #expect(down.status == 0, "\(down.output)")
            let left = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
            #expect(!left.contains { $0.hasPrefix(lab.name) }, "\(left)")
            let again = try lab.tapline("up", file.path, "--name", lab.name, "-d")
            #expect(again.status == 0, "\(again.output)")
            #expect(try lab.exec("carol", Self.fetch).status == 0)
        }
    }

    @Test("a capture of all interfaces goes on, and has what comes on new ones")
    func captured() throws {
        try Lab.with(Self.topology(), files: Self.files) { lab in
            let path = lab.folder.appendingPathComponent("seen.pcapng").path
            let capture = Process()
            capture.executableURL = URL(fileURLWithPath: Product.tapline)
            capture.arguments = ["capture", lab.name, "-w", path]
            (capture.standardOutput, capture.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
            try capture.run()
            try eventually("it captures") { FileManager.default.fileExists(atPath: path) }
            #expect(try apply(lab, Self.added("lan", 81)).status == 0)
            #expect(try lab.exec("carol", Self.fetch).status == 0)
            #expect(try lab.exec("alice", "ping -c 1 -W 200 192.0.2.1").status == 0)
            // What was captured is written before long.
            var names = ""
            try eventually("both are in the file") {
                names =
                    try run("/usr/bin/env", ["tshark", "-r", path, "-T", "fields", "-e", "frame.interface_name"])
                    .output
                return names.contains("carol on lan") && names.contains("alice on outside")
            }
            capture.interrupt()
            capture.waitUntilExit()
            #expect(capture.terminationStatus == 0)
        }
    }

    @Test("the kernel of a node that comes beside others is no stranger to the engine")
    func introduced() throws {
        let more = Self.topology(customers: "bob: { interface: outside }")
        try Lab.with(Self.topology(), files: Self.files) { lab in
            for _ in 1...3 {
                let added = try apply(lab, more)
                #expect(added.status == 0, "\(added.output)")
                #expect(try lab.exec("bob", "ping -c 1 -W 200 192.0.2.1").status == 0)
                #expect(try apply(lab, Self.topology(), "--drain", "0s").status == 0)
            }
            let drops = try #require(try lab.status()["drops"] as? [[String: Any]])
            #expect(!drops.contains { $0["reason"] as? String == "spoofed-source" }, "\(drops)")
        }
    }

    private func eventually(_ what: String, _ holds: () throws -> Bool) throws {
        for _ in 0..<1_500 {
            if try holds() { return }
            usleep(20_000)
        }
        Issue.record("it did not come true: \(what)")
    }
}
