import EventLoop
import Glibc
import Plan
import Synchronization

/// Where the log of a program is, and where what it has written since it was started last begins.
package struct LogPlace: Sendable, Hashable {
    package var path: String
    /// In octets.
    package var offset: Int
    /// Counts the program's starts.
    package var start: Int
}

/// Looks for a line in a log that grows. It reads every line once, and remembers that it has found it until the program
/// is started again.
final class LogScanner: Sendable {
    /// The most octets of a line that are looked at.
    private static let longestLine = 64 << 10

    private struct State {
        var place: LogPlace?
        var offset = 0
        var rest: [UInt8] = []
        var isFound = false
    }

    private let pattern: TextPattern
    private let state = Mutex(State())

    init(_ pattern: TextPattern) { self.pattern = pattern }

    /// True if a line has the pattern.
    func finds(in place: LogPlace) -> Bool {
        state.withLock { state in
            if state.place?.start != place.start || state.place?.path != place.path {
                state = State(place: place, offset: place.offset)
            }
            if !state.isFound { scan(&state, place.path) }
            return state.isFound
        }
    }

    private func scan(_ state: inout State, _ path: String) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        // A log that has become shorter has been started over.
        if lseek(file, 0, SEEK_END) < state.offset { (state.offset, state.rest) = (0, []) }
        guard lseek(file, off_t(state.offset), SEEK_SET) >= 0 else { return }
        while !state.isFound, let bytes = readOnce(file), !bytes.isEmpty {
            state.offset += bytes.count
            var lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
            state.rest += lines.removeFirst()
            for line in lines {
                if pattern.holds(in: state.rest) { state.isFound = true }
                state.rest = Array(line)
            }
            if state.rest.count > Self.longestLine { state.rest.removeFirst(state.rest.count - Self.longestLine) }
        }
        // The end of a line may still come, which a regular expression may ask for.
        if case .contains = pattern, pattern.holds(in: state.rest) { state.isFound = true }
    }
}
