import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Synchronization
import Wire

/// The runtime of one node: its init process, its application, and its log. Or that of one of the node's programs, which
/// lives in the init of its node, with a log of its own. Only the loop's thread changes values that several threads read.
package final class NodeRuntime: @unchecked Sendable {
    /// How far the node has come; the raw value is what `status` tells.
    package enum State: String, Sendable {
        /// Nothing runs in it.
        case idle
        /// It waits for the nodes that it depends on.
        case waiting
        case setup
        case starting
        case ready
        case restarting
        /// Its application has ended, and is not to be started again.
        case ended
        case failed
    }

    /// Only one change of the topology at a time changes it, and nothing else works in the node meanwhile.
    package internal(set) var plan: NodePlan
    let directory: StateDirectory
    /// Where its commands start.
    package internal(set) var folder: String
    /// The names of all nodes and services.
    package internal(set) var names: [HostPlan]
    let loop: EventLoop
    let inhabited: Mutex<(namespace: NetworkNamespace, absence: String?)>
    let record: @Sendable (RecordedProcess) -> Void

    /// How far all of it has come: its `run` command, its programs, and the commands behind them.
    package private(set) var state: State {
        didSet {
            loop.preconditionCurrent()
            if state != oldValue { changed?(self) }
        }
    }
    /// How far its setup and its `run` command have come.
    var own: State { didSet { settle() } }
    /// The node whose program this is; nil: it is the node.
    private(set) weak var host: NodeRuntime?
    /// The name of the program; nil: it is the node.
    package let program: String?
    /// The node's programs beside its `run` command, in the order of the file.
    package internal(set) var programs: [NodeRuntime] = []
    /// The commands that follow its becoming ready.
    var following = Following()
    package internal(set) var restarts = 0
    package private(set) var lastEnd: String?
    package internal(set) var initProcess: Pidfd?
    var log: OutputLog?
    /// The process of the `run` command.
    var process: Pidfd?
    /// The container that it runs, if its application is an image.
    var container: NodeContainer?
    var startedAt = MonotonicTime(nanoseconds: 0)
    var pause = NodeRuntime.shortestPause
    private(set) var closing = false
    /// Counts the starts of the `run` command, so that of two that would start it again one gives way.
    var attempt = 0
    /// The marks that processes of the `run` command's earlier starts carry.
    let runs = Mutex<Set<ProcessMark>>([])
    /// It ends all waiting; set when the node comes up.
    var cancellation: Cancellation?
    /// Called on the loop's thread once for each end of the application after it had been ready; `changed` follows.
    package var ended: ((NodeRuntime, ProcessExit) -> Void)?
    /// Called on the loop's thread whenever `state` has changed.
    package var changed: ((NodeRuntime) -> Void)?
    /// Called on the loop's thread when the `run` command was started again, with why.
    package var restarted: ((NodeRuntime, String) -> Void)?
    /// Called in the thread that has made it ready, before it counts as ready: what must be there before packets come.
    package var admits: (@Sendable (NodeRuntime) throws(ApplianceError) -> Void)?
    /// Called on the loop's thread when the kernel has ended processes of it because memory ran out, with what it says.
    package var ranOut: ((NodeRuntime, String) -> Void)?
    /// Where its programs are bounded, if they are to be.
    package var groups: TopologyGroups?
    /// The memory of its program, if a group bounds it.
    var memory: MemoryWatch?

    /// The shortest and longest time before an application that ended is started again.
    static let shortestPause = Duration.milliseconds(100)
    static let longestPause = Duration.seconds(10)
    private static let firstMoments = Duration.milliseconds(150)
    /// How long its setup commands, and its application, may take until they are ready.
    var readyTimeout: Duration { .milliseconds(plan.process.readyTimeout) }

    package init(
        plan: NodePlan, names: [HostPlan] = [], folder: String, directory: StateDirectory, loop: EventLoop,
        namespace: NetworkNamespace, record: @escaping @Sendable (RecordedProcess) -> Void,
        program: String? = nil, of host: NodeRuntime? = nil
    ) {
        self.plan = plan
        self.names = names
        self.folder = folder
        self.directory = directory
        self.loop = loop
        inhabited = Mutex((namespace, nil))
        self.record = record
        self.program = program
        self.host = host
        own = plan.process.isNothing ? .idle : .waiting
        state = own
        if host == nil { programs = plan.process.programs.map(runtime) }
    }

    /// Its state is that of all of it.
    func settle() {
        loop.preconditionCurrent()
        state = whole
        host?.settle()
    }

    /// The process of the `run` command.
    package var pid: Int32? { containerProcess ?? process?.pid }

    /// The sentence's beginning for what happens here.
    package var place: String { plan.place }

    func become(_ state: State) {
        loop.sync { self.own = state }
    }

    // MARK: - Entering

    /// The node's init process; started where there is none.
    ///
    /// - Throws: `ApplianceError` if the init process cannot be started, or if the topology is being taken down.
    package func enter() throws(ApplianceError) -> (entrance: NodeEntrance, node: Pidfd) {
        try loop.sync { () throws(ApplianceError) in
            let node = try self.liveInit()
            return (
                NodeEntrance(
                    pid: node.pid, started: processStartTime(node.pid) ?? 0, environment: self.environment,
                    directory: self.folder,
                    capabilities: self.plan.process.confinement.commandCapabilities.bits), node
            )
        }
    }

    private func liveInit() throws(ApplianceError) -> Pidfd {
        if program != nil {
            guard let host else { throw .cancelled }
            return try host.liveInit()
        }
        if let initProcess, !initProcess.hasEnded { return initProcess }
        guard !closing else { throw .cancelled }
        try refuseAbsence()
        try directory.createNode(plan.name)
        let (hosts, resolver) = (directory.hostsPath(plan.name), directory.resolverPath(plan.name))
        let files = directory.filesPath
        if mkdir(files, 0o755) != 0, errno != EEXIST { throw .system("cannot make \(files)", errno: errno) }
        try writeSmall(hosts, hostsText)
        try writeSmall(resolver, resolverText)
        try putFiles()
        do throws(SystemError) {
            var refused: [String] = []
            var unseen = 0
            let started = try ProcessLauncher.startInit(
                in: namespace, view: view, refused: { refused = $0 }, unseen: { unseen = $0 })
            tell(refused: refused, unseen: unseen)
            initProcess = started
            if let process = RecordedProcess(pid: started.pid, what: "init of \(plan.name)") { record(process) }
            return started
        } catch {
            throw ApplianceError(.failed, "\(place): \(error)", hint: viewHint(error))
        }
    }

    // MARK: - Coming up, in a thread of the caller's

    /// Runs the setup commands, starts the application and waits until it is ready.
    ///
    /// - Throws: `ApplianceError` if a command fails, if the application ends or is not ready in time, or if
    ///   `cancellation` is raised.
    package func bringUp(_ cancellation: Cancellation) throws(ApplianceError) {
        let isIdle = loop.sync {
            if self.own != .idle {
                self.cancellation = cancellation
                self.following.wanted += 1
            }
            return self.own == .idle
        }
        guard !isIdle else { return try admit() }
        let (entrance, node) = try enter()
        let log = try loop.sync { () throws(ApplianceError) in try self.openLog() }
        become(.setup)
        openFolder()
        do throws(ApplianceError) { try fetchImage(of: plan, cancellation) } catch {
            become(.failed)
            throw error
        }
        for command in plan.process.setup {
            let child = try spawn(command, entrance, node, log)
            let outcome = CommandRun.finish(
                child, output: nil, timeout: readyTimeout, cancellation: cancellation)
            try cancellation.check()
            guard let end = outcome.end else {
                throw failed("setup did not end within \(seconds(readyTimeout))", command)
            }
            guard end == .exited(0) else { throw failed("setup \(end.summary)", command, end) }
        }
        if !programs.isEmpty { become(.starting) }
        try eachProgram { program throws(ApplianceError) in try program.bringUp(cancellation) }
        guard let run = plan.process.run else {
            try waitUntilReady(nil, entrance, node, cancellation)
            try admit()
            become(.ready)
            try follow(cancellation)
            return
        }
        become(.starting)
        let child = try spawn(run, entrance, node, log, mark: newRun())
        loop.sync {
            self.process = child
            self.startedAt = monotonicTime()
        }
        try waitUntilReady(child, entrance, node, cancellation)
        try admit()
        loop.sync {
            self.own = .ready
            self.watch(child)
        }
        try follow(cancellation)
    }

    func openLog() throws(ApplianceError) -> OutputLog {
        if let log { return log }
        let opened = try OutputLog(loop: loop, path: directory.outputPath(plan.name, program: program))
        log = opened
        return opened
    }

    func waitUntilReady(
        _ child: Pidfd?, _ entrance: NodeEntrance, _ node: Pidfd, _ cancellation: Cancellation, isWatched: Bool = false
    ) throws(ApplianceError) {
        let probe = readinessProbe(entrance, node)
        let deadline = monotonicTime() + readyTimeout
        var wait = Duration.milliseconds(5)
        if let child, plan.process.ready == .started { watchFirstMoments(of: child, cancellation) }
        while true {
            try cancellation.check()
            if let child, child.hasEnded {
                let end = (try? child.statusIfEnded()) ?? .exited(0)
                let memory = loop.sync { self.noteMemory() } ?? ""
                let (what, run) = ("\(subject) \(end.summary)\(memory) before it was ready", plan.process.run ?? "")
                // If the loop watches the child, it sets the node's state.
                throw isWatched ? failure(what, run, end) : failed(what, run, end)
            }
            let left = deadline - monotonicTime()
            if try probe.holds(timeout: max(.milliseconds(100), min(left, .seconds(5))), cancellation) { return }
            guard left > .zero else {
                throw failed(
                    "\(program.map { "program \($0)" } ?? "it") was not ready within \(seconds(readyTimeout)): \(probe.summary)",
                    plan.process.run ?? plan.process.setup.last ?? "")
            }
            cancellation.sleep(min(wait, left))
            wait = min(wait * 2, .milliseconds(200))
        }
    }

    /// If nothing tells when an application is ready, it must live for a moment (150 ms). An application that cannot
    /// even read its configuration ends within that time.
    func watchFirstMoments(of child: Pidfd, _ cancellation: Cancellation) {
        let end = monotonicTime() + Self.firstMoments
        while monotonicTime() < end, !cancellation.isRaised, !child.waitForEnd(within: .milliseconds(10)) {}
    }

    /// The node has failed; why, as `failure` says.
    private func failed(_ what: String, _ command: String, _ end: ProcessExit? = nil) -> ApplianceError {
        let error = failure(what, command, end)
        become(.failed)
        return error
    }

    /// The error of `up`: the node, the command, how it ended, and the last lines of its log.
    func failure(
        _ what: String, _ command: String, _ end: ProcessExit? = nil
    ) -> ApplianceError {
        let lines = loop.sync { self.log?.tail(lines: 20) ?? [] }
        if end == .exited(127), plan.process.guest == nil, lines.contains(where: { $0.contains("not found") }) {
            let program = command.split(separator: " ").first { $0 != "exec" && !$0.contains("=") } ?? "program"
            return ApplianceError(
                .machine, "\(place): a program is not installed: \(command)",
                hint: "install \(program), or correct the command", details: lines)
        }
        return ApplianceError(.failed, "\(place): \(what): \(command)", hint: hint(lines), details: lines)
    }

    /// The hint for a program that changes its user where there is no other user, and for a machine that KVM runs.
    private func hint(_ lines: [String]) -> String? {
        if let machine = plan.machine, (machine.accelerator ?? MachineProgram.usualAccelerator) == .kvm {
            return "not every /dev/kvm runs every machine: `accelerator: tcg` shows whether it is that"
        }
        let refusals = ["Invalid argument", "Operation not permitted"]
        guard lines.contains(where: { line in refusals.contains(where: line.contains) }), !UserNamespace.hasOtherUsers
        else { return nil }
        return "if it changes its user: \(Self.otherUsersHint)"
    }

    static let otherUsersHint =
        "let it stay root, or give this user subordinate ones (newuidmap of the package "
        + "uidmap, lines in /etc/subuid and /etc/subgid), or run it with sudo"

    // MARK: - Staying up, on the loop's thread

    func watch(_ child: Pidfd) {
        loop.preconditionCurrent()
        loop.watch(child.descriptor) { [unowned self] _ in
            guard let end = try? child.statusIfEnded() else { return }
            loop.unwatch(child.descriptor)
            process = nil
            letGoOfContainer()
            lastEnd = end.summary + (noteMemory() ?? "")
            log?.note("\(plan.name): \(subject) \(lastEnd ?? "")")
            guard !closing else { return }
            ended?(self, end)
            guard startsAgain(after: end) else {
                own = end == .exited(0) ? .ended : .failed
                return
            }
            own = .restarting
            if monotonicTime() - startedAt > Self.longestPause { pause = Self.shortestPause }
            loop.after(pause) { [weak self] in self?.restart() }
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// True if its application is started again when it ends in this way.
    package func startsAgain(after end: ProcessExit) -> Bool {
        switch plan.process.restart {
        case .never: false
        case .always: true
        case .onFailure: end != .exited(0)
        }
    }

    /// The error that an application's end means while others still come up.
    package func unexpectedEnd(_ end: ProcessExit) -> ApplianceError {
        failure("\(subject) \(end.summary)", plan.process.run ?? "", end)
    }

    /// Ends everything in the node. On the loop's thread.
    package func close() {
        loop.preconditionCurrent()
        closing = true
        for program in programs { program.close() }
        letGoOfContainer()
        if let process {
            loop.unwatch(process.descriptor)
            try? process.signal(SIGKILL)
        }
        // With its init the kernel ends every process of the node.
        try? initProcess?.signal(SIGKILL)
    }

    /// Waits until everything in the node has ended. On the loop's thread, after `close`.
    package func finish() {
        loop.preconditionCurrent()
        for program in programs { program.finish() }
        // Its init ends only when the last process of the node has been reaped.
        for child in [process, initProcess] {
            guard let child, child.waitForEnd(within: .seconds(5)) else { continue }
            _ = try? child.statusIfEnded()
        }
        finishContainer()
        process = nil
        initProcess = nil
        log?.close()
        log = nil
        memory = nil
        if program == nil { groups?.remove(node: plan.name) }
    }
}
