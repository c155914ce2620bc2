import Forwarding
import Glibc
import Seeds
import Testing

/// What impaired links do to packets, counted over many of them. The bounds are those of Chernoff and Hoeffding: a right link
/// fails a test in one of a thousand million runs.
@Suite struct ImpairmentTests {
    /// How unlikely a count of `count` or one further from the mean is, as the negative logarithm of Chernoff's bound.
    static func surprise(_ count: Int, of total: Int, _ probability: Double) -> Double {
        guard total > 0 else { return 0 }
        let observed = Double(count) / Double(total)
        func part(_ share: Double, _ expected: Double) -> Double {
            share == 0 ? 0 : expected == 0 ? .infinity : share * log(share / expected)
        }
        return Double(total) * (part(observed, probability) + part(1 - observed, 1 - probability))
    }

    /// The surprise that a right link exceeds once in a thousand million runs of so many counts.
    static func limit(_ counts: Int = 1) -> Double { log(2e9 * Double(counts)) }

    static func percent(_ percent: Double) -> Probability { Probability(billionths: Int((percent * 1e7).rounded())) }

    static func link(_ seed: UInt64, _ change: (inout Impairment) -> Void) -> ImpairedLink {
        var impairment = Impairment()
        impairment.seed = seed
        change(&impairment)
        return ImpairedLink(ImpairmentRule(impairment, stream: 1, epoch: 1))
    }

    private static func losses(_ link: consuming ImpairedLink, _ count: Int) -> [Bool] {
        (0..<count).map { _ in link.next().isLost }
    }

    @Test(arguments: [0, 0.0001, 0.01, 1, 50, 99.9, 100])
    func packetsAreLostAsOftenAsAsked(_ percent: Double) {
        let count = 1_000_000
        let lost = Self.losses(
            Self.link(Seed.drawn()) { $0.loss = .independent(Self.percent(percent)) }, count)
        let total = lost.count { $0 }
        #expect(Self.surprise(total, of: count, percent / 100) < Self.limit(), "\(total) of \(count)")
        // And independently: both packets of a pair.
        let pairs = (0..<count / 2).count { lost[2 * $0] && lost[2 * $0 + 1] }
        #expect(Self.surprise(pairs, of: count / 2, percent * percent / 10_000) < Self.limit(), "\(pairs) pairs")
    }

    @Test func theSeedAloneDecidesWhichPacketsAreLost() {
        let seed = Seed.drawn()
        let loss = Impairment.Loss.independent(Self.percent(5))
        let alone = Self.losses(Self.link(seed) { $0.loss = loss }, 20_000)
        #expect(alone == Self.losses(Self.link(seed) { $0.loss = loss }, 20_000))
        #expect(alone != Self.losses(Self.link(seed &+ 1) { $0.loss = loss }, 20_000))
        // Other stages pick other packets, and change nothing about these.
        var full = Self.link(seed) {
            $0.loss = loss
            $0.duplicate = Self.percent(3)
            $0.corrupt = Self.percent(2)
            $0.delay = .milliseconds(20)
            $0.jitter = .milliseconds(5)
            $0.reorder = Self.percent(4)
            $0.rate = 10_000_000
        }
        var free: UInt64 = 0
        let beside = (0..<20_000).map { packet in
            let fate = full.next()
            for _ in 0..<(fate.isLost ? 0 : fate.isDuplicated ? 2 : 1) {
                _ = full.send(octets: 60, now: UInt64(packet) * 1_000_000, free: &free)
            }
            return fate.isLost
        }
        #expect(beside == alone)
        // Another link with the same seed loses other packets.
        var impairment = Impairment()
        (impairment.seed, impairment.loss) = (seed, loss)
        #expect(Self.losses(ImpairedLink(ImpairmentRule(impairment, stream: 2, epoch: 1)), 20_000) != alone)
    }

    @Test(arguments: [(1.0, 25.0), (0.1, 5.0), (30.0, 70.0), (100.0, 100.0)])
    func burstsBeginAndEndAsOftenAsAsked(_ enter: Double, _ leave: Double) {
        let count = 1_000_000
        let bursts = Impairment.LossBursts(enter: Self.percent(enter), leave: Self.percent(leave))
        let lost = Self.losses(Self.link(Seed.drawn()) { $0.loss = .bursts(bursts) }, count)
        // All packets of a bad time are lost, and none of a good one: the losses show the state.
        #expect(!lost[0], "the first time is a good one")
        var (good, entered, bad, left) = (0, 0, 0, 0)
        for index in 1..<count {
            if lost[index - 1] {
                bad += 1
                if !lost[index] { left += 1 }
            } else {
                good += 1
                if lost[index] { entered += 1 }
            }
        }
        // How many packets are in either state is chance, too.
        #expect(Self.surprise(entered, of: good, enter / 100) < Self.limit(count), "\(entered) of \(good)")
        #expect(Self.surprise(left, of: bad, leave / 100) < Self.limit(count), "\(left) of \(bad)")
        #expect(good + bad == count - 1)
    }

    @Test func packetsOfBothStatesAreLostAsOftenAsAsked() {
        let count = 1_000_000
        let bursts = Impairment.LossBursts(
            enter: Self.percent(100), leave: Self.percent(100), good: Self.percent(2), bad: Self.percent(40))
        let lost = Self.losses(Self.link(Seed.drawn()) { $0.loss = .bursts(bursts) }, count)
        // The state changes after every packet.
        let good = stride(from: 0, to: count, by: 2).count { lost[$0] }
        let bad = stride(from: 1, to: count, by: 2).count { lost[$0] }
        #expect(Self.surprise(good, of: count / 2, 0.02) < Self.limit(), "\(good)")
        #expect(Self.surprise(bad, of: count / 2, 0.4) < Self.limit(), "\(bad)")
    }

    @Test func packetsAreDuplicatedFlippedAndReorderedAsOftenAsAsked() {
        let count = 1_000_000
        var link = Self.link(Seed.drawn()) {
            $0.duplicate = Self.percent(0.1)
            $0.corrupt = Self.percent(0.5)
            $0.reorder = Self.percent(2)
            $0.delay = .milliseconds(1)
        }
        var (twice, flipped, reordered) = (0, 0, 0)
        var bits = [Int](repeating: 0, count: 64)
        var free: UInt64 = 0
        for packet in 0..<count {
            if link.next().isDuplicated { twice += 1 }
            guard let departure = link.send(octets: 100, now: UInt64(packet) * 10, free: &free) else {
                Issue.record("packet \(packet) was dropped")
                return
            }
            if let bit = departure.flippedBit {
                flipped += 1
                bits[Int(bit >> 58)] += 1
            }
            if departure.isReordered {
                reordered += 1
                #expect(departure.due == UInt64(packet) * 10)
            }
        }
        #expect(Self.surprise(twice, of: count, 0.001) < Self.limit(), "\(twice)")
        #expect(Self.surprise(flipped, of: count, 0.005) < Self.limit(), "\(flipped)")
        #expect(Self.surprise(reordered, of: count, 0.02) < Self.limit(), "\(reordered)")
        for count in bits { #expect(Self.surprise(count, of: flipped, 1 / 64) < Self.limit(64), "\(bits)") }
    }

    @Test func delaysAreSpreadEvenly() {
        let count = 1_000_000
        var link = Self.link(Seed.drawn()) {
            $0.delay = .milliseconds(20)
            $0.jitter = .milliseconds(5)
        }
        var bins = [Int](repeating: 0, count: 50)
        var free: UInt64 = 0
        for packet in 0..<count {
            _ = link.next()
            // So far from one another that none has to wait for the one before.
            let now = UInt64(packet) * 20_000_000
            let delay = Int((link.send(octets: 100, now: now, free: &free)?.due ?? 0) - now)
            #expect((15_000_000...25_000_000).contains(delay))
            bins[min(49, (delay - 15_000_000) / 200_000)] += 1
        }
        for bin in bins { #expect(Self.surprise(bin, of: count, 1 / 50) < Self.limit(50), "\(bins)") }
    }

    @Test func jitterKeepsTheOrder() {
        var link = Self.link(Seed.drawn()) {
            $0.delay = .milliseconds(20)
            $0.jitter = .milliseconds(20)
        }
        var (last, free): (UInt64, UInt64) = (0, 0)
        for packet in 0..<100_000 {
            let due = link.send(octets: 100, now: UInt64(packet) * 100_000, free: &free)?.due ?? 0
            #expect(due >= last)
            last = due
        }
    }

    @Test func aRateSendsOnePacketAfterTheOther() {
        var link = Self.link(0) {
            $0.rate = 10_000_000
            $0.queue = 100
        }
        var free: UInt64 = 0
        // 1250 octets are 10,000 bits: a millisecond.
        let dues = (0..<150).map { _ in link.send(octets: 1_250, now: 5_000_000, free: &free)?.due }
        for (index, due) in dues.enumerated() {
            #expect(due == (index < 100 ? 6_000_000 + UInt64(index) * 1_000_000 : nil))
        }
        // After three have left there is room for three.
        let later = (0..<5).map { _ in link.send(octets: 1_250, now: 8_000_000, free: &free)?.due }
        #expect(later == [106_000_000, 107_000_000, 108_000_000, nil, nil])
        // A link that was idle begins at once, and saves nothing up.
        #expect(link.send(octets: 2_500, now: 1_000_000_000, free: &free)?.due == 1_002_000_000)
    }

    @Test func aTraceIsFollowedPacketByPacket() {
        var impairment = Impairment()
        impairment.trace = [.milliseconds(3), .milliseconds(10), .milliseconds(12)]
        let delays: [UInt64] = [77] + impairment.trace.map(ImpairmentRule.nanoseconds)
        delays.withUnsafeBufferPointer { delays in
            var link = ImpairedLink(
                ImpairmentRule(impairment, stream: 1, epoch: 1, tracePlace: 1), trace: delays.baseAddress)
            var free: UInt64 = 0
            let taken = (0..<7).map { packet in
                let now = UInt64(packet) * 1_000_000_000
                return ((link.send(octets: 100, now: now, free: &free)?.due ?? 0) - now) / 1_000_000
            }
            #expect(taken == [3, 10, 12, 3, 10, 12, 3])
        }
    }

    @Test func numbersOfAnotherProcessAreChecked() {
        var impairment = Impairment()
        impairment.delay = .seconds(1)
        let right = ImpairmentRule(impairment, stream: 1, epoch: 1)
        #expect(right.fault(traces: 0) == nil)
        let changes: [(inout ImpairmentRule) -> Void] = [
            { $0.good = .max }, { $0.delay = .max }, { $0.jitter = 11_000_000_000 }, { $0.rate = 1 },
            { $0.queue = 0 }, { $0.queue = .max }, { $0.traceCount = 1 }, { $0.tracePlace = .max },
        ]
        for change in changes {
            var wrong = right
            change(&wrong)
            #expect(wrong.fault(traces: 0) != nil)
        }
    }
}
