import CLinux
import ControlAPI
import EventLoop
import Glibc
import Reporting
import Wire

/// Takes the lines that answer one request, on the loop's thread: nil if one could not be written, and whether it is
/// the last.
struct AnswerLines {
    let take: (_ line: [UInt8]?, _ isLast: Bool) -> Void

    init(_ take: @escaping (_ line: [UInt8]?, _ isLast: Bool) -> Void) { self.take = take }

    /// The same for answers of the type that the command is answered with.
    func reply<Command: ControlCommand>(to command: Command) -> ControlReply<Command.Answer> {
        ControlReply(lines: self)
    }
}

/// The receiver of the answers to one request, on the loop's thread: any number with progress, and one more.
struct ControlReply<Answer: Codable & Sendable> {
    fileprivate let lines: AnswerLines

    /// The answer, and the last.
    func callAsFunction(_ answer: Answer) { take(.answer(answer), isLast: true) }

    /// The last answer: the result of the request.
    func callAsFunction(_ result: Result<Answer, ApplianceError>) {
        switch result {
        case .success(let answer): self(answer)
        case .failure(let error): fail(error)
        }
    }

    /// The last answer: why it could not be done.
    func fail(_ error: ApplianceError) { take(.error(error), isLast: true) }

    /// Answers with the current step; another answer follows.
    func tell(_ progress: Progress) { take(.progress(progress), isLast: false) }

    /// The last answer as a line that has been written already: a long one is written beside the loop, and all who get
    /// it share its memory.
    func callAsFunction(line: [UInt8]) { lines.take(line, true) }

    private func take(_ answer: ControlAnswer<Answer>, isLast: Bool) {
        lines.take(try? JSONLine.encode(answer), isLast)
    }
}

/// One connection to the control socket, as its server sees it.
final class ControlConnection {
    enum Phase {
        /// No request is under way.
        case quiet
        /// Its request waits for its turn.
        case queued
        /// Its request is being answered.
        case asking
        /// It is answered again and again.
        case streaming(ControlStream)

        static func == (first: Phase, second: Phase) -> Bool {
            switch (first, second) {
            case (.quiet, .quiet), (.queued, .queued), (.asking, .asking), (.streaming, .streaming): true
            default: false
            }
        }
    }

    let descriptor: Int32
    let peer: SocketPeer?
    /// Counts connections as they came.
    let number: UInt64
    var phase = Phase.quiet
    var isOpen = true
    /// It says nothing more.
    var isEnded = false
    /// It has given up every right but that to read (`ObserveRequest`), for good.
    var onlyReads = false
    /// It has been answered before.
    var hasAsked = false
    /// Since when it has asked for nothing.
    var since: MonotonicTime
    /// Its next request, or why the line is no request.
    var next: Result<ControlRequest, ApplianceError>?
    private var input: [UInt8] = []
    /// Octets of `input` that have been used, and where the next line ends.
    private var used = 0
    private(set) var lineEnd: Int?
    private(set) var output: [UInt8] = []
    /// Descriptors that go beside `output`, and what keeps them open until then.
    var descriptors: [Int32] = []
    /// See `descriptors`.
    var owners: [AnyObject] = []
    /// True if nothing is written behind `output`.
    var isLast = false
    /// Octets of `output` that have been written.
    private(set) var sent = 0
    /// When it last took as much as counts.
    private(set) var marked: MonotonicTime
    private var taken = 0

    init(_ descriptor: Int32, _ peer: SocketPeer?, number: UInt64, now: MonotonicTime) {
        self.descriptor = descriptor
        self.peer = peer
        self.number = number
        since = now
        marked = now
    }

    var isStream: Bool { if case .streaming = phase { true } else { false } }
    /// Octets that wait to be read.
    var left: Int { output.count - sent }
    /// Octets that came and are not used yet.
    var unread: Int { input.count - used }

    /// Scans each octet once, in however many pieces they come.
    func add(_ bytes: [UInt8]) {
        if lineEnd == nil { lineEnd = bytes.firstIndex(of: 10).map { $0 + input.count } }
        input += bytes
    }

    func nextLine() -> [UInt8]? {
        guard let end = lineEnd else { return nil }
        let line = Array(input[used..<end])
        used = end + 1
        lineEnd = input[used...].firstIndex(of: 10)
        if lineEnd == nil {
            input.removeSubrange(..<used)
            used = 0
        }
        return line
    }

    func write(_ bytes: [UInt8], at now: MonotonicTime) {
        if left == 0 {
            (marked, taken) = (now, 0)
            (output, sent) = (bytes, 0)
        } else {
            output += bytes
        }
    }

    /// Writes some of its output.
    ///
    /// - Returns: The octets that were written; -1 with an errno.
    func send(most: Int) -> Int {
        output.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
            guard !descriptors.isEmpty else {
                return Glibc.send(descriptor, rest.baseAddress, min(most, rest.count), noSignal)
            }
            let result = clinux_send_fds(descriptor, rest.baseAddress, rest.count, descriptors, descriptors.count)
            guard result == 0 else {
                errno = -result
                return -1
            }
            (descriptors, owners) = ([], [])
            return rest.count
        }
    }

    /// It has taken some of its output.
    func took(_ count: Int, atLeast least: Int, at now: MonotonicTime) {
        sent += count
        taken += count
        if taken >= least || left == 0 { (marked, taken) = (now, 0) }
        if left == 0 { (output, sent) = ([], 0) }
    }

    /// True if the other end does not read its answers.
    func stalled(for time: Duration, at now: MonotonicTime) -> Bool { left > 0 && now - marked >= time }
}
