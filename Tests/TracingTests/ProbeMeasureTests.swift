import Testing
import Tracing

/// Numbered packets as their sender and their answers tell of them; times are milliseconds here.
@Suite struct ProbeMeasureTests {
    private static let millisecond: UInt64 = 1_000_000

    /// - Parameter packets: When each was sent and answered; nil: it was not.
    private func sums(_ packets: [(sent: UInt64, answered: UInt64?)], flows: Int = 1, isWhole: Bool = true)
        -> ProbeMeasures.Sums
    {
        var measures = ProbeMeasures(interval: Self.millisecond)
        for (number, packet) in packets.enumerated() {
            measures.send(flow: number % flows, at: packet.sent * Self.millisecond)
        }
        let answers = packets.enumerated().filter { $0.element.answered != nil }
        for (number, packet) in answers.sorted(by: { ($0.element.answered ?? 0) < ($1.element.answered ?? 0) }) {
            measures.answer("udp", to: number, at: (packet.answered ?? 0) * Self.millisecond)
        }
        return measures.sums(answers: true, isWhole: isWhole)
    }

    private func steady(_ count: UInt64, lost: Set<UInt64> = []) -> [(sent: UInt64, answered: UInt64?)] {
        (1...count).map { ($0, lost.contains($0) ? nil : $0) }
    }

    @Test func aSteadyFlowHasNoGap() {
        let sums = sums(steady(20))
        #expect(sums.sent == 20 && sums.arrived == 20 && sums.lost == 0 && sums.reordered == 0)
        #expect(sums.longestGap == Self.millisecond...Self.millisecond)
        #expect(sums.latest == 0 && sums.silence == 0)
    }

    @Test func lossMakesAGapFromArrivalToArrival() {
        let sums = sums(steady(20, lost: [5, 6, 7, 8]))
        #expect(sums.lost == 4)
        #expect(sums.longestGap.upperBound == 5 * Self.millisecond)
    }

    @Test func whatIsLostAtTheBeginningAndTheEndIsAGap() {
        #expect(sums(steady(20, lost: Set(1...6))).longestGap.upperBound == 6 * Self.millisecond)
        #expect(sums(steady(20, lost: Set(13...20))).longestGap.upperBound == 8 * Self.millisecond)
        #expect(sums(steady(20, lost: Set(1...20))).longestGap.upperBound == 19 * Self.millisecond)
    }

    @Test func delayWithoutLossIsAGap() {
        var packets = steady(60)
        for index in 9..<49 { packets[index].answered = 50 }
        let sums = sums(packets)
        #expect(sums.lost == 0 && sums.reordered == 0)
        #expect(sums.longestGap.upperBound == 41 * Self.millisecond)
    }

    @Test func theSendersOwnStallIsNone() {
        let before = steady(10)
        let after = (111...120).map { (sent: UInt64($0), answered: UInt64?.some(UInt64($0))) }
        let sums = sums(before + after)
        #expect(sums.longestGap.upperBound == Self.millisecond)
        #expect(sums.latest == 100 * Self.millisecond && sums.silence == 100 * Self.millisecond)
    }

    @Test func aStallBetweenLostPacketsCounts() {
        let packets = steady(10, lost: [10]) + [(sent: 111, answered: nil), (sent: 112, answered: 112)]
        #expect(sums(packets).longestGap.upperBound == 103 * Self.millisecond)
    }

    @Test func aPacketOnItsWayDuringAStallCountsUntilItArrives() {
        let packets = steady(10) + [(sent: 11, answered: 61), (sent: 111, answered: 111)]
        #expect(sums(packets).longestGap.upperBound == 51 * Self.millisecond)
    }

    @Test func orderCountsWithinAFlow() {
        var packets = steady(20)
        (packets[4].answered, packets[5].answered) = (packets[5].answered, packets[4].answered)
        #expect(sums(packets).reordered == 1)
        #expect(sums(packets, flows: 2).reordered == 0)
    }

    @Test func withoutAllRecordsNobodyCanTell() {
        let sums = sums(steady(20, lost: [5, 6]), isWhole: false)
        #expect(sums.lost == 0 && sums.unknown == 2)
        #expect(sums.longestGap == Self.millisecond...(3 * Self.millisecond))
    }
}
