import Foundation
import Testing

@Suite("Topologies come and go", .serialized, .enabled(if: isRoot))
struct LifecycleTests {
    @Test("up, status, tables, exec, logs and down; the host is as it was before")
    func upAndDown() throws {
        let before = try MachineState.take()
        let topology = try ScratchTopology()
        let up = try CommandLineRun.run("up", topology.file, "-d")
        #expect(up.status == 0, "\(up.errors)")
        #expect(up.output.contains("\(topology.name) is up: 4 nodes on 4 interfaces"))

        let status = try CommandLineRun.json("status", topology.name, "--json")
        #expect(status["state"] as? String == "up")
        let nodes = try #require(status["nodes"] as? [[String: Any]])
        #expect(nodes.map { $0["name"] as? String } == ["alice", "bob", "firewall", "web"])
        #expect(nodes.last?["state"] as? String == "ready")
        #expect(nodes.first?["state"] as? String == "idle")
        let listed = try CommandLineRun.run("status")
        #expect(listed.output.contains(topology.name))

        let answers = try CommandLineRun.run("exec", topology.name, "alice", "--", "python3", "client.py", "0.2")
        #expect(answers.status == 0, "\(answers.errors)")
        #expect(answers.output.hasPrefix("answers"))
        #expect(try CommandLineRun.run("exec", topology.name, "bob", "--", "sh", "-c", "exit 7").status == 7)
        #expect(try CommandLineRun.run("exec", topology.name, "bob", "--", "sh", "-c", "kill -9 $$").status == 137)
        let own = try CommandLineRun.run(
            "exec", topology.name, "bob", "--", "sh", "-c", "pwd; cat /etc/hosts; ls /proc")
        #expect(own.output.contains("192.0.2.20 bob"))
        #expect(own.output.hasPrefix(topology.folder.path) || own.output.contains(topology.name))
        let lines: [Substring] = own.output.split(separator: "\n")
        let processes = lines.filter { Int($0) != nil }.count
        #expect(processes < 6, "a PID namespace of its own")
        #expect(try CommandLineRun.run("exec", topology.name, "nobody", "--", "true").status == 5)

        let tables = try CommandLineRun.json("tables", topology.name, "--json")
        let distribution = try #require(tables["distribution"] as? [[String: Any]])
        let counted = distribution.compactMap { $0["packets"] as? Int }.reduce(0, +)
        #expect(counted > 3)
        #expect(try CommandLineRun.run("tables", topology.name).output.contains("(firewall)"))
        #expect(try CommandLineRun.run("logs", topology.name, "web").output == "listening\n")
        #expect(try CommandLineRun.run("logs", topology.name).output == "web | listening\n")

        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
        #expect(try CommandLineRun.run("down", topology.name).status == 5)
        #expect(try MachineState.take() == before)
    }

    @Test("run proves the checks: 0 where all hold, 1 where one does not")
    func run() throws {
        let holding = try ScratchTopology(
            checks: """
                  - { name: answers come, on: alice, run: python3 client.py 0.1, expect: { output: answers } }
                  - { name: entries count, entry: shop.request.customers, packets: ">= 3" }
                  - { name: the log says so, log: web, within: 20s, expect: { matches: '^listen\\w+$' } }
                """)
        let fine = try CommandLineRun.run("run", holding.file)
        #expect(fine.status == 0, "\(fine.output)\(fine.errors)")
        #expect(fine.output.contains("ok answers come"))
        try holding.expectGone()

        let failing = try ScratchTopology(
            checks: """
                  - { name: a wrong word, on: alice, run: echo right, expect: { output: wrong } }
                  - { name: it hangs, on: alice, run: "sleep 1000 & sleep 1000", timeout: 300ms }
                  - { name: it floods, on: alice, run: head -c 5000000 /dev/zero, expect: { output: x } }
                  - { name: it goes on, on: bob, run: "true" }
                """)
        let failed = try CommandLineRun.run("run", failing.file)
        #expect(failed.status == 1, "\(failed.output)\(failed.errors)")
        #expect(failed.output.contains("FAILED a wrong word"))
        #expect(failed.output.contains("expected output with 'wrong'"))
        #expect(failed.output.contains("    | right"))
        #expect(failed.output.contains("FAILED it hangs"))
        #expect(failed.output.contains("FAILED it floods"))
        #expect(failed.output.contains("ok it goes on"))
        #expect(failed.output.utf8.count < 10_000)
        try failing.expectGone()
    }

    @Test("the same file twice under two names, side by side")
    func twoNames() throws {
        let topology = try ScratchTopology()
        let other = topology.name + "b"
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        #expect(try CommandLineRun.run("up", "-d", topology.file, "--name", other).status == 0)
        for name in [topology.name, other] {
            #expect(try CommandLineRun.run("exec", name, "alice", "--", "python3", "client.py", "0.1").status == 0)
        }
        let taken = try CommandLineRun.run("up", topology.file)
        #expect(taken.status == 5)
        #expect(taken.errors.contains("exists already"))
        #expect(try CommandLineRun.run("down", other).status == 0)
        #expect(try CommandLineRun.run("exec", topology.name, "alice", "--", "python3", "client.py", "0.1").status == 0)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    @Test("a table published while traffic flows; entries that stay keep their counters")
    func reload() throws {
        let topology = try ScratchTopology()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let client = try CommandLineRun.Started(
            [CommandLineRun.tapline, "exec", topology.name, "alice", "--", "python3", "client.py", "3"])
        func rows() throws -> [[String: Any]] {
            let tables = try CommandLineRun.json("tables", topology.name, "--json")
            return try #require(tables["distribution"] as? [[String: Any]])
        }
        func packets() throws -> Int {
            try rows().first { $0["servicePort"] as? String == "tcp/80" }?["packets"] as? Int ?? 0
        }
        try CommandLineRun.eventually("traffic flows") { try packets() > 0 }
        let before = try packets()
        try topology.write(ports: "tcp/80, tcp/8080")
        for _ in 0..<5 {
            let reloaded = try CommandLineRun.run("reload", topology.name)
            #expect(reloaded.status == 0, "\(reloaded.errors)")
        }
        let result = client.finish()
        #expect(result.status == 0, "\(result.errors)")
        #expect(try rows().contains { $0["servicePort"] as? String == "tcp/8080" })
        #expect(try packets() > before)
        try topology.write(web: ScratchTopology.answering + "\n    restart: always")
        let refused = try CommandLineRun.run("reload", topology.name)
        #expect(refused.status == 3)
        #expect(refused.errors.contains("the table is not the only difference: node web"))
    }
}
