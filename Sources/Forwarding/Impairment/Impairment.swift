/// What an impaired link does to the packets that cross it in one direction.
///
/// The stages follow one another as in Linux's netem: loss, duplication, corruption, rate, delay. A packet that is
/// duplicated goes through the later stages twice. The rate decides when a packet has left the sender, and the delay begins
/// then.
public struct Impairment: Sendable, Hashable {
    /// How packets are lost.
    public enum Loss: Sendable, Hashable {
        /// Each packet with this probability, whatever happened to others.
        case independent(Probability)
        /// In bursts: the model of Gilbert and Elliott.
        case bursts(LossBursts)
    }

    /// The loss model of Gilbert and Elliott: the link is in a good or a bad state, and changes it between two packets.
    public struct LossBursts: Sendable, Hashable {
        /// That the bad state follows the good one (p).
        public var enter: Probability
        /// That the good state follows the bad one (r). A bad time lasts for 1 / r packets in the mean.
        public var leave: Probability
        /// The loss in the good state (1 - k).
        public var good: Probability
        /// The loss in the bad state (1 - h).
        public var bad: Probability

        /// Memberwise.
        public init(
            enter: Probability, leave: Probability, good: Probability = .never, bad: Probability = .always
        ) {
            self.enter = enter
            self.leave = leave
            self.good = good
            self.bad = bad
        }
    }

    /// How packets are lost.
    public var loss = Loss.independent(.never)
    /// That a packet arrives twice.
    public var duplicate = Probability.never
    /// That a bit of a packet is flipped.
    public var corrupt = Probability.never
    /// How long packets take.
    public var delay = Duration.zero
    /// The delay of each packet differs from `delay` by at most so much, up or down, evenly. Less than zero becomes zero.
    public var jitter = Duration.zero
    /// That a packet is not delayed, and so overtakes those before it. All other packets keep their order.
    public var reorder = Probability.never
    /// Bits of whole frames in a second, from the Ethernet header on; 0: without a limit.
    public var rate = 0
    /// How many packets may wait for the rate.
    public var queue = Impairment.usualQueue
    /// Delays of one packet after the other, from the first again after the last; empty: `delay` and `jitter` decide.
    public var trace: [Duration] = []
    /// Equal seeds have the same effect on the same packets in the same order.
    public var seed: UInt64 = 0

    /// How many packets wait for the rate if nothing else is said, as in netem.
    public static let usualQueue = 1_000
    /// The largest delay.
    public static let longestDelay = Duration.seconds(10)
    /// The longest trace.
    public static let longestTrace = 100_000
    /// The rates, in bits in a second.
    public static let rates = 1_000...1_000_000_000_000
    /// The queues, in packets.
    public static let queues = 1...100_000

    /// Nothing happens to packets.
    public init() {}

    /// True if every packet passes at once, as if there was no impairment.
    public var isNothing: Bool {
        !decidesByPacket && delay == .zero
    }

    /// True if something is decided for each packet. Then superframes have to be cut before.
    public var decidesByPacket: Bool {
        let loses =
            switch loss {
            case .independent(let probability): probability > .never
            case .bursts: true
            }
        return loses || duplicate > .never || corrupt > .never || jitter > .zero || reorder > .never || rate > 0
            || !trace.isEmpty
    }
}
