import Engine
import EventLoop

/// What a process has done as an engine.
package struct EngineWork: Sendable, Hashable {
    /// Packets received.
    package var received: UInt64 = 0
    /// Frames that were coalesced with frames before them.
    package var coalesced: UInt64 = 0
    /// Turns of its workers.
    package var turns: UInt64 = 0

    // Engines write these values, so a sum wraps and never traps.

    static func + (left: EngineWork, right: EngineWork) -> EngineWork {
        EngineWork(
            received: left.received &+ right.received, coalesced: left.coalesced &+ right.coalesced,
            turns: left.turns &+ right.turns)
    }

    static func - (left: EngineWork, right: EngineWork) -> EngineWork {
        EngineWork(
            received: left.received &- right.received, coalesced: left.coalesced &- right.coalesced,
            turns: left.turns &- right.turns)
    }
}

/// The work of each engine, which outlives its processes.
extension EngineFleet {
    /// The work of each engine by all processes that have served as it. A restart takes nothing from it.
    package var work: [EngineWork] {
        loop.preconditionCurrent()
        return members.map { member in
            let serving = member.former + [member.process].compactMap { $0 }
            return serving.reduce(member.past) { $0 + work(of: $1) }
        }
    }

    /// The work of a process, without that of earlier owners of its blocks.
    func work(of process: EngineProcess) -> EngineWork { written(by: process) - process.before }

    /// What the blocks of a process say.
    func written(by process: EngineProcess) -> EngineWork {
        let blocks = process.blocks
        return EngineWork(
            received: reader.received(blocks: blocks), coalesced: reader.coalesced(blocks: blocks),
            turns: reader.turns(blocks: blocks))
    }

    /// A process has ended: its work is final, and its blocks will have another owner.
    func keepWork(of process: EngineProcess) {
        for member in members.indices {
            let isFormer = members[member].former.contains { $0 === process }
            guard isFormer || members[member].process === process else { continue }
            members[member].past = members[member].past + work(of: process)
            members[member].former.removeAll { $0 === process }
        }
    }
}
