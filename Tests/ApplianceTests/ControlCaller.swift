import Foundation

@testable import Appliance
@testable import ControlAPI
@testable import EventLoop
@testable import Reporting

extension ControlServerTests {
    /// A caller, who waits for what comes for ten seconds at most.
    final class Caller {
        let descriptor: Int32
        private var rest: [UInt8] = []

        init(_ path: String) throws {
            descriptor = newSocket()
            _ = fcntl(descriptor, F_SETFL, 0)
            var time = timeval(tv_sec: 10, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
            // Floods of callers go on while the server closes, and outside of the test's own thread.
            guard withSocketAddress(path, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
                throw POSIXError(.ECONNREFUSED)
            }
        }

        deinit { close(descriptor) }

        /// False where the other end takes no more.
        @discardableResult
        func say(_ text: String) -> Bool { say(Array(text.utf8)) }

        @discardableResult
        func say(_ bytes: [UInt8]) -> Bool { send(descriptor, bytes, bytes.count, noSignal) == bytes.count }

        @discardableResult
        func ask(_ command: String, _ more: String = "") -> Bool {
            say("{\"version\":2,\"command\":\"\(command)\"\(more)}\n")
        }

        /// The next line; nil at the end.
        func line() -> [UInt8]? {
            while true {
                if let end = rest.firstIndex(of: 10) {
                    defer { rest.removeSubrange(...end) }
                    return Array(rest[..<end])
                }
                guard let bytes = readOnce(descriptor), !bytes.isEmpty else { return nil }
                rest += bytes
            }
        }

        /// The next answer to a command of that type, progress or error among them; nil at the end.
        func next<Command: ControlCommand>(
            _ command: Command.Type
        ) throws -> ControlAnswer<Command.Answer>? {
            try line().map { try JSONLine.decode(ControlAnswer<Command.Answer>.self, $0) }
        }

        /// What the next line answers to a command of that type; nil at the end, or where it is something else.
        func answer<Command: ControlCommand>(_ command: Command.Type) throws -> Command.Answer? {
            if case .answer(let answer) = try next(command) { answer } else { nil }
        }

        /// True where the next line is the answer to `cancel`.
        func hearsCancel() throws -> Bool { try answer(CancelRequest.self)?.isUnderWay == false }

        /// The error that is the next line; nil at the end, or where it is none.
        func error() throws -> ApplianceError? {
            guard let line = line() else { return nil }
            switch try JSONLine.decode(ControlAnswer<AnyAnswer>.self, line) {
            case .error(let error), .crowded(let error): return error
            case .answer, .progress: return nil
            }
        }
    }

    /// An answer to whatever it may be.
    struct AnyAnswer: Codable, Sendable {
        init(from decoder: any Decoder) {}
        func encode(to encoder: any Encoder) {}
    }
}
