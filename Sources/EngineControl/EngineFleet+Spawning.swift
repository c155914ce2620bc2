import Engine
import EventLoop
import LinuxNetwork
import Reporting

/// The start of an engine's process.
extension EngineFleet {
    /// Looks at an engine from outside.
    static func inspect(_ process: EngineProcess) -> [String] {
        EngineInspection(pid: process.pid, user: process.user, grant: .here).missing()
    }

    /// Starts a process that has everything and reads nothing yet.
    func spawn() throws -> EngineProcess {
        loop.preconditionCurrent()
        // The engine that changed them shows when it ends: then the change is reported.
        correctedBefore += correctQueues()
        var handed = resources
        // Other groups than the table's own follow before it reads.
        let whole = try wholeTable()
        (handed.table, handed.tableSize) = (whole.memory.descriptor, whole.memory.size)
        handed.generation = published.table.generation
        return try spawn(handed)
    }

    /// Starts a process with these resources, in blocks of the counters that no living one has.
    func spawn(_ resources: EngineResources) throws -> EngineProcess {
        let last = resources.counterLayout.workers - resources.workers
        let first = stride(from: 0, through: last, by: 1).first { first in
            !living.contains { $0.blocks.overlaps(first..<first + resources.workers) }
        }
        guard let first else { throw EngineError("start an engine", because: "earlier ones have not ended yet") }
        var handed = resources
        handed.firstBlock = first
        // An earlier engine may have written there. Restore the memories for the next one.
        try SharedMapping.renewCounters(resources.counters, resources.counterLayout)
        neighbours.initialize()
        let process = try EngineProcess(
            loop: loop, path: path, logPath: logPath, counters: countersNumber, resources: handed,
            handlers: EngineProcess.Handlers(
                said: { [unowned self] in heard($0, $1) }, broke: { [unowned self] in broke($0, $1) },
                ended: { [unowned self] in bury($0, $1) }, inspect: inspect))
        // What was changed since then was corrected as it was handed over.
        correctedBefore += summary(ofCorrected: process.corrected, in: handed.queues)
        process.before = written(by: process)
        living.append(process)
        loop.after(Self.readyTimeout) { [weak process] in
            guard let process, process.phase == .starting else { return }
            process.complaint = "it was not ready within \(seconds(Self.readyTimeout))"
            process.end()
        }
        if let started = RecordedProcess(pid: process.pid, what: "tapline-engine \(first)") { record(started) }
        return process
    }
}
