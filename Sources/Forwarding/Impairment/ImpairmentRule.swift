/// An impairment as the forwarding loop reads it: whole numbers, and nothing to look up. Its memory is shared between
/// processes of one build.
public struct ImpairmentRule: BitwiseCopyable, Sendable {
    /// `Impairment.seed`.
    public var seed: UInt64
    /// Tells links with the same seed apart.
    public var stream: UInt64
    /// Another number, if the state of the link begins anew.
    public var epoch: UInt64
    /// That a packet is lost in the good state. This and the next are thresholds (`Probability.threshold`).
    public var good: UInt64
    /// That a packet is lost in the bad state.
    public var bad: UInt64
    /// That the bad state follows the good one.
    public var enter: UInt64
    /// That the good state follows the bad one.
    public var leave: UInt64
    /// That a packet is sent twice.
    public var duplicate: UInt64
    /// That a packet gets a flipped bit.
    public var corrupt: UInt64
    /// That a packet is not delayed.
    public var reorder: UInt64
    /// The delay in nanoseconds.
    public var delay: UInt64
    /// How far it differs, in nanoseconds.
    public var jitter: UInt64
    /// Bits in a second; 0: no limit.
    public var rate: UInt64
    /// Packets that may wait for the rate.
    public var queue: UInt64
    /// Where the delays of the trace begin among those of all rules.
    public var tracePlace: UInt64
    /// How many delays the trace has.
    public var traceCount: UInt64
    /// 1: superframes are cut.
    public var cuts: UInt64

    /// - Parameters:
    ///   - stream: Tells links with the same seed apart.
    ///   - epoch: Another number, if the state of the link begins anew.
    ///   - tracePlace: Where its delays begin among those of all rules.
    public init(_ impairment: Impairment, stream: UInt64, epoch: UInt64, tracePlace: Int = 0) {
        seed = impairment.seed
        self.stream = stream
        self.epoch = epoch
        switch impairment.loss {
        case .independent(let probability):
            (good, bad, enter, leave) = (probability.threshold, probability.threshold, 0, 0)
        case .bursts(let bursts):
            (good, bad) = (bursts.good.threshold, bursts.bad.threshold)
            (enter, leave) = (bursts.enter.threshold, bursts.leave.threshold)
        }
        duplicate = impairment.duplicate.threshold
        corrupt = impairment.corrupt.threshold
        reorder = impairment.reorder.threshold
        func nanoseconds(_ duration: Duration) -> UInt64 { Self.nanoseconds(duration) }
        delay = nanoseconds(impairment.delay)
        jitter = nanoseconds(impairment.jitter)
        rate = UInt64(clamping: impairment.rate)
        queue = UInt64(clamping: impairment.queue)
        self.tracePlace = UInt64(clamping: tracePlace)
        traceCount = UInt64(impairment.trace.count)
        cuts = impairment.decidesByPacket ? 1 : 0
    }

    /// A delay as the loop reads it: at most the largest.
    public static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = max(.zero, min(duration, Impairment.longestDelay)).components
        return UInt64(seconds) &* 1_000_000_000 &+ UInt64(attoseconds / 1_000_000_000)
    }

    /// What is wrong with numbers that came from another process; nil: nothing.
    ///
    /// - Parameter traces: How many delays all rules have.
    public func fault(traces: Int) -> String? {
        let most = Self.nanoseconds(Impairment.longestDelay)
        let thresholds = [good, bad, enter, leave, duplicate, corrupt, reorder]
        guard thresholds.allSatisfy({ $0 <= 1 << 63 }) else { return "a probability is above 1" }
        guard delay <= most, jitter <= most else { return "a delay is above \(Impairment.longestDelay)" }
        guard rate == 0 || Impairment.rates.contains(Int(clamping: rate)) else { return "a rate is \(rate)" }
        guard Impairment.queues.contains(Int(clamping: queue)) else { return "a queue is \(queue)" }
        guard traceCount <= Impairment.longestTrace, tracePlace <= UInt64(traces),
            traceCount <= UInt64(traces) - tracePlace
        else { return "a trace is outside of the memory" }
        return nil
    }
}
