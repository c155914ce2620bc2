import Testing

@testable import Observation

/// How long readers of records rest.
@Suite struct ReaderPaceTests {
    @Test func aReaderThatKeepsUpDoesNotRest() {
        var pace = ReaderPace()
        #expect(pace.allowance == nil)
        pace.lost(spare: 0.9)
        // A quarter of the span is less than what it may take.
        let rest = pace.rest(after: .milliseconds(20), work: .milliseconds(5), spare: 0.9)
        #expect(rest == nil)
        #expect(pace.allowance == nil)
    }

    /// Seven times the work that one processor can do, on a machine without a spare one.
    @Test func aReaderThatCannotKeepUpTakesATwentieth() throws {
        var pace = ReaderPace()
        pace.lost(spare: 0.1)
        let given = pace.rest(after: .milliseconds(20), work: .milliseconds(140), spare: 0.1)
        let rest = try #require(given)
        let share = .milliseconds(140) / (.milliseconds(140) + rest)
        #expect(abs(share - ReaderPace.least) < 0.001)
        let next = pace.rest(after: .milliseconds(20), work: .seconds(1), spare: nil)
        #expect(next == ReaderPace.longest)
    }

    /// What idles is the reader's, but for a reserve; and nobody rests who has a processor alone.
    @Test func aReaderTakesWhatIsSpare() throws {
        var pace = ReaderPace()
        pace.lost(spare: 0.1)
        let given = pace.rest(after: .milliseconds(20), work: .milliseconds(40), spare: 0.7)
        let rest = try #require(given)
        let share = .milliseconds(40) / (.milliseconds(40) + rest)
        #expect(abs(share - 0.5) < 0.001)
        let after = pace.rest(after: .milliseconds(20), work: .milliseconds(40), spare: 3)
        #expect(after == .zero)
    }
}
