import Engine
import Forwarding

/// How the engines are.
extension EngineFleet {
    /// How one of them is.
    struct EngineStatus {
        enum State: String {
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
        var number: Int
        var pid: Int32?
        var state: State
        /// The shares that it reads, from 0.
        var shares: [Int]
        /// Packets that its process has received.
        var received: UInt64
        /// How often a process has taken its place, the first among them.
        var starts: Int
        /// How the process before ended.
        var lastEnd: String?
        /// How its workers write frames; nil before the first has said so.
        var writing: EngineWriting?
    }

    /// Each of the engines.
    var status: [EngineStatus] {
        loop.preconditionCurrent()
        return seats.indices.map { index in
            let seat = seats[index]
            return EngineStatus(
                number: index + 1, pid: seat.process?.pid, state: state(seat),
                shares: seat.process?.confirmed.shares ?? [],
                received: seat.process.map { reader.received(blocks: blocks(of: $0)) &- $0.receivedBefore } ?? 0,
                starts: seat.starts, lastEnd: seat.lastEnd, writing: seat.process.flatMap(writing))
        }
    }

    private func state(_ seat: Seat) -> EngineStatus.State {
        if hasStopped { return .stopped }
        guard let process = seat.process else { return seat.successor == nil ? .waiting : .starting }
        guard process.phase == .ready else { return .starting }
        if seat.successor != nil { return .replacing }
        return seat.isDrained ? (process.isIdle ? .drained : .draining) : .running
    }

    // MARK: - Counters

    /// Packets and bytes of the entry with this counter, since the first engine's start.
    func entry(_ counter: Int) -> (packets: UInt64, bytes: UInt64) {
        let count = reader.entry(counter)
        return (count.packets, count.bytes)
    }

    /// What an interface has carried.
    func interface(_ index: Int) -> InterfaceCount { reader.interface(index) }

    /// How often all workers went round.
    var turns: UInt64 { reader.turns() }

    /// Frames that were joined to others before them.
    var joined: UInt64 { reader.joined() }

    /// Queues that turned out to be gone while they were read.
    var closedQueues: UInt64 { reader.closedQueues() }

    /// Frames dropped for a reason.
    func drops(_ reason: DropReason) -> UInt64 { reader.drops(reason) }

    /// The last frame that was dropped for a reason, where it could be read.
    func lastDrop(_ reason: DropReason) -> DroppedFrame? { reader.lastDrop(reason) }
}
