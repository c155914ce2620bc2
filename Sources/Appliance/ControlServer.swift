import CLinux
import ControlAPI
import EventLoop
import Glibc
import Reporting

/// The control process's end of the control socket: accepts connections on the loop, reads lines, answers each.
///
/// No client can hold up the loop, or keep others out:
/// - There are three kinds of connections: connections without a request yet, followers of events, and connections
///   that wait for a long answer. Each kind has a number of places of its own. If all places of the first kind are
///   taken, the oldest connection goes. If all places of another kind are taken, the new request gets an error.
/// - One request of a connection is answered at a time, and the connections take turns; `stop` goes before all.
/// - A connection is read only when its answer has been taken. A connection that takes no answer is closed and logged.
/// - Only root, and the user of a topology without root, is heard.
///
/// At most `bounds.held` octets and one answer more wait for readers, beside 64 KiB for each stream and each line that
/// is not whole yet.
final class ControlServer {
    /// How much of everything there may be.
    struct Bounds {
        /// Octets of a request.
        var line = 65536
        /// Octets that wait to be read, above which no more of a stream is asked for.
        var streamRoom = 65536
        /// Connections that have asked for nothing yet.
        var quiet = 64
        /// Requests that are not answered at once, and answers that are not read at once.
        var asking = 32
        /// Streams.
        var streams = 32
        /// Octets of answers that wait for readers, above which no more are made.
        var held = 64 << 20
        /// How long the first whole line may take, and each that follows an answer.
        var firstLine = Duration.seconds(5)
        /// See `firstLine`.
        var nextLine = Duration.seconds(60)
        /// How long an answer may be left alone by its reader.
        var stall = Duration.seconds(10)
        /// The same for a stream. If other clients want its place, it is as short as for an answer.
        var streamStall = Duration.seconds(600)
    }

    /// Connections accepted in one turn of the loop, so that other things have theirs.
    private static let acceptsEachTurn = 16
    /// Octets written to one connection in one turn.
    static let writesEachTurn = 1 << 20
    /// Octets that count as taking an answer.
    static let leastTaken = 65536
    /// The time between two looks at all connections.
    static let lookInterval = Duration.milliseconds(500)

    let loop: EventLoop
    private let listener: Int32
    let path: String
    let bounds: Bounds
    var connections: [Int32: ControlConnection] = [:]
    /// Those whose next request waits for its turn.
    var queue: [ControlConnection] = []
    var isTurnComing = false
    var isClosed = false
    var looks: Int?
    private var nextNumber: UInt64 = 0
    /// The connections closed since the last look, by reason: their number and the last peer.
    var sentAway: [String: (count: Int, last: SocketPeer?)] = [:]
    let stream: (ControlRequest) throws(ApplianceError) -> ControlStream?
    let answer: (ControlRequest, AnswerLines) -> Void
    let report: (String) -> Void

    /// Listens at `path`. On the loop's thread.
    ///
    /// - Parameters:
    ///   - stream: The source of a request's repeated answers, for `pump`; nil if `answer` answers the request. What it
    ///     throws is the answer.
    ///   - answer: Answers a request, now or later; progress goes before the answer.
    ///   - report: Takes what is to be logged: a line now and then.
    init(
        loop: EventLoop, path: String, bounds: Bounds = Bounds(), report: @escaping (String) -> Void = { _ in },
        stream: @escaping (ControlRequest) throws(ApplianceError) -> ControlStream?,
        answer: @escaping (ControlRequest, AnswerLines) -> Void
    ) throws(ApplianceError) {
        loop.preconditionCurrent()
        self.loop = loop
        self.path = path
        self.bounds = bounds
        self.report = report
        self.stream = stream
        self.answer = answer
        unlink(path)
        listener = newSocket()
        guard listener >= 0 else { throw .system("cannot make a control socket", errno: errno) }
        do throws(ApplianceError) { try Self.listen(listener, at: path) } catch {
            Glibc.close(listener)
            throw error
        }
        loop.watch(listener) { [unowned self] _ in accept() }
    }

    private static func listen(_ listener: Int32, at path: String) throws(ApplianceError) {
        let mask = umask(0o177)
        defer { umask(mask) }
        guard let bound = withSocketAddress(path, { bind(listener, $0, $1) }) else {
            throw ApplianceError(.name, "the name is too long for a socket at \(path)", hint: "choose a shorter one")
        }
        guard bound == 0 else { throw .system("cannot listen at \(path)", errno: errno) }
        do throws(ApplianceError) {
            try requirePrivate(path, S_IFSOCK, 0o600)
            try requirePrivate(path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ".", S_IFDIR, 0o700)
        } catch {
            unlink(path)
            throw error
        }
        guard Glibc.listen(listener, 64) == 0 else { throw .system("cannot listen at \(path)", errno: errno) }
    }

    /// Makes `path` accessible to its owner alone, and refuses a path that it cannot restrict.
    private static func requirePrivate(_ path: String, _ kind: mode_t, _ mode: mode_t) throws(ApplianceError) {
        var info = stat()
        func isPrivate() -> Bool {
            lstat(path, &info) == 0 && info.st_mode & S_IFMT == kind && info.st_uid == geteuid()
                && info.st_mode & 0o7777 == mode
        }
        guard !isPrivate(), chmod(path, mode) != 0 || !isPrivate() else { return }
        throw ApplianceError(
            .failed,
            "the control socket is not safe: \(path) belongs to the user of number \(info.st_uid), with the mode "
                + "\(String(info.st_mode & 0o7777, radix: 8)) instead of \(String(mode, radix: 8))",
            hint: "find out which program changes \(path)")
    }

    /// Closes everything and takes the socket away. On the loop's thread.
    func close() {
        loop.preconditionCurrent()
        isClosed = true
        loop.unwatch(listener)
        Glibc.close(listener)
        for connection in Array(connections.values) { drop(connection) }
        if let looks { loop.cancel(looks) }
        unlink(path)
    }

    // MARK: - Coming and going

    private func accept() {
        for _ in 0..<Self.acceptsEachTurn where !isClosed {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else {
                if ![EAGAIN, EINTR, ECONNABORTED].contains(errno) { rest() }
                return
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            let peer = SocketPeer(descriptor)
            let connection = ControlConnection(descriptor, peer, number: nextNumber, now: monotonicTime())
            nextNumber &+= 1
            guard peer?.isTrusted == true else {
                let uid = peer.map { "\($0.uid)" } ?? "unknown"
                sendAway(
                    connection, "were neither root nor the topology's user",
                    ApplianceError(
                        .machine,
                        "this control process only answers root and its own user, not the user with number \(uid)",
                        hint: "use sudo, or run the command as the user who started the topology"))
                continue
            }
            guard peer?.livesBelow == false else {
                sendAway(
                    connection, "were in a PID namespace of their own",
                    ApplianceError(
                        .machine,
                        "this control process does not answer processes in nodes or in other PID namespaces",
                        hint: "run the command on the machine, beside the control process"))
                continue
            }
            makeRoom()
            connections[descriptor] = connection
            look()
            take(connection)
        }
    }

    /// No more files can be opened: who has asked for nothing goes, and the rest is tried again in a while.
    private func rest() {
        if let oldest = quiet.min(by: { $0.number < $1.number }) { sendAwayForOthers(oldest) }
        loop.unwatch(listener)
        loop.after(.milliseconds(100)) { [weak self] in
            guard let self, !self.isClosed else { return }
            self.loop.watch(self.listener) { [unowned self] _ in accept() }
        }
    }

    private var quiet: [ControlConnection] { connections.values.filter { $0.phase == .quiet && $0.left == 0 } }

    /// If all places for connections without a request are taken, the oldest connection goes. It stays if it has sent a
    /// request by now.
    private func makeRoom() {
        while true {
            let quiet = quiet
            guard quiet.count >= bounds.quiet, let oldest = quiet.min(by: { $0.number < $1.number }) else { return }
            take(oldest)
            if oldest.isOpen, oldest.phase == .quiet { sendAwayForOthers(oldest) }
        }
    }

    private func sendAwayForOthers(_ connection: ControlConnection) {
        sendAway(
            connection, "sent no request while others were waiting",
            ApplianceError(
                .failed,
                "\(bounds.quiet) other connections to the control process send no request, so this "
                    + "connection was closed in favour of another",
                hint: "try again; \(path) is open in the processes that block it: ss -xp"), mayAskAgain: true)
    }

    /// Tells a connection why, as far as it takes that at once, and closes it.
    ///
    /// - Parameter mayAskAgain: Whether it was closed only to make room.
    func sendAway(
        _ connection: ControlConnection, _ what: String, _ error: ApplianceError?, mayAskAgain: Bool = false
    ) {
        sentAway[what, default: (0, nil)].count += 1
        sentAway[what]?.last = connection.peer
        look()
        let answer: ControlAnswer<Done>? = error.map { mayAskAgain ? .crowded($0) : .error($0) }
        if let answer, connection.left == 0, let bytes = try? JSONLine.encode(answer) {
            _ = bytes.withUnsafeBytes { send(connection.descriptor, $0.baseAddress, $0.count, noSignal) }
        }
        drop(connection)
    }

    func drop(_ connection: ControlConnection) {
        guard connection.isOpen else { return }
        connection.isOpen = false
        connections[connection.descriptor] = nil
        queue.removeAll { $0 === connection }
        loop.unwatch(connection.descriptor)
        Glibc.close(connection.descriptor)
        if case .streaming(let stream) = connection.phase { stream.closed() }
    }

    // MARK: - Reading

    func ready(_ connection: ControlConnection, _ events: Int32) {
        if events & POLLOUT != 0 || connection.left > 0 { flush(connection) }
        guard connection.isOpen, events & (POLLIN | POLLHUP | POLLERR) != 0 else { return }
        switch connection.phase {
        case .quiet: take(connection)
        case .streaming:
            // Data on a stream is ignored; only its end counts.
            if events & (POLLHUP | POLLERR) != 0 { return drop(connection) }
            guard let bytes = readOnce(connection.descriptor) else { return }
            if bytes.isEmpty { connection.isEnded = true }
            watch(connection)
        case .queued, .asking:
            // The client has gone, and poll would report that again and again. Its request is done all the same.
            if events & (POLLHUP | POLLERR) != 0 { loop.unwatch(connection.descriptor) }
        }
    }

    /// Takes the next request of a connection that has none under way, as far as it is there.
    func take(_ connection: ControlConnection) {
        guard connection.isOpen, connection.phase == .quiet, connection.left == 0 else { return }
        if connection.lineEnd == nil, !connection.isEnded {
            guard let bytes = readOnce(connection.descriptor) else {
                if errno == EAGAIN { watch(connection) } else { drop(connection) }
                return
            }
            connection.add(bytes)
            if bytes.isEmpty { connection.isEnded = true }
        }
        guard let line = connection.nextLine() else {
            if connection.isEnded { return drop(connection) }
            guard connection.unread <= bounds.line else {
                return sendAway(
                    connection, "sent a request without an end",
                    ApplianceError(.usage, "a request is at most \(bounds.line) octets and the end of its line"))
            }
            return watch(connection)
        }
        do throws(ApplianceError) {
            guard line.count <= bounds.line else {
                throw ApplianceError(.usage, "a request is at most \(bounds.line) octets and the end of its line")
            }
            let request = try ControlRequest(line: line)
            connection.phase = .queued
            connection.next = .success(request)
            // A request to take the topology away goes before all others.
            queue.insert(connection, at: request.name == .stop ? 0 : queue.count)
        } catch {
            connection.phase = .queued
            connection.next = .failure(error)
            queue.append(connection)
        }
        watch(connection)
        callTurn()
    }
}
