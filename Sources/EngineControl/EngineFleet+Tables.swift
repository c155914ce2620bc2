import ControlAPI
import Engine
import EventLoop
import Forwarding
import Glibc
import Logging
import Plan
import Reporting

/// A table or its groups in sealed memory, which engines map. It goes with its last owner.
final class SealedMemory {
    let memory: EngineLink.Memory
    /// The number that it was published under.
    let generation: UInt64

    init(_ image: [UInt8], generation: UInt64) throws(EngineError) {
        let descriptor: Int32
        do {
            descriptor = try image.withUnsafeBytes { try SharedMapping.makeTable($0) }
        } catch let error as EngineError {
            throw error
        } catch {
            throw EngineError("make shared memory", because: "\(error)")
        }
        memory = EngineLink.Memory(descriptor: descriptor, size: image.count)
        self.generation = generation
    }

    deinit { close(memory.descriptor) }
}

/// A table as it is published: whole, or as the difference to the one before. The whole is made when a process needs it.
final class TableVersion {
    /// What makes the table of a process this one.
    enum Way {
        case whole(SealedMemory)
        case patch(SealedMemory)

        var memory: SealedMemory {
            switch self {
            case .whole(let memory), .patch(let memory): memory
            }
        }

        var isPatch: Bool { if case .patch = self { true } else { false } }
    }

    /// The difference to the version before.
    struct Patch {
        var memory: SealedMemory
        /// The number of the table that it changes.
        var basis: UInt64
        /// The number of that table or of the groups that were published last for it: those that an engine keeps.
        var newest: UInt64
    }

    /// The number that it is published under.
    let generation: UInt64
    let patch: Patch?
    fileprivate(set) var whole: SealedMemory?

    init(_ whole: SealedMemory) {
        (self.whole, patch, generation) = (whole, nil, whole.generation)
    }

    init(_ patch: Patch) {
        (self.patch, generation) = (patch, patch.memory.generation)
    }
}

/// A table as engines hold it: the table, and newer groups if these have changed since. So a change of health costs the
/// same with ten entries and with a million.
struct SharedTable {
    var table: TableVersion
    /// nil: the table's own.
    var groups: SealedMemory?

    /// The number that it is published under.
    var generation: UInt64 { groups?.generation ?? table.generation }
}

/// The tables that all engines hold.
extension EngineFleet {
    /// A table on its way to the engines.
    struct Publication {
        let generation: UInt64
        /// The processes that have yet to say that they decide by it.
        var waiting: Set<ObjectIdentifier>
        /// The table that was in force before.
        var before: Before
        let done: (Result<Void, ApplianceError>) -> Void
    }

    /// What it takes to go back to a table.
    struct Before {
        var table: SharedTable
        var compiled: CompiledTable
        /// What it is compiled from, if `compiled` has become the table after it.
        var source: ForwardingTable?
    }

    static func compile(
        _ table: ForwardingTable, leavesRoom: Bool = false
    ) throws(ApplianceError) -> CompiledTable {
        do throws(TableError) {
            return try CompiledTable(table, leavesRoom: leavesRoom)
        } catch {
            throw ApplianceError(.file, "the table cannot be compiled", details: error.problems.map { "\($0)" })
        }
    }

    /// Publishes a table and calls `done` in one of two cases:
    ///
    /// - Every worker of every engine decides by this table or by a later one.
    /// - An engine does not take it. Then all go on with the table before.
    ///
    /// Tables may follow one another without waiting.
    package func publish(_ table: ForwardingTable, _ done: @escaping (Result<Void, ApplianceError>) -> Void) {
        do throws(ApplianceError) {
            publish(try Self.compile(table, leavesRoom: leavesRoom), done)
        } catch {
            done(.failure(error))
        }
    }

    /// Publishes a table that is compiled already, as `publish(_:_:)` does.
    ///
    /// - Parameter groupsOnly: True if it is `compiled` with other groups: then nothing else is copied.
    package func publish(
        _ fresh: CompiledTable, groupsOnly: Bool = false, _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        publish(fresh, groupsOnly: groupsOnly, source: nil, done)
    }

    private func publish(
        _ fresh: CompiledTable, groupsOnly: Bool = false, source: ForwardingTable?,
        _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        loop.preconditionCurrent()
        guard !hasStopped else {
            done(.failure(.cancelled))
            return
        }
        let generation = newestGeneration + 1
        do throws(EngineError) {
            try growCounters(for: fresh)
            var table = published
            if groupsOnly {
                table.groups = try SealedMemory(
                    fresh.groupBytes(generation: generation, of: table.table.generation), generation: generation)
            } else {
                table = SharedTable(
                    table: TableVersion(
                        try SealedMemory(fresh.bytes(generation: generation), generation: generation)))
            }
            // Nodes that may join only now have not been asked for their groups.
            if !groupsOnly, fresh.asksGroups { memberships.askAgain() }
            putInForce(table, fresh, Before(table: published, compiled: compiled, source: source), done)
        } catch {
            done(.failure(ApplianceError(.failed, "\(error)")))
        }
    }

    /// Publishes a table that differs in a few entries from the one that was published last, as `publish(_:_:)` does, in
    /// the time that these take. If more differs, the whole is compiled.
    ///
    /// - Parameters:
    ///   - old: The table that was published last.
    ///   - patch: How the entries differ.
    package func publish(
        _ table: ForwardingTable, from old: ForwardingTable, _ patch: TablePatch,
        _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        loop.preconditionCurrent()
        guard !hasStopped else { return done(.failure(.cancelled)) }
        do throws(ApplianceError) {
            if try follow(table, from: old, patch, done) { return }
            // From now on there is room for such changes.
            leavesRoom = true
            let whole: CompiledTable
            do throws(ApplianceError) { whole = try Self.compile(table, leavesRoom: true) } catch {
                // What could not be changed may be changed in part.
                compiled = try Self.compile(old)
                throw error
            }
            publish(whole, source: old) { [weak self] result in
                done(result)
                if case .success = result { self?.prepareForChanges(of: table) }
            }
        } catch {
            done(.failure(error))
        }
    }

    /// Makes ready what the next change of entries or access lists needs, while nothing waits for it.
    ///
    /// - Parameter table: The table that was published last.
    package func prepareForChanges(of table: ForwardingTable) {
        loop.preconditionCurrent()
        // A table on its way may have to give way to the one before.
        guard !hasStopped, publications.isEmpty else { return }
        compiled.prepareForChanges(of: table)
    }

    /// - Returns: False if the table has to be compiled.
    private func follow(
        _ table: ForwardingTable, from old: ForwardingTable, _ patch: TablePatch,
        _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) throws(ApplianceError) -> Bool {
        let generation = newestGeneration + 1
        let basis = published.table.generation
        var fresh = compiled
        let bytes: [UInt8]
        do throws(UnfitChange) {
            bytes = try fresh.change(from: old, to: table, by: patch, basis: basis, generation: generation)
        } catch {
            logger.debug("the whole table is compiled: \(error)")
            return false
        }
        do throws(EngineError) {
            try growCounters(for: fresh)
            let memory = try SealedMemory(bytes, generation: generation)
            var shared = SharedTable(
                table: TableVersion(TableVersion.Patch(memory: memory, basis: basis, newest: published.generation)))
            if fresh.groups != compiled.groups {
                shared.groups = try SealedMemory(
                    fresh.groupBytes(generation: generation, of: generation), generation: generation)
            }
            putInForce(shared, fresh, Before(table: published, compiled: compiled, source: old), done)
            return true
        } catch {
            compiled = try Self.compile(old)
            throw ApplianceError(.failed, "\(error)")
        }
    }

    private func putInForce(
        _ table: SharedTable, _ fresh: CompiledTable, _ before: Before,
        _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        publications.append(Publication(generation: table.generation, waiting: [], before: before, done: done))
        published = table
        compiled = fresh
        newestGeneration = table.generation
        tableChanges()
        for process in living where process.phase == .ready { hand(process, published) }
    }

    /// The whole of the table that was published last. It is made when it is needed for the first time.
    func wholeTable() throws(EngineError) -> SealedMemory {
        if let whole = published.table.whole { return whole }
        let generation = published.table.generation
        let whole = try SealedMemory(compiled.bytes(generation: generation), generation: generation)
        published.table.whole = whole
        return whole
    }

    /// Gives the newest table to a process that was started during a publication, before it reads a frame.
    func bringUpToDate(_ process: EngineProcess) {
        if process.handed != published.generation { hand(process, published) }
        if captures.observation != nil { handObservers(process) }
        if impairments.links != nil { handImpairments(process) }
    }

    private func hand(_ process: EngineProcess, _ table: SharedTable) {
        let isBehind = process.counters != countersNumber
        process.counters = countersNumber
        for index in publications.indices { publications[index].waiting.insert(ObjectIdentifier(process)) }
        do throws(EngineError) {
            process.publish(
                table, try way(to: table.table, for: process),
                counters: isBehind ? (resources.counters, resources.counterLayout) : nil)
        } catch {
            // Its successor gets the table, or there is none either.
            process.complaint = "\(error)"
            process.end()
        }
    }

    private func way(to table: TableVersion, for process: EngineProcess) throws(EngineError) -> TableVersion.Way? {
        if process.table == table.generation { return nil }
        if let patch = table.patch, patch.basis == process.table, patch.newest == process.handed {
            return .patch(patch.memory)
        }
        return .whole(try wholeTable())
    }

    /// Makes larger counters if these have no room for a table, for so many interfaces or for so many blocks.
    func growCounters(for fresh: CompiledTable, interfaces: Int = 0, blocks: Int = 0) throws(EngineError) {
        let before = resources.counterLayout
        let (entries, rules) = (fresh.counterCount, fresh.ruleCounterCount)
        guard
            entries > before.entries || rules > before.rules || interfaces > before.interfaces
                || blocks > before.workers
        else { return }
        let layout = CounterLayout(
            workers: blocks > before.workers ? min(blocks * 2, CounterLayout.mostWorkers) : before.workers,
            interfaces: interfaces > before.interfaces ? min(interfaces * 2, 4_096) : before.interfaces,
            entries: entries > before.entries ? entries * 2 : before.entries,
            rules: rules > before.rules ? rules * 2 : before.rules)
        let descriptor = try SharedMapping.makeCounters(layout)
        reader.add(memory: try Self.map(descriptor, layout), layout: layout)
        close(resources.counters)
        resources.counters = descriptor
        resources.counterLayout = layout
        countersNumber += 1
    }

    static func map(_ descriptor: Int32, _ layout: CounterLayout) throws(EngineError) -> UnsafeRawPointer {
        let memory = try SharedMapping(mapping: descriptor, size: layout.size, writable: false)
        return UnsafeRawPointer(memory.leak())
    }

    /// Stops waiting for a process that will send nothing more.
    func forget(_ process: EngineProcess) {
        for index in publications.indices { publications[index].waiting.remove(ObjectIdentifier(process)) }
    }

    /// Reports the tables that every engine decides by. If no engine is ready now, the next ready one triggers the
    /// report.
    func settlePublications() {
        let ready = living.filter { $0.phase == .ready }
        guard let slowest = ready.map(\.applied).min() else { return }
        while let first = publications.first {
            for process in ready where process.applied >= first.generation {
                publications[0].waiting.remove(ObjectIdentifier(process))
            }
            guard publications[0].waiting.isEmpty, slowest >= first.generation else { return }
            publications.removeFirst()
            tables += 1
            events(ApplianceEvent(.tablePublished, generation: Int(first.generation)))
            first.done(.success(()))
        }
    }

    /// Takes back a table that an engine has refused: no engine may keep it.
    func refused(_ process: EngineProcess, _ generation: UInt64, _ reason: String) {
        logger.error("engine process \(process.pid): table \(generation) refused: \(reason)")
        // One that refuses its first table ends.
        guard process.phase == .ready, let index = publications.firstIndex(where: { $0.generation == generation })
        else { return }
        let failed = publications.remove(at: index)
        events(ApplianceEvent(.tableRefused, generation: Int(generation), reason: reason))
        // It still holds the one before.
        process.table = failed.before.table.table.generation
        if generation == published.generation {
            published = failed.before.table
            compiled = failed.before.compiled
            // It was compiled once, so that works again. Without room, the next table is compiled as a whole: what engines
            // have of this one is laid out in another way.
            if let source = failed.before.source, let again = try? Self.compile(source) { compiled = again }
            tableChanges()
            for other in living where other !== process && other.phase == .ready && other.handed == generation {
                hand(other, published)
            }
            process.handed = published.generation
        } else if index < publications.count {
            publications[index].before = failed.before
        }
        failed.done(.failure(ApplianceError(.failed, "an engine refused the table: \(reason)")))
        settlePublications()
    }
}
