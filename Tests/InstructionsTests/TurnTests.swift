import Testing

@testable import Instructions

@Suite struct TurnTests {
    @Test func aFloodWaitsForItself() {
        var queue = FairQueue<String>(mostOfOne: 100)
        let flood = (0..<101).map { queue.add("flood \($0)", of: "eve") }
        #expect(flood == Array(repeating: true, count: 100) + [false])
        let others = ["one", "two"].map { queue.add($0, of: "alice") }
        #expect(others == [true, true])
        let first = (0..<4).map { _ in queue.next() }
        #expect(first == ["flood 0", "one", "flood 1", "two"])
        var left = 0
        while queue.next() != nil { left += 1 }
        #expect(left == 98)
        let isTaken = queue.add("again", of: "eve")
        let again = queue.next()
        #expect(isTaken && again == "again")
    }

    /// What is answered to instructions that come at these seconds.
    private func waits(_ perMinute: Int, at seconds: [Double]) -> [Int?] {
        var budget = InstructionBudget(perMinute: perMinute, now: 0)
        return seconds.map { budget.take(perMinute: perMinute, now: UInt64($0 * 1_000_000_000)) }
    }

    @Test func instructionsComeBackWithTime() {
        let many = waits(600, at: Array(repeating: 0, count: 11) + [0.1, 0.1])
        #expect(many == Array(repeating: nil, count: 10) + [1, nil, 1])
    }

    @Test func askingOftenLosesNothingThatHasCome() {
        let often = waits(1, at: Array(repeating: 0, count: 6) + (1..<600).map { Double($0) / 10 } + [61])
        #expect(often.prefix(6) == [nil, nil, nil, nil, nil, 60])
        #expect(often.dropFirst(6).dropLast().allSatisfy { $0 != nil })
        #expect(often.last == .some(nil))
    }

    @Test func anHourAddsNoMoreThanABurst() {
        let later = waits(1, at: Array(repeating: 7200, count: 6))
        #expect(later == [nil, nil, nil, nil, nil, 60])
    }
}
