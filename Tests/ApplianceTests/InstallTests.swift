import Foundation
import Testing

@Suite("Living with it")
struct InstallTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Scripts/install").path

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("t\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    private func install(_ words: String) throws -> RunResult {
        try CommandLineRun.shell("\(Self.script) \(words)")
    }

    @Test("what is installed runs, and is removed again to the last folder")
    func installAndRemove() throws {
        try withFolder { folder in
            let prefix = folder + "/made/by it"
            for _ in 1...2 {
                let result = try install("--built '\(CommandLineRun.products)' --prefix '\(prefix)'")
                #expect(result.status == 0, "\(result.errors)")
            }
            #expect(try CommandLineRun.shell("'\(prefix)/bin/tapline' --version").output == "0.1.0\n")
            let engine = try CommandLineRun.shell("'\(prefix)/bin/tapline' doctor")
            #expect(engine.output.contains("\(prefix)/bin/tapline-engine, version"))
            for file in [
                "bash-completion/completions/tapline", "zsh/site-functions/_tapline", "man/man1/tapline-test.1",
            ] {
                #expect(FileManager.default.fileExists(atPath: "\(prefix)/share/\(file)"))
            }
            // What somebody else has put there stays, and the folders above it.
            let other = prefix + "/share/man/man1/other.1"
            try "x".write(toFile: other, atomically: true, encoding: .utf8)
            #expect(try install("--remove --prefix '\(prefix)'").status == 0)
            let left = try CommandLineRun.shell("find '\(folder)' -type f").output
            #expect(left == other + "\n")
            #expect(try install("--built '\(CommandLineRun.products)' --prefix '\(folder)/x'").status == 0)
            #expect(try install("--remove --prefix='\(folder)/x'").status == 0)
            #expect(!FileManager.default.fileExists(atPath: folder + "/x"))
            #expect(try install("--remove --prefix '\(folder)/x'").errors.contains("nothing was installed"))
        }
    }

    @Test("wrong words to the installer", arguments: ["--nonsense", "--prefix", "--built"])
    func wrong(_ words: String) throws {
        #expect(try install(words).status == 64)
    }

    @Test("manual pages of every command, without a warning")
    func manual() throws {
        try withFolder { folder in
            #expect(try CommandLineRun.run("generate-manual", folder).status == 0)
            let lint = try CommandLineRun.shell("mandoc -T lint \(folder)/*.1 | grep -v STYLE:")
            #expect(lint.output == "" && lint.errors == "")
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            for command in [
                "run", "test", "up", "down", "status", "exec", "logs", "tables", "validate", "doctor", "prune",
            ] {
                #expect(names.contains("tapline-\(command).1"))
            }
            let text = try CommandLineRun.shell("mandoc -T ascii \(folder)/tapline.1 | col -b").output
            for part in ["EXIT STATUS", "ENVIRONMENT", "FILES", "NO_COLOR", "/run/tapline/NAME", "tapline-test(1)"] {
                #expect(text.contains(part), "\(part)")
            }
        }
    }

    @Test("completions that each shell takes")
    func completions() throws {
        try withFolder { folder in
            for shell in ["bash", "zsh", "fish"] {
                let script = try CommandLineRun.run("--generate-completion-script", shell)
                #expect(script.status == 0)
                try script.output.write(toFile: "\(folder)/\(shell)", atomically: true, encoding: .utf8)
            }
            let bash = try CommandLineRun.shell(complete(folder, ["tapline", "pr"]))
            #expect(bash.output == "prune\n", "\(bash.errors)")
        }
    }

    @Test("completion knows topologies and their nodes", .enabled(if: isRoot))
    func names() throws {
        let topology = try ScratchTopology()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        try withFolder { folder in
            try CommandLineRun.run("--generate-completion-script", "bash").output.write(
                toFile: "\(folder)/bash", atomically: true, encoding: .utf8)
            for command in ["down", "exec", "logs", "status", "tables", "reload", "prune"] {
                let offered = try CommandLineRun.shell(complete(folder, ["tapline", command, topology.name])).output
                #expect(offered.contains(topology.name), "\(command)")
            }
            let nodes = try CommandLineRun.shell(complete(folder, ["tapline", "exec", topology.name, ""])).output
            #expect(nodes == "alice\nbob\nfirewall\nweb\n")
        }
        // Without root nothing can be known, and nothing is said.
        let asked = try CommandLineRun.shell(
            "setpriv --reuid=65534 --regid=65534 --clear-groups \(CommandLineRun.tapline) "
                + "---completion down -- positional@0 2 0 tapline down ''")
        #expect(!asked.output.contains(topology.name))
        #expect(asked.errors == "")
    }

    /// What bash offers at the end of these words, one a line.
    private func complete(_ folder: String, _ words: [String]) -> String {
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        return """
            PATH='\(CommandLineRun.products)':$PATH exec bash --norc -c '
                . "\(folder)/bash"
                COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
                _tapline tapline "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
                printf "%s\\n" "${COMPREPLY[@]}"' bash \(quoted)
            """
    }

    @Test(
        "a word that is no command",
        arguments: [
            ("tset", "did you mean 'test'?"), ("doc", "did you mean 'doctor'?"), ("x.yaml", "tapline run x.yaml"),
            ("qqqqq", "tapline --help"),
        ])
    func unknownCommand(_ word: String, _ summary: String) throws {
        let result = try CommandLineRun.run(word)
        #expect(result.status == 64)
        #expect(result.errors.hasPrefix("tapline: there is no command '\(word)'; ") && result.errors.contains(summary))
    }
}
