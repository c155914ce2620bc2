import Forwarding
import Wire

// Passive applications get frames in the order of arrival, because a detector judges an answer by the question before
// it. So if the runs of a batch are interleaved, their copies leave frame by frame in that order. All other copies
// leave run by run.

/// The copies of a packet that are made.
enum WantedCopies {
    case all
    /// The copies for passive applications.
    case passive
    /// All other copies.
    case others

    @inline(__always)
    func contains(_ copy: UnsafeMutablePointer<FastPathCopy>) -> Bool {
        switch self {
        case .all: true
        case .passive: copy.pointee.isPassive
        case .others: !copy.pointee.isPassive
        }
    }
}

/// The work that is still to be done for frames of the batch at hand, in the order of arrival. Its memory is allocated
/// once.
struct ArrivalOrder: ~Copyable {
    /// For each frame, the run whose copies are still due; -1 if none are.
    private let runs: UnsafeMutablePointer<Int32>
    private let capacity: Int
    /// The first frame that is not done.
    private var next: Int32 = 0
    /// The number of frames with copies due.
    private var owed = 0

    init(capacity: Int) {
        self.capacity = capacity
        runs = .allocate(capacity: capacity)
        runs.initialize(repeating: -1, count: capacity)
    }

    deinit { runs.deallocate() }

    /// Begins a batch.
    mutating func removeAll() {
        runs.update(repeating: -1, count: capacity)
        next = 0
        owed = 0
    }

    /// Notes that copies are due for every frame of a run.
    @inline(__always)
    mutating func owe(_ run: Int, of coalescer: borrowing FrameCoalescer) {
        var frame = coalescer.runs[run].first
        while frame >= 0 {
            runs[Int(frame)] = Int32(truncatingIfNeeded: run)
            owed &+= 1
            frame = coalescer.next(after: frame)
        }
    }

    /// The next frame before `limit` with copies due, and its run; nil if there is none.
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

    /// Skips frames that were done together with the last result of `take`.
    @inline(__always)
    mutating func skip(_ frames: Int) {
        next &+= Int32(truncatingIfNeeded: frames)
        owed &-= frames
    }
}

extension Forwarder {
    /// Makes the copies for passive applications of a frame whose run has gone, and of the frames of the run that came
    /// directly behind it.
    mutating func sendPassive(_ frame: Int32, of run: Int, into writes: inout WriteList) {
        let part = coalescer.part(of: coalescer.runs[run], from: frame)
        let count = Int(part.count)
        arrivals.skip(count &- 1)
        // The frame was plain before, and is unchanged: its other copies have headers of their own.
        guard fast.read(part.start, part.length, part.kind, at: part.networkOffset),
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
