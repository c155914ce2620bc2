import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import Reporting
import Wire

/// A command's end of the control socket: one request, one answer.
package struct ControlClient {
    /// The topology.
    package let directory: StateDirectory

    /// Makes the connections, in a process that has no rights of its own; nil: this process does.
    let broker: BrokeredConnections?

    /// Memberwise.
    package init(directory: StateDirectory, broker: BrokeredConnections? = nil) {
        self.directory = directory
        self.broker = broker
    }

    /// True if another process makes the connections.
    var isBrokered: Bool { broker != nil }

    /// The time in which a healthy control process says anything at all.
    static let promptness = Duration.seconds(2)
    /// The longest answer, in octets; anything longer is not an answer.
    private static let longestAnswer = 1 << 30

    /// A connection on which `request` has been sent; nil if no process listens.
    ///
    /// - Parameter deadline: The end of the retries if it takes no more connections.
    /// - Throws: `ApplianceError` if the socket is another user's, or the control process takes no connection.
    func sent(_ request: some ControlCommand, deadline: MonotonicTime) throws(ApplianceError) -> Int32? {
        if let broker {
            guard let descriptor = try broker.connection() else { return nil }
            sendWhole(descriptor, try JSONLine.encode(request.request))
            return descriptor
        }
        try requireOwnSocket()
        while true {
            let descriptor = newSocket()
            // A full queue of callers is waited in, first come, first served.
            _ = fcntl(descriptor, F_SETFL, 0)
            // No time at all would mean for ever.
            let left = max(1, Int((deadline - monotonicTime()).waitMilliseconds))
            var time = timeval(tv_sec: left / 1000, tv_usec: left % 1000 * 1000)
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
            guard let connected = withSocketAddress(directory.socketPath, { connect(descriptor, $0, $1) }) else {
                close(descriptor)
                return nil
            }
            if connected == 0 {
                _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
                if let peer = SocketPeer(descriptor), !peer.isTrusted {
                    close(descriptor)
                    throw foreign("the user of number \(peer.uid) listens at")
                }
                // The other end may have closed it and said why.
                sendWhole(descriptor, try JSONLine.encode(request.request))
                return descriptor
            }
            let code = errno
            close(descriptor)
            if [ECONNREFUSED, ENOENT, ENOTDIR, ENOTSOCK].contains(code) { return nil }
            // So many wait to be heard already that there is no room for one more.
            guard code == EAGAIN || code == EINTR else {
                throw .system("cannot reach the control process of '\(directory.name)'", errno: code)
            }
            guard monotonicTime() < deadline else { throw silence }
            usleep(20_000)
        }
    }

    /// No request is sent to a socket that another user has made.
    private func requireOwnSocket() throws(ApplianceError) {
        var info = stat()
        guard lstat(directory.socketPath, &info) == 0, info.st_uid != 0, info.st_uid != geteuid() else { return }
        throw foreign("the user of number \(info.st_uid) owns")
    }

    private func foreign(_ who: String) -> ApplianceError {
        ApplianceError(
            .failed, "\(who) \(directory.socketPath), not root or you, so no request was sent",
            hint: "check who may write to \(directory.path); 'tapline down \(directory.name)' takes the topology away")
    }

    /// The answer of one line.
    ///
    /// - Throws: `ApplianceError` if the line is of another version, or no answer.
    func answer<Command: ControlCommand>(
        to command: Command, _ line: some Sequence<UInt8>
    ) throws(ApplianceError) -> ControlAnswer<Command.Answer> {
        try JSONLine.decode(ControlVersion.self, line).check(
            "the control process of '\(directory.name)'",
            hint: "use the tapline that started the topology, or take the topology down and up again")
        return try JSONLine.decode(ControlAnswer<Command.Answer>.self, line)
    }

    /// The error for a control process that takes a request and does not answer it.
    package var silence: ApplianceError {
        let process = directory.readState()?.control.map { ", process \($0.pid)," } ?? ""
        return ApplianceError(
            .failed, "the control process of '\(directory.name)'\(process) does not answer",
            hint: "try again if the machine is busy; "
                + "'tapline down \(directory.name)' ends it and takes the topology away")
    }

    /// Asks for events and gives each handful to `take`, until that returns false or the control process ends.
    ///
    /// - Returns: False if no process listens.
    /// - Throws: `ApplianceError` if the control process cannot be asked, or if it answers with an error.
    package func follow(
        _ request: EventsRequest, _ take: (EventsRequest.Answer) -> Bool
    ) throws(ApplianceError) -> Bool {
        guard let descriptor = try sent(request, deadline: monotonicTime() + Self.promptness) else {
            return false
        }
        defer { close(descriptor) }
        var rest: [UInt8] = []
        while true {
            guard pollOne(descriptor, POLLIN, within: .seconds(60)) else { continue }
            guard let bytes = readOnce(descriptor), !bytes.isEmpty else { return true }
            rest += bytes
            while let end = rest.firstIndex(of: 10) {
                let answer = try answer(to: request, rest[..<end])
                rest.removeSubrange(...end)
                switch answer {
                case .answer(let events): guard take(events) else { return true }
                case .progress: break
                case .error(let error), .crowded(let error): throw error
                }
            }
        }
    }

    /// Sends `request` and waits for its answer; nil if no process listens.
    ///
    /// - Parameters:
    ///   - timeout: The longest time since the last progress.
    ///   - progress: Takes the progress before the answer.
    package func ask<Command: ControlCommand>(
        _ request: Command, timeout: Duration = .seconds(30), progress: (Progress) -> Void = { _ in }
    ) throws(ApplianceError) -> Command.Answer? {
        var deadline = monotonicTime() + timeout
        while true {
            switch try once(request, timeout, &deadline, progress) {
            case .answer(let answer): return answer
            case .nobody: return nil
            case .crowded(let error):
                // Others were faster: this process was kept waiting between its call and its words.
                guard monotonicTime() < deadline else { throw error }
                usleep(20_000)
            }
        }
    }

    /// What came of one connection.
    private enum Attempt<Answer> {
        case answer(Answer)
        /// No process listens.
        case nobody
        case crowded(ApplianceError)
    }

    private func once<Command: ControlCommand>(
        _ request: Command, _ timeout: Duration, _ deadline: inout MonotonicTime, _ progress: (Progress) -> Void
    ) throws(ApplianceError) -> Attempt<Command.Answer> {
        guard let descriptor = try sent(request, deadline: deadline) else { return .nobody }
        defer { close(descriptor) }
        var input: [UInt8] = []
        // Octets without an end of line are no sign of life: time runs on.
        while true {
            let left = deadline - monotonicTime()
            guard left > .zero, pollOne(descriptor, POLLIN, within: left) else { throw silence }
            guard let bytes = readOnce(descriptor), !bytes.isEmpty else { return .nobody }
            input += bytes
            guard input.count <= Self.longestAnswer else { throw silence }
            while let end = bytes.contains(10) ? input.firstIndex(of: 10) : nil {
                let answer = try answer(to: request, input[..<end])
                input.removeSubrange(...end)
                switch answer {
                case .answer(let answer): return .answer(answer)
                case .error(let error): throw error
                case .crowded(let error): return .crowded(error)
                case .progress(let report):
                    progress(report)
                    deadline = monotonicTime() + timeout
                }
            }
        }
    }

    /// Sends a line that fits into the socket's buffer. That the other end is gone shows by what is read; it must not end
    /// this process by SIGPIPE as a closed output does.
    private func sendWhole(_ descriptor: Int32, _ bytes: [UInt8]) {
        while true {
            let sent = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, noSignal) }
            if sent >= 0 || errno != EINTR { return }
        }
    }
}
