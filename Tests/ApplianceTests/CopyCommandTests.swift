import Foundation
import Testing

/// `tapline cp`, on a topology that runs.
@Suite("files into nodes and out of them", .enabled(if: isRoot), .serialized)
struct CopyCommandTests {
    /// A topology that is up, whose server has a file system of its own at /srv, and a folder for the test.
    private func withNode(_ body: (ScratchTopology, URL) throws -> Void) throws {
        let topology = try ScratchTopology(small: nil)
        let text = ScratchTopology.small(topology.name).replacingOccurrences(
            of: "{ type: web-server, attach: servers }",
            with: "{ attach: servers, setup: 'mount -t tmpfs none /srv', run: exec sleep 1000 }")
        try text.write(toFile: topology.file, atomically: true, encoding: .utf8)
        // Where a node sees the machine's own files, a copy could lose one.
        try topology.shareFiles()
        let up = try CommandLineRun.run("up", "-d", topology.file)
        #expect(up.status == 0, "\(up)")
        let folder = topology.folder.appendingPathComponent("here")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try body(topology, folder)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    private func cp(_ topology: ScratchTopology, _ words: String...) throws -> RunResult {
        try CommandLineRun.Started([CommandLineRun.tapline, "cp", topology.name] + words).finish()
    }

    private func inNode(_ topology: ScratchTopology, _ command: String) throws -> String {
        try CommandLineRun.run("exec", topology.name, "web", "--", "sh", "-c", command).output
    }

    @Test("a file goes in and out with its mode and its octets, and only the node sees it")
    func file() throws {
        try withNode { topology, folder in
            let file = folder.appendingPathComponent("a:b").path
            let octets = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) })
            try octets.write(to: URL(fileURLWithPath: file))
            chmod(file, 0o4751)
            let copied = try cp(topology, file, "web:/srv/")
            #expect(
                copied.status == 0 && copied.output == "copied 1 file, 300000 octets, to web:/srv/a:b\n", "\(copied)")
            #expect(try inNode(topology, "stat -c '%a %s' /srv/a:b") == "751 300000\n")
            #expect(!FileManager.default.fileExists(atPath: "/srv/a:b"))
            let back = folder.appendingPathComponent("back").path
            #expect(try cp(topology, "web:/srv/a:b", back).status == 0)
            #expect(try Data(contentsOf: URL(fileURLWithPath: back)) == octets)
            #expect(try CommandLineRun.shell("stat -c %a '\(back)'").output == "751\n")
            // A file that is there is written in place, also where it is bound over another one.
            _ = try inNode(topology, "touch /srv/bound; mount --bind /srv/bound /srv/a:b; echo old > /srv/a:b")
            try "new".write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try cp(topology, file, "web:/srv/a:b").status == 0)
            #expect(try inNode(topology, "cat /srv/bound") == "new")
        }
    }

    @Test("standard input and output, other nodes, and relative paths")
    func ends() throws {
        try withNode { topology, folder in
            let tapline = "\(CommandLineRun.tapline) cp \(topology.name)"
            let piped = try CommandLineRun.shell(
                "printf hello | \(tapline) - web:/srv/x && \(tapline) web:/srv/x - && \(tapline) web:/srv/x alice:/tmp/\(topology.name).txt"
            )
            #expect(piped.status == 0 && piped.output.contains("\nhello"), "\(piped)")
            let other = try CommandLineRun.run("exec", topology.name, "alice", "--", "cat", "/tmp/\(topology.name).txt")
            #expect(other.output == "hello", "\(other)")
            _ = try CommandLineRun.run("exec", topology.name, "alice", "--", "rm", "/tmp/\(topology.name).txt")
            // Where the node's commands start.
            try "relative\n".write(
                to: topology.folder.appendingPathComponent("relative.txt"), atomically: true, encoding: .utf8)
            let relative = try CommandLineRun.shell("\(tapline) web:relative.txt -")
            #expect(relative.output == "relative\n", "\(relative)")
        }
    }

    @Test("folders, with links as links, and none followed out of the node")
    func folders() throws {
        try withNode { topology, folder in
            _ = try inNode(
                topology,
                "mkdir -p /srv/d/e /srv/d/closed; echo 1 > /srv/d/one; echo 2 > /srv/d/e/two; ln -s /etc/passwd /srv/d/link; "
                    + "mkfifo /srv/d/pipe; chmod 500 /srv/d/closed")
            let out = try cp(topology, "web:/srv/d", folder.path)
            #expect(out.status == 0 && out.output.contains("copied 3 files"), "\(out)")
            #expect(out.errors.contains("left out web:/srv/d/pipe (a named pipe)"))
            let seen = try CommandLineRun.shell(
                "cd '\(folder.path)/d' && cat one e/two && readlink link && stat -c %a closed && ls -A | wc -l"
            ).output
            #expect(seen == "1\n2\n/etc/passwd\n500\n4\n", "\(seen)")
            // What is in the folder alone, over what is there: a link that is there is replaced, and not followed.
            let victim = folder.appendingPathComponent("victim").path
            try "safe".write(toFile: victim, atomically: true, encoding: .utf8)
            _ = try inNode(topology, "mkdir /srv/t; ln -s \(victim) /srv/t/one")
            #expect(try cp(topology, "\(folder.path)/d/.", "web:/srv/t").status == 0)
            #expect(try inNode(topology, "cat /srv/t/one /srv/t/e/two; readlink /srv/t/link") == "1\n2\n/etc/passwd\n")
            #expect(try String(contentsOfFile: victim, encoding: .utf8) == "safe")
            // A link of the node at the named place is followed as the node would.
            _ = try inNode(topology, "ln -s /srv/d/one /srv/to-one; ln -s ../../../../srv/d /srv/to-d")
            #expect(try cp(topology, "web:/srv/to-one", "-").output == "1\n")
            #expect(try cp(topology, "web:/srv/to-d/e/two", "-").output == "2\n")
        }
    }

    @Test("what a node has of its own is copied to and from, and what it may not write is named")
    func ownFiles() throws {
        let topology = try ScratchTopology(small: nil)
        try #require(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        defer { _ = try? CommandLineRun.run("down", topology.name) }
        let place = "/tmp/\(topology.name).txt"
        #expect(try cp(topology, topology.file, "web:\(place)").status == 0)
        #expect(!FileManager.default.fileExists(atPath: place))
        let own = try String(contentsOfFile: topology.file, encoding: .utf8)
        #expect(try inNode(topology, "cat \(place)") == own)
        #expect(try cp(topology, "web:\(place)", "-").output == own)
        let refused = try cp(topology, topology.file, "web:/usr/\(topology.name)")
        #expect(refused.status == 2 && refused.errors.contains("read-only there: choose a folder"), "\(refused)")
        #expect(!FileManager.default.fileExists(atPath: "/usr/\(topology.name)"))
    }

    @Test("mistakes are named with what to do, and lose nothing")
    func mistakes() throws {
        try withNode { topology, folder in
            let file = folder.appendingPathComponent("file").path
            try "kept".write(toFile: file, atomically: true, encoding: .utf8)
            _ = try inNode(topology, "mkdir -p /srv/d/e; mkfifo /srv/pipe")
            for (words, status, text) in [
                ([file, file], 64, "write NODE:PATH for a file in a node"),
                (["web:", file], 64, "is no place of a file"),
                ([":/x", file], 64, "is no place of a file"),
                (["wbe:/x", file], 5, "there is no node 'wbe'"),
                (["web:/srv/nothing", file], 64, "tapline exec \(topology.name) web ls /srv"),
                ([file, "web:/srv/no/such/file"], 64, "tapline exec \(topology.name) web mkdir -p /srv/no/such"),
                ([file, "web:/srv/no/"], 64, "there is no folder /srv/no in web"),
                (["web:/srv/d", file], 64, "is a folder, but"),
                (["web:/srv/d", "-"], 64, "standard output takes one file"),
                (["-", "web:/srv/d"], 64, "name the file that is to be written in it"),
                (["web:/dev/zero", file], 64, "is a device"),
                (["web:/srv/pipe", file], 64, "is a named pipe"),
                ([file, "web:/srv/pipe"], 2, "named pipe"),
                (["web:/srv", "web:/srv/d"], 64, "is in the folder that is copied"),
                // The node sees this very file.
                (["web:\(file)", file], 64, "are the same file"),
                ([file, "web:\(file)"], 64, "are the same file"),
                ([file, "web:/proc/version"], 2, "cannot write web:/proc/version"),
            ] as [([String], Int32, String)] {
                let end = try CommandLineRun.Started([CommandLineRun.tapline, "cp", topology.name] + words).finish()
                #expect(end.status == status && end.errors.contains(text), "\(words): \(end)")
            }
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "kept")
        }
        let gone = try CommandLineRun.run("cp", "nosuchtopology", "web:/x", "-")
        #expect(gone.status == 5 && gone.errors.contains("there is no topology 'nosuchtopology'"), "\(gone)")
    }
}
