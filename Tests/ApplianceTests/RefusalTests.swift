import Foundation
import Testing

@Suite("One sentence, one exit status")
struct RefusalTests {
    private func write(_ text: String) throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).yaml").path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test(
        "wrong command lines", arguments: [["up"], ["down"], ["exec", "x"], ["nonsense"], ["status", "--xml"]])
    func usage(_ words: [String]) throws {
        #expect(try CommandLineRun.Started([CommandLineRun.tapline] + words).finish().status == 64)
    }

    @Test("help on what is no command", arguments: [["help", "nope"], ["help", "engine", "nope"], ["help", "ps"]])
    func helpOnNothing(_ words: [String]) throws {
        let result = try CommandLineRun.Started([CommandLineRun.tapline] + words).finish()
        #expect(result.status == 64 && result.errors.hasPrefix("tapline: ") && result.output.isEmpty, "\(result)")
        #expect(try CommandLineRun.run("help", "engine").status == 0)
    }

    @Test(
        "words of other programs get a hint",
        arguments: [
            ("ps", "tapline status"), ("ls", "tapline status"), ("list", "tapline status"),
            ("inspect", "tapline status"),
            ("deploy", "tapline up"), ("start", "tapline up"), ("destroy", "tapline down"),
            ("rm", "tapline down"), ("sh", "tapline exec"), ("redeploy", "tapline apply"),
        ])
    func foreignWords(_ word: String, _ meant: String) throws {
        let result = try CommandLineRun.run(word)
        #expect(result.status == 64)
        #expect(result.errors.hasPrefix("tapline: there is no command '\(word)'; '\(meant)"), "\(result.errors)")
    }

    @Test("who means all of a topology by stop is told of down", arguments: [["stop"], ["stop", "lab"]])
    func stopOfAll(_ words: [String]) throws {
        let result = try CommandLineRun.Started([CommandLineRun.tapline] + words).finish()
        #expect(result.status == 64 && result.errors.contains("'tapline down NAME'"), "\(result.errors)")
    }

    @Test("help is wrapped once: no line of a paragraph could take a word more", arguments: RefusalTests.commands)
    func wrappedOnce(_ command: String) throws {
        let help = try CommandLineRun.run(command, "--help", environment: ["COLUMNS": "80"])
        let lines = help.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for (line, next) in zip(lines, lines.dropFirst()) {
            let isText = { (line: String) in
                !line.isEmpty && !line.hasPrefix(" ") && line.contains { $0.isLowercase } && !line.hasPrefix("USAGE")
            }
            guard isText(line), isText(next) else { continue }
            let word = next.prefix { $0 != " " }
            #expect(line.count <= 80 && line.count + 1 + word.count >= 80, "\(line)\n\(next)")
        }
    }

    static let commands = [
        "init", "run", "test", "up", "down", "status", "exec", "logs", "tables", "metrics", "top", "validate", "graph",
        "schema", "apply",
        "add", "remove", "reload", "events", "drain", "undrain", "weight", "balance", "engine", "doctor", "prune",
    ]

    @Test("a picture in a format that there is not", arguments: ["png", "pdf", "PNG", "xyz"])
    func pictures(_ suffix: String) throws {
        let file = try write("name: x\n")
        defer { try? FileManager.default.removeItem(atPath: file) }
        let path = "\(file).\(suffix)"
        let result = try CommandLineRun.run("graph", file, "-o", path)
        #expect(result.status == 64 && result.errors.contains("cannot be written"), "\(result.errors)")
        #expect(result.errors.contains(".svg"))
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(try CommandLineRun.run("graph", file, "-o", "/dev/null").status == 0)
    }

    @Test("help shows an example", arguments: ["run", "up", "down", "status", "exec", "logs", "tables", "validate"])
    func help(_ command: String) throws {
        let help = try CommandLineRun.run(command, "--help")
        #expect(help.status == 0)
        #expect(help.output.contains("EXAMPLE"))
    }

    @Test("the version")
    func version() throws {
        #expect(try CommandLineRun.run("--version").output.split(separator: ".").count == 3)
    }

    @Test("a file with mistakes, told with line and column, without root too")
    func badFile() throws {
        let file = try write("name: x\ninterfaces:\n  a: { adress: [192.0.2.1/24] }\n")
        defer { try? FileManager.default.removeItem(atPath: file) }
        let result = try CommandLineRun.run("validate", file)
        #expect(result.status == 3)
        #expect(result.errors.contains("\(file):3:"))
        let json = try CommandLineRun.json("validate", file, "--json")
        #expect(json["valid"] as? Bool == false)
        #expect((json["problems"] as? [[String: Any]])?.first?["line"] as? Int == 3)
        #expect(try CommandLineRun.run("run", file).status == 3)
        #expect(try CommandLineRun.run("validate", "/no/such/file.yaml").status == 3)
    }

    @Test("no topology of that name", .enabled(if: isRoot), arguments: ["status", "down", "tables", "logs"])
    func unknown(_ command: String) throws {
        let result = try CommandLineRun.run(command, "no-such-topology")
        #expect(result.status == 5)
        #expect(
            result.errors == "tapline: there is no topology 'no-such-topology'; 'tapline status' lists all topologies\n"
        )
    }

    @Test("a name that is none", .enabled(if: isRoot), arguments: ["", "a\nb", "\u{7F}"])
    func impossibleName(_ name: String) throws {
        #expect(try CommandLineRun.run("down", name).status == 64)
    }

    @Test("without root: a file's entries are shown", .enabled(if: isRoot))
    func withoutRoot() throws {
        let topology = try ScratchTopology()
        let tables = try CommandLineRun.shell(
            "setpriv --reuid=65534 --regid=65534 --clear-groups \(CommandLineRun.tapline) tables \(topology.file)")
        #expect(tables.status == 0)
        #expect(tables.output.contains("shop.request.customers"))
    }

    @Test("without /dev/net/tun: one sentence with the hint", .enabled(if: isRoot))
    func withoutTUN() throws {
        let topology = try ScratchTopology()
        let result = try CommandLineRun.shell(
            "unshare -m sh -c 'mount -t tmpfs none /dev/net && exec \(CommandLineRun.tapline) run \(topology.file)'")
        #expect(result.status == 4)
        #expect(result.errors.contains("modprobe tun"))
        try topology.expectGone()
    }

    @Test("more queues than files: one sentence with the hint, and nothing is made", .enabled(if: isRoot))
    func tooManyQueues() throws {
        let topology = try ScratchTopology()
        let text = try String(contentsOfFile: topology.file, encoding: .utf8) + "\nengine: { workers: 64 }\n"
        try text.write(toFile: topology.file, atomically: true, encoding: .utf8)
        let result = try CommandLineRun.shell("ulimit -n 96; exec \(CommandLineRun.tapline) run \(topology.file)")
        #expect(result.status == 4)
        #expect(result.errors.contains("this process may open 96 files"), "\(result.errors)")
        #expect(result.errors.contains("raise the limit of open files: ulimit -Hn 65536"))
        try topology.expectGone()
    }

    @Test("without the engine: one sentence with the hint", .enabled(if: isRoot))
    func withoutEngine() throws {
        let topology = try ScratchTopology()
        let result = try CommandLineRun.run("run", topology.file, environment: ["TAPLINE_ENGINE": "/no/such/engine"])
        #expect(result.status == 4)
        #expect(result.errors.contains("TAPLINE_ENGINE"))
        let broken = try CommandLineRun.run("run", topology.file, environment: ["TAPLINE_ENGINE": "/bin/true"])
        #expect(broken.status == 2)
        #expect(broken.errors.contains("the packeting engine did not start"))
        try topology.expectGone()
    }
}
