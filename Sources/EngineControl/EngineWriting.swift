import ControlAPI
import Engine
import Logging
import Plan
import Reporting

/// How an engine's workers write frames, and why not otherwise.
package struct EngineWriting: Hashable, Sendable {
    /// `ring` or `plain`; `plain` where one of the workers does.
    var way: EngineTuning.Writing
    /// The errno that io_uring was refused or failed with; 0 if it was not.
    package var failure: Int32 = 0
    /// True if the engine wrote by io_uring before.
    var hasFailedLater = false

    /// The file's word for it.
    package var name: String { (way == .ring ? EnginesPlan.Writing.ring : .plain).rawValue }

    /// Why frames are written one by one, as the end of a sentence; nil if that, or the other, was asked for.
    package var why: String? {
        guard failure != 0 else { return nil }
        return "io_uring \(hasFailedLater ? "failed" : "was refused"): \(RingRefusal(errno: failure).summary)"
    }
}

extension EngineTuning {
    /// The time that a worker polls for more frames before it sleeps, for low latency. Waking a sleeping processor
    /// takes about as long.
    private static let shortSpin = Duration.microseconds(50)

    /// Takes the file's settings for moving frames, and whether the devices let datagrams be coalesced.
    init(_ plan: EnginesPlan, coalescesUDP: Bool) {
        self.init()
        self.coalescesUDP = coalescesUDP
        writing =
            switch plan.writing {
            case .automatic: .automatic
            case .ring: .ring
            case .plain: .plain
            }
        coalesces = plan.coalesces
        spin = plan.latency == .low ? Self.shortSpin : .zero
    }
}

extension EngineFleet {
    /// How a process writes: the worker that does worse decides.
    func writing(of process: EngineProcess) -> EngineWriting? {
        let workers = process.blocks.compactMap { reader.writing(block: $0) }
        guard let worst = workers.first(where: { $0.failure != 0 }) ?? workers.first else { return nil }
        return EngineWriting(
            way: worst.way, failure: worst.failure,
            hasFailedLater: worst.failure != 0
                && (process.writing?.hasFailedLater == true || process.writing?.way == .ring))
    }

    /// The most reports of one process that it writes in another way. A healthy one changes twice at most. A faulty one
    /// must not fill the log.
    private static let mostWritingsReported = 4

    /// Reports an engine that no longer writes as it did, or not as fast as it could.
    func lookAtWriting(of process: EngineProcess) {
        let now = writing(of: process)
        guard now != process.writing else { return }
        process.writing = now
        guard let why = now?.why, process.writingsReported < Self.mostWritingsReported else { return }
        process.writingsReported += 1
        logger.warning("engine process \(process.pid) writes frames one by one: \(why)")
        guard let member = members.firstIndex(where: { $0.process === process }) else { return }
        events(ApplianceEvent(.engineWritesPlainly, engine: member + 1, reason: why))
    }
}
