import Foundation
import Seeds
import Testing

/// States that were damaged, disks that are full, and other hands on the machine: it is told, healed, and nothing that is
/// somebody else's is touched.
@Suite("What others did meanwhile", .serialized, .enabled(if: isRoot))
struct HealTests {
    /// Brings a topology up, ends its control process, and waits until the kernel has closed what it held.
    private func dead(_ topology: ScratchTopology) throws {
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let control = try topology.controlProcess()
        kill(control, SIGKILL)
        try CommandLineRun.eventually("the control process has ended") { kill(control, 0) != 0 }
    }

    private func state(_ topology: ScratchTopology) -> String { "/run/tapline/\(topology.name)/state.json" }

    @Test(
        "a state that is cut off, empty, garbage, of a newer version, gone or a folder: by the marks alone",
        arguments: ["cut", "empty", "garbage", "newer", "gone", "folder"])
    func damagedState(_ damage: String) throws {
        let topology = try ScratchTopology(small: nil)
        let similar = try ForeignNamespace("\(topology.name)-similar")
        let neighbour = try ForeignNamespace("x\(topology.name)", mark: "tapline \(topology.name)x 0123456789abcdef")
        try dead(topology)
        let file = state(topology)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try FileManager.default.removeItem(atPath: file)
        switch damage {
        case "cut": try String(text.prefix(text.count / 2)).write(toFile: file, atomically: false, encoding: .utf8)
        case "empty": _ = FileManager.default.createFile(atPath: file, contents: nil)
        case "garbage":
            var random = SeededGenerator(seed: Seed.drawn())
            try Data((0..<4096).map { _ in .random(in: 0...255, using: &random) }).write(to: URL(fileURLWithPath: file))
        case "newer":
            let newer = text.replacingOccurrences(of: "\"version\":1", with: "\"version\":2")
            #expect(newer != text)
            try newer.write(toFile: file, atomically: false, encoding: .utf8)
        case "folder": try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
        default: break
        }
        let status = try CommandLineRun.json("status", topology.name, "--json")
        #expect(status["state"] as? String == "dead")
        #expect((status["problems"] as? [String])?.first?.contains("its state cannot be read") == true)
        if damage == "cut" || damage == "gone" {
            let again = try CommandLineRun.run("up", "-d", topology.file)
            #expect(again.status == 0, "\(again)")
            #expect(try topology.echo())
        }
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == "namespace \(similar.name)")
        #expect(similar.isThere && neighbour.isThere)
    }

    @Test("a state of before the machine's last start names processes and namespaces that are others' by now")
    func staleState() throws {
        for hasRestarted in [true, false] {
            let topology = try ScratchTopology(small: nil)
            let other = try ForeignNamespace("\(topology.name)-web")
            let bystander = try CommandLineRun.Started(["/bin/sleep", "300"])
            defer {
                // It has the signals of the test's thread blocked, all that can be.
                bystander.signal(SIGKILL)
                _ = bystander.finish()
            }
            let pid = bystander.process.processIdentifier
            let fields = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8).split(separator: " ")
            // Another start of the machine, or the same one and another process under the number.
            let started = (UInt64(fields[21]) ?? 0) + (hasRestarted ? 0 : 1)
            var boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
                .trimmingCharacters(in: .newlines)
            if hasRestarted { boot = "00000000-0000-0000-0000-000000000000" }
            let process = "{\"pid\":\(pid),\"started\":\(started),\"what\":\"tapline-engine\"}"
            try FileManager.default.createDirectory(
                atPath: "/run/tapline/\(topology.name)/nodes", withIntermediateDirectories: true)
            try """
            {"boot":"\(boot)","control":\(process),"created":1,"file":"/gone.yaml","name":"\(topology.name)",
            "namespaces":["\(other.name)"],"phase":"up","processes":[\(process)],"run":"0123456789abcdef","version":1}
            """.write(toFile: state(topology), atomically: true, encoding: .utf8)
            #expect(try CommandLineRun.json("status", topology.name, "--json")["state"] as? String == "dead")
            #expect(try CommandLineRun.run("down", topology.name).status == 0)
            #expect(bystander.isRunning)
            #expect(other.isThere)
            #expect(try topology.remains() == "namespace \(other.name)")
        }
    }

    @Test("a full and a read-only /run: up says so and leaves nothing, and down still works")
    func fullDisk() throws {
        let topology = try ScratchTopology(small: nil)
        let run = try CommandLineRun.shell(
            """
            exec unshare -m sh -c '
            mount --make-rprivate / && umount -R -l /run/netns 2>/dev/null
            T=\(CommandLineRun.tapline) F=\(topology.file) N=\(topology.name)
            left() { ls /run | grep -v ^mount; }
            fill() { head -c 20000000 /dev/zero >/run/fill 2>/dev/null; }
            mount -t tmpfs -o size=1m,mode=755 none /run && fill
            $T up $F; echo "full: $? left: $(left)"
            rm /run/fill; mount -o remount,ro /run
            $T up $F -d; echo "read-only: $? left: $(left)"
            mount -o remount,rw,nr_inodes=2 /run
            $T up $F -d; echo "no inodes: $? left: $(left)"
            mount -o remount,nr_inodes=1000 /run
            $T up $F -d && fill
            $T exec $N alice -- true; echo "exec: $?"
            $T down $N; echo "down: $? left: $(left)"
            rm /run/fill
            $T up $F -d && fill
            kill -9 $($T status $N --json | sed -n "s/^  \\"pid\\" : \\([0-9]*\\),*$/\\1/p")
            $T down $N; echo "down after SIGKILL: $? left: $(left)"
            umount /run'
            """)
        for line in [
            "full: 2 left: fill", "read-only: 2 left: ", "no inodes: 2 left: ", "exec: 2", "down: 0 left: fill",
            "down after SIGKILL: 0 left: fill",
        ] { #expect(run.output.contains("\(line)\n"), "\(run.output)\(run.errors)") }
        let summary = run.errors.split(separator: "\n").filter { $0.hasPrefix("tapline:") }
        #expect(summary.count == 4, "\(run.errors)")
        #expect(summary.filter { $0.contains("make room on the file system of /run") }.count == 3, "\(run.errors)")
        #expect(summary.contains { $0.contains("/run must be writable") }, "\(run.errors)")
    }

    @Test("a node's namespace that somebody deleted is told; exec, down and up work on")
    func deletedNamespace() throws {
        let topology = try ScratchTopology(small: nil)
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        for node in ["alice", "web"] {
            #expect(try CommandLineRun.shell("ip netns delete \(topology.name)-\(node)").status == 0)
        }
        let taker = try ForeignNamespace("\(topology.name)-web")
        let status = try CommandLineRun.run("status", topology.name)
        #expect(status.status == 0)
        #expect(status.output.contains("the namespace \(topology.name)-alice still exists, but its name was deleted"))
        #expect(status.output.contains("of the namespace \(topology.name)-web now belongs to another namespace"))
        #expect(try topology.echo())
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(taker.isThere)
        #expect(try topology.remains() == "namespace \(taker.name)")
        let refused = try CommandLineRun.run("up", "-d", topology.file)
        #expect(refused.status == 5)
        #expect(refused.errors.contains("tapline: a network namespace called \(taker.name) exists"))
        try taker.delete()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
    }

    @Test("devices that somebody deletes, renames or takes are told; the engine does not spin, and up makes them anew")
    func takenDevices() throws {
        let topology = try ScratchTopology(small: nil)
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let thief = try ForeignNamespace("x\(topology.name)")
        // The web server's device is the TAP itself; alice's and bob's are veths to a bridge.
        for command in [
            "ip -n \(topology.name)-web link delete servers",
            "ip -n \(topology.name)-bob link set customers down name stolen",
            "ip -n \(topology.name)-alice link set customers netns \(thief.name)",
        ] { #expect(try CommandLineRun.shell(command).status == 0, "\(command)") }
        let status = try CommandLineRun.json("status", topology.name, "--json")
        let problems = try #require(status["problems"] as? [String])
        #expect(problems.contains { $0.hasPrefix("the device servers of interface servers in node web is gone") })
        #expect(problems.contains { $0.contains("in node bob is gone or has another name") })
        #expect(problems.contains { $0.contains("in node alice is gone or has another name") })
        let engine = try #require(try topology.enginePid())
        let busy = { () throws -> Int in
            let fields = try String(contentsOfFile: "/proc/\(engine)/stat", encoding: .utf8).split(separator: " ")
            return (Int(fields[13]) ?? 0) + (Int(fields[14]) ?? 0)
        }
        let before = try busy()
        usleep(500_000)
        // Fifty hundredths of a second have passed; an engine that spins has used all of them.
        #expect(try busy() - before < 20)
        kill(engine, SIGKILL)
        try CommandLineRun.eventually("another engine runs without the device") {
            let engine = try CommandLineRun.json("status", topology.name, "--json")["engine"] as? [String: Any]
            return engine?["starts"] as? Int == 2 && engine?["state"] as? String == "running"
        }
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(thief.isThere)
        try topology.expectGone()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        #expect(try topology.echo())
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
    }

    @Test("a program started by hand in a node's namespace is told by down, and left alone")
    func strayProgram() throws {
        let topology = try ScratchTopology(small: nil)
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let stray = try CommandLineRun.Started(
            ["/bin/sh", "-c", "exec ip netns exec \(topology.name)-alice sleep 300"])
        let pid = stray.process.processIdentifier
        try CommandLineRun.eventually("it is in the namespace") {
            try CommandLineRun.shell("ip netns pids \(topology.name)-alice | grep -qx \(pid)").status == 0
        }
        let down = try CommandLineRun.run("down", topology.name)
        #expect(down.status == 0)
        #expect(
            down.errors.contains("process \(pid) (sleep) still runs in what was the namespace \(topology.name)-alice"))
        #expect(stray.isRunning)
        stray.signal(SIGKILL)
        _ = stray.finish()
        try topology.expectGone()
    }

    @Test("a topology whose name begins like another's outlives it")
    func similarNames() throws {
        let topology = try ScratchTopology(small: nil)
        let other = "\(topology.name)-web"
        #expect(try CommandLineRun.run("up", "-d", topology.file, "--name", other).status == 0)
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try CommandLineRun.json("status", other, "--json")["state"] as? String == "up")
        #expect(
            try CommandLineRun.run("exec", other, "alice", "--", "ping", "-n", "-c", "1", "203.0.113.80").status == 0)
        #expect(try CommandLineRun.run("down", other).status == 0)
        try topology.expectGone()
    }

    @Test("a control process that ends while it is being asked ends no command with it")
    func endingControl() throws {
        let name = "t" + String(UInt32.random(in: .min ... .max), radix: 36)
        let folder = "/run/tapline/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer {
            try? FileManager.default.removeItem(atPath: folder)
            rmdir("/run/tapline")
        }
        // Whoever connects finds the other end closed a moment later, before or after it has asked.
        let closing = try CommandLineRun.Started([
            "/usr/bin/env", "python3", "-c",
            """
            import socket
            s = socket.socket(socket.AF_UNIX)
            s.bind("\(folder)/control.sock")
            s.listen(64)
            while True: s.accept()[0].close()
            """,
        ])
        defer {
            closing.signal(SIGKILL)
            _ = closing.finish()
        }
        try CommandLineRun.eventually("it listens") {
            FileManager.default.fileExists(atPath: "\(folder)/control.sock")
        }
        var ends: Set<Int32> = []
        for _ in 0..<60 { ends.insert(try CommandLineRun.run("status", name).status) }
        #expect(ends == [0], "a dead topology is told: \(ends)")
    }
}
