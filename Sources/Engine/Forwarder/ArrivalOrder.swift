import Forwarding
import Wire

// Passive applications see a conversation as it was: what a detector makes of an answer depends on the question before it.
// So where the runs of a batch are interleaved, their copies leave frame by frame in the order in which frames came, while
// all other copies leave run by run.

/// Which copies of a packet are to be made.
enum WantedCopies {
    case all
    /// Those for passive applications.
    case passive
    /// All but those.
    case others

    @inline(__always)
    func contains(_ copy: UnsafeMutablePointer<PlainCopy>) -> Bool {
        switch self {
        case .all: true
        case .passive: copy.pointee.isPassive
        case .others: !copy.pointee.isPassive
        }
    }
}

/// What is still to be done for frames of the batch at hand, in the order in which they came. In memory that is allocated
/// once.
struct ArrivalOrder: ~Copyable {
    /// For each frame the run of which it is owed something; -1: nothing.
    private let runs: UnsafeMutablePointer<Int32>
    private let capacity: Int
    /// The first frame whose turn has not come.
    private var next: Int32 = 0
    /// How many frames are owed something.
    private var owed = 0

    init(capacity: Int) {
        self.capacity = capacity
        runs = .allocate(capacity: capacity)
        runs.initialize(repeating: -1, count: capacity)
    }

    deinit { runs.deallocate() }

    /// A batch begins.
    mutating func removeAll() {
        runs.update(repeating: -1, count: capacity)
        next = 0
        owed = 0
    }

    /// Notes that something is to be done for every frame of a run.
    @inline(__always)
    mutating func owe(_ run: Int, of joiner: borrowing FlowJoiner) {
        var frame = joiner.runs[run].first
        while frame >= 0 {
            runs[Int(frame)] = Int32(truncatingIfNeeded: run)
            owed &+= 1
            frame = joiner.next(after: frame)
        }
    }

    /// The next frame before `limit` that is owed something, and its run; nil where there is none.
    @inline(__always)
    mutating func take(before limit: Int32) -> (frame: Int32, run: Int32)? {
        guard owed > 0 else {
            next = max(next, limit)
            return nil
        }
        while next < limit {
            let frame = next
            next &+= 1
            guard runs[Int(frame)] >= 0 else { continue }
            owed &-= 1
            return (frame, runs[Int(frame)])
        }
        return nil
    }

    /// Passes over frames that were done together with the one that `take` gave last.
    @inline(__always)
    mutating func skip(_ frames: Int) {
        next &+= Int32(truncatingIfNeeded: frames)
        owed &-= frames
    }
}

extension Forwarder {
    /// Makes the copies for passive applications of a frame whose run has gone, and of those of the run that came right
    /// behind it.
    mutating func sendPassive(_ frame: Int32, of run: Int, into writes: inout WriteList) {
        let part = joiner.part(of: joiner.runs[run], from: frame)
        let count = Int(part.count)
        arrivals.skip(count &- 1)
        // It was plain before, and is as it was: where it has other copies, those have headers of their own.
        guard plain.read(part.start, part.length, part.kind, at: part.networkOffset),
            let plan = passivePlan(Int(decided[run]))
        else {
            counters.countDrop(.sendFailed, count)
            return
        }
        let copies = plans.copies(of: plan)
        if count == 1 {
            sendFrame(part.start, part.length, plan, copies, part.octets, .passive, into: &writes)
        } else if !sendSuperframe(part, plan, copies, part.octets, .passive, into: &writes) {
            counters.countDrop(.tapFull, count &* plan.pointee.passive)
        }
    }
}
