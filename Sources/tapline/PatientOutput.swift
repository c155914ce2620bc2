import EventLoop
import Glibc
import Reporting
import Synchronization
import Wire

/// Standard output for a command that must end when it is asked to, although its reader does not read.
///
/// A write waits for the reader. Once the command is to end, it waits for `grace` and no longer.
final class PatientOutput {
    /// How it is with the reader.
    enum Reader {
        case there
        /// It has closed its end, because it has seen enough.
        case gone
        /// It did not read when the command was to end: what was left is not written.
        case stalled
    }

    private(set) var reader = Reader.there
    private let isEnding: () -> Bool

    /// How long a reader may take for the next octets once the command is to end.
    private static let grace = Duration.seconds(2)
    /// What a pipe takes at once if it takes anything (PIPE_BUF in Linux).
    private static let portion = 4_096

    /// - Parameter isEnding: Asked ten times a second while the reader does not read.
    init(isEnding: @escaping () -> Bool) { self.isEnding = isEnding }

    /// False if the reader has closed its end, also while nothing is written.
    var isWanted: Bool {
        guard reader == .there else { return false }
        var waiting = pollfd(fd: 1, events: 0, revents: 0)
        if poll(&waiting, 1, 0) > 0, waiting.revents & Int16(POLLERR) != 0 { reader = .gone }
        return reader == .there
    }

    /// The error for what could not be written; nil if nothing is missing.
    var failure: ApplianceError? {
        guard reader == .stalled else { return nil }
        return ApplianceError(
            .failed, "standard output is not read, so the rest is not in it", hint: "write to a file, and read that")
    }

    /// Writes a line for a person.
    func out(_ text: String) { write(Array((ASCIIText.shown(text) + "\n").utf8)) }

    /// Writes a line of JSON.
    func json(_ text: String) { write(Array(((ASCIIText.isWanted ? ASCIIText.json(text) : text) + "\n").utf8)) }

    private func write(_ octets: [UInt8]) {
        var rest = octets[...]
        var givenUp: MonotonicTime?
        while !rest.isEmpty, reader == .there {
            var waiting = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
            guard poll(&waiting, 1, 100) > 0 else {
                guard isEnding() else { continue }
                let until = givenUp ?? monotonicTime() + Self.grace
                givenUp = until
                if monotonicTime() >= until { reader = .stalled }
                continue
            }
            let wrote = rest.withUnsafeBytes { Glibc.write(1, $0.baseAddress, min($0.count, Self.portion)) }
            if wrote > 0 {
                rest = rest.dropFirst(wrote)
                givenUp = nil
            } else if errno == EPIPE {
                reader = .gone
            } else if errno != EINTR, errno != EAGAIN {
                // A full disk: the end of the program tells it.
                Terminal.failure.store(errno, ordering: .relaxed)
                return
            }
        }
    }
}
