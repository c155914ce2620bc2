import Foundation
import Synchronization
import Testing

/// Ends of every kind at moments spread over the measured time of up and of down.
@Suite("Ended at any moment", .serialized, .enabled(if: isRoot))
struct CrashTests {
    /// Runs `body` for the numbers below `count` in lanes side by side, and reports what they say is wrong.
    ///
    /// - Parameter body: Gets the number, and a topology that is the lane's own.
    private func inLanes(
        _ count: Int, _ body: @escaping @Sendable (Int, ScratchTopology) throws -> String?
    ) throws {
        let wrong = Mutex<[String]>([])
        let next = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 6) { _ in
            do {
                let topology = try ScratchTopology(small: nil)
                while true {
                    let number = next.withLock { next in
                        defer { next += 1 }
                        return next
                    }
                    guard number < count else { return }
                    let summary = try body(number, topology) ?? topology.remains().map { "left: \($0)" }
                    if let summary { wrong.withLock { $0.append("round \(number): \(summary)") } }
                }
            } catch {
                wrong.withLock { $0.append("\(error)") }
            }
        }
        let summary = wrong.withLock { $0 }
        #expect(summary.isEmpty, "\(summary.joined(separator: "\n"))")
    }

    /// How long a small topology takes to come up and to go, in microseconds, as this machine is busy now.
    private func durations() throws -> (up: Double, down: Double) {
        let topology = try ScratchTopology(small: nil)
        var moments = [Date()]
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        moments.append(Date())
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        moments.append(Date())
        return (
            moments[1].timeIntervalSince(moments[0]) * 1e6, moments[2].timeIntervalSince(moments[1]) * 1e6
        )
    }

    /// A moment somewhere in the `slot`-th of `slots` parts of a time, and a little beyond its end.
    private static func moment(_ slot: Int, of slots: Int, in duration: Double) -> UInt32 {
        UInt32(duration * 1.2 * (Double(slot) + Double.random(in: 0..<1)) / Double(slots))
    }

    @Test("SIGINT, SIGTERM and SIGHUP at a hundred moments of up and down, in the foreground and with -d")
    func interrupted() throws {
        let (up, down) = try durations()
        try inLanes(100) { number, topology in
            let (slot, slots, number) = (number / 4, 25, number % 4)
            let signal = [SIGINT, SIGTERM, SIGINT, SIGHUP, SIGINT][slot % 5]
            switch number {
            case 0, 1:
                // During up. A signal before the program takes signals ends it as it ends any other.
                let started = try CommandLineRun.Started(
                    [CommandLineRun.tapline, "up", topology.file] + (number == 0 ? [] : ["-d"]))
                let moment = Self.moment(slot, of: slots, in: up)
                usleep(moment)
                started.signal(signal)
                if slot % 3 == 2 { started.signal(SIGINT) }
                let end = started.finish()
                guard [0, 2, 129, 130, 143].contains(end.status) else { return "after \(moment) us: \(end)" }
                // In the foreground it takes everything away itself, before it ends; so it does with -d, if the signal
                // came before all was up.
                guard number == 1, end.status == 0 || end.status > 128 else { return nil }
                return try Self.down(topology)
            case 2:
                // During the foreground's going down.
                let started = try CommandLineRun.Started([CommandLineRun.tapline, "up", topology.file])
                try CommandLineRun.eventually("it is up") { started.text().contains(" is up") }
                started.signal(SIGINT)
                usleep(Self.moment(slot, of: slots, in: down))
                started.signal(signal)
                let end = started.finish()
                return end.status == 0 ? nil : "\(end)"
            default:
                // The command that takes it away is interrupted: it goes all the same, or by the next one.
                let up = try CommandLineRun.run("up", "-d", topology.file)
                guard up.status == 0 else { return "\(up)" }
                let started = try CommandLineRun.Started([CommandLineRun.tapline, "down", topology.name])
                usleep(Self.moment(slot, of: slots, in: down))
                started.signal(signal)
                _ = started.finish()
                return try Self.down(topology)
            }
        }
    }

    /// `down`, which must work whatever there is: 5 where nothing is.
    private static func down(_ topology: ScratchTopology) throws -> String? {
        let down = try CommandLineRun.run("down", topology.name)
        return [0, 5].contains(down.status) ? nil : "down: \(down)"
    }

    @Test(
        "SIGKILL of tapline, of the engine and of both at forty moments of up and down; down, or the next up, clears it"
    )
    func killed() throws {
        let (up, down) = try durations()
        try inLanes(40) { number, topology in
            let (slot, victim) = (number / 4, number % 4)
            let started = try CommandLineRun.Started([CommandLineRun.tapline, "up", topology.file])
            let control = started.process.processIdentifier
            var moment = Self.moment(slot, of: 10, in: up)
            if victim == 3 {
                // While it goes down.
                try CommandLineRun.eventually("it is up") { started.text().contains(" is up") }
                started.signal(SIGINT)
                moment = Self.moment(slot, of: 10, in: down)
            }
            usleep(moment)
            let engines = Self.engines(of: control)
            if victim != 0 { for engine in engines { kill(engine, SIGKILL) } }
            if victim != 1 { started.signal(SIGKILL) }
            if victim == 1 {
                // Without its engine it comes up all the same, or says why not; and goes when told to.
                try CommandLineRun.eventually("it is up, or has ended") {
                    started.text().contains(" is up") || !started.isRunning
                }
                started.signal(SIGINT)
                let end = started.finish()
                return [0, 2].contains(end.status) ? nil : "engine killed after \(moment) us: \(end)"
            }
            _ = started.finish()
            if slot % 2 == 0 {
                let again = try CommandLineRun.run("up", "-d", topology.file)
                guard again.status == 0 else { return "up after SIGKILL after \(moment) us: \(again)" }
                guard try topology.echo() else { return "no echo after the second up" }
            }
            return try Self.down(topology)
        }
    }

    @Test("SIGKILL of 'up -d' at sixty moments before it has said that all is up leaves nothing")
    func brokenOff() throws {
        let (up, _) = try durations()
        try inLanes(60) { number, topology in
            let started = try CommandLineRun.Started([CommandLineRun.tapline, "up", "-d", topology.file])
            let moment = UInt32(up * (Double(number) + Double.random(in: 0..<1)) / 60)
            usleep(moment)
            started.signal(SIGKILL)
            let end = started.finish()
            // It had said that all is up: then it is, or it goes, where the signal came before the confirmation.
            if end.status == 0 || end.output.contains(" is up") || end.errors.contains(" is up") {
                return try Self.down(topology)
            }
            // What it had started goes by itself, in its own time.
            try CommandLineRun.eventually("nothing is left of what was killed after \(moment) us") {
                try topology.remains() == nil && !Self.runs(topology.file)
            }
            return nil
        }
    }

    /// True where a process has the file among its words.
    private static func runs(_ file: String) -> Bool {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.contains { name in
            guard Int32(name) != nil, let words = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") else {
                return false
            }
            return words.split(separator: 0).contains { $0.elementsEqual(file.utf8) }
        }
    }

    /// The packeting engines that a control process has started.
    private static func engines(of control: Int32) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap(Int32.init).filter { pid in
            guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
                let end = stat.lastIndex(of: ")")
            else { return false }
            let fields = stat[end...].split(separator: " ")
            return stat.contains("(tapline-engine)") && fields.count > 2 && fields[2] == "\(control)"
        }
    }

    @Test("twenty topologies at once, of one file: all up, each with its own traffic, all down")
    func twenty() throws {
        let topology = try ScratchTopology(small: nil)
        let names = (0..<20).map { "\(topology.name)-\($0)" }
        defer { for name in names { _ = try? CommandLineRun.run("down", name) } }
        let all = { (words: @escaping (String) -> [String]) throws in
            let started = try names.map { try CommandLineRun.Started([CommandLineRun.tapline] + words($0)) }
            for (name, one) in zip(names, started) {
                let end = one.finish()
                #expect(end.status == 0, "\(name): \(end)")
            }
        }
        try all { ["up", "-d", topology.file, "--name", $0] }
        try all { ["exec", $0, "alice", "--", "ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", "203.0.113.80"] }
        let listed = try CommandLineRun.run("status").output
        for name in names { #expect(listed.contains("\(name) ")) }
        // The engines counted each its own topology's packets: one request entry, three echoes.
        for name in names {
            let tables = try CommandLineRun.json("tables", name, "--json")
            let rows = try #require(tables["distribution"] as? [[String: Any]])
            let echoes = rows.filter { $0["servicePort"] as? String == "icmp" }.compactMap { $0["packets"] as? Int }
            #expect(echoes == [3], "\(name): \(rows)")
        }
        try all { ["down", $0] }
        try topology.expectGone()
    }

    @Test("a hundred times up and down, and as many commands to one control process, leak nothing")
    func leaks() throws {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Scripts/soak").path
        let soaked = try CommandLineRun.shell("TAPLINE=\(CommandLineRun.tapline) exec \(script) 100")
        #expect(soaked.status == 0, "\(soaked.output)\(soaked.errors)")
        #expect(soaked.errors.hasSuffix("nothing has grown\n"))
        print(soaked.output)
    }
}
