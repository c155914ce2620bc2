/// One impaired link: what happens to each packet, in turn. It knows no clock but the times that it is told, and no memory
/// but its own, which is as large from the beginning as it ever gets.
public struct ImpairedLink: ~Copyable {
    /// What happens to a packet before it is sent.
    public struct Fate: Sendable, Hashable {
        /// It is lost.
        public var isLost: Bool
        /// It is sent twice.
        public var isDuplicated: Bool
    }

    /// What happens to one copy of a packet.
    public struct Departure: Sendable, Hashable {
        /// When it arrives, in nanoseconds.
        public var due: UInt64
        /// Which bit of it is flipped: a number to be reduced to the packet's size; nil: none.
        public var flippedBit: UInt64?
        /// It was not delayed, so that it overtakes others.
        public var isReordered: Bool
    }

    /// The settings.
    public private(set) var rule: ImpairmentRule
    private let numbers: ImpairmentNumbers
    private var trace: UnsafePointer<UInt64>?
    /// How many packets came so far.
    public private(set) var packets: UInt64 = 0
    /// How many copies went into the later stages so far.
    private var copies: UInt64 = 0
    /// Whether the state is the bad one.
    private var isBad = false
    /// When the last packet is due that keeps the order.
    private var last: UInt64 = 0
    private var departures: DepartureQueue

    /// - Parameters:
    ///   - trace: The delays of all rules, in nanoseconds. They outlive the link.
    public init(_ rule: ImpairmentRule, trace: UnsafePointer<UInt64>? = nil) {
        self.rule = rule
        self.trace = trace
        numbers = ImpairmentNumbers(seed: rule.seed, stream: rule.stream)
        departures = DepartureQueue(capacity: rule.rate == 0 ? 0 : Int(clamping: rule.queue))
    }

    /// Goes on with the same settings, whose delays are elsewhere now.
    public mutating func move(to rule: ImpairmentRule, trace: UnsafePointer<UInt64>?) {
        self.rule.tracePlace = rule.tracePlace
        self.trace = trace
    }

    /// Decides about the next packet.
    public mutating func next() -> Fate {
        let packet = packets
        packets &+= 1
        let isLost = numbers.says(.loss, packet, isBad ? rule.bad : rule.good)
        if numbers.says(.state, packet, isBad ? rule.leave : rule.enter) { isBad.toggle() }
        guard !isLost else { return Fate(isLost: true, isDuplicated: false) }
        return Fate(isLost: false, isDuplicated: numbers.says(.duplicate, packet, rule.duplicate))
    }

    /// Sends one copy of a packet.
    ///
    /// - Parameters:
    ///   - octets: Its length, from the Ethernet header on.
    ///   - now: In nanoseconds; not before the times of earlier calls.
    ///   - free: When the rate has sent all packets before, of all who share it; it becomes the time for this one.
    /// - Returns: nil if too many packets wait for the rate: the packet is dropped.
    public mutating func send(octets: Int, now: UInt64, free: inout UInt64) -> Departure? {
        let copy = copies
        copies &+= 1
        var leaves = now
        if rule.rate > 0 {
            guard departures.hasRoom(at: now) else { return nil }
            let bits = UInt64(truncatingIfNeeded: octets) &* 8
            // At most some 2^19 bits, so nothing overflows.
            leaves = max(now, free) &+ (bits &* 1_000_000_000 &+ (rule.rate &- 1)) / rule.rate
            free = leaves
            departures.add(leaves)
        }
        let flipped =
            numbers.says(.corrupt, copy, rule.corrupt) ? numbers.number(.place, copy) : nil
        guard !numbers.says(.reorder, copy, rule.reorder) else {
            return Departure(due: leaves, flippedBit: flipped, isReordered: true)
        }
        let due = max(leaves &+ delay(of: copy), last)
        last = due
        return Departure(due: due, flippedBit: flipped, isReordered: false)
    }

    /// The delay of a copy, in nanoseconds.
    @inline(__always)
    private func delay(of copy: UInt64) -> UInt64 {
        if rule.traceCount > 0, let trace {
            return trace[Int(truncatingIfNeeded: rule.tracePlace &+ copy % rule.traceCount)]
        }
        guard rule.jitter > 0 else { return rule.delay }
        let sum = rule.delay &+ numbers.below(2 &* rule.jitter &+ 1, .jitter, copy)
        return sum > rule.jitter ? sum &- rule.jitter : 0
    }
}

/// When the packets that wait for a rate leave. Its memory is fixed.
struct DepartureQueue: ~Copyable {
    private let times: UnsafeMutablePointer<UInt64>
    private let capacity: Int
    private var first = 0
    private var count = 0

    init(capacity: Int) {
        self.capacity = capacity
        times = .allocate(capacity: max(1, capacity))
        times.initialize(repeating: 0, count: max(1, capacity))
    }

    deinit { times.deallocate() }

    /// True if one more packet may wait.
    mutating func hasRoom(at now: UInt64) -> Bool {
        while count > 0, times[first] <= now {
            first = first &+ 1 == capacity ? 0 : first &+ 1
            count &-= 1
        }
        return count < capacity
    }

    /// Adds a packet that leaves then; there is room for it.
    mutating func add(_ time: UInt64) {
        let place = first &+ count
        times[place >= capacity ? place &- capacity : place] = time
        count &+= 1
    }
}
