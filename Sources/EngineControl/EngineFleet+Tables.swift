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

/// A table as engines hold it: the whole table, and newer groups if these have changed since. So a change of health
/// costs the same with ten entries and with a million.
struct SharedTable {
    var table: SealedMemory
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
        var before: (table: SharedTable, compiled: CompiledTable)
        let done: (Result<Void, ApplianceError>) -> Void
    }

    static func compile(_ table: ForwardingTable) throws(ApplianceError) -> CompiledTable {
        do throws(TableError) {
            return try CompiledTable(table)
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
            publish(try Self.compile(table), done)
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
                    table: try SealedMemory(fresh.bytes(generation: generation), generation: generation))
            }
            publications.append(
                Publication(generation: generation, waiting: [], before: (published, compiled), done: done))
            published = table
            // Nodes that may join only now have not been asked for their groups.
            if !groupsOnly, fresh.asksGroups { memberships.askAgain() }
            compiled = fresh
            newestGeneration = generation
        } catch {
            done(.failure(ApplianceError(.failed, "\(error)")))
            return
        }
        for process in living where process.phase == .ready { hand(process, published) }
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
        process.publish(table, counters: isBehind ? (resources.counters, resources.counterLayout) : nil)
    }

    private func growCounters(for fresh: CompiledTable) throws(EngineError) {
        let before = resources.counterLayout
        let (entries, rules) = (fresh.counterCount, fresh.ruleCounterCount)
        guard entries > before.entries || rules > before.rules else { return }
        let layout = CounterLayout(
            workers: before.workers, interfaces: before.interfaces,
            entries: entries > before.entries ? entries * 2 : before.entries,
            rules: rules > before.rules ? rules * 2 : before.rules)
        let descriptor = try SharedMapping.makeCounters(layout)
        reader.add(memory: try Self.map(descriptor, layout), layout: layout)
        close(resources.counters)
        resources.counters = descriptor
        resources.counterLayout = layout
        countersNumber += 1
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
