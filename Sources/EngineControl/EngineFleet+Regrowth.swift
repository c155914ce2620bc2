import ControlAPI
import Engine
import EventLoop
import Forwarding
import Plan
import Reporting
import Wire

/// The engines of a topology, and the queues that they read.
package struct EngineSet {
    /// How many engines there are, and how they share the queues.
    package var plan: EnginesPlan
    /// For each interface its queues, as many for each; none at a place that is free, and at one of a circuit.
    package var queues: [[Int32]]
    /// The places of the interfaces that come: what was counted and noted there is not theirs.
    package var coming: [Int]
    /// Whether all of them take datagrams for segmentation.
    package var segmentsUDP: Bool

    /// Memberwise.
    package init(plan: EnginesPlan, queues: [[Int32]], coming: [Int] = [], segmentsUDP: Bool) {
        self.plan = plan
        self.queues = queues
        self.coming = coming
        self.segmentsUDP = segmentsUDP
    }
}

/// What an interface that is gone had counted, at a place that another one has by now.
struct EarlierInterface {
    var count: InterfaceCount
    /// When the other one came.
    var since: MonotonicTime
}

/// Engines with other queues than before: interfaces that come and go, and other numbers of engines and workers.
///
/// An engine has its queues from its start, so all engines get successors. These start beside the engines that forward. When
/// the last is ready, the former ones are told to read nothing more. When each has sent on all that it had read, the
/// successors begin to read. So no frame is lost or overtaken: frames wait in the TAPs' queues for that moment. What the
/// former engines still hold, for a neighbour's answer or on an impaired link, they send on before they end.
///
/// An interface that stays keeps its place. So counters, notes of neighbours and members of groups, captures and impaired
/// links are the same memory before and after.
extension EngineFleet {
    /// Engines on their way.
    final class Regrowth {
        let plan: EnginesPlan
        let resources: EngineResources
        let published: SharedTable
        let compiled: CompiledTable
        var fresh: [EngineProcess] = []
        /// True from the moment when the former engines are told to read nothing more.
        var isSwitching = false
        let done: (Result<Void, ApplianceError>) -> Void

        init(
            plan: EnginesPlan, resources: EngineResources, published: SharedTable, compiled: CompiledTable,
            done: @escaping (Result<Void, ApplianceError>) -> Void
        ) {
            self.plan = plan
            self.resources = resources
            self.published = published
            self.compiled = compiled
            self.done = done
        }
    }

    /// True while the former engines let go.
    var isSwitching: Bool { regrowth?.isSwitching ?? false }

    /// True for a process that has no place yet, and will get one of `regrowth`.
    func isFresh(_ process: EngineProcess) -> Bool { regrowth?.fresh.contains { $0 === process } ?? false }

    /// Has other engines, with other queues and another table, take the place of those that run, without losing a frame.
    ///
    /// No table may be on its way.
    ///
    /// - Parameter done: Called when every queue is read by the successors and they decide by the table, or when one of
    ///   them did not start. Then all is as it was.
    package func regrow(
        to set: EngineSet, _ table: ForwardingTable, _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        loop.preconditionCurrent()
        guard !hasStopped else { return done(.failure(.cancelled)) }
        precondition(regrowth == nil && regrown == nil, "tables are published one after another")
        do throws(ApplianceError) {
            if let replacement {
                throw ApplianceError(
                    .failed, "engine \(replacement.member + 1) is being replaced", hint: "try again when that has ended"
                )
            }
            let compiled = try Self.compile(table, leavesRoom: leavesRoom)
            do { try begin(set, table, compiled, done) } catch let error as ApplianceError {
                throw error
            } catch {
                throw ApplianceError(.failed, "other engines could not be started: \(error)")
            }
        } catch {
            dismissFresh()
            done(.failure(error))
        }
    }

    private func begin(
        _ set: EngineSet, _ table: ForwardingTable, _ compiled: CompiledTable,
        _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) throws {
        // A single one gets a spare beside it.
        let processes = set.plan.count == 1 ? 2 : set.plan.count
        let blocks = living.reduce(processes * set.plan.workers) { $0 + $1.blocks.count }
        if captures.observation != nil, blocks > resources.counterLayout.workers {
            throw ApplianceError(
                .failed, "a capture or a trace runs, and has no room for what more engines or workers see",
                hint: "end it, and apply the file then")
        }
        try growCounters(for: compiled, interfaces: table.interfaces.count, blocks: blocks)
        if let memory = impairments.memory, memory.blocks < resources.counterLayout.workers {
            let larger = try ImpairmentMemory(blocks: resources.counterLayout.workers)
            impairments.former.append(memory)
            impairments.memory = larger
        }
        newestGeneration += 1
        let generation = newestGeneration
        let whole = try SealedMemory(compiled.bytes(generation: generation), generation: generation)
        var handed = resources
        handed.queues = Self.queues(set.queues, of: table, idle: idleQueue)
        handed.circuits = table.interfaces.count - handed.queues.count
        handed.queueSets = set.plan.queueSets(of: handed.queues)
        handed.workers = set.plan.workers
        (handed.table, handed.tableSize, handed.generation) = (whole.memory.descriptor, whole.memory.size, generation)
        handed.tuning = EngineTuning(set.plan, coalescesUDP: set.segmentsUDP)
        noteComing(set.coming)
        let regrowth = Regrowth(
            plan: set.plan, resources: handed, published: SharedTable(table: TableVersion(whole)), compiled: compiled,
            done: done)
        self.regrowth = regrowth
        for _ in 0..<set.plan.count { regrowth.fresh.append(try spawn(handed)) }
    }

    /// The queues of all places that have to have some. Where there is no device of its own, one stands for them that never has
    /// a frame.
    static func queues(_ queues: [[Int32]], of table: ForwardingTable, idle: Int32) -> [[Int32]] {
        let most = queues.map(\.count).max() ?? 1
        return (0..<table.queuedPlaces).map { place in
            let own = queues.indices.contains(place) ? queues[place] : []
            return own.isEmpty ? Array(repeating: idle, count: most) : own
        }
    }

    /// What was counted and noted at the places of new interfaces is not theirs.
    private func noteComing(_ places: [Int]) {
        for place in places {
            earlier[place] = EarlierInterface(count: reader.interface(place), since: .now)
            neighbours.forget { $0.interface == place }
        }
    }

    /// A successor is ready. When the last is, the former engines are told to let go.
    func freshIsReady(_ process: EngineProcess) {
        guard let regrowth else { return }
        if captures.observation != nil { handObservers(process) }
        if impairments.links != nil { handImpairments(process) }
        guard regrowth.fresh.count == regrowth.plan.count, regrowth.fresh.allSatisfy({ $0.phase == .ready }) else {
            return
        }
        regrowth.isSwitching = true
        hand()
    }

    /// No former engine reads anything any more: the successors begin.
    func switchOver() {
        guard let regrowth else { return }
        self.regrowth = nil
        (plan, resources) = (regrowth.plan, regrowth.resources)
        (published, compiled) = (regrowth.published, regrowth.compiled)
        tableChanges()
        if compiled.asksGroups { memberships.askAgain() }
        tables += 1
        events(ApplianceEvent(.tablePublished, generation: Int(published.generation)))
        let former = members
        for member in former {
            for process in [member.process, member.successor].compactMap({ $0 }) where process.phase == .starting {
                process.end()
            }
        }
        if let spare, spare.phase == .starting { spare.end() }
        spare = nil
        members = regrowth.fresh.indices.map { index in
            var member = former.indices.contains(index) ? former[index] : Member()
            member.noteLeaving(living)
            if member.process != nil { member.lastEnd = "was replaced" }
            (member.process, member.successor) = (regrowth.fresh[index], nil)
            member.starts += 1
            return member
        }
        let (gone, left) = (drains.filter { $0.member >= members.count }, drains.filter { $0.member < members.count })
        drains = left
        movesUnderWay = []
        division = QueueSetAssignment(workers: plan.workers, fitness: members.map { _ in .absent })
        regrown = regrowth.done
        divide()
        for drain in gone {
            drain.done(.failure(ApplianceError(.failed, "engine \(drain.member + 1) is gone")))
        }
        for (index, process) in regrowth.fresh.enumerated() {
            let kind: ApplianceEvent.Kind = former.indices.contains(index) ? .engineReplaced : .engineStarted
            events(
                ApplianceEvent(
                    kind, engine: index + 1,
                    reason: "the interfaces or the engines are others: process \(process.pid)"))
        }
        for index in members.count..<max(members.count, former.count) {
            events(ApplianceEvent(.engineEnded, engine: index + 1, reason: "the file has fewer engines"))
        }
        tellRegrown()
    }

    /// Reports the successors once they read every queue.
    func tellRegrown() {
        guard let done = regrown, isForwarding else { return }
        regrown = nil
        done(.success(()))
        launchSpare()
    }

    /// Goes back if a successor has ended before it had its place.
    func failRegrowth(after process: EngineProcess, _ why: String) {
        guard let regrowth, isFresh(process) else { return }
        dismissFresh()
        // The former engines go on, and read again what they had let go.
        hand()
        regrowth.done(.failure(ApplianceError(.failed, "a new engine did not start: \(why)")))
    }

    private func dismissFresh() {
        let fresh = regrowth?.fresh ?? []
        regrowth = nil
        for process in fresh { process.end() }
    }

    /// Nobody answers any more.
    func cancelRegrowth() {
        regrowth?.done(.failure(.cancelled))
        regrowth = nil
        regrown?(.failure(.cancelled))
        regrown = nil
        tellRetirements()
    }

    /// Calls `body` when every engine that has given up its place has ended. It takes some seconds at most.
    package func whenRetired(_ body: @escaping () -> Void) {
        loop.preconditionCurrent()
        retirements.append(body)
        tellRetirements()
    }

    func tellRetirements() {
        guard hasStopped || !living.contains(where: { $0.phase == .leaving }) else { return }
        let waiting = retirements
        retirements = []
        for body in waiting { body() }
    }
}
