import ApplianceClient
import CLinux
import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Forwarding
import Glibc
import HealthMonitoring
import LinuxNetwork
import Logging
import Nodes
import Plan
import Reporting
import Synchronization
import Wire

/// The control process of one topology: builds it, starts and watches its processes, answers its socket, and takes it
/// away, however the run ends.
///
/// There is one per process, made before any other thread. It blocks SIGINT, SIGTERM and SIGHUP for all threads, and
/// takes each as a request to end. It also blocks SIGCHLD, which shows at once that a child stands still. (Programs
/// that it starts begin with no signal blocked.)
public final class ControlProcess: @unchecked Sendable {
    /// The purpose of a run, once all is up.
    public enum Purpose: Sendable {
        /// Stay until a signal or a request ends it.
        case stay
        /// Prove the file's checks, then end.
        case prove
        /// Prove the file's checks, then stay until a signal or a request ends it.
        case proveAndStay
    }

    /// A moment of a run's end, at which somebody may look at what there is.
    public enum Moment: Sendable {
        /// All that was made is still there.
        case ending
        /// No process runs in the nodes any more; their files are there.
        case ended
    }

    /// Whether a device may be bound to an interface that carries the machine's default route. Set before `perform`.
    public var allowsDefaultRoute = false

    /// Called at each moment of the run's end, in the thread of `perform`. Set before that.
    public var atEnd: ((Moment) -> Void)?

    /// The running topology.
    let topology: RunningTopology
    /// The topology's name.
    let name: String
    let directory: StateDirectory
    let loop: EventLoop
    let cancellation: Cancellation
    let progress: ProgressSink
    /// Every operation that changes the topology, or needs it unchanged, goes through this gate.
    let gate = ChangeGate()
    /// The record of everything that the run is about to make.
    let record: RunRecord
    /// The control groups of the run.
    private(set) lazy var groups = TopologyGroups(topology: name, run: record.current.run) {
        [record] (paths: [String]) throws(ApplianceError) in
        try record.change { $0.controlGroups = paths }
    }
    /// When it was started, in seconds since 1970.
    let since = wallClockSeconds()
    private let follower = Mutex<Int32?>(nil)

    // Set while coming up, before anybody else can look, and then used on the loop's thread.
    private(set) var logger = Logger(label: "tapline") { _ in SwiftLogNoOpLogHandler() }
    let publisher: TablePublisher
    let events = EventLog()
    private(set) var applications: ApplicationControl?
    /// The last octets of this run's health check packets. No other program can know them, and no two runs have the
    /// same.
    let heartbeatToken = UInt64.random(in: 1...UInt64.max)
    /// Looks after the instances. On the loop's thread.
    private(set) lazy var watch = InstanceWatch(
        loop: loop, events: events, token: heartbeatToken,
        node: { [unowned self] name throws(ApplianceError) in try node(name) },
        heard: { [unowned self] in applications?.hear($0, of: $1) })
    private(set) var fleet: EngineFleet?
    private(set) var drainNotes: DrainNotes?
    private(set) var server: ControlServer?
    /// Keeps the records of tenants; nil if the file has none. Set on the loop's thread before the topology is up.
    private(set) var recordKeeper: RecordKeeper?
    /// What the management address proves itself with, from the start. On the run's thread.
    private var credentials: ManagementCredentials?
    /// Watches what is attached and somebody else's.
    var attachments: AttachmentWatch?
    /// Answers what applications ask for; nil: they may ask for nothing.
    var negotiation: NegotiationKeeper?
    /// Whether the folder had records that a failure must leave there. On the run's thread.
    var keepsRecords = false
    /// What is captured for commands. On the loop's thread.
    private(set) lazy var captures = CaptureSessions(
        loop: loop,
        source: { [unowned self] in
            fleet.map {
                CaptureSessions.Source(
                    fleet: $0, interfaces: table.interfaces.map(\.name), rewrites: table.rewritesAddresses,
                    translates: table.translatesPorts, links: plan.circuitLinks, version: topology.version)
            }
        }, pump: { [unowned self] in server?.pump() })
    /// Has times in applications measured. On the loop's thread.
    private(set) lazy var applicationTimes = ApplicationTimes(loop: loop, topology: plan.name)
    /// The nodes whose devices an operator has taken down, by name. On the loop's thread.
    var operatedLinks: [String: NodeLinks] = [:]
    /// The impaired links. On the loop's thread.
    var impairments = LinkImpairments()
    /// Draws the topology. On the loop's thread.
    private(set) lazy var drawings = Drawings(topology, loop: loop)
    /// Reads all counters. On the loop's thread.
    private(set) lazy var sampler = Sampler(self)
    /// Has applications judge by tenants' access lists.
    private(set) lazy var access = AccessKeeper(loop, cancellation) { [weak self] node, why in
        self?.tellRestored(node, why)
    }
    /// Tells which nodes join groups. On the loop's thread.
    private(set) lazy var groupWatch = GroupWatch(self)

    /// The running plan, its file, and everything that was made for it.
    var plan: AppliancePlan { topology.plan }
    /// See `plan`.
    var file: String { topology.file }
    /// See `plan`.
    var built: BuiltTopology? { topology.built }
    /// The runtimes of the nodes.
    var nodes: [NodeRuntime] { topology.nodes }

    /// The table that the engines decide by. On the loop's thread.
    var table: ForwardingTable {
        loop.preconditionCurrent()
        return publisher.table
    }

    /// - Parameters:
    ///   - file: The topology file's absolute path.
    ///   - progress: Takes the progress, from any thread.
    /// - Throws: `ApplianceError` if the limit of open files is too low, or the control loop or the signals cannot be
    ///   set up.
    public init(_ planned: PlannedFile, file: String, progress: @escaping ProgressSink) throws(ApplianceError) {
        let plan = planned.plan
        try Machine.requireFiles(for: plan)
        name = plan.name
        self.progress = progress
        var table = plan.table
        if !plan.applications.isEmpty { table.heartbeatToken = heartbeatToken }
        publisher = TablePublisher(table)
        directory = try StateDirectory(name: plan.name)
        let signals = try SignalDescriptor([SIGINT, SIGTERM, SIGHUP])
        signal(SIGPIPE, SIG_IGN)
        let childSignals = try SignalDescriptor([SIGCHLD])
        cancellation = try Cancellation()
        loop = try EventLoop()
        topology = RunningTopology(loop: loop, planned: planned, file: file)
        var state = ApplianceState(
            name: plan.name, run: ApplianceState.newRun(), file: file, namespaces: [], nodes: plan.nodes.map(\.name))
        state.note(plan)
        record = RunRecord(state, in: directory)
        let cancellation = cancellation
        loop.submit { [weak self, loop] in
            loop.closedUnderWatch = { [weak self] descriptor in
                self?.logger.error("the descriptor \(descriptor) was closed while it was watched")
            }
            loop.watch(signals.descriptor) { _ in
                // One is enough; more of them change nothing, so that nothing cuts the taking away short.
                signals.drain()
                cancellation.raise()
            }
        }
        loop.submit { [weak self, loop] in
            loop.watch(childSignals.descriptor) { [weak self] _ in
                // It says that something happened to some child, many of them once. Those that ended show elsewhere.
                childSignals.drain()
                self?.fleet?.lookForStopped()
            }
        }
    }

    /// Ends as soon as the read end of the pipe with the writing end `descriptor` is closed. So a test that has ended,
    /// in any way, leaves nothing up.
    public func endWithReader(of descriptor: Int32) {
        let cancellation = cancellation
        follower.withLock { $0 = descriptor }
        loop.submit { [loop] in
            // A pipe without a reader shows POLLERR; poll reports that whatever events are asked for.
            loop.watch(descriptor, 0) { _ in
                loop.unwatch(descriptor)
                cancellation.raise()
            }
        }
    }

    /// Ends as soon as the process at the other end of a socket is gone, so an aborted start leaves nothing up. Goes on
    /// if that process has confirmed before that all is up.
    public func handOver(_ descriptor: Int32) {
        let cancellation = cancellation
        loop.submit { [loop] in
            loop.watch(descriptor) { _ in
                guard let bytes = readOnce(descriptor, limit: 16) else {
                    if [EAGAIN, EINTR].contains(errno) { return }
                    loop.unwatch(descriptor)
                    return cancellation.raise()
                }
                loop.unwatch(descriptor)
                if bytes.isEmpty { return cancellation.raise() }
                close(descriptor)
            }
        }
    }

    /// From here on the topology stays up, whichever caller ends.
    private func outlive() {
        guard let descriptor = follower.withLock({ $0 }) else { return }
        loop.sync { [loop] in loop.unwatch(descriptor) }
    }

    /// Does the whole run, from the first device to the end of the clean-up.
    ///
    /// - Returns: Whether every check held; true if there were none to prove.
    /// - Throws: `ApplianceError` that says why the topology did not come up, or what could not be taken away.
    ///   Everything that was made is taken away in any case.
    public func perform(_ purpose: Purpose) throws(ApplianceError) -> Bool {
        let started = monotonicTime()
        try Machine.check()
        let enginePath = try Machine.enginePath()
        try GuestNeeds(plan).require()
        if plan.records != nil { _ = try Machine.recordsPath() }
        credentials = try plan.records?.management.map { plan throws(ApplianceError) in
            try ManagementCredentials(plan)
        }
        let lock = try takeLock()
        var outcome: Result<Bool, ApplianceError>
        do throws(ApplianceError) {
            try healLeftovers()
            do throws(ApplianceError) {
                try avoidOthersNames()
                // Nothing that is there already may be taken for ours.
                try StateDirectory.refuseForeignNames(record.current.namespaces)
                try borrowDevices()
            } catch {
                // Nothing but the folder has been made.
                removeFolderAfterFailure()
                throw error
            }
            // From here on there may be something to take away.
            do throws(ApplianceError) {
                let held = try comeUpAndProve(enginePath, purpose, started)
                switch purpose {
                case .stay: cancellation.wait()
                case .prove: break
                case .proveAndStay:
                    outlive()
                    progress(.kept)
                    cancellation.wait()
                }
                outcome = .success(held)
            } catch {
                outcome = .failure(error)
            }
            if case .failure(let error) = outcome { logger.error("\(error)") }
            atEnd?(.ending)
            try takeAway()
        } catch {
            lock.release()
            throw error
        }
        if case .failure = outcome { removeFolderAfterFailure() } else { directory.remove() }
        lock.release()
        return try outcome.get()
    }

    /// Comes up, and proves the file's checks if that is the purpose. The gate keeps changes out meanwhile.
    private func comeUpAndProve(
        _ enginePath: String, _ purpose: Purpose, _ started: MonotonicTime
    ) throws(ApplianceError) -> Bool {
        _ = try gate.enter("it is starting, or its checks are running,")
        defer { gate.leave() }
        try comeUp(enginePath)
        // Checks go on beside what tenants do.
        gate.admitInstructions()
        progress(
            .ready(
                ReadyReport(
                    name: plan.name, nodes: plan.nodes.count, interfaces: plan.interfaces.count,
                    entries: plan.table.entries.count, time: monotonicTime() - started,
                    places: ReadyReport.Place.all(of: plan))))
        return if purpose == .stay { true } else { try prove() }
    }

    /// Notes a process that was started, so that others can end it when this one has died.
    func note(_ process: RecordedProcess) {
        do throws(ApplianceError) { try record.note(process) } catch {
            // The process ends with this one in any case.
            logger.warning("\(error)")
        }
    }

    // MARK: - Up

    private func comeUp(_ enginePath: String) throws(ApplianceError) {
        try record.change { $0.phase = .starting }
        logger = ApplianceLog.logger(path: directory.logPath)
        logger.info("\(plan.name), run \(record.current.run), of \(file)")
        server = try loop.sync { [unowned self] () throws(ApplianceError) in
            try ControlServer(
                loop: loop, path: directory.socketPath, report: { [unowned self] in logger.warning("\($0)") },
                stream: { [unowned self] request throws(ApplianceError) in try stream(request) },
                answer: { [unowned self] in answer($0, $1) })
        }
        try NodeImages(directory).unpack(for: plan.nodes, cancellation)
        progress(.step("building \(Plural.nodes(plan.nodes.count)) on \(Plural.interfaces(plan.interfaces.count))"))
        let builder = NetworkBuilder(
            plan: plan, mark: record.mark, cancellation: cancellation, loans: record.current.loans ?? [])
        let built = try builder.build()
        loop.sync { self.topology.take(built) }
        logger.info("built \(Plural.nodes(plan.nodes.count)), \(Plural.interfaces(plan.interfaces.count))")
        try cancellation.check()
        watchApplications()
        try makeNodes(built)
        if let oversubscription = Machine.oversubscription(of: plan.engines) { progress(.note(oversubscription)) }
        progress(.step("starting the packeting engine"))
        try startEngine(enginePath, built)
        // The engines start in the time that the kernel takes for the links.
        try builder.awaitLinks(of: plan.nodes, in: built)
        // What applications ask for before all is up waits in the sockets.
        try openNegotiation()?.open()
        try watchAttachments()
        try startApplications()
        // Every health check must pass once; the error explains a check that never does.
        if let monitor = loop.sync({ self.watch.monitor }) { try monitor.proveOnce(cancellation) }
        try awaitQuiet(cancellation)
        loop.sync { self.applications?.beginServing() }
        try record.change { $0.phase = .up }
        if let records = plan.records {
            progress(.step("putting the records of tenants in force"))
            let keeper = try RecordKeeper(self, database: records.database, credentials: credentials)
            loop.sync { self.recordKeeper = keeper }
            try keeper.start()
            keeper.watchCertificate()
        }
        try negotiate()
        try Scaling(self).start()
        logger.info("up")
    }

    /// From here on, health changes the table, and listeners get events.
    private func watchApplications() {
        let events = events
        loop.sync { [unowned self] in
            events.listen { [unowned self] in loop.submit { [unowned self] in server?.pump() } }
            applications = ApplicationControl(
                plan: plan, publisher: publisher, loop: loop, tell: { events.append($0) })
        }
    }

    /// The engines that are about to start. On the loop's thread.
    func take(_ fleet: EngineFleet) {
        loop.preconditionCurrent()
        self.fleet = fleet
        drainNotes = DrainNotes(fleet.drainTable, loop: loop)
    }

    // MARK: - Down

    /// Ends everything and takes everything away.
    private func takeAway() throws(ApplianceError) {
        progress(.step("taking '\(name)' away"))
        // A change under way leaves first. Everything that it has made is taken away, too.
        gate.close()
        recordKeeper?.stop()
        negotiation?.stop()
        attachments?.stop()
        logger.info("down")
        // A state that cannot be written is no reason to leave anything behind.
        do throws(ApplianceError) { try record.change { $0.phase = .stopping } } catch { logger.warning("\(error)") }
        loop.sync { [self] in
            publisher.end()
            applications = nil
            watch.stop()
            applicationTimes.stop()
            for node in nodes { node.close() }
            fleet?.stop()
            for node in nodes { node.finish() }
            access.keep(only: [])
            fleet = nil
            topology.clear()
        }
        atEnd?(.ended)
        let left = try Teardown(directory: directory).takeAway(record.current)
        for name in left.foreign { logger.warning("left alone: \(name) does not have this topology's mark") }
        for foreignProcess in left.foreignProcesses { progress(.note(foreignProcess.sentence)) }
        loop.sync { [self] in
            server?.close()
            server = nil
        }
    }
}
