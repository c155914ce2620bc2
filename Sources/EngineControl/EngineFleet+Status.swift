import Engine
import EventLoop
import Forwarding
import Plan
import Wire

/// How the engines are.
extension EngineFleet {
    /// How one of them is.
    package struct EngineStatus {
        package enum State: String {
            case starting
            case running
            /// The others take its queues over.
            case draining
            /// It reads nothing until it is undrained.
            case drained
            /// Another process is about to take its place.
            case replacing
            /// It ended too often in a short time; the next start waits.
            case waiting
            case stopped
        }
        /// From 1.
        package var number: Int
        package var pid: Int32?
        package var state: State
        /// The queue sets that it reads, from 0.
        package var queueSets: [Int]
        /// Packets that its process has received.
        package var received: UInt64
        /// How often a process has taken its place, the first among them.
        package var starts: Int
        /// How the process before ended.
        package var lastEnd: String?
        /// How its workers write frames; nil before the first has said so.
        package var writing: EngineWriting?
    }

    /// Each of the engines.
    package var status: [EngineStatus] {
        loop.preconditionCurrent()
        return members.indices.map { index in
            let member = members[index]
            return EngineStatus(
                number: index + 1, pid: member.process?.pid, state: state(member),
                queueSets: member.process?.confirmed.numbers ?? [],
                received: member.process.map { work(of: $0).received } ?? 0,
                starts: member.starts, lastEnd: member.lastEnd, writing: member.process.flatMap(writing))
        }
    }

    private func state(_ member: Member) -> EngineStatus.State {
        if hasStopped { return .stopped }
        guard let process = member.process else { return member.successor == nil ? .waiting : .starting }
        guard process.phase == .ready else { return .starting }
        if member.successor != nil { return .replacing }
        return member.isDrained ? (process.isIdle ? .drained : .draining) : .running
    }

    // MARK: - Counters

    /// Packets and bytes of the entry with this counter, since the first engine's start.
    package func entry(_ counter: Int) -> (packets: UInt64, bytes: UInt64) {
        let count = reader.entry(counter)
        return (count.packets, count.bytes)
    }

    /// The traffic of an interface.
    package func interface(_ index: Int) -> InterfaceCount {
        let count = reader.interface(index)
        return earlier[index].map { count.since($0.count) } ?? count
    }

    /// The number of turns of all workers.
    package var turns: UInt64 { reader.turns() }

    /// Frames that were coalesced with others before them.
    package var coalesced: UInt64 { reader.coalesced() }

    /// Queues that turned out to be gone while they were read.
    package var closedQueues: UInt64 { reader.closedQueues() }

    /// The number of frames dropped for a reason.
    package func drops(_ reason: DropReason) -> UInt64 { reader.drops(reason) }

    /// The last frame that was dropped for a reason, if it could be read.
    package func lastDrop(_ reason: DropReason) -> DroppedFrame? {
        guard let frame = reader.lastDrop(reason) else { return nil }
        // It was on an interface that is gone.
        if let since = earlier[frame.interface]?.since, frame.time < since { return nil }
        return frame
    }

    /// Packets and bytes of every entry, by the entries' counters.
    package var entryCounts: [CounterReading.EntryCount] {
        (0..<compiled.counterCount).map { counter in
            let count = reader.entry(counter)
            return CounterReading.EntryCount(packets: count.packets, bytes: count.bytes)
        }
    }

    /// Packets and bytes that each rule of access lists, and each list's default, decided about, by their counters.
    package var ruleCounts: [CounterReading.EntryCount] {
        (0..<compiled.ruleCounterCount).map { counter in
            let count = reader.rule(counter)
            return CounterReading.EntryCount(packets: count.packets, bytes: count.bytes)
        }
    }
}
