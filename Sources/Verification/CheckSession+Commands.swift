import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Synchronization
import Wire

/// A command that runs beside the steps of its check.
final class StartedCommand: @unchecked Sendable {
    let plan: CommandPlan
    let mark = ProcessMark()
    let ended = RaisedFlag()
    private let outcome = Mutex<CommandOutcome?>(nil)

    init(_ plan: CommandPlan) { self.plan = plan }

    /// How it ended; nil while it runs.
    var result: CommandOutcome? { outcome.withLock { $0 } }

    func finish(_ outcome: CommandOutcome) {
        self.outcome.withLock { $0 = outcome }
        ended.raise()
    }
}

extension CheckSession {
    /// The most that a command of a check may print, in octets; more output ends it.
    static let outputBound = 16 << 20
    /// The most processes that a command may add to its node.
    private static let processBound = 1024
    /// The largest file that a command may write, in octets. The next is the most that it may add to its node's folder.
    private static let fileBound = 1 << 30
    private static let folderBound = 256 << 20
    /// The least free space of the file system of the node's folder, in octets.
    private static let freeBound = 16 << 20
    /// How long a started command may run at most: its check ends it long before.
    private static let longestRun = DurationText.longest

    // MARK: - Commands

    func run(
        _ plan: CommandPlan, _ expectation: CommandExpectation, _ timeout: Duration
    ) throws(ApplianceError) -> StepOutcome {
        let node = try sources.node(plan.node)
        let watch = try remember(node)
        if !plan.alters { kept.insert(plan.node) }
        let before = plan.alters ? nil : NodeGlance(node, watch, besides: marks[plan.node] ?? [])
        let outcome = try captured(plan, node, timeout)
        var finding = judge(outcome, expectation, timeout)
        if let before {
            let changes = before.changes(faults.touches(plan.node))
            if !changes.isEmpty {
                finding.holds = false
                finding.isFinal = true
                finding.expected.append("that the command does not change its node")
                finding.came = changes.map { "it changed \(plan.node): \($0)" } + finding.came
                reportedNodes.insert(plan.node)
            }
        }
        if outcome.endedFor != nil { finding.isFinal = true }
        return finding
    }

    func start(_ name: String, _ plan: CommandPlan) throws(ApplianceError) -> StepOutcome {
        let node = try sources.node(plan.node)
        let watch = try remember(node)
        if !plan.alters { kept.insert(plan.node) }
        let command = StartedCommand(plan)
        started[name] = command
        let (bounds, entered) = try prepare(plan, node, command.mark)
        let cancellation = sources.cancellation
        try startThread {
            do throws(ApplianceError) {
                let outcome = try CommandRun.captured(
                    plan.command, in: entered.entrance, node: entered.node, timeout: Self.longestRun,
                    cancellation: cancellation, bounds: bounds)
                watch.ended(mayAlter: plan.alters)
                command.finish(outcome)
            } catch {
                watch.ended(mayAlter: plan.alters)
                command.finish(CommandOutcome(output: Array("\(error)".utf8), endedFor: "it could not be started"))
            }
        }
        return .held
    }

    func finish(_ name: String, _ expectation: CommandExpectation, _ timeout: Duration) -> StepOutcome {
        guard let command = started[name] else {
            return StepOutcome(holds: false, expected: ["a command called \(name)"], came: ["it was not started"])
        }
        let deadline = monotonicTime() + timeout
        while command.result == nil, monotonicTime() < deadline, !sources.cancellation.isRaised {
            sources.cancellation.sleep(.milliseconds(10))
        }
        var outcome = command.result
        if outcome == nil {
            sweep([command.mark], command.plan.node)
            command.ended.wait()
            outcome = command.result
            outcome?.end = nil
        }
        started[name] = nil
        return judge(outcome ?? CommandOutcome(), expectation, timeout)
    }

    /// Ends every process of the check that still runs.
    func endCommands() {
        for (node, own) in marks { sweep(own, node) }
        marks = [:]
        for (_, command) in started { command.ended.wait() }
    }

    private func captured(_ plan: CommandPlan, _ node: NodeRuntime, _ timeout: Duration) throws(ApplianceError)
        -> CommandOutcome
    {
        let (bounds, entered) = try prepare(plan, node, ProcessMark())
        defer { watches[plan.node]?.ended(mayAlter: plan.alters) }
        return try CommandRun.captured(
            plan.command, in: entered.entrance, node: entered.node, timeout: timeout,
            cancellation: sources.cancellation, bounds: bounds)
    }

    private func prepare(
        _ plan: CommandPlan, _ node: NodeRuntime, _ mark: ProcessMark
    ) throws(ApplianceError) -> (CommandBounds, (entrance: NodeEntrance, node: Pidfd)) {
        let entered = try node.enter()
        marks[plan.node, default: []].insert(mark)
        let watch = try remember(node)
        var limits = mark.limits
        limits[ResourceLimit.fileSize] = UInt64(Self.fileBound)
        limits[ResourceLimit.core] = 0
        let folder = FolderWatch(
            sources.directory.nodePath(plan.node), growthBound: Self.folderBound, freeBound: Self.freeBound)
        let initProcess = entered.node
        let processes = NodeProcesses.count(in: initProcess.pid) + Self.processBound
        watch.began(mark, mayAlter: plan.alters)
        var bounds = CommandBounds(
            output: Self.outputBound, endsBeyondOutput: true, limits: limits,
            watch: {
                if NodeProcesses.count(in: initProcess.pid) > processes {
                    // Only the kernel ends so many at once: with the node's init. The next step starts another.
                    watch.mayHaveSignalled()
                    try? initProcess.signal(SIGKILL)
                    return "it started more than \(Self.processBound) processes"
                }
                return folder.complaint()
            },
            witnessed: { watch.follow($0, mayAlter: plan.alters) },
            sweep: {
                Self.sweep([mark], initProcess)
                // From here on, no process writes any more.
                folder.removeWhatWasTooMuch()
            })
        bounds.watchGoesFirst = true
        return (bounds, entered)
    }

    private func sweep(_ marks: Set<ProcessMark>, _ node: String) {
        guard let runtime = try? sources.node(node), let initProcess = runtime.currentInit else { return }
        Self.sweep(marks, initProcess)
    }

    private static func sweep(_ marks: Set<ProcessMark>, _ initProcess: Pidfd) {
        guard !initProcess.hasEnded, !isDying(initProcess.pid) else { return }
        // The init process always takes the signal. Its end also ends processes that multiply faster than they can be
        // ended.
        if !ProcessMark.end(marks, in: initProcess.pid) { try? initProcess.signal(SIGKILL) }
    }

    private func judge(_ outcome: CommandOutcome, _ expectation: CommandExpectation, _ timeout: Duration) -> StepOutcome
    {
        var unmet: [String] = []
        var came: [String] = []
        if let reason = outcome.endedFor {
            unmet.append("that it stays within its limits")
            came.append("\(reason), so it was ended with all processes that it had started")
        } else if let end = outcome.end {
            if let status = expectation.status, !status.holds(for: UInt64(end.code)) {
                unmet.append(status.comparison == .equal ? "status \(status.value)" : "a status \(status.summary)")
                came.append("it \(end.summary)")
                if end.code == 127 { came.append("status 127: is the program installed?") }
                if end.code == 128 + SIGXFSZ { came.append("no file may be larger than \(Self.fileBound >> 20) MiB") }
            }
        } else {
            unmet.append("that it ends within \(seconds(timeout))")
            came.append("it was ended with all processes that it had started")
        }
        if outcome.endedFor == nil { unmet += expectation.output.unmet(by: outcome.output) }
        return StepOutcome(unmet: unmet, came: came + shownLines(outcome.output))
    }
}

/// The state of a node before a command runs in it, which shows later what the command changed.
private struct NodeGlance {
    private let watch: NodeWatch
    private let before: Set<String>
    private let application: Pidfd?
    private let processes: [(pid: Int32, started: UInt64, name: String)]
    /// How long the end of an application may take to show after its signal.
    private static let dying = Duration.milliseconds(10)

    /// - Parameter own: The processes of the check's own commands, which may end at any time.
    init(_ node: NodeRuntime, _ watch: NodeWatch, besides own: Set<ProcessMark>) {
        self.watch = watch
        before = Set(watch.changes)
        application = node.glimpse().application
        let pids = node.currentInit.map { NodeProcesses.all(of: $0.pid) } ?? []
        processes = pids.filter { !ProcessMark.isCarried(own, by: $0) }.compactMap { pid in
            processStartTime(pid).map { (pid, $0, NodeProcesses.name(of: pid)) }
        }
    }

    /// The changes by the check's processes since then, as sentences. A process that none of them signalled ended by
    /// itself.
    ///
    /// - Parameter faults: The changes of the node by a fault of the same check, which are no changes by the command.
    func changes(_ faults: (links: Bool, processes: Bool)) -> [String] {
        var summary = faults.links ? [] : watch.changes.filter { !before.contains($0) }
        guard !faults.processes, watch.hasSignalled else { return summary }
        if let application, application.waitForEnd(within: Self.dying) || isDying(application.pid) {
            summary.append("its application has ended")
        } else if application == nil, !processes.isEmpty,
            processes.allSatisfy({ processStartTime($0.pid) != $0.started })
        {
            let names = Set(processes.map(\.name)).sorted().joined(separator: ", ")
            summary.append("all processes in it have ended: \(names)")
        }
        return summary
    }
}

/// Watches how much a command adds to its node's folder.
private final class FolderWatch: @unchecked Sendable {
    private let path: String
    private let before: Set<String>
    private let freeBefore: Int
    private let growthBound: Int
    private let freeBound: Int
    private let wasTooMuch = Mutex(false)

    init(_ path: String, growthBound: Int, freeBound: Int) {
        self.path = path
        self.growthBound = growthBound
        self.freeBound = freeBound
        before = Set(Self.files(path).map(\.path))
        freeBefore = Self.free(path)
    }

    /// Why the command must be ended.
    func complaint() -> String? {
        let free = Self.free(path)
        // Walks the folder only if a file of that size can have been written at all.
        guard freeBefore - free > min(growthBound, max(0, freeBefore - freeBound)) else { return nil }
        let written = Self.files(path).filter { !before.contains($0.path) }
        let size = written.reduce(0) { $0 + $1.size }
        guard size > growthBound || (free < freeBound && size > 0) else { return nil }
        wasTooMuch.withLock { $0 = true }
        return free < freeBound
            ? "it filled the disk of its node's folder (its files there were removed)"
            : "it wrote more than \(growthBound >> 20) MiB into its node's folder (its files there were removed)"
    }

    /// Removes the files of a command that was ended because of their size.
    func removeWhatWasTooMuch() {
        guard wasTooMuch.withLock({ $0 }) else { return }
        for file in Self.files(path) where !before.contains(file.path) { unlink(file.path) }
    }

    private static func free(_ path: String) -> Int {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { return .max }
        return Int(clamping: UInt64(info.f_bavail) * UInt64(info.f_frsize))
    }

    /// The regular files of a folder, at most some ten thousand.
    private static func files(_ path: String) -> [(path: String, size: Int)] {
        var found: [(path: String, size: Int)] = []
        var folders = [path]
        while let folder = folders.popLast(), found.count < 10_000 {
            for name in namesInFolder(folder) {
                var info = stat()
                let file = "\(folder)/\(name)"
                guard lstat(file, &info) == 0 else { continue }
                switch info.st_mode & S_IFMT {
                case S_IFDIR: folders.append(file)
                case S_IFREG: found.append((file, Int(info.st_blocks) * 512))
                default: break
                }
            }
        }
        return found
    }
}
