import Engine
import Glibc
import LinuxNetwork
import Wire

/// How long a reader of records rests, so that the packets that it watches are not held up.
///
/// A reader that keeps up does not rest. One that lost records cannot show all of them, however much it works, so it takes only what
/// the processors have to spare, and a twentieth of one at least. It then reads short spans without a gap, and rests between them.
struct ReaderPace {
    /// The share of one processor that a reader takes in any case.
    static let least = 0.05
    /// The processors that are left to others out of those that idle.
    static let reserve = 0.2
    /// The length of a span that is read without a gap.
    static let span = Duration.milliseconds(10)
    /// The longest rest.
    static let longest = Duration.seconds(3)
    /// The share of what it may take that a reader needs at most to be let off.
    private static let ease = 0.8

    /// The share of one processor that it may take; nil: all that it wants.
    private(set) var allowance: Double?

    /// A reader that does not rest.
    init() {}

    /// The reader lost records.
    ///
    /// - Parameter spare: The processors that idle, and what this reader itself takes of one; nil if that is not known.
    mutating func lost(spare: Double?) { allow(spare) }

    /// The reader has read a span.
    ///
    /// - Parameters:
    ///   - span: The time in which the records came.
    ///   - work: The processor time that it took to read them.
    ///   - spare: See `lost(spare:)`.
    /// - Returns: How long to rest; nil if the reader keeps up again.
    mutating func rest(after span: Duration, work: Duration, spare: Double?) -> Duration? {
        allow(spare)
        guard let allowance, span > .zero else { return nil }
        guard work / span > allowance * Self.ease else {
            self.allowance = nil
            return nil
        }
        return min(work * (1 / allowance - 1), Self.longest)
    }

    private mutating func allow(_ spare: Double?) {
        guard let spare else {
            allowance = allowance ?? Self.least
            return
        }
        allowance = min(1, max(Self.least, spare - Self.reserve))
    }
}

/// The processors that idle, with what the calling thread takes, measured between calls.
struct SpareProcessors {
    private struct Reading {
        var time: MonotonicTime
        /// Time that processors idled, all together, and what this thread took.
        var idle: Duration
        var own: Duration
    }
    private var last: Reading?
    private var known: Double?

    /// The least time between two measurements.
    private static let pause = Duration.milliseconds(100)

    /// The newest measurement; nil while there is none.
    mutating func measured() -> Double? {
        let now = MonotonicTime.now
        if let last, now - last.time < Self.pause { return known }
        guard let idle = Self.idle else { return nil }
        let reading = Reading(time: now, idle: idle, own: Self.own)
        if let last {
            known = (reading.idle - last.idle + reading.own - last.own) / (now - last.time)
        }
        last = reading
        return known
    }

    /// The processor time of this thread.
    static var own: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// The time that processors have idled or waited for disks since the machine started; nil where /proc does not tell.
    private static var idle: Duration? {
        // "cpu  user nice system idle iowait …" (proc_stat(5)), in clock ticks.
        var buffer = [UInt8](repeating: 0, count: 512)
        let file = open("/proc/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let count = read(file, &buffer, buffer.count)
        guard count > 0, let line = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").first
        else {
            return nil
        }
        let words = line.split(separator: " ")
        guard words.count > 5, words[0] == "cpu", let idle = Int(words[4]), let waiting = Int(words[5]) else {
            return nil
        }
        return .milliseconds((idle + waiting) * 1_000 / max(1, sysconf(Int32(_SC_CLK_TCK))))
    }
}
