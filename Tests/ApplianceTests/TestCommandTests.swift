import Foundation
import Testing

@Suite("Tests of several topologies", .serialized, .enabled(if: isRoot))
struct TestCommandTests {
    /// What is up of a file's name, generated names too.
    private func left(_ topology: ScratchTopology) -> [String] {
        ["/run/tapline", "/run/netns"].flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter {
                $0.hasPrefix(topology.name)
            }
        }
    }

    private static let holds = "  - { name: it holds, on: alice, run: echo right, expect: right }\n"
    private static let fails =
        "  - { name: it fails, on: bob, run: \"printf 'left\\\\033\\\\001\\\\377'\", expect: right }\n"
    private static let hangs = "  - { name: it hangs, on: bob, run: sleep 60 }\n"

    @Test("passed, failed, could not run and bad, side by side: each told, all reported, nothing left")
    func mixture() throws {
        let passing = try ScratchTopology(checks: Self.holds)
        let failing = try ScratchTopology(checks: Self.holds + Self.fails + Self.holds)
        let broken = try ScratchTopology(web: "    run: echo last words; exit 3", checks: Self.holds)
        let bad = try ScratchTopology(checks: "  - { name: x, on: nobody, run: \"true\", expct: y }\n")
        let xml = passing.folder.appendingPathComponent("report.xml").path
        let result = try CommandLineRun.run(
            "test", passing.file, failing.folder.path, broken.file, bad.file, passing.file, "--junit", xml, "-j", "5")
        #expect(result.status == 3, "\(result.output)\(result.errors)")
        for number in 1...2 { #expect(result.output.contains("\(passing.name)#\(number) | ok it holds")) }
        #expect(result.output.contains("| FAILED it fails"))
        #expect(result.output.contains("expected output with 'right'"))
        #expect(result.output.contains("could not run: node web"))
        #expect(result.output.contains("1 failed, 1 could not run, 1 bad file; 5 checks, 1 failed"))
        #expect(result.errors.contains("\(bad.file):") && result.errors.contains("did you mean"))
        #expect(!result.output.contains("\u{1B}") && !result.errors.contains("\u{1B}"))
        for topology in [passing, failing, broken, bad] { #expect(left(topology) == []) }

        #expect(try junitMistakes(xml) == nil)
        let report = try String(contentsOfFile: xml, encoding: .utf8)
        #expect(report.components(separatedBy: "<testsuite ").count == 6)
        #expect(report.contains(#"tests="3" failures="1" errors="0""#))
        #expect(report.contains("last words"))
    }

    @Test("the exit status follows the gravest", arguments: [0, 1, 2])
    func status(_ expected: Int) throws {
        var files = [try ScratchTopology(checks: Self.holds)]
        if expected > 0 { files.append(try ScratchTopology(checks: Self.fails)) }
        if expected > 1 { files.append(try ScratchTopology(web: "    run: exit 3")) }
        let result = try CommandLineRun.Started([CommandLineRun.tapline, "test", "--json"] + files.map(\.file)).finish()
        #expect(Int(result.status) == expected)
        let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        #expect(json?["status"] as? Int == expected)
        let outcomes = (json?["files"] as? [[String: Any]])?.map { $0["outcome"] as? String }
        #expect(outcomes == Array(["passed", "failed", "could not run"][...expected]))
        // What is told goes to standard error then.
        #expect(result.errors.contains("it holds"))
    }

    @Test("a filter chooses checks; one that chooses nothing is no pass")
    func filter() throws {
        let topology = try ScratchTopology(checks: Self.holds + Self.fails)
        let chosen = try CommandLineRun.run("test", topology.file, "--filter", "holds")
        #expect(chosen.status == 0)
        #expect(!chosen.output.contains("it fails"))
        #expect(try CommandLineRun.run("test", topology.file, "--filter", topology.name).status == 1)
        let nothing = try CommandLineRun.run("test", topology.file, "--filter", "no such check")
        #expect(nothing.status == 64)
        #expect(nothing.errors.contains("no file and no check"))
    }

    /// A check that fails once.
    private static func fails(once marker: String) -> String {
        "  - { name: it settles, on: alice, run: \"test -e \(marker) || { touch \(marker); exit 1; }\" }\n"
    }

    @Test("what holds on another try passes, and every report tells")
    func retries() throws {
        let topology = try ScratchTopology(checks: Self.holds + Self.fails(once: "marker"))
        func path(_ name: String) -> String { topology.folder.appendingPathComponent(name).path }
        let result = try CommandLineRun.run(
            "test", topology.file, "--retries", "2", "--junit", path("report.xml"), "--summary", path("summary.md"),
            "--annotations", "github", "--evidence", path("evidence"))
        #expect(result.status == 0, "\(result)")
        #expect(result.output.contains("| failed; try 2 begins"))
        #expect(
            result.output.contains("flaky: \(topology.name): it settles (line ")
                && result.output.contains(", 1 flaky, in"))
        #expect(result.output.contains("::warning file=\(topology.file),line="), "\(result.output)")
        #expect(try junitMistakes(path("report.xml")) == nil)
        let report = try String(contentsOfFile: path("report.xml"), encoding: .utf8)
        #expect(report.contains(#"flakes="1""#) && report.contains("<flakyFailure ") && !report.contains("<failure"))
        #expect(try String(contentsOfFile: path("summary.md"), encoding: .utf8).contains("passed on try 2"))
        let tries = try FileManager.default.contentsOfDirectory(atPath: path("evidence")).sorted()
        #expect(
            tries == [topology.name, topology.name + "-try-2", "junit.xml", "report.json", "summary.md"].sorted())
        #expect(left(topology) == [])

        // What fails each time fails, with each try told; what is wrong with the file is not tried again.
        let failing = try ScratchTopology(checks: Self.fails)
        let failed = try CommandLineRun.run("test", failing.file, "--retries", "1", "--json")
        let json = try JSONSerialization.jsonObject(with: Data(failed.output.utf8)) as? [String: Any]
        let file = try #require((json?["files"] as? [[String: Any]])?.first)
        #expect(failed.status == 1 && (file["earlier"] as? [Any])?.count == 1)
        let bad = try ScratchTopology(checks: "  - { nmae: x }\n")
        let refused = try CommandLineRun.run("test", bad.file, "--retries", "3")
        #expect(refused.status == 3 && !refused.output.contains("try 2"))
    }

    @Test("the evidence of a run has its packets, their ways, the logs and how everything was")
    func evidence() throws {
        let topology = try ScratchTopology(
            checks: "  - { name: it answers, on: alice, run: python3 client.py 0.1 }\n" + Self.fails)
        let folder = topology.folder.appendingPathComponent("made/evidence").path
        let result = try CommandLineRun.run("test", topology.file, "--evidence", folder)
        #expect(result.status == 1, "\(result)")
        let own = "\(folder)/\(topology.name)"
        func text(_ name: String) throws -> String { try String(contentsOfFile: "\(own)/\(name)", encoding: .utf8) }
        #expect(try text("nodes/web/output.log").contains("listening"))
        #expect(try text("appliance.log").contains("up"))
        #expect(try text("traces.txt").contains("alice → firewall → web"))
        #expect(try text("status.json").contains("\"\(topology.name)-") && text("tables.json").contains("shop.request"))
        #expect(FileManager.default.fileExists(atPath: "\(own)/events.txt"))
        #expect(!FileManager.default.fileExists(atPath: "\(own)/notes.txt"))
        // The first segment of the first connection is in it, at every hop.
        let read = try CommandLineRun.shell(
            "tshark -r '\(own)/capture.pcapng' -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 0' -T fields -e frame.interface_name"
        )
        #expect(
            read.output.split(separator: "\n").prefix(4) == [
                "alice on customers", "firewall on inspection", "firewall on inspected", "web on servers",
            ], "\(read)")
        #expect(left(topology) == [])
        // What never came up leaves what it wrote.
        let broken = try ScratchTopology(web: "    run: echo last words; exit 3", checks: Self.holds)
        let other = broken.folder.appendingPathComponent("evidence").path
        #expect(try CommandLineRun.run("test", broken.file, "--evidence", other).status == 2)
        let words = try String(contentsOfFile: "\(other)/\(broken.name)/nodes/web/output.log", encoding: .utf8)
        #expect(words.contains("last words"))
        let refused = try CommandLineRun.run("test", broken.file, "--evidence", "/proc/no")
        #expect(refused.status == 2 && refused.errors.contains("--evidence"), "\(refused)")
    }

    @Test("in GitHub Actions failures are annotations, and the summary is added to the job's")
    func workflow() throws {
        let topology = try ScratchTopology(checks: Self.fails)
        let summary = topology.folder.appendingPathComponent("summary.md").path
        try "before\n".write(toFile: summary, atomically: true, encoding: .utf8)
        let environment = [
            "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary, "GITHUB_WORKSPACE": topology.folder.path,
        ]
        let result = try CommandLineRun.run("test", topology.file, environment: environment)
        #expect(result.status == 1)
        let text = try String(contentsOfFile: topology.file, encoding: .utf8)
        let line = try #require(text.components(separatedBy: "\n").firstIndex { $0.contains("it fails") }) + 1
        #expect(result.output.contains("\n::error file=topology.yaml,line=\(line),title="), "\(result.output)")
        #expect(try String(contentsOfFile: summary, encoding: .utf8).hasPrefix("before\n## Tapline\n"))
        let quiet = try CommandLineRun.run("test", topology.file, "--annotations", "none", environment: environment)
        #expect(!quiet.output.contains("::error"))
        let json = try CommandLineRun.run("test", topology.file, "--json", environment: environment)
        #expect(json.errors.contains("::error file=topology.yaml") && json.output.hasPrefix("{"))
        let refused = try CommandLineRun.run("test", topology.file, "--summary", "/no/such/file")
        #expect(refused.status == 64 && refused.errors.contains("/no/such/file cannot be written"))
    }

    @Test("with --keep what came up stays, and is said how to enter and to take away")
    func keep() throws {
        let topology = try ScratchTopology(checks: Self.holds + Self.fails)
        let result = try CommandLineRun.run("test", "--keep", topology.file)
        #expect(result.status == 1)
        let name = try #require(
            result.output.split(separator: "\n").first { $0.hasPrefix("  tapline down ") }?.split(separator: " ").last
                .map(String.init))
        #expect(name.hasPrefix(topology.name + "-"))
        #expect(try CommandLineRun.run("exec", name, "alice", "--", "python3", "client.py", "0.1").status == 0)
        #expect(try CommandLineRun.run("down", name).status == 0)
        #expect(left(topology) == [])
    }

    @Test("Ctrl-C takes everything away and still reports", arguments: [SIGINT, SIGTERM])
    func interrupted(_ signal: Int32) throws {
        let topology = try ScratchTopology(checks: Self.holds + Self.hangs)
        let xml = topology.folder.appendingPathComponent("report.xml").path
        let test = try CommandLineRun.Started(
            [CommandLineRun.tapline, "test", topology.file, topology.file, topology.file, "-j2", "--junit", xml])
        try CommandLineRun.eventually("two are at work") {
            test.text().components(separatedBy: "ok it holds").count == 3
        }
        test.signal(signal)
        let ended = test.finish()
        #expect(ended.status == 2)
        #expect(ended.output.contains("3 files: 3 interrupted; 2 checks"))
        #expect(left(topology) == [])
        #expect(try junitMistakes(xml) == nil)
        #expect(try String(contentsOfFile: xml, encoding: .utf8).contains(#"skipped="1""#))
    }

    @Test("SIGKILL of the test, or of one of its processes, leaves nothing")
    func killed() throws {
        let topology = try ScratchTopology(checks: Self.holds + Self.hangs)
        let test = try CommandLineRun.Started([CommandLineRun.tapline, "test", topology.file, topology.file, "-j2"])
        try CommandLineRun.eventually("two are at work") {
            test.text().components(separatedBy: "ok it holds").count == 3
        }
        test.signal(SIGKILL)
        _ = test.finish()
        try CommandLineRun.eventually("its topologies are gone") { left(topology).isEmpty }

        let other = try CommandLineRun.Started([CommandLineRun.tapline, "test", topology.file])
        try CommandLineRun.eventually("it is at work") { other.text().contains("ok it holds") }
        let name = try #require(left(topology).first)
        kill(try #require(try CommandLineRun.json("status", name, "--json")["pid"] as? Int32), SIGKILL)
        let ended = other.finish()
        #expect(ended.status == 2, "\(ended.output)")
        #expect(ended.output.contains("was ended by signal 9"))
        #expect(left(topology) == [])
    }
}
