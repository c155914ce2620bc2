import Foundation
import Testing

/// A running topology that becomes another one, with a connection through it that must not notice.
@Suite(.enabled(if: getuid() == 0, "these tests make namespaces, which takes root")) struct ApplyTests {
    private static let helper = "  helper: { attach: customers, run: exec sleep 10000, environment: { COLOUR: red } }"
    private static let second =
        "  second: { type: web-server, attach: servers, run: exec python3 echo.py, ready: { tcp: 80 } }"

    private func topology(
        applications: String = ApplyTests.helper, customers: String = "", services: String = "",
        web: String = "", mtu: Int = 1500, checks: String = "  - { name: one, on: alice, run: 'true' }"
    ) -> String {
        """
        name: apply
        filesystem: shared
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected: { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers: { address: [198.18.4.1/24, "2001:db8:14::1/64"], mtu: \(mtu) }
        customers:
          alice: { interface: customers, address: [192.0.2.10, "2001:db8:2::10"] }
          bob: { interface: customers }
        \(customers)
        applications:
          firewall:
            type: firewall
            attach: { in: inspection, out: inspected }
            setup: "nft -f rules.nft"
          web: { type: web-server, attach: servers, run: exec python3 echo.py, ready: { tcp: 80 }\(web) }
        \(applications)
        services:
          shop:
            address: [203.0.113.80, "2001:db8:cb::80"]
            ports: [tcp/80]
            from: customers
            distribute: [firewall]
            sequence: [firewall, web]
        \(services)
        checks:
        \(checks)
        """
    }

    private static func service(_ name: String, _ last: Int, _ end: String) -> String {
        """
          \(name):
            address: [203.0.113.\(last), "2001:db8:cb::\(last)"]
            ports: [tcp/80]
            from: customers
            distribute: [firewall]
            sequence: [firewall, \(end)]
        """
    }

    private static let rules = """
        table inet f {
            chain c {
                type filter hook forward priority filter;
                ct state established accept
            }
        }
        """

    private static let files = [
        "echo.py": ApplyPrograms.server, "client.py": ApplyPrograms.client, "rules.nft": rules,
    ]

    /// A command in a node that goes on beside the test.
    private final class Running {
        let process = Process()
        private let file: URL

        init(_ arguments: [String]) throws {
            file = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-test-\(UUID().uuidString)")
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
            process.executableURL = URL(fileURLWithPath: Product.tapline)
            process.arguments = arguments
            let handle = try FileHandle(forWritingTo: file)
            process.standardOutput = handle
            process.standardError = handle
            process.standardInput = FileHandle.nullDevice
            try process.run()
        }

        func finish() -> Finished {
            process.waitUntilExit()
            let output = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
            try? FileManager.default.removeItem(at: file)
            return Finished(status: process.terminationStatus, output: output)
        }
    }

    /// What must stay of a node that nobody changed: its namespace and the process of its application.
    private struct Life: Equatable {
        var namespace: String
        var pid: Int?
        var restarts: Int?
    }

    private func lives(_ lab: Lab) throws -> [String: Life] {
        let nodes = try #require(try lab.status()["nodes"] as? [[String: Any]])
        var lives: [String: Life] = [:]
        for node in nodes {
            guard let name = node["name"] as? String, let namespace = node["namespace"] as? String else { continue }
            let inode = try FileManager.default.attributesOfItem(atPath: "/run/netns/\(namespace)")[.systemFileNumber]
            lives[name] = Life(
                namespace: "\(namespace) \(inode ?? "")", pid: node["pid"] as? Int, restarts: node["restarts"] as? Int)
        }
        return lives
    }

    /// Applies a file, which must be done.
    @discardableResult
    private func apply(_ lab: Lab, _ text: String, _ words: String...) throws -> [String] {
        let finished = try tryApplying(lab, text, words)
        #expect(finished.status == 0, "\(finished.output)")
        return finished.output.split(separator: "\n").map(String.init)
    }

    private func tryApplying(_ lab: Lab, _ text: String, _ words: [String] = []) throws -> Finished {
        let file = lab.folder.appendingPathComponent("topology.yaml")
        try text.write(to: file, atomically: true, encoding: .utf8)
        return try run(Product.tapline, ["apply", lab.name] + words)
    }

    private func namespaces(_ lab: Lab) throws -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []).filter { $0.hasPrefix(lab.name) }
            .sorted()
    }

    private func eventually(_ what: String, _ holds: () throws -> Bool) throws {
        for _ in 0..<1000 {
            if try holds() { return }
            usleep(20_000)
        }
        Issue.record("it did not come true within 20 s: \(what)")
    }

    @Test(
        "a connection lives on while applications come, change and go around it",
        arguments: ["203.0.113.80", "2001:db8:cb::80"])
    func connectionLivesOn(address: String) throws {
        try Lab.with(topology(), files: Self.files) { lab in
            let before = try lives(lab)
            let client = try Running(["exec", lab.name, "alice", "--", "python3", "client.py", address])
            let connected = lab.folder.appendingPathComponent("connected").path
            try eventually("the client is connected") { FileManager.default.fileExists(atPath: connected) }

            // A server beside the first: its interface gets a bridge, under the connection's feet.
            let both = Self.helper + "\n" + Self.second
            let more = Self.service("more", 81, "second")
            let added = try apply(lab, topology(applications: both, services: more))
            #expect(added.contains("interface servers gets a bridge"))
            #expect(added.contains("node second is added"))
            for (name, life) in before { #expect(try lives(lab)[name] == life, "\(name)") }
            for service in ["203.0.113.81", "2001:db8:cb::81"] {
                #expect(try lab.exec("bob", "python3 -c \"\(Self.once(service))\"").status == 0)
            }

            // Other checks touch nothing.
            let second = "  - { name: two, on: alice, run: 'true' }"
            let checks = try apply(lab, topology(applications: both, services: more, checks: second))
            #expect(
                checks.filter { $0.contains(": different ones") || $0.hasPrefix("node") } == ["checks: different ones"])

            // One node's environment: that node alone starts again.
            let blue = both.replacingOccurrences(of: "red", with: "blue")
            let there = try lives(lab)
            let lines = try apply(lab, topology(applications: blue, services: more, checks: second))
            #expect(lines.contains("node helper is restarted: its environment (COLOUR)"))
            let changed = try lives(lab)
            #expect(changed["helper"]?.pid != there["helper"]?.pid)
            #expect(changed["helper"]?.namespace == there["helper"]?.namespace)
            for (name, life) in there where name != "helper" { #expect(changed[name] == life, "\(name)") }
            let shown = try lab.exec("helper", "tr '\\0' '\\n' < /proc/$(pgrep -o sleep)/environ; echo $COLOUR")
            #expect(shown.output.contains("COLOUR=blue") && shown.output.hasSuffix("blue\n"), "\(shown.output)")

            // Both go again, and nothing of them stays.
            let removed = try apply(lab, topology(applications: "", checks: second))
            #expect(removed.contains("node helper is removed") && removed.contains("node second is removed"))
            #expect(try namespaces(lab).allSatisfy { !$0.hasSuffix("helper") && !$0.hasSuffix("second") })
            #expect(!FileManager.default.fileExists(atPath: lab.directory(of: "helper")))
            let after = try lives(lab)
            for (name, life) in before where name != "helper" { #expect(after[name] == life, "\(name)") }

            try "".write(to: lab.folder.appendingPathComponent("stop"), atomically: true, encoding: .utf8)
            let finished = client.finish()
            #expect(finished.status == 0, "\(finished.output)")
            #expect((try lab.status()["problems"] as? [String]) == [])
        }
    }

    /// One connection that is answered, as a line of Python.
    private static func once(_ address: String) -> String {
        "import socket; c = socket.create_connection(('\(address)', 80), 20); c.settimeout(20); c.sendall(b'x'); "
            + "assert c.recv(1) == b'x'"
    }

    @Test("addresses, routes, the MTU and the hosts file change in place, and back")
    func inPlace() throws {
        try Lab.with(topology(), files: Self.files) { lab in
            let picture =
                "ip -o addr | sed 's/ valid_lft.*//'; ip route; ip -6 route; ip route show table local; cat /etc/hosts"
            let nodes = ["alice", "bob", "firewall", "web", "helper"]
            let before = try nodes.map { try lab.exec($0, picture).output }
            // What runs keeps the file open that it sees as /etc/hosts.
            let watch = "while ! grep -q other /etc/hosts; do sleep 0.1; done"
            let watcher = try Running(["exec", lab.name, "web", "--", "sh", "-c", watch])
            let more = (
                customers: "  carol: { interface: customers, address: [192.0.2.200, \"2001:db8:2::200\"] }",
                services: Self.service("more", 81, "web"), web: ", hosts: { other: 192.0.2.9 }"
            )
            let life = try lives(lab)
            var changed = try apply(
                lab, topology(customers: more.customers, services: more.services, web: more.web))
            #expect(changed.contains { $0.hasPrefix("node web changes while it runs: its service addresses") })
            #expect(watcher.finish().status == 0)
            for (name, life) in life { #expect(try lives(lab)[name] == life, "\(name)") }
            changed = try apply(
                lab, topology(customers: more.customers, services: more.services, web: more.web, mtu: 1400))
            #expect(changed.contains("interface servers changes: its MTU is 1400"))
            #expect(changed.contains("node web is restarted: its environment (TAPLINE_IN_MTU)"))
            for address in ["203.0.113.80", "203.0.113.81", "2001:db8:cb::80", "2001:db8:cb::81"] {
                for customer in ["alice", "carol"] {
                    let finished = try lab.exec(customer, "python3 -c \"\(Self.once(address))\"")
                    #expect(finished.status == 0, "\(customer) to \(address): \(finished.output)")
                }
            }
            #expect(try lab.exec("web", "cat /sys/class/net/servers/mtu").output == "1400\n")
            #expect(
                try lab.exec("alice", "ping -n -c 1 -W 20 -M do -s 1450 203.0.113.80; ip route get 203.0.113.80").output
                    .contains("mtu 1400"))
            try apply(lab, topology())
            #expect(try nodes.map { try lab.exec($0, picture).output } == before)
        }
    }

    @Test("what does not come up takes nothing with it: all is as it was, and nothing is left behind")
    func failureHalfway() throws {
        try Lab.with(topology(), files: Self.files) { lab in
            let (before, names) = (try lives(lab), try namespaces(lab))
            let tables = try lab.tapline("tables", lab.name).output
            let rules = try lab.exec("firewall", "nft list ruleset").output
            let carol = "  carol: { interface: customers }"

            // A new node whose setup fails, after others have been made.
            let broken = "\n  broken: { attach: customers, setup: [echo out of order; exit 3] }"
            var failed = try tryApplying(
                lab, topology(applications: Self.helper + broken, customers: carol))
            #expect(failed.status == 2)
            #expect(failed.output.contains("node broken (line"), "\(failed.output)")
            #expect(failed.output.contains("out of order") && failed.output.contains("setup ended with status 3"))
            #expect(failed.output.contains("the former state is restored"))
            #expect(try lives(lab) == before)
            #expect(try namespaces(lab) == names)
            #expect(!FileManager.default.fileExists(atPath: lab.directory(of: "broken")))

            // One that is there, built anew with a setup that fails: the old one comes back.
            failed = try tryApplying(
                lab, topology().replacingOccurrences(of: "setup: \"nft", with: "setup: \"exit 4; nft"))
            #expect(failed.status == 2)
            #expect(
                failed.output.contains("node firewall") && failed.output.contains("the former state is restored"),
                "\(failed.output)")
            try apply(lab, topology())
            #expect(try lab.exec("firewall", "nft list ruleset").output == rules)

            // One that runs, started again with what cannot run.
            failed = try tryApplying(
                lab,
                topology(
                    applications: Self.helper.replacingOccurrences(of: "exec sleep 10000", with: "exec nothing-such")))
            #expect(failed.status == 4, "\(failed.output)")
            #expect(failed.output.contains("a program is not installed"))
            let after = try lives(lab)
            #expect(after["web"] == before["web"] && after["alice"] == before["alice"])
            #expect(after["helper"]?.pid != nil)
            try eventually("the helper is ready") {
                let nodes = try #require(try lab.status()["nodes"] as? [[String: Any]])
                return nodes.first { $0["name"] as? String == "helper" }?["state"] as? String == "ready"
            }
            #expect(
                try lab.tapline("tables", lab.name).output.split(separator: "\n").count
                    == tables.split(separator: "\n").count)
            #expect(try lab.exec("alice", "python3 -c \"\(Self.once("203.0.113.80"))\"").status == 0)
            #expect(try namespaces(lab).count == names.count)

            // A file that cannot be read changes nothing.
            failed = try tryApplying(lab, "name: [")
            #expect(failed.status == 3)
            #expect((try lab.status()["state"] as? String) == "up")
        }
    }

    /// A node that never becomes ready.
    private static let slow =
        helper + "\n  slow: { attach: customers, run: exec sleep 1000, ready: { tcp: 9 }, ready-timeout: 10m }"

    private func slowApply(_ lab: Lab) throws -> Running {
        try topology(applications: Self.slow).write(
            to: lab.folder.appendingPathComponent("topology.yaml"), atomically: true, encoding: .utf8)
        let applying = try Running(["apply", lab.name])
        try eventually("the node is there") { try namespaces(lab).contains("\(lab.name)-slow") }
        return applying
    }

    @Test("an interrupted apply puts back what was; meanwhile nobody else changes anything")
    func cancelled() throws {
        try Lab.with(topology(), files: Self.files) { lab in
            let (before, names) = (try lives(lab), try namespaces(lab))
            let applying = try slowApply(lab)
            let other = try lab.tapline("apply", lab.name)
            #expect(other.status == 2 && other.output.contains("another change is under way just now"))
            kill(applying.process.processIdentifier, SIGINT)
            let finished = applying.finish()
            #expect(finished.status == 2, "\(finished.output)")
            #expect(finished.output.contains("cancelled; the former state is restored"), "\(finished.output)")
            #expect(try lives(lab) == before)
            #expect(try namespaces(lab) == names)
        }
    }

    @Test("down takes a topology away in the middle of an apply")
    func downMeanwhile() throws {
        try Lab.with(topology(), files: Self.files) { lab in
            let applying = try slowApply(lab)
            #expect(try lab.tapline("down", lab.name).status == 0)
            #expect(applying.finish().status != 0)
            #expect(try namespaces(lab) == [])
            // The lab takes it away itself when it ends, so there must be one.
            try topology().write(
                to: lab.folder.appendingPathComponent("topology.yaml"), atomically: true, encoding: .utf8)
            #expect(
                try lab.tapline(
                    "up", lab.folder.appendingPathComponent("topology.yaml").path, "--name", lab.name, "-d"
                ).status == 0)
        }
    }

    @Test("a control process that is killed in the middle of an apply leaves nothing that down does not find")
    func killedMeanwhile() throws {
        try Lab.with(topology(), files: Self.files) { lab in
            let control = try #require(try lab.status()["pid"] as? Int)
            let applying = try slowApply(lab)
            kill(Int32(control), SIGKILL)
            #expect(applying.finish().status != 0)
            try topology().write(
                to: lab.folder.appendingPathComponent("topology.yaml"), atomically: true, encoding: .utf8)
            let up = try lab.tapline(
                "up", lab.folder.appendingPathComponent("topology.yaml").path, "--name", lab.name, "-d")
            #expect(up.status == 0, "\(up.output)")
            #expect(try namespaces(lab).allSatisfy { !$0.hasSuffix("-slow") })
        }
    }

    @Test("a dry run tells what would be done, and does nothing")
    func dryRun() throws {
        try Lab.with(topology(), files: Self.files) { lab in
            let (before, names) = (try lives(lab), try namespaces(lab))
            let summary = try apply(lab, topology(applications: Self.second), "--dry-run")
            #expect(summary.contains("node second is added") && summary.contains("node helper is removed"))
            #expect(try lives(lab) == before && namespaces(lab) == names)
            let done = try apply(lab, topology(applications: Self.second))
            #expect(done.filter { summary.contains($0) } == summary)
        }
    }
}
