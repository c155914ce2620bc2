import Glibc

/// The address of a Unix socket.
private func withSocketAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
}

/// MSG_NOSIGNAL.
private let noSignal: Int32 = 0x4000

private func newSocket() -> Int32 {
    socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
}

/// The control process's end: accepts connections on the loop, reads lines, writes one line for each.
///
/// A connection that sends a line longer than 64 KiB, or does not read its answer, is closed; nobody can hold up
/// the loop. What an answer goes on with is asked for only while there is room for it.
final class ControlServer {
    private static let longestLine = 65536
    /// Octets that wait to be read, above which no more of a stream is asked for.
    private static let streamRoom = 65536
    private static let mostConnections = 64

    private let loop: EventLoop
    private let listener: Int32
    private let path: String
    private var connections: [Int32: Connection] = [:]
    private let stream: (ControlRequest) -> (() -> ControlResponse?)?
    private let answer: (ControlRequest, @escaping (ControlResponse) -> Void) -> Void

    private struct Connection {
        var input: [UInt8] = []
        var output: [UInt8] = []
        /// What its answer goes on with; nil where there is nothing just now.
        var more: (() -> ControlResponse?)?
    }

    /// Listens at `path`. On the loop's thread.
    ///
    /// - Parameters:
    ///   - stream: What a request is answered with again and again, by `pump`; nil where `answer` answers it.
    ///   - answer: Answers a request, now or later.
    init(
        loop: EventLoop, path: String, stream: @escaping (ControlRequest) -> (() -> ControlResponse?)?,
        answer: @escaping (ControlRequest, @escaping (ControlResponse) -> Void) -> Void
    ) throws(ApplianceError) {
        self.loop = loop
        self.path = path
        self.stream = stream
        self.answer = answer
        unlink(path)
        listener = newSocket()
        let mask = umask(0o177)
        defer { umask(mask) }
        guard let bound = withSocketAddress(path, { bind(listener, $0, $1) }) else {
            throw ApplianceError(.name, "the name is too long for a socket at \(path)", mend: "choose a shorter one")
        }
        guard bound == 0, listen(listener, 16) == 0 else { throw .system("cannot listen at \(path)", errno: errno) }
        loop.watch(listener) { [unowned self] _ in accept() }
    }

    /// Closes everything and takes the socket away. On the loop's thread.
    func close() {
        loop.unwatch(listener)
        Glibc.close(listener)
        for descriptor in connections.keys { drop(descriptor) }
        unlink(path)
    }

    private func accept() {
        while true {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            guard connections.count < Self.mostConnections else {
                Glibc.close(descriptor)
                continue
            }
            connections[descriptor] = Connection()
            loop.watch(descriptor) { [unowned self] in ready(descriptor, $0) }
        }
    }

    private func drop(_ descriptor: Int32) {
        guard connections.removeValue(forKey: descriptor) != nil else { return }
        loop.unwatch(descriptor)
        Glibc.close(descriptor)
    }

    private func ready(_ descriptor: Int32, _ events: Int32) {
        if events & POLLOUT != 0 { flush(descriptor) }
        guard events & (POLLIN | POLLHUP | POLLERR) != 0, connections[descriptor] != nil else { return }
        guard let bytes = readOnce(descriptor) else {
            if errno != EAGAIN { drop(descriptor) }
            return
        }
        guard !bytes.isEmpty else {
            drop(descriptor)
            return
        }
        connections[descriptor]?.input += bytes
        while let end = connections[descriptor]?.input.firstIndex(of: 10) {
            guard let line = connections[descriptor]?.input[..<end] else { return }
            connections[descriptor]?.input.removeSubrange(...end)
            handle(Array(line), from: descriptor)
        }
        if (connections[descriptor]?.input.count ?? 0) > Self.longestLine { drop(descriptor) }
    }

    private func handle(_ line: [UInt8], from descriptor: Int32) {
        let request: ControlRequest
        do throws(ApplianceError) {
            request = try JSONLine.decode(ControlRequest.self, line)
            guard request.version == ControlRequest.currentVersion else {
                throw ApplianceError(
                    .failed, "the topology was started by another version of tapline",
                    mend: "take it down with that version, or with 'tapline down' after ending it")
            }
        } catch {
            send(ControlResponse(error: error), to: descriptor)
            return
        }
        if let more = stream(request) {
            connections[descriptor]?.more = more
            flush(descriptor)
        } else {
            answer(request) { [weak self] in self?.send($0, to: descriptor) }
        }
    }

    /// Asks every stream for what there is more of. On the loop's thread.
    func pump() {
        for (descriptor, connection) in connections where connection.more != nil { flush(descriptor) }
    }

    private func send(_ response: ControlResponse, to descriptor: Int32) {
        guard connections[descriptor] != nil else { return }
        guard let bytes = try? JSONLine.encode(response) else {
            drop(descriptor)
            return
        }
        connections[descriptor]?.output += bytes
        flush(descriptor)
    }

    /// Adds what a stream has more of, as far as there is room.
    private func fill(_ descriptor: Int32) {
        while let connection = connections[descriptor], let more = connection.more,
            connection.output.count < Self.streamRoom, let response = more(),
            let bytes = try? JSONLine.encode(response)
        {
            connections[descriptor]?.output += bytes
        }
    }

    private func flush(_ descriptor: Int32) {
        fill(descriptor)
        while let output = connections[descriptor]?.output, !output.isEmpty {
            let wrote = output.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, noSignal)
            }
            if wrote < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { drop(descriptor) }
                break
            }
            connections[descriptor]?.output.removeFirst(wrote)
            fill(descriptor)
        }
        guard let left = connections[descriptor]?.output else { return }
        loop.watch(descriptor, left.isEmpty ? POLLIN : POLLIN | POLLOUT) { [unowned self] in ready(descriptor, $0) }
    }
}

/// A command's end of the control socket: one request, one answer.
struct ControlClient {
    /// The topology.
    let directory: StateDirectory

    /// How long a control process that is well may take to say anything at all, in milliseconds.
    static let promptness = 2000
    /// The longest answer, in octets: what says more is none.
    private static let longestAnswer = 1 << 30

    /// A connection on which `request` has been sent; nil where nobody listens.
    ///
    /// - Parameter deadline: Until when one that takes no more connections is tried again, in monotonic milliseconds.
    private func sent(_ request: ControlRequest, deadline: Int) throws(ApplianceError) -> Int32? {
        while true {
            let descriptor = newSocket()
            guard let connected = withSocketAddress(directory.socketPath, { connect(descriptor, $0, $1) }) else {
                close(descriptor)
                return nil
            }
            if connected == 0 {
                if sendWhole(descriptor, try JSONLine.encode(request)) { return descriptor }
                close(descriptor)
                return nil
            }
            let code = errno
            close(descriptor)
            if [ECONNREFUSED, ENOENT, ENOTDIR, ENOTSOCK].contains(code) { return nil }
            // So many wait to be heard already that there is no room for one more.
            guard code == EAGAIN else {
                throw .system("cannot reach the control process of '\(directory.name)'", errno: code)
            }
            guard monotonicMilliseconds() < deadline else { throw silence }
            usleep(20_000)
        }
    }

    /// What is said of a control process that takes a request and does not answer it.
    var silence: ApplianceError {
        let process = directory.readState()?.control.map { ", process \($0.pid)," } ?? ""
        return ApplianceError(
            .failed, "the control process of '\(directory.name)'\(process) does not answer",
            mend: "'tapline down \(directory.name)' ends it and takes the topology away")
    }

    /// Sends `request` and gives each of its answers to `take`, until that returns false or the control process ends.
    ///
    /// - Returns: False where nobody listens.
    func follow(
        _ request: ControlRequest, _ take: (ControlResponse) -> Bool
    ) throws(ApplianceError) -> Bool {
        guard let descriptor = try sent(request, deadline: monotonicMilliseconds() + Self.promptness) else {
            return false
        }
        defer { close(descriptor) }
        var rest: [UInt8] = []
        while true {
            guard pollOne(descriptor, POLLIN, milliseconds: 60_000) else { continue }
            guard let bytes = readOnce(descriptor), !bytes.isEmpty else { return true }
            rest += bytes
            while let end = rest.firstIndex(of: 10) {
                let response = try JSONLine.decode(ControlResponse.self, rest[..<end])
                rest.removeSubrange(...end)
                if let error = response.error { throw error }
                guard take(response) else { return true }
            }
        }
    }

    /// Sends `request` and waits for its answer; nil where nobody listens.
    ///
    /// - Parameters:
    ///   - timeout: In milliseconds, since what was told last.
    ///   - progress: Takes what is told before the answer.
    func ask(
        _ request: ControlRequest, timeout: Int = 30_000, progress: (Progress) -> Void = { _ in }
    ) throws(ApplianceError) -> ControlResponse? {
        var deadline = monotonicMilliseconds() + timeout
        guard let descriptor = try sent(request, deadline: deadline) else { return nil }
        defer { close(descriptor) }
        var input: [UInt8] = []
        // Octets without an end of line are no sign of life: time runs on.
        while true {
            let left = deadline - monotonicMilliseconds()
            guard left > 0, pollOne(descriptor, POLLIN, milliseconds: left) else { throw silence }
            guard let bytes = readOnce(descriptor), !bytes.isEmpty else { return nil }
            input += bytes
            guard input.count <= Self.longestAnswer else { throw silence }
            while let end = bytes.contains(10) ? input.firstIndex(of: 10) : nil {
                let response = try JSONLine.decode(ControlResponse.self, input[..<end])
                input.removeSubrange(...end)
                if let error = response.error { throw error }
                guard let told = response.progress else { return response }
                progress(told)
                deadline = monotonicMilliseconds() + timeout
            }
        }
    }

    /// Sends a line that fits into the socket's buffer; false where the other end is gone, which must not end this
    /// process by SIGPIPE as a closed output does: the control process may be ended between the connection and this.
    private func sendWhole(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
        while true {
            let sent = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, noSignal) }
            if sent < 0, errno == EINTR { continue }
            return sent == bytes.count
        }
    }
}
