import Foundation
import Glibc
import Testing

/// Captures and traces whose reader, disk or topology fails them: each is told or survives, and forwarding goes on.
@Suite("mishaps of captures and traces", .serialized)
struct CaptureMishapTests {
    /// A small topology that is up while `body` runs, and answers at the end.
    private func withTopology(isDown: Bool = false, _ body: (ScratchTopology) throws -> Void) throws {
        let topology = try ScratchTopology(small: nil)
        defer { _ = try? CommandLineRun.run("down", topology.name) }
        try #require(try CommandLineRun.run("up", topology.file, "-d").status == 0)
        try body(topology)
        if !isDown {
            #expect(try topology.echo())
            #expect(try CommandLineRun.run("down", topology.name).status == 0)
        }
        try topology.expectGone()
    }

    private func flood(_ topology: ScratchTopology, _ count: Int, octets: Int = 1_000) throws {
        let ran = try CommandLineRun.run(
            "exec", topology.name, "alice", "--", "ping", "-n", "-q", "-f", "-c", "\(count)", "-s", "\(octets)",
            "203.0.113.80")
        try expectWhole(ran, count)
    }

    /// No echo was lost. As many as were under way at once (ping's "pipe") may be under way at the end.
    private func expectWhole(_ ping: RunResult, _ count: Int? = nil) throws {
        let counts = ping.output.split(separator: "\n").first { $0.contains("packets transmitted") }
        let numbers = try #require(counts, "\(ping)").split(separator: " ").compactMap { Int($0) }
        let pipe = ping.output.firstMatch(of: /pipe ([0-9]+)/).flatMap { Int($0.1) } ?? 1
        try #require(numbers.count >= 2, "\(ping)")
        #expect(numbers[0] - numbers[1] <= pipe && numbers[0] == count ?? numbers[0], "\(ping)")
    }

    /// Kilobytes of resident memory.
    private func memory(_ pid: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(Int(line.filter(\.isNumber)))
    }

    /// Waits until the engine captures.
    private func waitForCapture(_ topology: ScratchTopology, _ isThere: Bool = true) throws {
        try CommandLineRun.eventually("the engine captures: \(isThere)") {
            guard let pid = try topology.enginePid() else { return false }
            let maps = try String(contentsOfFile: "/proc/\(pid)/maps", encoding: .utf8)
            return maps.contains("tapline-capture") == isThere
        }
    }

    /// A capture into a pipe whose reader is `reader`.
    private final class Piped {
        let capture: Process
        let reader: Process
        private let errors: URL

        init(_ topology: ScratchTopology, _ words: [String] = [], to file: URL) throws {
            errors = topology.folder.appendingPathComponent("capture.err")
            _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
            let pipe = Pipe()
            reader = Process()
            reader.executableURL = URL(fileURLWithPath: "/bin/cat")
            reader.standardInput = pipe
            reader.standardOutput = try FileHandle(forWritingTo: file)
            try reader.run()
            capture = Process()
            capture.executableURL = URL(fileURLWithPath: CommandLineRun.tapline)
            capture.arguments = ["capture", topology.name, "-w", "-"] + words
            capture.standardInput = FileHandle.nullDevice
            capture.standardOutput = pipe
            capture.standardError = try FileHandle(forWritingTo: errors)
            try capture.run()
            try pipe.fileHandleForWriting.close()
            try pipe.fileHandleForReading.close()
        }

        func end() -> String {
            capture.waitUntilExit()
            reader.waitUntilExit()
            return (try? String(contentsOf: errors, encoding: .utf8)) ?? ""
        }
    }

    @Test("a full disk, a device without room and a folder end a capture with a sentence, and the topology goes on")
    func outputs() throws {
        try withTopology { topology in
            let (tapline, name) = (CommandLineRun.tapline, topology.name)
            let disk = topology.folder.appendingPathComponent("disk").path
            try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
            let full = try CommandLineRun.Started([
                "/usr/bin/unshare", "-m", "/bin/sh", "-c",
                "mount -t tmpfs -o size=1m none \(disk) || exit 9; timeout 60 \(tapline) capture \(name) -w \(disk)/x.pcapng 2>&1;"
                    + "echo \"status $?\"; tshark -r \(disk)/x.pcapng 2>&1 | tail -n 1",
            ])
            try waitForCapture(topology)
            // What the engine's ring holds, again and again: a reader that is not scheduled meanwhile loses no whole flood.
            for _ in 1...40 where full.isRunning { try flood(topology, 200) }
            let ended = full.finish()
            #expect(ended.output.contains("No space left on device; the packets before are in it"), "\(ended)")
            // What was written is whole.
            #expect(ended.output.contains("status 2") && ended.output.contains("Echo (ping)"), "\(ended)")
            for (path, text) in [
                ("/dev/full", "No space left on device"), (topology.folder.path, "Is a directory"),
                ("/nowhere/x.pcapng", "No such file"),
            ] {
                let ran = try CommandLineRun.shell("timeout 30 \(tapline) capture \(name) -w \(path) --for 20s 2>&1")
                #expect(ran.status == 2 && ran.output.contains(text), "\(path): \(ran)")
            }
            try waitForCapture(topology, false)
        }
    }

    @Test("a reader that is paused costs no memory and no packet, and is told what it has lost")
    func pausedReader() throws {
        try withTopology { topology in
            let file = topology.folder.appendingPathComponent("paused.pcapng")
            let piped = try Piped(topology, to: file)
            try waitForCapture(topology)
            kill(piped.reader.processIdentifier, SIGSTOP)
            try flood(topology, 200)
            let engine = try #require(try topology.enginePid())
            let before = (try memory(piped.capture.processIdentifier), try memory(engine))
            try flood(topology, 10_000)
            let after = (try memory(piped.capture.processIdentifier), try memory(engine))
            // 40 MB went by. The engine's ring has 4 MiB.
            #expect(after.0 - before.0 < 10_000 && after.1 - before.1 < 10_000, "\(before) \(after)")
            kill(piped.reader.processIdentifier, SIGCONT)
            try CommandLineRun.eventually("the reader goes on") {
                try topology.echo()
                    && CommandLineRun.shell("tshark -r \(file.path) 2>/dev/null | wc -l").output != "0\n"
            }
            kill(piped.capture.processIdentifier, SIGINT)
            let said = piped.end()
            #expect(said.contains("frames were lost: narrow the filter, or use --snaplen"), "\(said)")
            #expect(try CommandLineRun.shell("tshark -r \(file.path) >/dev/null 2>&1").status == 0)
        }
    }

    @Test("a reader that is killed ends the capture, and a paused one does not hold up 'down'")
    func lostReader() throws {
        try withTopology(isDown: true) { topology in
            let file = topology.folder.appendingPathComponent("killed.pcapng")
            let killed = try Piped(topology, to: file)
            try waitForCapture(topology)
            kill(killed.reader.processIdentifier, SIGKILL)
            #expect(killed.end().contains("captured"))
            try waitForCapture(topology, false)
            let paused = try Piped(topology, to: file)
            try waitForCapture(topology)
            kill(paused.reader.processIdentifier, SIGSTOP)
            try flood(topology, 500)
            #expect(try CommandLineRun.run("down", topology.name).status == 0)
            kill(paused.reader.processIdentifier, SIGCONT)
            #expect(paused.end().contains("was taken away"))
            #expect(paused.capture.terminationStatus == 5)
        }
    }

    @Test("a topology that goes away ends a trace, a capture into a ring and one into a file, and each says so")
    func goneTopology() throws {
        try withTopology(isDown: true) { topology in
            let folder = topology.folder.path
            let commands = [
                ["trace", topology.name], ["trace", topology.name, "--json", "--quiet"],
                ["capture", topology.name, "-w", "\(folder)/a.pcapng"],
                ["capture", topology.name, "-w", "\(folder)/b.pcapng", "--ring", "1M×2"],
            ]
            let started = try commands.map { try CommandLineRun.Started([CommandLineRun.tapline] + $0) }
            try CommandLineRun.eventually("all four observe") {
                // Each has the rings of the engine's workers in its memory.
                started.allSatisfy { command in
                    let path = "/proc/\(command.process.processIdentifier)/maps"
                    return (try? String(contentsOfFile: path, encoding: .utf8))?.contains("tapline-capture") == true
                }
            }
            try flood(topology, 500)
            #expect(try CommandLineRun.run("down", topology.name).status == 0)
            for (words, process) in zip(commands, started) {
                let ended = process.finish()
                #expect(ended.status == 5 && ended.errors.contains("was taken away"), "\(words): \(ended)")
            }
            let read = try CommandLineRun.shell(
                "cd \(folder) && for f in *.pcapng; do tshark -r $f >/dev/null 2>&1 || echo \"$f is broken\"; done")
            #expect(read.output.isEmpty, "\(read)")
        }
    }

    @Test("captures that begin and end all the time cost no packet, and leave neither memory nor descriptors")
    func comingAndGoing() throws {
        try withTopology { topology in
            let status = try CommandLineRun.json("status", topology.name, "--json")
            let control = try #require((status["pid"] as? Int).map(Int32.init))
            let engine = try #require(try topology.enginePid())
            func descriptors(_ pid: Int32) -> Int {
                ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []).count
            }
            func lines() throws -> Int {
                try String(contentsOfFile: "/proc/\(engine)/maps", encoding: .utf8).split(separator: "\n").count {
                    $0.contains("tapline")
                }
            }
            let capture = [
                CommandLineRun.tapline, "capture", topology.name, "-w", topology.folder.path + "/x.pcapng", "--count",
                "4",
                "--for", "60s",
            ]
            let ping = try CommandLineRun.Started([
                CommandLineRun.tapline, "exec", topology.name, "alice", "--", "ping", "-n", "-q", "-i", "0.005", "-c",
                "100000", "203.0.113.80",
            ])
            let first = try CommandLineRun.Started(capture).finish()
            #expect(first.status == 0, "\(first)")
            try waitForCapture(topology, false)
            let before = (descriptors(control), descriptors(engine), try lines())
            for _ in 0..<10 {
                let ended = try CommandLineRun.Started(capture).finish()
                #expect(ended.errors.contains("captured 4 packets"), "\(ended)")
                let killed = try CommandLineRun.Started(capture + ["icmp[icmptype] = 99"])
                try waitForCapture(topology)
                killed.signal(SIGKILL)
                _ = killed.finish()
            }
            try waitForCapture(topology, false)
            try CommandLineRun.eventually("nothing is left") {
                (descriptors(control), descriptors(engine), try lines()) == before
            }
            // The command ends by what the terminal sends, and 'exec' shows what it prints then.
            _ = try CommandLineRun.run(
                "exec", topology.name, "alice", "--", "sh", "-c",
                "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = ping ] && kill -INT ${p#/proc/}; done; true")
            let ended = ping.finish()
            try expectWhole(ended)
        }
    }

    @Test("of a hundred captures at once as many run as there is room for, and the others are told")
    func hundred() throws {
        try withTopology { topology in
            let folder = topology.folder.path
            // Not sh: it waits by SIGCHLD, which may be blocked in what a test starts.
            let all = try CommandLineRun.Started([
                "/bin/bash", "-c",
                "for i in $(seq 100); do \(CommandLineRun.tapline) capture \(topology.name) icmp --count 4 --for 120s "
                    + "-w \(folder)/$i.pcapng 2>\(folder)/$i.err & done; wait",
            ])
            func count(_ text: String) throws -> Int {
                let found = try CommandLineRun.shell("cat \(folder)/*.err 2>/dev/null | grep -c '\(text)'").output
                return Int(found.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
            }
            // No packet has come, so none of those that have a place has ended. On a busy machine some get no answer in time.
            let told = #"others already follow events or capture frames\|does not answer; try again"#
            try CommandLineRun.eventually("those without a place are told") { try count(told) >= 68 }
            let running = 100 - (try count(told))
            try CommandLineRun.eventually("the others capture what they want") {
                try #require(try topology.echo())
                return try count("captured 4 packets") == running
            }
            #expect(all.finish().status == 0)
            let whole = try CommandLineRun.shell("capinfos -c \(folder)/*.pcapng | grep -c 'packets: *4$'")
            #expect(whole.output == "\(running)\n", "\(whole)")
            try waitForCapture(topology, false)
        }
    }

    @Test("a trace of everything in a flood ends by its time and its number, and no packet is lost by it")
    func flood() throws {
        try withTopology { topology in
            let trace = try CommandLineRun.Started([
                CommandLineRun.tapline, "trace", topology.name, "--quiet", "--json", "--for", "60s",
            ])
            try waitForCapture(topology)
            try flood(topology, 5_000, octets: 56)
            trace.signal(SIGINT)
            let ended = trace.finish()
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any], "\(ended)")
            let counts = try #require(report["counts"] as? [String: Any])
            // Each echo and each answer is read once and written once. What did not fit the ring is told.
            let seen = (counts["records"] as? Int ?? 0) + (counts["lost"] as? Int ?? 0)
            #expect(seen >= 20_000 - 1, "\(counts)")
            let bounded = try CommandLineRun.Started([
                CommandLineRun.tapline, "trace", topology.name, "--quiet", "--json", "--first", "5", "icmp", "--for",
                "60s",
            ])
            try waitForCapture(topology)
            try flood(topology, 500, octets: 56)
            let five = bounded.finish()
            let few = try #require(try JSONSerialization.jsonObject(with: Data(five.output.utf8)) as? [String: Any])
            #expect(five.status == 0 && few["traces"] as? Int == 10 && few["answers"] as? Int == 5, "\(five)")
        }
    }
}
