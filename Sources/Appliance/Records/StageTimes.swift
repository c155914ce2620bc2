import EventLoop
import Wire

/// How long the stages of a piece of work took, for the debug log.
struct StageTimes {
    private var started = monotonicTime()
    private var parts: [String] = []

    /// A stage begins now, and not where the last one ended.
    mutating func begin() { started = monotonicTime() }

    /// A stage ends here, and the next one begins.
    mutating func end(_ stage: String) {
        let now = monotonicTime()
        parts.append("\(stage) \(Double(Int((now - started) / .microseconds(100))) / 10) ms")
        started = now
    }

    /// `plan 3.1 ms, publish 12.0 ms`.
    var text: String { parts.joined(separator: ", ") }
}
