import CLinux
import Engine
import EventLoop
import Glibc
import LinuxNetwork

/// One packeting engine's process, from its start to its end, with the messages to it and from it. On the loop's
/// thread.
package final class EngineProcess {
    /// How far it has come.
    enum Phase {
        case starting
        /// It reads its queue sets.
        case ready
        /// It is not to read anything any more, and ends, or is ended.
        case leaving
        case ended
    }

    /// The callbacks to the fleet.
    struct Handlers {
        /// It has said something; nil: it says nothing any more.
        var said: (EngineProcess, EngineEvent?) -> Void
        /// It has broken the protocol, and its messages are ignored. The text says why, as the end of a sentence about
        /// it.
        var broke: (EngineProcess, String) -> Void
        /// It has ended.
        var ended: (EngineProcess, ProcessExit) -> Void
        /// The confinements that it lacks, seen from outside; each a few words.
        var inspect: (EngineProcess) -> [String]
    }

    let process: Pidfd
    /// The user that it was told to become; 0: none of its own.
    let user: UInt32
    /// Which blocks of the counters it writes to: one for each of its workers.
    let blocks: Range<Int>
    /// How many interfaces it has, circuits among them.
    let interfaces: Int
    /// What earlier owners of its blocks had counted.
    var before = EngineWork()
    /// The number of the newest observers that it was handed; 0 if it never was.
    private(set) var handedObservers: UInt64 = 0
    /// The number of the newest observers that it has taken or refused.
    private(set) var observed: UInt64 = 0
    /// Why it refused those; nil if it captures for them.
    private(set) var observationRefusal: String?
    /// The number of the newest impaired links that it was handed; 0 if it never was.
    private(set) var handedImpairments: UInt64 = 0
    /// The number of the newest impaired links that it has taken or refused.
    private(set) var impaired: UInt64 = 0
    /// Why it refused those; nil if its frames cross them.
    private(set) var impairmentRefusal: String?
    /// How its workers write frames, as far as has been told; nil until the first look.
    var writing: EngineWriting?
    /// How often it was told to write one by one.
    var writingsReported = 0
    /// When it was started.
    let started = monotonicTime()
    var phase = Phase.starting
    /// The newest generation that all its workers decide by; 0 before it is ready.
    var applied: UInt64 = 0
    /// The newest generation that it was handed.
    var handed: UInt64
    /// The generation of the table that it holds, with any groups, once it has taken everything that it was handed.
    var table: UInt64
    /// Which of the counters' memories it was handed, counted as they followed one another.
    var counters: Int
    /// True if it has broken the protocol. Then its shared memory is not trusted either.
    var hasBroken = false
    /// Why it refused its first table, or was found wanting.
    var complaint: String?
    /// The queues, counted through all interfaces, whose flags somebody had changed until they were handed to it.
    private(set) var corrected: [Int] = []
    /// The queue sets that it was last told to read.
    private(set) var assigned = QueueSets()
    /// The queue sets that it has said it reads.
    private(set) var confirmed = QueueSets()
    /// The number of looks since it last answered whether it makes progress.
    private(set) var unansweredLooks = 0
    /// How long its threads had waited for a processor at the first of those looks.
    private(set) var delayBefore: Duration?

    private let loop: EventLoop
    private let errors: EngineErrors
    private var link: EngineLink?
    /// Octets of address space that it may use beyond its tables and counters; nil before it is ready.
    private var spareRoom: UInt64?
    /// The open questions to it: it may say nothing else.
    private var conversation: EngineConversation
    private var assignments: [QueueSets] = []
    private var nextNumber: UInt64 = 1
    private var pings: UInt64 = 0
    private var answeredPings: UInt64 = 0

    var pid: Int32 { process.pid }
    /// True if it said that it is ready, and was found wanting.
    private(set) var isUnconfined = false
    /// True if it has no queue set and will not read a frame more.
    var isIdle: Bool { assigned.isEmpty && confirmed.isEmpty && assignments.isEmpty }

    /// Starts the program at `path`, and hands it the resources. It says `ready`, or ends.
    init(
        loop: EventLoop, path: String, logPath: String, counters: Int, resources: EngineResources,
        handlers: Handlers
    ) throws {
        self.loop = loop
        blocks = resources.firstBlock..<resources.firstBlock + resources.workers
        interfaces = resources.interfaces
        self.counters = counters
        handed = resources.generation
        table = resources.generation
        errors = try EngineErrors(loop: loop, path: logPath)
        countersSize = resources.counterLayout.size
        tableSize = resources.tableSize
        tablesSize = 2 * tableSize + countersSize
        grantedSize = 2 * tablesSize
        conversation = EngineConversation(first: resources.generation)
        let ends = try EngineLink.makePair()
        let link = EngineLink(owning: ends.control)
        do {
            defer { close(ends.engine) }
            var command = Command(path, arguments: ["tapline-engine"], diesWithParent: true)
            command.descriptors = [EngineLink.engineDescriptor: ends.engine, 2: errors.descriptor]
            command.ownsProcesses = true
            // Until it has a queue set, it is the first to end if memory runs out.
            command.memoryScore = MemoryRank.spareEngine.score
            process = try ProcessLauncher.spawn(command)
        } catch {
            errors.close()
            throw error
        }
        errors.begin(pid: process.pid)
        user = EngineIdentity.user(of: process.pid)
        // The pidfd shows that the engine has ended. Messages to it are lost.
        do throws(EngineError) {
            corrected = try link.start(resources, user: user, spareMebibytes: Self.spareMebibytes)
        } catch {
            complaint = "\(error)"
        }
        let descriptor = link.descriptor
        self.link = consume link
        loop.watch(descriptor) { [unowned self] _ in hear(handlers) }
        loop.watch(process.descriptor) { [unowned self] _ in
            guard let end = try? process.statusIfEnded() else { return }
            forgetProcess()
            handlers.ended(self, end)
        }
    }

    /// Takes one message, and waits for none: others have their turn in between.
    private func hear(_ handlers: Handlers) {
        let event: EngineEvent?
        do {
            switch try link?.receiveNow() {
            case .nothing: return
            case .event(let said):
                try conversation.accept(said)
                event = said
            case .end, nil: event = nil
            }
        } catch {
            let why = (error as? ProtocolBreach).map { "\($0)" } ?? "sent an invalid message: \(error)"
            complaint = why
            hasBroken = true
            if let descriptor = link?.descriptor { loop.unwatch(descriptor) }
            handlers.broke(self, why)
            return
        }
        switch event {
        case .ready(let confinement):
            if phase == .starting {
                let missing = handlers.inspect(self)
                guard missing.isEmpty else {
                    complaint = "is not confined: \(missing.joined(separator: ", "))"
                    isUnconfined = true
                    // It is heard no more.
                    if let descriptor = link?.descriptor { loop.unwatch(descriptor) }
                    end()
                    return
                }
                phase = .ready
                noteAddressSpace()
            }
            applied = confinement.generation
        case .applied(let generation): applied = max(applied, generation)
        case .assigned:
            // The conversation has checked that this is the first of the assignments.
            if !assignments.isEmpty { confirmed = assignments.removeFirst() }
        case .alive(let number):
            answeredPings = number
            unansweredLooks = 0
        case .observed(let number, let refusal):
            observed = number
            observationRefusal = refusal
        case .impaired(let number, let refusal):
            impaired = number
            impairmentRefusal = refusal
        case .refused(_, let reason): complaint = reason
        case nil:
            // Its end shows by its pidfd, too; a link without an engine is of no use.
            if let descriptor = link?.descriptor { loop.unwatch(descriptor) }
            end()
        }
        handlers.said(self, event)
    }

    /// Octets of the largest table, groups and counters that it was handed.
    private var tablesSize: Int
    /// Octets of its table.
    private var tableSize: Int
    /// Octets of its counters.
    private var countersSize: Int

    /// Spare address space of an engine, in MiB. It is small if this process can grant more before a larger table,
    /// which needs CAP_SYS_RESOURCE (24 in linux/capability.h). Otherwise it is enough for the largest tables.
    private static let spareMebibytes: UInt32 = {
        let status = String(decoding: readFile("/proc/self/status", limit: 16_384) ?? [], as: UTF8.self)
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        let mask = line.flatMap { UInt64($0.dropFirst(7).drop(while: \.isWhitespace), radix: 16) } ?? 0
        return mask & 1 << 24 != 0 ? 64 : 1024
    }()

    private func noteAddressSpace() {
        var limit: UInt64 = 0
        if clinux_address_space(pid, 0, &limit) == 0 { spareRoom = limit }
    }

    /// Octets that it maps for capturing.
    private var capturesSize = 0
    /// Octets that it maps for impaired links.
    private var impairmentsSize = 0
    /// The largest that these were together.
    private var grantedSize = 0

    /// Raises its limit, so that it can map the next memories beside the present ones.
    private func makeRoom(for octets: Int) {
        tablesSize = max(tablesSize, octets)
        guard let spareRoom, 2 * tablesSize + capturesSize + impairmentsSize > grantedSize else { return }
        grantedSize = 2 * tablesSize + capturesSize + impairmentsSize
        var limit: UInt64 = 0
        // Where that is not granted, it refuses the table or the observers, and says why.
        _ = clinux_address_space(pid, spareRoom &+ UInt64(grantedSize), &limit)
    }

    /// How readily the kernel ends it when memory runs out.
    func rank(_ rank: MemoryRank) {
        guard rank != self.rank else { return }
        self.rank = rank
        rank.assign(to: pid)
    }
    private var rank = MemoryRank.spareEngine

    private func forgetProcess() {
        phase = .ended
        errors.close()
        loop.unwatch(process.descriptor)
        if let descriptor = link?.descriptor { loop.unwatch(descriptor) }
        link = nil
        assigned = QueueSets()
        confirmed = QueueSets()
    }

    // MARK: - Messages to it

    /// Sends it something. One that has long read nothing, so that no more fits into its socket, is ended.
    private func tell(_ send: (borrowing EngineLink) throws(EngineError) -> Void) {
        guard link != nil else { return }
        do throws(EngineError) {
            try send(link!)
        } catch {
            complaint = "\(error)"
            end()
        }
    }

    /// Has it read these queue sets and no others.
    func assign(_ queueSets: QueueSets) {
        assigned = queueSets
        rank(queueSets.isEmpty ? .spareEngine : .engine)
        let number = nextNumber
        nextNumber += 1
        assignments.append(queueSets)
        conversation.assign(number)
        tell { link throws(EngineError) in try link.assign(queueSets, number: number) }
    }

    /// Makes it decide by another table, or by other groups of its present table.
    ///
    /// - Parameter way: What makes its table the shared one; nil if it has that.
    func publish(_ shared: SharedTable, _ way: TableVersion.Way?, counters grown: (Int32, CounterLayout)?) {
        handed = shared.generation
        table = shared.table.generation
        if case .whole(let memory)? = way { tableSize = memory.memory.size }
        // A table is mapped twice.
        makeRoom(
            for: 2 * tableSize + (shared.groups?.memory.size ?? 0) + (grown.map { $0.1.size } ?? countersSize))
        countersSize = grown.map { $0.1.size } ?? countersSize
        conversation.hand(shared.generation)
        tell { link throws(EngineError) in
            try link.publish(
                table: way?.memory.memory, isPatch: way?.isPatch ?? false, groups: shared.groups?.memory,
                generation: shared.generation, counters: grown.map { (descriptor: $0.0, layout: $0.1) })
        }
    }

    /// Has it capture for these observers, and for no others; nil: for none.
    func observe(_ observation: EngineFleet.Observation?, number: UInt64) {
        let workers = blocks.count
        handedObservers = number
        capturesSize = observation == nil ? 0 : workers * CaptureRing.size + (observation?.memory.memory.size ?? 0) * 2
        makeRoom(for: tablesSize)
        conversation.observe(number)
        tell { link throws(EngineError) in
            try link.observe(
                observation?.memory.memory, rings: observation?.rings.descriptor ?? -1, firstBlock: blocks.lowerBound,
                workers: workers, number: number)
        }
    }

    /// Has its frames cross these links, and no others.
    func impair(_ links: SealedMemory?, counters: EngineLink.Memory, number: UInt64) {
        handedImpairments = number
        if let links {
            let size = 2 * links.memory.size + counters.size + blocks.count * ImpairmentSet.storeSize
            impairmentsSize = max(impairmentsSize, size)
        }
        makeRoom(for: tablesSize)
        conversation.impair(number)
        tell { link throws(EngineError) in
            try link.impair(links?.memory, counters: counters, firstBlock: blocks.lowerBound, number: number)
        }
    }

    /// Asks whether it makes progress, unless it still owes an answer.
    func look() {
        guard answeredPings == pings else {
            unansweredLooks += 1
            if unansweredLooks == 1 { delayBefore = processorDelay() }
            return
        }
        pings += 1
        let number = pings
        conversation.ping(number)
        tell { link throws(EngineError) in try link.ping(number) }
    }

    /// The time that its threads have waited for a processor, summed; nil if the kernel does not tell.
    /// It is the second number of each /proc/PID/task/TID/schedstat, in nanoseconds there.
    func processorDelay() -> Duration? {
        let tasks = "/proc/\(pid)/task"
        var total: Duration?
        for name in namesInFolder(tasks) {
            guard let bytes = readFile("\(tasks)/\(name)/schedstat", limit: 256) else { continue }
            let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
            guard fields.count >= 2, let delay = Int64(fields[1]) else { continue }
            total = (total ?? .zero) + .nanoseconds(delay)
        }
        return total
    }

    /// Asks it to end when all that it has read is sent on.
    func stop() {
        phase = .leaving
        tell { link throws(EngineError) in try link.stop() }
    }

    /// Ends it.
    func end() {
        try? process.signal(SIGKILL)
    }

    /// Ends it, waits until it has ended, and forgets it.
    func endAndWait() {
        end()
        if process.waitForEnd(within: .seconds(5)) { _ = try? process.statusIfEnded() }
        forgetProcess()
    }
}
