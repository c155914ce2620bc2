import ControlAPI
import Engine
import EventLoop
import Forwarding
import Glibc
import LinuxNetwork
import Logging
import Plan
import Reporting
import Wire

/// Runs the packeting engines of a topology, on the loop's thread: divides the TAPs' queues among them, replaces an
/// engine that ends or hangs, and publishes tables to all.
///
/// The fleet keeps the TAPs' descriptors, the counters and the tables. Each engine gets copies, so its successor
/// continues with the same. A single engine has a spare, which reads nothing until it takes the engine's place.
package final class EngineFleet: @unchecked Sendable {
    /// How long an engine may take until it is ready.
    static let readyTimeout = Duration.seconds(10)
    /// The time between an end and the start of another process where it does not press.
    private static let politePause = Duration.milliseconds(2)
    /// How long an engine may take to end when it is asked to. Frames wait for a neighbour for up to 4 s.
    static let stopTimeout = Duration.seconds(8)
    /// The same for an engine that a signal had stopped. Its frames are useful for a short time only.
    private static let resumeTimeout = Duration.milliseconds(500)

    let loop: EventLoop
    let logger: Logger
    var plan: EnginesPlan
    let events: EventSink
    let path: String
    let logPath: String
    let record: (RecordedProcess) -> Void
    /// The confinements that an engine lacks.
    let inspect: (EngineProcess) -> [String]
    /// Called when another table was published, before an engine has it.
    package var tableChanges: () -> Void = {}
    let neighbours: NeighbourTable
    /// The engines' notes of instances that drain.
    package let drainTable: DrainTable

    var resources: EngineResources
    var reader = CounterReader()
    /// The newest table, compiled, and the same in shared memory. New groups need no new compilation of the rest.
    package internal(set) var compiled: CompiledTable
    var published: SharedTable
    /// True once a few entries have changed: whole tables are compiled with room for more changes of that kind.
    var leavesRoom = false
    /// The generation of the newest table. A refused table's generation is not used again.
    package internal(set) var newestGeneration: UInt64 = 1
    var publications: [Publication] = []
    /// How often the counters have grown.
    var countersNumber = 0

    /// What is captured.
    var captures = Captures()
    /// The impaired links.
    var impairments = Impairments()

    var members: [Member]
    var spare: EngineProcess?
    /// Why a single engine has no spare; nil if it has one, or is about to.
    package private(set) var spareTrouble: String?
    /// Every process that has not ended.
    var living: [EngineProcess] = []
    var division: QueueSetAssignment
    var movesUnderWay: [QueueSetAssignment.Move] = []
    var drains: [(member: Int, done: (Result<Void, ApplianceError>) -> Void)] = []
    var replacement: Replacement?
    /// Other engines that are about to take the place of all.
    var regrowth: Regrowth?
    /// Called when every queue has a reader after that.
    var regrown: ((Result<Void, ApplianceError>) -> Void)?
    /// Called when no engine is left that has given up its place.
    var retirements: [() -> Void] = []
    /// What earlier interfaces had counted at places that others have by now, and since when.
    var earlier: [Int: EarlierInterface] = [:]
    /// A queue that never has a frame: it stands for those of places without an interface.
    let idleQueue: Int32
    private var firstReady: ((Result<Void, ApplianceError>) -> Void)?
    private(set) var hasStopped = false
    /// The corrections of queues before a process was started. The next process that ends reports them.
    var correctedBefore = ""
    /// True while no engine may read a queue, and the callers that wait for that.
    var isPaused = false
    /// See `isPaused`.
    var paused: (() -> Void)?
    /// Tables published since the first.
    package internal(set) var tables = 0

    /// Makes the memories and compiles the first table; starts nothing yet.
    ///
    /// - Parameters:
    ///   - queues: For each interface `plan.queues` queues; none at the place of a circuit.
    ///   - segmentsUDP: Whether all of them take datagrams for segmentation.
    ///   - leavesRoom: True if a few entries or access lists at a time will change.
    ///   - record: Takes each process that is started, so that it can be ended by others after this one has died.
    ///   - events: Takes what happens.
    ///   - inspect: Lists the confinements that an engine lacks. Tests replace it for programs that stand in for engines.
    /// - Throws: `ApplianceError` if the table cannot be compiled, or if the system has no memory for the engines.
    package init(
        loop: EventLoop, path: String, logPath: String, logger: Logger, table: ForwardingTable, queues: [[Int32]],
        segmentsUDP: Bool = true, leavesRoom: Bool = false, plan: EnginesPlan,
        record: @escaping (RecordedProcess) -> Void, events: @escaping EventSink,
        inspect: @escaping (EngineProcess) -> [String] = EngineFleet.inspect
    ) throws(ApplianceError) {
        loop.preconditionCurrent()
        self.loop = loop
        self.path = path
        self.logPath = logPath
        self.logger = logger
        self.plan = plan
        self.record = record
        self.events = events
        self.inspect = inspect
        members = Array(repeating: Member(), count: plan.count)
        division = QueueSetAssignment(workers: plan.workers, fitness: Array(repeating: .absent, count: plan.count))
        self.leavesRoom = leavesRoom
        compiled = try Self.compile(table, leavesRoom: leavesRoom)
        idleQueue = EngineLink.makeIdleQueue()
        do throws(EngineError) {
            let whole = try SealedMemory(compiled.bytes(generation: 1), generation: 1)
            published = SharedTable(table: TableVersion(whole))
            // Each process writes to a lane of its own. Each place may have one process that ends and one that begins.
            // So may the spare.
            let layout = CounterLayout(
                workers: (plan.count * 2 + 2) * plan.workers, interfaces: table.interfaces.count,
                entries: compiled.counterCount, rules: compiled.ruleCounterCount)
            let queues = Self.queues(queues, of: table, idle: idleQueue)
            resources = EngineResources(
                queues: queues, circuits: table.interfaces.count - queues.count,
                queueSets: plan.queueSets(of: queues), workers: plan.workers,
                counters: try SharedMapping.makeCounters(layout), counterLayout: layout,
                neighbours: try SharedMapping.makeNeighbours(), table: whole.memory.descriptor,
                tableSize: whole.memory.size,
                generation: 1, tuning: EngineTuning(plan, coalescesUDP: segmentsUDP))
            neighbours = NeighbourTable(
                memory: try SharedMapping(
                    mapping: resources.neighbours, size: NeighbourTable.memorySize, writable: true
                )
                .leak())
            drainTable = DrainTable(behind: neighbours)
            reader.add(memory: try Self.map(resources.counters, layout), layout: layout)
        } catch {
            throw ApplianceError(.failed, "\(error)")
        }
    }

    // MARK: - Starting

    /// Starts all engines; `ready` is called when all forward, or when one cannot.
    package func start(_ ready: @escaping (Result<Void, ApplianceError>) -> Void) {
        loop.preconditionCurrent()
        firstReady = ready
        for member in members.indices where firstReady != nil { launch(member) }
        // While they start there is time to find out what they must show.
        _ = EngineInspection.Grant.here
        watch()
    }

    private func launch(_ member: Int) {
        guard !hasStopped, members[member].process == nil, members[member].successor == nil else { return }
        do {
            members[member].starts += 1
            members[member].process = try spawn()
        } catch {
            logger.error("engine \(member + 1) could not be started: \(error)")
            failFirst(ApplianceError(.failed, "the packeting engine could not be started: \(error)"))
            launchLater(member, members[member].backoff.failed())
        }
    }

    /// Starts what is missing of a member: its process, its spare.
    private func launchLater(_ member: Int, _ pause: Duration) {
        if pause > .zero {
            logger.error("engine \(member + 1) ends again and again; the next start waits \(seconds(pause))")
        } else if movesUnderWay.isEmpty, spare == nil, members[member].process == nil {
            launch(member)
            return
        }
        if pause > .zero, members.count == 1, members[0].process != nil { spareTrouble = "it ends again and again" }
        // Where others read already, there is time to hear so first: starting a program takes some milliseconds.
        loop.after(max(pause, Self.politePause)) { [weak self] in
            self?.launch(member)
            self?.launchSpare()
        }
    }

    /// No other engine can read in place of a single one.
    func launchSpare() {
        guard !hasStopped, firstReady == nil, members.count == 1, spare == nil, members[0].process?.phase == .ready
        else {
            return
        }
        do { spare = try spawn() } catch {
            logger.error("the spare engine could not be started: \(error)")
            spareTrouble = "\(error)"
            let pause = members[0].backoff.failed()
            loop.after(pause) { [weak self] in self?.launchSpare() }
        }
    }

    private func failFirst(_ error: ApplianceError) {
        guard let completion = firstReady else { return }
        firstReady = nil
        hasStopped = true
        completion(.failure(error))
    }

    /// Ends all engines for good, and waits until they have ended.
    package func stop() {
        loop.preconditionCurrent()
        hasStopped = true
        for process in living { process.end() }
        for process in living { process.endAndWait() }
        living = []
        spare = nil
        for member in members.indices { (members[member].process, members[member].successor) = (nil, nil) }
        for publication in publications { publication.done(.failure(.cancelled)) }
        publications = []
        replacement?.done(.failure(.cancelled))
        replacement = nil
        cancelRegrowth()
        for drain in drains { drain.done(.failure(.cancelled)) }
        drains = []
        captures.cancel()
        impairments.cancel()
    }

    // MARK: - Messages of engines

    func heard(_ process: EngineProcess, _ event: EngineEvent?) {
        switch event {
        case .ready(let confinement):
            logger.info("engine process \(process.pid) is ready after \(confinement.startTime.wholeMicroseconds) us")
            if isFresh(process) { return freshIsReady(process) }
            if process === spare { spareTrouble = nil }
            bringUpToDate(process)
            if let member = members.firstIndex(where: { $0.process === process }) {
                // No engine reads before all are there for the first time.
                if firstReady == nil || members.allSatisfy({ $0.process?.phase == .ready }) { divide() }
                events(ApplianceEvent(.engineStarted, engine: member + 1, reason: "process \(process.pid)"))
            } else if let member = members.firstIndex(where: { $0.successor === process }) {
                promote(member)
            }
            settlePublications()
            launchSpare()
        case .applied: settlePublications()
        case .refused(let generation, let reason): refused(process, generation, reason)
        case .assigned:
            hand()
            tellFirst()
            tellRegrown()
        case .observed: settleObservations()
        case .impaired: settleImpairments()
        case .alive: break
        case nil: if let complaint = process.complaint { logger.warning("engine process \(process.pid): \(complaint)") }
        }
    }

    /// All engines read their queue sets for the first time.
    private func tellFirst() {
        guard let completion = firstReady, isForwarding, members.allSatisfy({ $0.process?.phase == .ready }) else {
            return
        }
        firstReady = nil
        completion(.success(()))
        launchSpare()
    }

    // MARK: - Ends

    /// A process has ended.
    func bury(_ process: EngineProcess, _ end: ProcessExit) {
        guard !hasStopped else { return }
        living.removeAll { $0 === process }
        let corrected = correctedBefore + correctQueues()
        correctedBefore = ""
        let member = members.firstIndex { $0.process === process }
        keepWork(of: process)
        if let member { release(member, "\(end.summary)") } else { hand() }
        // The rest may take its time: the others read already.
        let summary = (process.isUnconfined ? process.complaint.map { "\($0), and was ended" } : nil) ?? end.summary
        if member != nil || process.isUnconfined {
            let number = member ?? members.firstIndex { $0.successor === process } ?? 0
            events(ApplianceEvent(.engineEnded, engine: number + 1, reason: summary + corrected))
        }
        logger.info("engine process \(process.pid) \(summary)\(corrected)")
        healNeighbours()
        forgetNeighbours(of: process)
        forget(process)
        settleAll()
        if firstReady != nil {
            let why = process.complaint ?? end.summary
            failFirst(
                ApplianceError(
                    .failed, "the packeting engine did not start: \(why)", details: lastLines(logPath, 10)))
            return
        }
        let now = monotonicTime()
        if let member {
            launchLater(member, members[member].backoff.ended(now: now, started: process.started))
        } else if process === spare {
            spare = nil
            launchLater(0, members[0].backoff.ended(now: now, started: process.started))
        }
        continueReplacement(after: process, process.complaint ?? end.summary)
        failRegrowth(after: process, process.complaint ?? end.summary)
        tellRetirements()
    }

    /// The process of a member reads no more: its queue sets go to others before anything else happens.
    private func release(_ member: Int, _ how: String) {
        members[member].noteLeaving(living)
        members[member].process = nil
        members[member].lastEnd = how
        if members[member].successor == nil, let promoted = spare {
            spare = nil
            members[member].starts += 1
            members[member].process = promoted
        }
        divide()
        if let promoted = members[member].process, promoted.phase == .ready {
            events(ApplianceEvent(.engineStarted, engine: member + 1, reason: "process \(promoted.pid), the spare"))
        }
    }

    /// A member without a process gets a process.
    func launchMissing(_ member: Int) { launch(member) }

    /// A stopped process is given up and ended.
    ///
    /// - Parameter isStopped: A signal has stopped it. Once others read in its place it is let go on: it sends on what
    ///   it had read, and ends.
    func evict(_ process: EngineProcess, _ why: String, isStopped: Bool = false) {
        loop.preconditionCurrent()
        guard process.phase == .starting || process.phase == .ready else { return }
        let why = why + correctedBefore + correctQueues()
        correctedBefore = ""
        process.complaint = why
        process.phase = .leaving
        forget(process)
        let member = members.firstIndex { $0.process === process }
        if let member { release(member, "\(why), and was ended") } else { hand() }
        if isStopped { resume(process) } else { process.end() }
        logger.warning("engine process \(process.pid) \(why)")
        let isSpare = process === spare
        if isSpare { spare = nil }
        guard let number = member ?? (isSpare ? 0 : nil) else { return }
        if let member { events(ApplianceEvent(.engineStopped, engine: member + 1, reason: why)) }
        launchLater(number, members[number].backoff.ended(now: monotonicTime(), started: process.started))
    }

    /// The engine has sent a message that it was not asked for. It is ended, and another takes its place.
    func broke(_ process: EngineProcess, _ why: String) {
        guard !hasStopped else { return }
        let summary = "broke the protocol: it \(why)"
        if process.phase == .starting || process.phase == .ready {
            let isMember = members.contains { $0.process === process }
            let successor = members.firstIndex { $0.successor === process }
            evict(process, summary)
            if !isMember {
                events(
                    ApplianceEvent(
                        .engineStopped, engine: (successor ?? 0) + 1,
                        reason: "a process that did not read yet \(summary)"))
            }
        } else {
            process.end()
            logger.warning("engine process \(process.pid) \(summary)")
        }
        process.complaint = summary
    }

    private func resume(_ process: EngineProcess) {
        process.stop()
        try? process.process.signal(SIGCONT)
        loop.after(Self.resumeTimeout) { [weak process] in
            if let process, process.phase == .leaving { process.end() }
        }
    }
}
