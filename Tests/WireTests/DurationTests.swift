import Testing
import Wire

/// Durations as whole numbers.
@Suite struct DurationTests {
    @Test("whole milliseconds are cut towards zero, and are the nearest that 64 bits hold")
    func whole() {
        #expect(Duration.microseconds(1_999).wholeMilliseconds == 1)
        #expect(Duration.microseconds(-1_999).wholeMilliseconds == -1)
        #expect(Duration.seconds(86_400).wholeMilliseconds == 86_400_000)
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == .max)
        #expect(Duration.seconds(Int64.min).wholeMilliseconds == .min)
    }

    @Test("no wait of a system call ends before its time, and none is for ever")
    func waits() {
        #expect(Duration.zero.waitMilliseconds == 0)
        #expect(Duration.seconds(-1).waitMilliseconds == 0)
        #expect(Duration.nanoseconds(1).waitMilliseconds == 1)
        #expect(Duration.milliseconds(1).waitMilliseconds == 1)
        #expect(Duration.nanoseconds(1_000_001).waitMilliseconds == 2)
        #expect(Duration.milliseconds(Int(Int32.max)).waitMilliseconds == .max)
        #expect((Duration.milliseconds(Int(Int32.max)) + .nanoseconds(1)).waitMilliseconds == .max)
        #expect(Duration.seconds(Int64.max).waitMilliseconds == .max)
        #expect(Duration.seconds(Int64.min).waitMilliseconds == 0)
    }
}
