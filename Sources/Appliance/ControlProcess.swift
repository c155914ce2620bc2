import CLinux
import Forwarding
import Glibc
import LinuxNetwork
import Logging
import Synchronization
import Topology

/// The control process of one topology: builds it, starts and watches what runs in it, answers its socket, and takes
/// it away, whatever ends it.
///
/// One per process, made before any other thread is there: it blocks SIGINT, SIGTERM and SIGHUP for all threads, and
/// takes each as the wish to end; and SIGCHLD, which tells at once that a child stands still. (Programs that it starts
/// begin with no signal blocked.)
public final class ControlProcess: @unchecked Sendable {
    /// What is to be done once all is up.
    public enum Purpose: Sendable {
        /// Stay until told to end.
        case stay
        /// Prove the file's checks, then end.
        case prove
        /// Prove the file's checks, then stay until told to end.
        case proveAndStay
    }

    /// Once it is up: changed on the loop's thread alone, where all that answers and watches reads it.
    var plan: AppliancePlan
    /// The file of `plan`; as `plan`.
    var file: String
    /// The topology's name.
    let name: String
    let directory: StateDirectory
    let loop: EventLoop
    let interruption: Interruption
    let progress: ProgressSink
    /// What changes the topology, or must not have it changed meanwhile, goes through it.
    let gate = ChangeGate()
    /// The nodes that a change starts just now, and what is raised where one of them ends.
    var starting: (nodes: Set<String>, interruption: Interruption)?
    private let state: Mutex<ApplianceState>
    private let signals: Int32
    private let childSignals: Int32
    private let created = wallClockSeconds()
    private let follower = Mutex<Int32?>(nil)

    // Set while coming up, before anybody else can look, and then used on the loop's thread.
    var logger = Logger(label: "tapline") { _ in SwiftLogNoOpLogHandler() }
    let publisher: TablePublisher
    let events = EventLog()
    /// The last octets of this run's health check packets. No other program can know them, and no two runs have the
    /// same.
    let heartbeatToken = UInt64.random(in: 1...UInt64.max)
    var applications: ApplicationControl?
    var monitor: HealthMonitor?
    var watched: [String: Watched] = [:]
    var nodes: [NodeRuntime] = []
    var fleet: EngineFleet?
    var drainNotes: DrainNotes?
    var built: BuiltTopology?
    private(set) var server: ControlServer?
    /// True while the table is being listed, and who waits for the next listing.
    var isListing = false
    /// See `isListing`.
    var listingFor: [ControlReply<TableListing>] = []

    /// The table that the engines decide by. On the loop's thread.
    var table: ForwardingTable {
        loop.preconditionCurrent()
        return publisher.table
    }

    /// - Parameters:
    ///   - file: The topology file's absolute path.
    ///   - progress: Takes what is told, from any thread.
    /// - Throws: `ApplianceError` if the limit of open files is too low, or the control loop or the signals cannot be
    ///   set up.
    public init(plan: AppliancePlan, file: String, progress: @escaping ProgressSink) throws(ApplianceError) {
        try Machine.requireFiles(for: plan)
        self.plan = plan
        self.file = file
        name = plan.name
        self.progress = progress
        var table = plan.table
        if !plan.applications.isEmpty { table.heartbeatToken = heartbeatToken }
        publisher = TablePublisher(table)
        directory = try StateDirectory(name: plan.name)
        var ending = sigset_t()
        sigemptyset(&ending)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&ending, number) }
        pthread_sigmask(SIG_BLOCK, &ending, nil)
        signal(SIGPIPE, SIG_IGN)
        signals = signalfd(-1, &ending, 0x80000 | 0x800)  // SFD_CLOEXEC | SFD_NONBLOCK
        var ofChildren = sigset_t()
        sigemptyset(&ofChildren)
        sigaddset(&ofChildren, SIGCHLD)
        pthread_sigmask(SIG_BLOCK, &ofChildren, nil)
        childSignals = signalfd(-1, &ofChildren, 0x80000 | 0x800)
        guard signals >= 0, childSignals >= 0 else { throw .system("cannot take signals", errno: errno) }
        interruption = try Interruption()
        loop = try EventLoop()
        state = Mutex(
            ApplianceState(
                name: plan.name, run: ApplianceState.newRun(), file: file,
                namespaces: PlanBuilder.namespaces(of: plan), nodes: plan.nodes.map(\.name)))
        let (signals, interruption) = (signals, interruption)
        loop.submit { [weak self, loop] in
            loop.closedUnderWatch = { [weak self] descriptor in
                self?.logger.error("the descriptor \(descriptor) was closed while it was watched")
            }
            loop.watch(signals) { _ in
                // One is enough; more of them change nothing, so that nothing cuts the taking away short.
                while readOnce(signals, limit: 1024)?.isEmpty == false {}
                interruption.raise()
            }
        }
        loop.submit { [weak self, childSignals, loop] in
            loop.watch(childSignals) { [weak self] _ in
                // It says that something happened to some child, many of them once. Those that ended show elsewhere.
                while readOnce(childSignals, limit: 4096)?.isEmpty == false {}
                self?.fleet?.lookForStopped()
            }
        }
    }

    /// Ends as soon as the read end of the pipe with the writing end `descriptor` is closed. So a test that has ended,
    /// in any way, leaves nothing up.
    public func endWithReader(of descriptor: Int32) {
        let interruption = interruption
        follower.withLock { $0 = descriptor }
        loop.submit { [loop] in
            // A pipe without a reader shows POLLERR, which is told whatever else is asked for.
            loop.watch(descriptor, 0) { _ in
                loop.unwatch(descriptor)
                interruption.raise()
            }
        }
    }

    /// Ends as soon as the process at the other end of a socket is gone, unless that has confirmed before that it knows
    /// all to be up: a start that is broken off, however, leaves nothing up.
    public func handOver(_ descriptor: Int32) {
        let interruption = interruption
        loop.submit { [loop] in
            loop.watch(descriptor) { _ in
                guard let bytes = readOnce(descriptor, limit: 16) else {
                    if [EAGAIN, EINTR].contains(errno) { return }
                    loop.unwatch(descriptor)
                    return interruption.raise()
                }
                loop.unwatch(descriptor)
                if bytes.isEmpty { return interruption.raise() }
                close(descriptor)
            }
        }
    }

    /// From here on it stays up, whichever caller ends.
    private func outlive() {
        guard let descriptor = follower.withLock({ $0 }) else { return }
        loop.sync { [loop] in loop.unwatch(descriptor) }
    }

    /// The ownership mark of what this run makes.
    var mark: String { state.withLock { $0.mark } }
    /// This run's mark.
    var run: String { state.withLock { $0.run } }
    /// How far it has come.
    var phase: ApplianceState.Phase { state.withLock { $0.phase } }
    /// Seconds since 1970.
    var since: Int { created }

    /// Does it all, from nothing to nothing.
    ///
    /// - Returns: Whether every check held; true where there were none to prove.
    /// - Throws: Why it did not come up, or what could not be taken away. What was made is taken away in any case.
    public func perform(_ purpose: Purpose) throws(ApplianceError) -> Bool {
        let started = monotonicMilliseconds()
        try Machine.check()
        let enginePath = try Machine.enginePath()
        let lock = try takeLock()
        var outcome: Result<Bool, ApplianceError>
        do throws(ApplianceError) {
            try healLeftovers()
            do throws(ApplianceError) {
                try avoidOthersNames()
                try refuseForeignNames()
            } catch {
                // Nothing but the folder has been made.
                directory.remove()
                throw error
            }
            // From here on there may be something to take away.
            do throws(ApplianceError) {
                let held = try comeUpAndProve(enginePath, purpose, started)
                switch purpose {
                case .stay: interruption.wait()
                case .prove: break
                case .proveAndStay:
                    outlive()
                    progress(.kept)
                    interruption.wait()
                }
                outcome = .success(held)
            } catch {
                outcome = .failure(error)
            }
            if case .failure(let error) = outcome { logger.error("\(error)") }
            try takeAway()
        } catch {
            lock.release()
            throw error
        }
        directory.remove()
        lock.release()
        return try outcome.get()
    }

    /// Comes up, and proves the file's checks where that is the purpose. Nobody changes anything meanwhile.
    private func comeUpAndProve(
        _ enginePath: String, _ purpose: Purpose, _ started: Int
    ) throws(ApplianceError) -> Bool {
        _ = try gate.enter("it is starting, or its checks are running,")
        defer { gate.leave() }
        try comeUp(enginePath)
        progress(
            .ready(
                ReadyReport(
                    name: plan.name, nodes: plan.nodes.count, interfaces: plan.interfaces.count,
                    entries: plan.table.entries.count, milliseconds: monotonicMilliseconds() - started,
                    places: ReadyReport.Place.all(of: plan))))
        return if purpose == .stay { true } else { try prove() }
    }

    /// The lock of this name. One whose owner is about to end, or has been ended and not yet been cleared away by the
    /// kernel, is waited for.
    private func takeLock() throws(ApplianceError) -> TopologyLock {
        let deadline = monotonicMilliseconds() + Self.lockPatience
        while true {
            try interruption.check()
            try directory.create()
            if let lock = try TopologyLock.take(directory) { return lock }
            let owner = try? ControlClient(directory: directory).ask(StatusRequest(), timeout: 2000)
            if let state = owner?.state, state != .stopping { throw nameTaken() }
            guard monotonicMilliseconds() < deadline else { throw nameTaken() }
            interruption.sleep(milliseconds: 10)
        }
    }

    /// In milliseconds.
    private static let lockPatience = 10_000

    private func nameTaken() -> ApplianceError {
        let process = directory.readState()?.control.map { " (process \($0.pid))" } ?? ""
        return ApplianceError(
            .name, "the topology '\(plan.name)' exists already\(process)",
            mend: "take it away with 'tapline down \(plan.name)', or choose another name with --name")
    }

    /// Takes away what a run of this name left that ended without doing so.
    private func healLeftovers() throws(ApplianceError) {
        let leftover = directory.readState()
        try Teardown(directory: directory).takeAway(leftover)
        for name in namesInFolder(directory.path) { removeTree("\(directory.path)/\(name)") }
        try directory.create()
        if let leftover {
            progress(.note("took away what run \(leftover.run) of '\(plan.name)' had left behind"))
        }
    }

    /// Gives a namespace another name where another topology has, or is about to make, one of that name.
    private func avoidOthersNames() throws(ApplianceError) {
        // Written before the others' are read: of two that come up at once, at least one sees the other.
        try changeState { $0.phase = .starting }
        let taken = try othersNames(among: PlanBuilder.namespaces(of: plan))
        guard !taken.isDisjoint(with: PlanBuilder.namespaces(of: plan)) else { return }
        for index in plan.nodes.indices where taken.contains(plan.nodes[index].namespace) {
            plan.nodes[index].namespace = DerivedNames.alternate(plan.nodes[index].namespace, topology: plan.name)
        }
        if taken.contains(plan.fabricNamespace) {
            plan.fabricNamespace = DerivedNames.alternate(plan.fabricNamespace, topology: plan.name)
        }
        let namespaces = PlanBuilder.namespaces(of: plan)
        try changeState { $0.namespaces = namespaces }
    }

    /// Nothing that is there already may be taken for ours.
    private func refuseForeignNames() throws(ApplianceError) {
        try refuseForeignNames(state.withLock { $0.namespaces })
    }

    /// Changes the state, and writes it before anything else happens.
    func changeState(_ change: (inout ApplianceState) -> Void) throws(ApplianceError) {
        let written = state.withLock { state -> Result<Void, ApplianceError> in
            change(&state)
            do throws(ApplianceError) { return .success(try directory.write(state)) } catch { return .failure(error) }
        }
        try written.get()
    }

    func record(_ process: RecordedProcess) {
        do throws(ApplianceError) {
            try changeState { state in
                state.processes.removeAll { $0.what == process.what }
                state.processes.append(process)
            }
        } catch {
            // The process ends with this one in any case.
            logger.warning("\(error)")
        }
    }

    // MARK: - Up

    private func comeUp(_ enginePath: String) throws(ApplianceError) {
        try changeState { $0.phase = .starting }
        logger = ApplianceLog.logger(path: directory.logPath)
        logger.info("\(plan.name), run \(run), of \(file)")
        server = try loop.sync { [unowned self] () throws(ApplianceError) in
            try ControlServer(
                loop: loop, path: directory.socketPath, report: { [unowned self] in logger.warning("\($0)") },
                stream: { [events] in events.stream($0) },
                answer: { [unowned self] in answer($0, $1) })
        }
        progress(.step("building \(Plural.nodes(plan.nodes.count)) on \(Plural.interfaces(plan.interfaces.count))"))
        let builder = PlanBuilder(plan: plan, mark: mark, interruption: interruption)
        let built = try builder.build()
        loop.sync { self.built = built }
        logger.info("built \(Plural.nodes(plan.nodes.count)), \(Plural.interfaces(plan.interfaces.count))")
        try interruption.check()
        watchApplications()
        try makeNodes(built)
        if let crowd = Machine.crowd(of: plan.engines) { progress(.note(crowd)) }
        progress(.step("starting the packeting engine"))
        try startEngine(enginePath, built)
        // The engines start in the time that the kernel takes for the links.
        try builder.awaitLinks(of: plan.nodes, in: built)
        try startApplications()
        // Whatever has a health check must have passed it once; what never does is explained.
        if let monitor = loop.sync({ self.monitor }) { try monitor.proveOnce(interruption) }
        try awaitQuiet(interruption)
        loop.sync { self.applications?.beginServing() }
        try changeState { $0.phase = .up }
        try Scaling(self).start()
        logger.info("up")
    }

    // MARK: - Nodes

    /// The node of that name.
    func node(_ name: String) throws(ApplianceError) -> NodeRuntime {
        let runtimes = loop.sync { self.nodes }
        if let node = runtimes.first(where: { $0.plan.name == name }) { return node }
        let names = runtimes.map(\.plan.name).sorted().joined(separator: ", ")
        throw ApplianceError(.name, "there is no node '\(name)' in '\(self.name)'", mend: "its nodes are: \(names)")
    }

    // MARK: - Down

    /// Ends everything and takes everything away.
    private func takeAway() throws(ApplianceError) {
        progress(.step("taking '\(name)' away"))
        // A change under way leaves first. Everything that it has made is taken away, too.
        gate.close()
        logger.info("down")
        // A state that cannot be written is no reason to leave anything behind.
        do throws(ApplianceError) { try changeState { $0.phase = .stopping } } catch { logger.warning("\(error)") }
        loop.sync { [self] in
            publisher.end()
            applications = nil
            monitor?.stop()
            monitor = nil
            for node in nodes { node.close() }
            fleet?.stop()
            for node in nodes { node.finish() }
            nodes = []
            fleet = nil
            built = nil
        }
        let last = state.withLock { $0 }
        let left = try Teardown(directory: directory).takeAway(last)
        for name in left.foreign { logger.warning("left alone: \(name) does not have this topology's mark") }
        for occupant in left.occupants { progress(.note(occupant.sentence)) }
        loop.sync { [self] in
            server?.close()
            server = nil
        }
    }
}
