import Foundation
import Testing

/// Interfaces, circuits and tunnels come and go beside others of each kind, while the topology is up.
@Suite(.serialized, .enabled(if: getuid() == 0, "these tests make namespaces, which takes root"))
struct CircuitApplyTests {
    private static func files(_ topology: String, _ names: String...) throws -> [String: String] {
        let folder = Product.root.appendingPathComponent("Topologies").appendingPathComponent(topology)
        let texts = try names.map { name in
            (name, try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8))
        }
        return Dictionary(uniqueKeysWithValues: texts)
    }

    /// A file with lines before one that begins so.
    private static func text(_ text: String, _ lines: [(before: String, fresh: [String])]) -> String {
        var whole = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for (before, fresh) in lines {
            guard let place = whole.firstIndex(where: { $0.hasPrefix(before) }) else { continue }
            whole.insert(contentsOf: fresh, at: place)
        }
        return whole.joined(separator: "\n")
    }

    /// `access-circuits` with one circuit more on a device with others, one on a new device, and an interface in plain Ethernet.
    private static func grown(_ access: String) -> String {
        func customer(_ name: String, _ circuit: String, _ kind: String) -> String {
            "  \(name): { circuit: \(circuit), ready: { log: the circuit is up }, run: exec python3 endpoint.py \(kind) }"
        }
        return text(
            access,
            [
                ("  serial:", ["      more: { encapsulation: vlan 300, address: 192.0.2.65/29 }"]),
                (
                    "  serial:",
                    [
                        "  trunk: { circuits: { other: { encapsulation: qinq 7.8, address: 192.0.2.73/29 } } }",
                        "  lan: { address: 192.0.2.81/29 }",
                    ]
                ),
                (
                    "  alice:",
                    [
                        customer("ivan", "more", "vlan 300"), customer("judy", "other", "qinq 7.8"),
                        "  karl: { interface: lan }",
                    ]
                ),
            ]
        ).replacing("gina, hugo]", with: "gina, hugo, ivan, judy, karl]")
    }

    private func apply(_ lab: Lab, _ text: String) throws -> String {
        let file = lab.folder.appendingPathComponent("topology.yaml")
        try text.write(to: file, atomically: true, encoding: .utf8)
        let applied = try run(Product.tapline, ["apply", lab.name, "--drain", "0s"])
        #expect(applied.status == 0, "\(applied.output)")
        return applied.output
    }

    private func fetch(_ lab: Lab, _ names: String...) throws {
        for name in names {
            let page = try lab.exec(name, "curl -4 -sS -m 20 http://203.0.113.80/")
            #expect(page.status == 0 && page.output.contains("hello"), "\(name): \(page.output)")
        }
    }

    private func interfaces(_ lab: Lab) throws -> [String: [String: Any]] {
        let interfaces = try #require(try lab.status()["interfaces"] as? [[String: Any]])
        return Dictionary(interfaces.map { ($0["name"] as? String ?? "", $0) }) { first, _ in first }
    }

    /// Sends echo requests from a node until `body` is over: each is answered.
    private func beside(_ lab: Lab, _ node: String, _ body: () throws -> Void) throws {
        let log = "\(lab.directory(of: node))/echo.log"
        let start = "ping -n -i 0.02 -W 5 203.0.113.80 >\(log) 2>&1 & echo $! >\(log).pid"
        #expect(try lab.exec(node, start).status == 0)
        try body()
        _ = try lab.exec(
            node, "kill -INT $(cat \(log).pid); while kill -0 $(cat \(log).pid) 2>/dev/null; do sleep 0.05; done")
        let told = try lab.exec(node, "cat \(log)").output
        let answered = Set(told.matches(of: /icmp_seq=([0-9]+)/).compactMap { Int($0.1) })
        // Requests that were on their way when ping ended have no answer: those behind the last one that was answered.
        #expect(answered.count > 20 && answered == Set(1...(answered.max() ?? 1)), "\(told)")
        #expect(!told.contains("DUP!"), "\(told)")
    }

    @Test("circuits and interfaces come and go beside circuits of each kind, and no echo of the others is lost")
    func circuits() throws {
        var files = try Self.files("access-circuits", "topology.yaml", "endpoint.py", "firewall.nft", "nginx.conf")
        let text = files.removeValue(forKey: "topology.yaml") ?? ""
        try Lab.with(text, files: files) { lab in
            try beside(lab, "alice") {
                try beside(lab, "gina") {
                    for round in 1...3 {
                        let added = try apply(lab, Self.grown(text))
                        for what in ["circuit more is added", "circuit other is added", "interface lan is added"] {
                            #expect(added.contains(what), "\(added)")
                        }
                        try fetch(lab, "ivan", "judy", "karl", "bob", "hugo")
                        let now = try interfaces(lab)
                        #expect(now["more"]?["carrier"] as? String == "access", "round \(round)")
                        #expect(now["other"]?["carrier"] as? String == "trunk")
                        #expect((now["lan"]?["receivedPackets"] as? Int ?? 0) > 0)
                        let removed = try apply(lab, text)
                        #expect(removed.contains("circuit more is removed"), "\(removed)")
                        let left = try interfaces(lab)
                        #expect(left["more"] == nil && left["trunk"] == nil && left["lan"] == nil)
                        try fetch(lab, "bob", "hugo")
                    }
                }
            }
            #expect((try lab.status()["problems"] as? [String]) == [])
            let links = try run("/usr/bin/env", ["ip", "-n", "\(lab.name)-fabric", "-o", "link"]).output
            #expect(!links.contains("trunk") && !links.contains("lan"), "\(links)")
        }
    }

    @Test("a tunnel comes and goes beside others of its underlay, and no echo through them is lost")
    func tunnels() throws {
        var files = try Self.files("remote", "topology.yaml", "site.sh", "firewall.nft", "nginx.conf")
        let text = files.removeValue(forKey: "topology.yaml") ?? ""
        let without = text.replacing("distribute: [ids, firewall]", with: "distribute: [firewall]")
            .split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.contains("mac: \"02:00:00:00:12:07\"") }.joined(separator: "\n")
            .replacing("  ids:\n    type: intrusion-detection\n    passive: true\n", with: "")
        try Lab.with(without, files: files) { lab in
            try beside(lab, "alice") {
                for _ in 1...3 {
                    let added = try apply(lab, text)
                    #expect(added.contains("tunnel ids is added"), "\(added)")
                    let before = try interfaces(lab)["ids"]?["sentPackets"] as? Int ?? -1
                    try fetch(lab, "alice")
                    let after = try interfaces(lab)["ids"]?["sentPackets"] as? Int ?? -1
                    #expect(before >= 0 && after > before)
                    let removed = try apply(lab, without)
                    #expect(removed.contains("tunnel ids is removed"), "\(removed)")
                    try fetch(lab, "alice")
                }
            }
            #expect((try lab.status()["problems"] as? [String]) == [])
        }
    }

    @Test("a tunnel comes and goes while the MTU and the address of its underlay change")
    func underlayBesides() throws {
        func text(_ underlay: String, _ tunnel: String) -> String {
            """
            name: t
            interfaces: { customers: { address: 192.0.2.1/24 }, underlay: { \(underlay) } }
            customers: { alice: { interface: customers } }
            routers: { transit: { interface: underlay } }
            applications: { web: { attach: customers }\(tunnel) }
            services: { shop: { address: 203.0.113.80, \(tunnel.isEmpty ? "" : "distribute: ids, ")sequence: web } }

            """
        }
        let ids = ", ids: { passive: true, remote: { interface: underlay, vxlan: { id: 1, peer: 198.51.100.7 } } }"
        let whole = text("address: 198.18.64.1/24, mtu: 1600", ids)
        try Lab.with(whole) { lab in
            for other in ["address: 198.18.65.1/24, mtu: 1500", "address: \"2001:db8:64::1/64\", mtu: 1500"] {
                let removed = try apply(lab, text(other, ""))
                #expect(removed.contains("tunnel ids is removed"), "\(removed)")
                let added = try apply(lab, whole)
                #expect(added.contains("tunnel ids is added"), "\(added)")
                #expect(try interfaces(lab)["ids"]?["mtu"] as? Int == 1550)
            }
            let file = lab.folder.appendingPathComponent("topology.yaml")
            try text("address: 198.18.64.1/24, mtu: 600", "").write(to: file, atomically: true, encoding: .utf8)
            for words in [["--dry-run"], []] {
                let refused = try run(Product.tapline, ["apply", lab.name] + words)
                #expect(refused.status == 3 && refused.output.contains("tunnel ids goes, and"), "\(refused.output)")
            }
        }
    }

    @Test(
        "whenever the control process is killed during such a change, nothing of it is left", arguments: [30, 150, 400])
    func killed(pause: UInt32) throws {
        var files = try Self.files("access-circuits", "topology.yaml", "endpoint.py", "firewall.nft", "nginx.conf")
        let text = files.removeValue(forKey: "topology.yaml") ?? ""
        try Lab.with(text, files: files) { lab in
            let control = try #require(try lab.status()["pid"] as? Int)
            let file = lab.folder.appendingPathComponent("topology.yaml")
            try Self.grown(text).write(to: file, atomically: true, encoding: .utf8)
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
            try fetch(lab, "ivan", "judy", "karl", "gina")
        }
    }
}
