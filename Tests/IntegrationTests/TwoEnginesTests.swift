import Foundation
import Testing

/// Two engines share a topology's load; each is killed, stopped, hung, drained and replaced under traffic.
@Suite(.serialized) struct TwoEnginesTests {
    static let files = ["sink.sh": EngineLifeTests.sink, "count.py": EngineLifeTests.count, "hold.py": hold]

    /// Holds every thread of a process without stopping it, so that no parent hears of it, until it is ended.
    static let hold = """
        import ctypes, os, sys, time
        ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        ptrace.argtypes = [ctypes.c_long] * 4
        ptrace.restype = ctypes.c_long
        for thread in os.listdir(f'/proc/{sys.argv[1]}/task'):
            for request in (0x4206, 0x4207):  # PTRACE_SEIZE, PTRACE_INTERRUPT
                if ptrace(request, int(thread), 0, 0) != 0:
                    sys.exit(f'ptrace: {os.strerror(ctypes.get_errno())}')
        print('held', flush=True)
        time.sleep(60)
        """

    static func topology(_ engines: String) -> String { EngineLifeTests.topology + "\nengines: \(engines)\n" }

    static func engines(_ lab: Lab) throws -> [[String: Any]] {
        try #require(try lab.status()["engines"] as? [[String: Any]])
    }

    static func pid(_ lab: Lab, _ number: Int) throws -> Int32? {
        (try #require(try engines(lab).dropFirst(number - 1).first)["pid"] as? Int).map(Int32.init)
    }

    /// The shares that each engine reads.
    static func queues(_ lab: Lab) throws -> [[Int]] { try engines(lab).map { $0["queues"] as? [Int] ?? [] } }

    static func eventually(_ what: String, _ body: () throws -> Bool) throws {
        let deadline = Date().addingTimeInterval(60)
        while Date() < deadline {
            if try body() { return }
            usleep(20_000)
        }
        Issue.record("it did not come true: \(what)")
    }

    /// Runs a program in alice beside `body` and returns how it ended, with its output.
    static func beside(_ lab: Lab, _ command: [String], _ body: () throws -> Void) throws -> Finished {
        // The sink is ready when it takes TCP; it counts datagrams a little later.
        try eventually("the sink counts") {
            try lab.exec("sink", "grep -q ':0007 ' /proc/net/udp").status == 0
        }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Product.tapline)
        process.arguments = ["exec", lab.name, "alice", "--"] + command
        process.standardOutput = output
        try process.run()
        try body()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Finished(status: process.terminationStatus, output: text)
    }

    @Test func whatIsPlannedLosesNoPacket() throws {
        try Lab.with(Self.topology("2"), files: Self.files) { lab in
            #expect(try Self.queues(lab) == [[0], [1]])
            let first = try (1...2).map { try Self.pid(lab, $0) }
            let counted = try Self.beside(lab, ["python3", "count.py"]) { () throws in
                for number in [1, 2] {
                    let replaced = try lab.tapline("engine", "replace", lab.name, "\(number)")
                    #expect(replaced.status == 0, "\(replaced.output)")
                }
                #expect(try lab.tapline("engine", "replace", lab.name).status == 0)
                for number in ["1", "2"] {
                    let drained = try lab.tapline("engine", "drain", lab.name, number)
                    #expect(drained.status == 0, "\(drained.output)")
                    #expect(try Self.queues(lab)[number == "1" ? 0 : 1] == [])
                    #expect(try lab.tapline("engine", "undrain", lab.name, number).status == 0)
                }
            }
            #expect(counted.output.trimmingCharacters(in: .whitespacesAndNewlines) == "20000 20000")
            let now = try (1...2).map { try Self.pid(lab, $0) }
            #expect(zip(first, now).allSatisfy { $0 != $1 })
            #expect(try Self.engines(lab).allSatisfy { $0["starts"] as? Int == 3 })
            #expect(try Self.queues(lab) == [[0], [1]])
            // What makes no sense is refused, with what would.
            #expect(try lab.tapline("engine", "drain", lab.name, "3").output.contains("numbered from 1 to 2"))
            #expect(try lab.tapline("engine", "drain", lab.name, "1").status == 0)
            let last = try lab.tapline("engine", "drain", lab.name, "2")
            #expect(last.status == 2)
            #expect(last.output.contains("undrain another one first"))
            let text = try lab.tapline("status", lab.name).output
            #expect(text.contains("drained") && text.contains("0 1"), "\(text)")
            // The one that reads alone ends: a drained engine is better than none.
            kill(try #require(try Self.pid(lab, 2)), SIGKILL)
            try Self.eventually("both queues are read again") { try Self.queues(lab)[1] == [0, 1] }
        }
    }

    /// What it had read is sent on when others read in its place, and what waits in its queues is theirs.
    @Test(arguments: ["1", "2"]) func anEngineThatIsStoppedLosesNothing(_ engines: String) throws {
        try Lab.with(Self.topology(engines), files: Self.files) { lab in
            let counted = try Self.beside(lab, ["python3", "count.py"]) { () throws in
                for starts in 2...6 {
                    kill(try #require(try Self.pid(lab, 1)), SIGSTOP)
                    try Self.eventually("another one reads") {
                        let engine = try Self.engines(lab)[0]
                        return engine["starts"] as? Int == starts && engine["queues"] as? [Int] == [0]
                    }
                    // A single engine's next spare, too.
                    usleep(100_000)
                }
            }
            #expect(counted.output.trimmingCharacters(in: .whitespacesAndNewlines) == "20000 20000")
        }
    }

    @Test func anEngineThatIsKilledStoppedOrHungCostsNoConnection() throws {
        try Lab.with(Self.topology("2"), files: Self.files) { lab in
            let client = try Self.beside(
                lab, ["iperf3", "-c", "203.0.113.80", "-C", "cubic", "-P", "4", "-t", "8"]
            ) {
                usleep(500_000)
                for (starts, signal) in [SIGKILL, SIGSTOP].enumerated() {
                    for number in [1, 2] {
                        kill(try #require(try Self.pid(lab, number)), signal)
                        try Self.eventually("engine \(number) is another one and reads") {
                            let engine = try Self.engines(lab)[number - 1]
                            return engine["starts"] as? Int == starts + 2 && engine["queues"] as? [Int] == [number - 1]
                        }
                    }
                }
                let pid = try #require(try Self.pid(lab, 1))
                let holder = Process()
                let summary = Pipe()
                holder.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
                holder.arguments = [lab.folder.appendingPathComponent("hold.py").path, "\(pid)"]
                holder.standardOutput = summary
                try holder.run()
                defer {
                    kill(holder.processIdentifier, SIGKILL)
                    holder.waitUntilExit()
                }
                let held = String(decoding: summary.fileHandleForReading.availableData, as: UTF8.self)
                #expect(held.hasPrefix("held"), "\(held)")
                try Self.eventually("the engine that hangs is replaced") {
                    let engine = try Self.engines(lab)[0]
                    return engine["starts"] as? Int == 4 && engine["queues"] as? [Int] == [0]
                }
                #expect((try Self.engines(lab)[0]["lastEnd"] as? String)?.contains("made no progress") == true)
            }
            #expect(client.status == 0, "a TCP connection did not survive: \(client.output)")
        }
    }

    @Test func twoEnginesShareByDirection() throws {
        try Lab.with(Self.topology("{ share: direction }"), files: Self.files) { lab in
            let counted = try Self.beside(lab, ["python3", "count.py"]) { () throws in
                #expect(try lab.tapline("engine", "replace", lab.name).status == 0)
                #expect(try lab.tapline("engine", "drain", lab.name, "1").status == 0)
                #expect(try Self.queues(lab) == [[], [0, 1]])
                #expect(try lab.tapline("engine", "undrain", lab.name, "1").status == 0)
            }
            #expect(counted.output.trimmingCharacters(in: .whitespacesAndNewlines) == "20000 20000")
            let before = try Self.engines(lab).map { $0["packets"] as? Int ?? 0 }
            try lab.exec("alice", "fping -q -c 10 -p 10 -t 20000 203.0.113.80")
            let after = try Self.engines(lab).map { $0["packets"] as? Int ?? 0 }
            // Requests come in on two interfaces, answers on two.
            #expect((0..<2).allSatisfy { after[$0] - before[$0] >= 20 }, "\(before) \(after)")
            kill(try #require(try Self.pid(lab, 1)), SIGKILL)
            try Self.eventually("engine 1 is another one and reads") {
                let engine = try Self.engines(lab)[0]
                return engine["starts"] as? Int == 2 + 1 && engine["queues"] as? [Int] == [0]
            }
            let ping = try lab.exec("alice", "fping -q -c 3 -p 200 -t 20000 203.0.113.80")
            #expect(ping.output.contains("/0%"), "\(ping.output)")
        }
    }

    @Test func aSpareTakesTheOnlyEnginesPlace() throws {
        try Lab.with(EngineLifeTests.topology, files: Self.files) { lab in
            let children = { () throws -> Set<Int32> in
                let control = try #require(try lab.status()["pid"] as? Int)
                let list = try run("/usr/bin/pgrep", ["-P", "\(control)", "-x", "tapline-engine"]).output
                return Set(list.split(separator: "\n").compactMap { Int32($0) })
            }
            try Self.eventually("a spare waits") { try children().count == 2 }
            let engine = try #require(try Self.pid(lab, 1))
            let spare = try #require(try children().subtracting([engine]).first)
            kill(engine, SIGKILL)
            try Self.eventually("the spare is the engine") { try Self.pid(lab, 1) == spare }
            try Self.eventually("another spare waits") { try children().count == 2 }
            #expect(try lab.tapline("engine", "drain", lab.name, "1").output.contains("replace it instead"))
            // Replacing the engine makes the spare one of the new program, too.
            let before = try children()
            #expect(try lab.tapline("engine", "replace", lab.name).status == 0)
            try Self.eventually("both are new") { try children().count == 2 && children().isDisjoint(with: before) }
            #expect(try Self.engines(lab)[0]["starts"] as? Int == 3)
        }
    }
}
