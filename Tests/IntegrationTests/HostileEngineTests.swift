import Foundation
import Testing

/// An engine that belongs to somebody else (Tests/HostileEngine) tries everything that it can think of. It takes the place of
/// the engine in a topology that forwards; afterwards nobody has been harmed, and the next engine forwards.
@Suite(.serialized) struct HostileEngineTests {
    static let topology = """
        name: hostile
        interfaces:
          outside: { address: 192.0.2.1/24 }
          inside:  { address: 198.18.4.1/24 }
        customers:
          alice: { interface: outside, address: 192.0.2.10/24 }
        applications:
          sink: { type: server, attach: inside }
        services:
          echo: { address: 203.0.113.80, ports: [icmp], sequence: [sink] }
        """

    /// The engine's program: the hostile one where a file beside it says so, once; else the real one.
    static let program = """
        #!/bin/sh
        folder=${0%/*}
        if /bin/mv "$folder/attack" "$folder/taken" 2>/dev/null; then
            read -r words <"$folder/taken"
            exec \(Product.folder.path)/hostile-engine $words
        fi
        exec \(Product.folder.path)/tapline-engine
        """
    static let launcher = ["/bin/sh", "-c", "chmod +x engine; TAPLINE_ENGINE=$PWD/engine exec \"$@\"", "sh"]

    /// What becomes of an attack.
    enum Outcome: Equatable {
        /// The filter of system calls ends the engine.
        case killed
        /// The kernel refuses it.
        case refused
        /// It may be done, and harms nobody.
        case harmless
        /// So many at most.
        case bounded(String, Int)
    }

    struct Attack: CustomTestStringConvertible {
        var name: String
        var outcome = Outcome.killed
        var mode = "strict"
        /// The engine goes on as one.
        var stays = false
        /// What the control process tells of it.
        var summary: String?
        var testDescription: String { "\(name), \(mode)" }
    }

    /// A topology, with a process of the machine's that is to be harmed.
    struct Scene {
        let lab: Lab
        let victim: Process
        let control: Int

        var log: String {
            (try? String(contentsOfFile: "/run/tapline/\(lab.name)/appliance.log", encoding: .utf8)) ?? ""
        }

        /// Has the next engine that is started be the hostile one, and puts it in the engine's place.
        func replace(by attack: Attack) throws -> Finished {
            try "\(attack.name) \(attack.mode) \(victim.processIdentifier)\n".write(
                to: lab.folder.appendingPathComponent("attack"), atomically: true, encoding: .utf8)
            return try lab.tapline("engine", "replace", lab.name)
        }

        /// What the log says from `place` on that came in its time.
        func log(from place: Int, tries: Int = 6_000, until isThere: (String) -> Bool) -> String {
            var text = ""
            for _ in 0..<tries {
                text = String(log.utf8.dropFirst(place)) ?? ""
                if isThere(text) { break }
                usleep(10_000)
            }
            return text
        }

        /// Nobody is harmed: the victim and the control process live, and an engine forwards.
        func expectUnharmed(_ attack: Attack, sourceLocation: SourceLocation = #_sourceLocation) throws {
            #expect(victim.isRunning, "\(attack): the victim has ended", sourceLocation: sourceLocation)
            #expect(try lab.status()["pid"] as? Int == control, "\(attack)", sourceLocation: sourceLocation)
            let ping = try lab.exec("alice", "ping -n -c 1 -W 20 203.0.113.80")
            #expect(ping.status == 0, "\(attack): nothing forwards: \(ping.output)", sourceLocation: sourceLocation)
            #expect(Self.children.isEmpty, "\(attack): children are left", sourceLocation: sourceLocation)
        }

        /// Processes that a hostile engine has left.
        static var children: [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).filter { name in
                guard Int(name) != nil else { return false }
                return (try? String(contentsOfFile: "/proc/\(name)/comm", encoding: .utf8)) == "hostile-child\n"
            }
        }
    }

    static func with(_ body: (Scene) throws -> Void) throws {
        let victim = Process()
        victim.executableURL = URL(fileURLWithPath: "/bin/sleep")
        victim.arguments = ["600"]
        try victim.run()
        // SIGTERM is no end of it where the tests were started with that ignored.
        defer {
            kill(victim.processIdentifier, SIGKILL)
            victim.waitUntilExit()
        }
        try Lab.with(topology, files: ["engine": program], launcher: launcher) { lab in
            let control = try #require(try lab.status()["pid"] as? Int)
            try body(Scene(lab: lab, victim: victim, control: control))
        }
    }

    /// Puts the attacker in the engine's place, and looks at what becomes of it.
    static func attempt(_ attack: Attack, _ scene: Scene) throws {
        let begins = "hostile: \(attack.name): begins"
        let ended = "was ended by its filter of system calls (SIGSYS)"
        let ends = "hostile: \(attack.name): ends"
        var summary = ""
        // A spare that is being started just then is the hostile one instead, and reads nothing.
        for _ in 1...5 where !summary.contains(begins) {
            let place = scene.log.utf8.count
            _ = try scene.replace(by: attack)
            summary = scene.log(from: place, tries: 400) { $0.contains(begins) }
            guard summary.contains(begins) else { continue }
            summary = scene.log(from: place) { text in
                text.contains(ended) || (text.contains(ends) && (attack.summary.map(text.contains) ?? true))
            }
        }
        #expect(summary.contains(begins), "\(attack): it never came to attack: \(summary)")
        switch attack.outcome {
        case .killed:
            #expect(summary.contains(ended) && !summary.contains(ends), "\(attack): \(summary)")
        case .refused:
            #expect(summary.contains(" refused ") && !summary.contains(ended), "\(attack): \(summary)")
        case .harmless:
            #expect(summary.contains(ends), "\(attack): \(summary)")
        case .bounded(let what, let most):
            let number = summary.split(separator: "\n").lazy.compactMap { line -> Int? in
                line.contains(": \(what) ") ? line.split(separator: " ").last.flatMap { Int($0) } : nil
            }.first
            #expect(number.map { $0 <= most } == true, "\(attack): \(summary)")
        }
        if let words = attack.summary { #expect(summary.contains(words), "\(attack): \(summary)") }
        if attack.stays {
            // Some questions whether it goes round reach it.
            usleep(700_000)
            let replaced = try scene.lab.tapline("engine", "replace", scene.lab.name)
            #expect(replaced.status == 0, "\(attack): \(replaced.output)")
        }
        try scene.expectUnharmed(attack)
    }

    /// Those of which the filter is not the end.
    static let outcomes: [String: Outcome] = [
        "write-table": .refused, "map-table": .refused, "use-ring": .bounded("operations granted", 0),
        "write-by-ring": .refused, "use-up-memory": .bounded("MiB", 128),
    ]
    /// Those that tests of their own are about.
    static let others: Set = ["none", "scribble", "flood-errors", "be-deaf"]

    /// Every attack that the hostile engine knows.
    static func all() throws -> [Attack] {
        let listed = try run(Product.folder.appendingPathComponent("hostile-engine").path, ["--list"])
        return listed.output.split(separator: "\n").map(String.init).filter { !others.contains($0) }
            .map { Attack(name: $0, outcome: outcomes[$0] ?? .killed) }
    }

    @Test func noSystemCallIsOfUse() throws {
        let attacks = try Self.all()
        #expect(attacks.count > 60)
        try Self.with { scene in
            for attack in attacks { try Self.attempt(attack, scene) }
        }
    }

    /// The same without the filter: what lies behind it holds by itself.
    static let behind: [Attack] = [
        ("signal-by-socket", .refused), ("signal-by-queue", .refused), ("signal-by-thread", .refused),
        ("signal-by-ioctl", .harmless), ("leave-child", .harmless), ("leave-child-by-clone3", .harmless),
        ("clone-user-namespace", .harmless), ("use-up-processes", .bounded("processes", 8)), ("execute", .refused),
        ("open-file", .refused), ("open-up", .refused), ("make-file", .refused), ("open-device", .refused),
        ("look-at-file", .refused), ("connect", .refused), ("mount", .refused), ("remount", .refused),
        ("unmount", .refused), ("chroot", .refused), ("setns", .refused), ("ptrace", .refused),
        ("read-memory", .refused), ("kill", .refused), ("kill-thread", .refused), ("kill-everybody", .refused),
        ("queue-signal", .refused), ("pidfd", .refused), ("limit-victim", .refused), ("slow-victim", .refused),
        ("go-first", .refused), ("hostname", .refused), ("reboot", .refused), ("become-root", .refused),
        ("map-huge", .refused), ("write-table", .refused), ("map-table", .refused), ("protect-table", .refused),
        ("shrink-counters", .refused), ("seal-counters", .refused), ("write-by-ring", .refused),
        ("use-ring", .bounded("operations granted", 0)), ("use-up-memory", .bounded("MiB", 128)),
        ("use-up-descriptors", .bounded("descriptors", 64)), ("use-up-disk", .refused),
    ].map { name, outcome in
        Attack(
            name: name, outcome: outcome, mode: "lax",
            stays: ["signal-by-socket", "signal-by-thread", "signal-by-ioctl"].contains(name))
    }

    @Test func whatLiesBehindTheFilterHoldsToo() throws {
        try Self.with { scene in
            for attack in Self.behind { try Self.attempt(attack, scene) }
        }
    }

    /// Queues that an engine has made to wait are corrected before anybody else reads them, and that is told.
    @Test(arguments: ["make-queues-wait", "make-queues-wait-by-ioctl", "make-queues-wait-and-stay"])
    func queuesThatWaitAreCorrected(_ name: String) throws {
        try Self.with { scene in
            let stays = name.hasSuffix("stay")
            let summary = stays ? nil : "had been changed so that readers hang, and were set again"
            try Self.attempt(Attack(name: name, outcome: .harmless, mode: "lax", stays: stays, summary: summary), scene)
            for _ in 1...3 {
                let replaced = try scene.lab.tapline("engine", "replace", scene.lab.name)
                #expect(replaced.status == 0, "\(replaced.output)")
            }
            try scene.expectUnharmed(Attack(name: name))
        }
    }

    /// Makes the queues of a control process wait: their flags belong to all who hold them (pidfd_getfd(2) gives the very files).
    static let hold = """
        import ctypes, fcntl, os, sys
        pid = int(sys.argv[1])
        process = os.pidfd_open(pid)
        call = ctypes.CDLL(None, use_errno=True).syscall
        for name in os.listdir(f'/proc/{pid}/fd'):
            if os.readlink(f'/proc/{pid}/fd/{name}') != '/dev/net/tun': continue
            queue = call(438, process, int(name), 0)
            fcntl.fcntl(queue, fcntl.F_SETFL, 0)
            print('changed')
        """

    /// An honest engine whose queues wait hangs in the middle of a burst. It is found, its queues are corrected, and
    /// the next one reads them.
    @Test func aReaderThatHangsIsReplaced() throws {
        try Self.with { scene in
            let serving = try #require(try EngineLifeTests.engine(scene.lab)["pid"] as? Int)
            let place = scene.log.utf8.count
            let held = try run("/usr/bin/python3", ["-c", Self.hold, "\(scene.control)"])
            #expect(held.output == "changed\nchanged\n", "\(held.output)")
            _ = try scene.lab.exec("alice", "ping -n -c 1 -W 1 203.0.113.80")
            let summary = scene.log(from: place) { $0.contains("engine-stopped") }
            #expect(summary.contains("made no progress"), "\(summary)")
            #expect(summary.contains("had been changed so that readers hang, and were set again"), "\(summary)")
            try scene.expectUnharmed(Attack(name: "none"))
            #expect(try EngineLifeTests.engine(scene.lab)["pid"] as? Int != serving)
        }
    }

    @Test func anEngineThatIsNotConfinedGetsNoQueue() throws {
        try Self.with { scene in
            for (mode, lack) in [
                ("unfiltered", "it has no system call filter"), ("unisolated", "it has capabilities"),
                ("unlimited", "it may write files"), ("one-thread", "it has no system call filter"),
            ] {
                let attack = Attack(name: "kill", mode: mode)
                let place = scene.log.utf8.count
                let replaced = try scene.replace(by: attack)
                #expect(replaced.status != 0)
                #expect(
                    replaced.output.contains("is not confined: ") && replaced.output.contains(lack),
                    "\(replaced.output)")
                let summary = scene.log(from: place) { $0.contains("is not confined") }
                #expect(summary.contains(lack) && !summary.contains("begins"), "\(summary)")
                let events = try scene.lab.tapline("events", scene.lab.name).output
                #expect(events.contains("is not confined: ") && events.contains(lack), "\(events)")
                try scene.expectUnharmed(attack)
            }
        }
    }

    @Test func descriptorsThatAnEngineSendsAreNotTaken() throws {
        try Self.with { scene in
            let attack = Attack(name: "send-descriptors", mode: "lax")
            let place = scene.log.utf8.count
            _ = try scene.replace(by: attack)
            let summary = scene.log(from: place) { $0.contains("has descriptors with it") }
            #expect(summary.contains("broke the protocol") && summary.contains("has descriptors with it"), "\(summary)")
            try scene.expectUnharmed(attack)
        }
    }

    @Test func whatAnEngineSaysIsBounded() throws {
        try Self.with { scene in
            let attack = Attack(name: "flood-errors")
            let place = scene.log.utf8.count
            _ = try scene.replace(by: attack)
            // It says nothing else any more, so it is found to stand still.
            let summary = scene.log(from: place) { $0.contains("made no progress") }
            #expect(summary.contains("made no progress"), "\(summary.utf8.count) octets")
            #expect(summary.contains("hostile: flood-errors: begins"))
            #expect(summary.utf8.count < 100_000)
            #expect(!summary.contains("\u{1B}"))
            try scene.expectUnharmed(attack)
        }
    }

    /// Counters and neighbours full of ones are what the control process reads, and what the next engine starts with.
    @Test func memoryThatAnEngineHasFilledHarmsNobody() throws {
        try Self.with { scene in
            let attack = Attack(name: "scribble", outcome: .harmless, stays: true)
            try Self.attempt(attack, scene)
            for command in [["status"], ["status", "--json"], ["tables"], ["tables", "--json"]] {
                let words = [command[0], scene.lab.name] + command.dropFirst()
                let done = try run(Product.tapline, words)
                #expect(done.status == 0, "\(words): \(done.output)")
            }
            try scene.expectUnharmed(attack)
        }
    }

    @Test func anEngineThatHearsNothingIsReplaced() throws {
        try Self.with { scene in
            let attack = Attack(name: "be-deaf")
            let place = scene.log.utf8.count
            _ = try scene.replace(by: attack)
            let summary = scene.log(from: place) { $0.contains("made no progress") }
            #expect(summary.contains("made no progress"), "\(summary)")
            try scene.expectUnharmed(attack)
        }
    }

    /// The kernel ends applications first when memory runs out, and the control process last.
    @Test func memoryRunsOutForApplicationsFirst() throws {
        let topology = Self.topology.replacingOccurrences(
            of: "attach: inside }", with: "attach: inside, run: exec sleep 600 }")
        try Lab.with(topology) { lab in
            let control = try #require(try lab.status()["pid"] as? Int)
            let serving = try #require(try EngineLifeTests.engine(lab)["pid"] as? Int)
            func score(_ pid: Int) throws -> Int {
                let text = try String(contentsOfFile: "/proc/\(pid)/oom_score_adj", encoding: .utf8)
                return try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
            }
            func named(_ name: String) -> [Int] {
                let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
                return all.compactMap { Int($0) }.filter { pid in
                    // Its number, its name in parentheses, its state, its parent (proc(5)).
                    let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
                    let parts = text.split(separator: ")")
                    return parts.first?.hasSuffix("(\(name)") == true
                        && parts.last?.split(separator: " ").dropFirst().first == "\(control)"
                }
            }
            try TwoEnginesTests.eventually("there is a spare") { named("tapline-engine").count == 2 }
            let spare = try #require(named("tapline-engine").first { $0 != serving })
            let application = try #require(named("sleep").first)
            let scores = try [control, serving, spare, application].map(score)
            #expect(scores == scores.sorted() && Set(scores).count == 4, "\(scores)")
            // The spare that takes over is an engine from then on.
            kill(Int32(serving), SIGKILL)
            try TwoEnginesTests.eventually("the spare serves") {
                try EngineLifeTests.engine(lab)["pid"] as? Int == spare
            }
            #expect(try score(spare) == scores[1])
        }
    }
}
