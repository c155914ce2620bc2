import Foundation
import Testing

/// On a pseudo-terminal, as script(1) gives one.
@Suite("On a terminal", .serialized, .enabled(if: isRoot))
struct TerminalTests {
    private let checks = """
          - { name: it holds, on: alice, run: "true" }
          - { name: it fails, on: alice, run: "false" }
        """

    private func onTerminal(_ words: String, _ variables: String) throws -> RunResult {
        let command = "stty columns 60; env -u NO_COLOR \(variables) \(CommandLineRun.tapline) \(words)"
        return try CommandLineRun.shell("script -qec '\(command)' /dev/null </dev/null")
    }

    @Test("progress is written over itself, and colours are there", arguments: ["run", "test"])
    func colours(_ command: String) throws {
        let topology = try ScratchTopology(checks: checks)
        let shown = try onTerminal("\(command) \(topology.file)", "TERM=xterm")
        #expect(shown.status == 1, "\(shown.output)")
        #expect(shown.output.contains("\u{1B}[32m✓\u{1B}[0m it holds"))
        #expect(shown.output.contains("\u{1B}[31m✗\u{1B}[0m it fails"))
        #expect(shown.output.contains("\rstarting the packeting engine …") || shown.output.contains("\r0 of 1 done"))
        // No updating line is wider than the terminal, which would break it in two.
        let lines = shown.output.split(whereSeparator: { $0 == "\r" || $0 == "\n" || $0 == "\r\n" })
        for line in lines where line.hasPrefix("0 of 1 done") { #expect(line.count < 60) }
    }

    @Test(
        "no control sequence where none is wanted, on a terminal",
        arguments: ["run", "test"], ["TERM=xterm NO_COLOR=1", "TERM=dumb", "-u TERM"])
    func plain(_ command: String, _ variables: String) throws {
        let topology = try ScratchTopology(checks: checks)
        let shown = try onTerminal("\(command) \(topology.file)", variables)
        #expect(shown.status == 1, "\(shown.output)")
        #expect(!shown.output.contains("\u{1B}"))
        #expect(shown.output.contains("✗ it fails"))
    }

    @Test("up shows its progress on a terminal, and plain lines in a log")
    func up() throws {
        let topology = try ScratchTopology()
        let shown = try onTerminal("up -d \(topology.file)", "TERM=xterm")
        #expect(shown.status == 0)
        #expect(shown.output.contains("\rstarting the packeting engine …"))
        #expect(shown.output.contains("is up: 4 nodes"))
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        let logged = try CommandLineRun.run("up", "-d", topology.file, environment: ["TERM": "xterm"])
        #expect(logged.errors.contains("starting the packeting engine\n"))
        #expect(!(logged.errors + logged.output).contains { $0 == "\r" || $0 == "\u{1B}" })
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
    }
}
