import Foundation
import Testing

/// What a person meets in the first ten minutes.
@Suite("First steps", .serialized, .enabled(if: isRoot))
struct FirstStepsTests {
    private func inFolder(_ body: (String, String) throws -> Void) throws {
        let name = "f" + String(UInt32.random(in: .min ... .max), radix: 36)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-\(name)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer {
            _ = try? CommandLineRun.run("down", name)
            try? FileManager.default.removeItem(atPath: folder)
        }
        try body(folder, name)
    }

    private func tapline(_ words: String, in folder: String) throws -> RunResult {
        try CommandLineRun.shell("cd '\(folder)' && \(CommandLineRun.tapline) \(words)")
    }

    @Test("init writes a file that runs, and overwrites nothing; run ends with a summary")
    func beginning() throws {
        try inFolder { folder, name in
            let made = try tapline("init \(name)", in: folder)
            #expect(made.status == 0 && made.output.contains("sudo tapline run \(name).yaml"), "\(made)")
            let path = "\(folder)/\(name).yaml"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.contains("name: ") && text.contains(name) && text.contains("# "))
            let ran = try tapline("run \(name).yaml", in: folder)
            #expect(ran.status == 0 && !ran.errors.contains("note:"), "\(ran)")
            let last = try #require(ran.output.split(separator: "\n").last)
            #expect(last.wholeMatch(of: #/\S+: 2 checks passed, in \d+\.\d s/#) != nil, "\(ran.output)")
            try "mine".write(toFile: path, atomically: true, encoding: .utf8)
            let again = try tapline("init \(name)", in: folder)
            #expect(again.status == 5 && again.errors.contains("exists already"), "\(again)")
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
            #expect(try tapline("init a/b.yaml", in: folder).status == 64)
        }
    }

    @Test("a check that fails is in the summary")
    func summary() throws {
        try inFolder { folder, name in
            try """
            name: \(name)
            interfaces: { x: { address: 192.0.2.1/24 } }
            customers: { alice: { interface: x } }
            checks:
              - { name: good, on: alice, run: "true" }
              - { name: bad, on: alice, run: "false" }
            """.write(toFile: "\(folder)/topology.yaml", atomically: true, encoding: .utf8)
            let ran = try tapline("run .", in: folder)
            #expect(ran.status == 1)
            #expect(ran.output.contains("\n\(name): 1 of 2 checks passed, 1 failed, in "), "\(ran.output)")
        }
    }

    @Test("up tells addresses and what is next; exec needs no --; folders and files stand for the topology")
    func upAndIn() throws {
        try inFolder { folder, name in
            #expect(try tapline("init \(name)", in: folder).status == 0)
            try FileManager.default.createDirectory(atPath: "\(folder)/lab/one", withIntermediateDirectories: true)
            try FileManager.default.moveItem(
                atPath: "\(folder)/\(name).yaml", toPath: "\(folder)/lab/one/topology.yaml")
            let up = try tapline("up lab -d", in: folder)
            try #require(up.status == 0, "\(up)")
            #expect(up.output.contains(#/alice +customer +192.0.2.10/24/#), "\(up.output)")
            #expect(up.output.contains(#/site +service +203.0.113.80 tcp/80/#), "\(up.output)")
            for command in ["exec \(name) alice ", "status \(name) ", "down \(name) "] {
                #expect(up.output.contains("  tapline \(command)"), "\(up.output)")
            }
            #expect(try tapline("exec \(name) alice ls -ld /", in: folder).output.hasPrefix("d"))
            #expect(try tapline("exec \(name) alice -- echo -- x", in: folder).output == "-- x\n")
            #expect(try tapline("exec \(name) alice sh -c 'exit 9'", in: folder).status == 9)
            #expect(try tapline("exec \(name) web hostname", in: folder).output == "web\n")
            for shell in ["SHELL=/bin/sh", "SHELL=/no/such/shell", "-u SHELL"] {
                let result = try CommandLineRun.shell(
                    "echo 'hostname; exit 3' | env \(shell) \(CommandLineRun.tapline) exec \(name) web")
                #expect(result.status == 3 && result.output == "web\n", "\(shell): \(result)")
            }
            let down = try tapline("down lab/one/topology.yaml", in: folder)
            #expect(down.status == 0, "\(down)")
            #expect(!FileManager.default.fileExists(atPath: "/run/tapline/\(name)"))
            try FileManager.default.createDirectory(atPath: "\(folder)/lab/two", withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                atPath: "\(folder)/lab/one/topology.yaml", toPath: "\(folder)/lab/two/topology.yaml")
            let which = try tapline("up lab -d", in: folder)
            #expect(which.status == 64 && which.errors.contains("lab/two/topology.yaml"), "\(which)")
        }
    }

    @Test("status, tables and doctor fit 80 columns, on a terminal and by COLUMNS")
    func widths() throws {
        try inFolder { folder, name in
            #expect(try tapline("init \(name)", in: folder).status == 0)
            try #require(try tapline("up \(name).yaml -d", in: folder).status == 0)
            for command in ["status", "status \(name)", "tables \(name)", "doctor \(name).yaml"] {
                for columns in [60, 80] {
                    let shown = try CommandLineRun.shell(
                        "cd '\(folder)' && script -qec 'stty columns \(columns); env TERM=xterm \(CommandLineRun.tapline) \(command)' /dev/null </dev/null"
                    ).output
                    let plain = shown.replacing(#/\x{1B}\[[0-9;]*m/#, with: "")
                    let wide = plain.split(whereSeparator: \.isNewline).filter { $0.count > columns }
                    #expect(!plain.isEmpty && wide.isEmpty, "\(command): \(wide)")
                }
                let piped = try CommandLineRun.shell(
                    "cd '\(folder)' && COLUMNS=80 \(CommandLineRun.tapline) \(command)")
                #expect(piped.output.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(piped.output)")
            }
            // What programs read stays one line for each row.
            let rows = try CommandLineRun.run("tables", name).output
            #expect(rows.contains(#/site\.request\.customers +customers +any +203.0.113.80 +tcp\/80/#), "\(rows)")
        }
    }

    @Test("a node that failed is red, on a terminal alone")
    func colours() throws {
        let topology = try ScratchTopology(web: "    run: sleep 1 && exit 7\n    restart: never")
        try #require(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let shown = {
            try CommandLineRun.shell(
                "script -qec 'stty columns 100; env -u NO_COLOR TERM=xterm \(CommandLineRun.tapline) status \(topology.name)' /dev/null </dev/null"
            ).output
        }
        try CommandLineRun.eventually("its end is red") { try shown().contains("\u{1B}[31mfailed (") }
        #expect(try !CommandLineRun.run("status", topology.name).output.contains("\u{1B}"))
    }

    @Test(
        "where the locale has ASCII alone, nothing else is printed",
        arguments: ["LC_ALL=C", "LC_ALL=POSIX", "LC_ALL= LANG=de_DE.ISO-8859-1"])
    func ascii(_ locale: String) throws {
        try inFolder { folder, name in
            try """
            name: "\(name)"
            interfaces: { x: { address: 192.0.2.1/24 } }
            customers: { ünü: { interface: x }, 日本: { interface: x } }
            checks: [ { name: grüße, on: ünü, run: "echo ü; false" } ]
            """.write(toFile: "\(folder)/topology.yaml", atomically: true, encoding: .utf8)
            try #require(try tapline("up . -d", in: folder).status == 0)
            for command in [
                "status \(name)", "status \(name) --json", "status", "validate .", "tables \(name)", "doctor",
                "test . --json", "test . --junit -", "run . --name \(name)x", "--help", "nöpe",
            ] {
                let shown = try CommandLineRun.shell(
                    "cd '\(folder)' && env \(locale) \(CommandLineRun.tapline) \(command)")
                #expect((shown.output + shown.errors).utf8.allSatisfy { $0 < 0x80 }, "\(command): \(shown)")
            }
            let json = try CommandLineRun.shell("env \(locale) \(CommandLineRun.tapline) status \(name) --json").output
            let report = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
            let nodes = (report?["nodes"] as? [[String: Any]])?.compactMap { $0["name"] as? String }
            #expect(nodes == ["ünü", "日本"])
            #expect(try CommandLineRun.run("status", name).output.contains("日本"))
        }
    }

    @Test("what kernels say by themselves heads no drops, and evidence speaks of applications")
    func noise() throws {
        try inFolder { folder, name in
            #expect(try tapline("init \(name)", in: folder).status == 0)
            let path = "\(folder)/\(name).yaml"
            var text = try String(contentsOfFile: path, encoding: .utf8)
            text = text.replacingOccurrences(
                of: "attach: { in: inspection, out: inspected }",
                with: "attach: { in: inspection, out: inspected }\n    sysctls: { net.ipv4.ip_forward: 0 }")
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let ran = try tapline("run \(name).yaml", in: folder)
            #expect(ran.status == 1 && ran.output.contains("| 1 packet went into firewall, none came out\n"), "\(ran)")
            for reason in ["housekeeping", "multicast-not-served", "neighbour-not-ours"] {
                #expect(!ran.output.contains("| \(reason)"), "\(ran.output)")
            }
            try #require(try tapline("up \(name).yaml -d", in: folder).status == 0)
            try CommandLineRun.eventually("kernels have spoken") {
                try CommandLineRun.json("status", name, "--json")["housekeeping"] as? Int ?? 0 > 0
            }
            let status = try CommandLineRun.json("status", name, "--json")
            #expect((status["drops"] as? [[String: Any]])?.isEmpty == true, "\(status["drops"] ?? "")")
            let summary = try CommandLineRun.run("status", name).output
            #expect(
                summary.contains("nothing was dropped\n") && summary.contains("kernels sent for housekeeping"),
                "\(summary)")
        }
    }

    @Test("one is one")
    func plurals() throws {
        try inFolder { folder, name in
            try """
            name: \(name)
            interfaces: { x: { address: 192.0.2.1/24 } }
            customers: { alice: { interface: x } }
            checks: [ { name: good, on: alice, run: "true" } ]
            """.write(toFile: "\(folder)/topology.yaml", atomically: true, encoding: .utf8)
            #expect(
                try tapline("validate .", in: folder).output.contains("1 node on 1 interface, 0 entries and 1 check\n"))
            let ran = try tapline("run .", in: folder)
            #expect(ran.output.contains("is up: 1 node on 1 interface, 0 entries, in "), "\(ran)")
            #expect(ran.output.contains(": 1 check passed, in "), "\(ran)")
        }
    }
}
