import Engine
import Forwarding
import Glibc
import LinuxNetwork
import Logging

/// Starts the packeting engine, replaces it at once when it ends, and publishes tables to it.
///
/// The TAPs' descriptors, the counters, the neighbour table and the table are kept here: an engine gets copies, and the
/// next one goes on with the same. On the loop's thread.
final class EngineSupervisor: @unchecked Sendable {
    /// What `status` tells.
    enum State: String, Sendable {
        case starting
        case running
        /// It ended too often in a short time; the next start waits.
        case waiting
        case stopped
    }

    /// Ends within a second that make the next start wait, and for how long, in milliseconds.
    private static let mostEnds = 5
    private static let shortestPause = 1000
    private static let longestPause = 30_000
    /// How long an engine may take until it forwards, in milliseconds.
    private static let readyTimeout = 10_000

    private let loop: EventLoop
    private let path: String
    private let logPath: String
    private let logger: Logger
    private let record: (RecordedProcess) -> Void

    private var resources: EngineResources
    private var published: PublishedTable
    private var reader = CounterReader()
    private var process: Pidfd?
    private var link: EngineLink?
    private var readyTimer: Int?
    private var ends: [Int] = []
    private var pause = EngineSupervisor.shortestPause
    private var firstReady: ((Result<Void, ApplianceError>) -> Void)?
    private var pending: (generation: UInt64, before: PublishedTable, done: (Result<Void, ApplianceError>) -> Void)?

    private(set) var state = State.stopped
    private(set) var starts = 0
    private(set) var lastEnd: String?
    private(set) var tables = 0
    private var lastRefusal: String?

    /// A table in sealed memory.
    private struct PublishedTable {
        var descriptor: Int32
        var size: Int
        var generation: UInt64
    }

    var pid: Int32? { process?.pid }
    var workers: Int { resources.counterLayout.workers }

    /// Compiles the first table and makes the memories; starts nothing yet.
    init(
        loop: EventLoop, path: String, logPath: String, logger: Logger, table: ForwardingTable, queues: [[Int32]],
        workers: Int, record: @escaping (RecordedProcess) -> Void
    ) throws(ApplianceError) {
        self.loop = loop
        self.path = path
        self.logPath = logPath
        self.logger = logger
        self.record = record
        let compiled = try Self.compile(table, generation: 1)
        published = compiled.table
        do throws(EngineError) {
            let layout = CounterLayout(
                workers: workers, interfaces: table.interfaces.count, entries: compiled.counters)
            resources = EngineResources(
                queues: queues, counters: try SharedMapping.makeCounters(layout), counterLayout: layout,
                neighbours: try SharedMapping.makeNeighbours(), table: published.descriptor, tableSize: published.size,
                generation: 1)
            reader.add(
                memory: try Self.map(resources.counters, layout), layout: layout)
        } catch {
            throw ApplianceError(.failed, "\(error)")
        }
    }

    private static func map(_ descriptor: Int32, _ layout: CounterLayout) throws(EngineError) -> UnsafeRawPointer {
        let memory = try SharedMapping(mapping: descriptor, size: layout.size, writable: false)
        return UnsafeRawPointer(memory.leak())
    }

    private static func compile(
        _ table: ForwardingTable, generation: UInt64
    ) throws(ApplianceError) -> (table: PublishedTable, counters: Int) {
        let bytes: [UInt8]
        do throws(TableError) {
            bytes = try TableCompiler.compile(table, generation: generation)
        } catch {
            throw ApplianceError(.file, "the table cannot be compiled", details: error.problems.map { "\($0)" })
        }
        do {
            let descriptor = try bytes.withUnsafeBytes { try SharedMapping.makeTable($0) }
            let counters = (table.entries.map(\.counter).max() ?? -1) + 1
            return (PublishedTable(descriptor: descriptor, size: bytes.count, generation: generation), counters)
        } catch {
            throw ApplianceError(.failed, "\(error)")
        }
    }

    // MARK: - Starting and replacing

    /// Starts the first engine; `ready` is called when it forwards, or when it cannot.
    func start(_ ready: @escaping (Result<Void, ApplianceError>) -> Void) {
        firstReady = ready
        launch()
    }

    private func launch() {
        guard state != .running, process == nil else { return }
        state = .starting
        starts += 1
        let errors = open(logPath, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        defer { if errors >= 0 { close(errors) } }
        do {
            let ends = try EngineLink.makePair()
            let link = EngineLink(owning: ends.control)
            let child: Pidfd
            do {
                defer { close(ends.engine) }
                var command = Command(path, arguments: ["tapline-engine"], diesWithParent: true)
                command.descriptors = [EngineLink.engineDescriptor: ends.engine]
                if errors >= 0 { command.descriptors[2] = errors }
                child = try ProcessLauncher.spawn(command)
            }
            if let started = RecordedProcess(pid: child.pid, what: "tapline-engine") { record(started) }
            process = child
            resources.table = published.descriptor
            resources.tableSize = published.size
            resources.generation = published.generation
            // An engine that ended already shows by its pidfd; what was sent to it is lost with it.
            do { try link.start(resources) } catch { logger.warning("engine: \(error)") }
            let descriptor = link.descriptor
            self.link = consume link
            loop.watch(descriptor) { [unowned self] _ in hear() }
            loop.watch(child.descriptor) { [unowned self] _ in bury() }
            readyTimer = loop.after(milliseconds: Self.readyTimeout) { [weak self] in
                guard let self, self.state == .starting else { return }
                self.lastRefusal = "it did not forward within \(seconds(Self.readyTimeout))"
                try? self.process?.signal(SIGKILL)
            }
        } catch {
            state = .waiting
            logger.error("the engine could not be started: \(error)")
            fail(ApplianceError(.failed, "the packeting engine could not be started: \(error)"))
            retryLater()
        }
    }

    /// The engine has said something.
    private func hear() {
        let event: EngineEvent?
        do throws(EngineError) { event = try link?.receive() } catch {
            logger.warning("engine: \(error)")
            event = nil
        }
        switch event {
        case .ready(let confinement):
            state = .running
            if let readyTimer { loop.cancel(readyTimer) }
            lastRefusal = nil
            logger.info("engine \(pid ?? 0) forwards after \(confinement.startMicroseconds) us")
            if let pending, confinement.generation >= pending.generation { settle(.success(())) }
            let told = firstReady
            firstReady = nil
            told?(.success(()))
        case .applied(let generation):
            if let pending, generation >= pending.generation { settle(.success(())) }
        case .refused(let generation, let reason):
            lastRefusal = reason
            logger.error("engine: table \(generation) refused: \(reason)")
            if let pending, generation == pending.generation {
                close(published.descriptor)
                published = pending.before
                settle(.failure(ApplianceError(.failed, "the engine refused the table: \(reason)")))
            }
        case nil:
            // Its end shows by its pidfd, too; a link without an engine is of no use.
            if let descriptor = link?.descriptor { loop.unwatch(descriptor) }
            try? process?.signal(SIGKILL)
        }
    }

    /// The engine has ended: the next one starts at once, unless this happens too often.
    private func bury() {
        guard let process, let end = try? process.statusIfEnded() else { return }
        loop.unwatch(process.descriptor)
        if let descriptor = link?.descriptor { loop.unwatch(descriptor) }
        if let readyTimer { loop.cancel(readyTimer) }
        link = nil
        self.process = nil
        guard state != .stopped else { return }
        lastEnd = end.told
        state = .waiting
        logger.warning("engine \(process.pid) \(end.told)")
        if firstReady != nil {
            let why = lastRefusal ?? end.told
            fail(
                ApplianceError(
                    .failed, "the packeting engine did not start: \(why)", details: lastLines(logPath, 10)))
            return
        }
        let now = monotonicMilliseconds()
        ends = ends.filter { now - $0 < 1000 } + [now]
        if ends.count >= Self.mostEnds {
            retryLater()
        } else {
            if ends.count == 1 { pause = Self.shortestPause }
            launch()
        }
    }

    private func retryLater() {
        logger.error("the engine ended \(Self.mostEnds) times within a second; the next start waits \(seconds(pause))")
        loop.after(milliseconds: pause) { [weak self] in
            guard let self, self.state == .waiting else { return }
            self.launch()
        }
        pause = min(pause * 2, Self.longestPause)
    }

    private func fail(_ error: ApplianceError) {
        let told = firstReady
        firstReady = nil
        if told != nil { state = .stopped }
        told?(.failure(error))
    }

    /// Ends the engine for good, and waits until it has ended.
    func stop() {
        state = .stopped
        if let readyTimer { loop.cancel(readyTimer) }
        if pending != nil { settle(.failure(.interrupted)) }
        guard let process else { return }
        loop.unwatch(process.descriptor)
        if let descriptor = link?.descriptor { loop.unwatch(descriptor) }
        try? process.signal(SIGKILL)
        if process.waitForEnd(milliseconds: 5000) { _ = try? process.statusIfEnded() }
        link = nil
        self.process = nil
    }

    // MARK: - Tables

    /// Publishes a table; `done` is called when every worker decides by it, or when the engine does not take it.
    func publish(_ table: ForwardingTable, _ done: @escaping (Result<Void, ApplianceError>) -> Void) {
        guard pending == nil else {
            done(.failure(ApplianceError(.failed, "another table is being published", mend: "try again")))
            return
        }
        do throws(ApplianceError) {
            let compiled = try Self.compile(table, generation: published.generation + 1)
            var grown: (descriptor: Int32, layout: CounterLayout)?
            if compiled.counters > resources.counterLayout.entries {
                grown = try growCounters(compiled.counters, table)
            }
            let before = published
            published = compiled.table
            pending = (
                published.generation, before,
                { [weak self] result in
                    if case .success = result {
                        close(before.descriptor)
                        self?.tables += 1
                    }
                    done(result)
                }
            )
            // Where no engine runs just now, the next one starts with this table.
            guard state == .running else { return }
            do {
                try link?.publish(
                    table: published.descriptor, size: published.size, generation: published.generation,
                    counters: grown)
            } catch {
                logger.warning("engine: \(error)")
            }
        } catch {
            done(.failure(error))
        }
    }

    private func growCounters(
        _ entries: Int, _ table: ForwardingTable
    ) throws(ApplianceError) -> (descriptor: Int32, layout: CounterLayout) {
        let layout = CounterLayout(workers: workers, interfaces: table.interfaces.count, entries: entries * 2)
        do throws(EngineError) {
            let descriptor = try SharedMapping.makeCounters(layout)
            reader.add(memory: try Self.map(descriptor, layout), layout: layout)
            close(resources.counters)
            resources.counters = descriptor
            resources.counterLayout = layout
            return (descriptor, layout)
        } catch {
            throw ApplianceError(.failed, "\(error)")
        }
    }

    private func settle(_ result: Result<Void, ApplianceError>) {
        let done = pending?.done
        pending = nil
        done?(result)
    }

    // MARK: - Counters

    /// Packets and bytes of the entry with this counter, since the first engine's start.
    func entry(_ counter: Int) -> (packets: UInt64, bytes: UInt64) {
        let count = reader.entry(counter)
        return (count.packets, count.bytes)
    }

    /// What an interface has carried.
    func interface(_ index: Int) -> InterfaceCount { reader.interface(index) }

    /// Frames dropped for a reason.
    func drops(_ reason: DropReason) -> UInt64 { reader.drops(reason) }
}
