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
/// the loop.
final class ControlServer {
    private static let longestLine = 65536
    private static let mostConnections = 64

    private let loop: EventLoop
    private let listener: Int32
    private let path: String
    private var connections: [Int32: Connection] = [:]
    private let answer: (ControlRequest, @escaping (ControlResponse) -> Void) -> Void

    private struct Connection {
        var input: [UInt8] = []
        var output: [UInt8] = []
    }

    /// Listens at `path`. On the loop's thread.
    init(
        loop: EventLoop, path: String,
        answer: @escaping (ControlRequest, @escaping (ControlResponse) -> Void) -> Void
    ) throws(ApplianceError) {
        self.loop = loop
        self.path = path
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
        answer(request) { [weak self] in self?.send($0, to: descriptor) }
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

    private func flush(_ descriptor: Int32) {
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
        }
        guard let left = connections[descriptor]?.output else { return }
        loop.watch(descriptor, left.isEmpty ? POLLIN : POLLIN | POLLOUT) { [unowned self] in ready(descriptor, $0) }
    }
}

/// A command's end of the control socket: one request, one answer.
struct ControlClient {
    /// The topology.
    let directory: StateDirectory

    /// Sends `request` and waits for its answer; nil where nobody listens.
    ///
    /// - Parameters:
    ///   - timeout: In milliseconds, since what was told last.
    ///   - progress: Takes what is told before the answer.
    func ask(
        _ request: ControlRequest, timeout: Int = 30_000, progress: (Progress) -> Void = { _ in }
    ) throws(ApplianceError) -> ControlResponse? {
        let descriptor = newSocket()
        defer { close(descriptor) }
        guard let connected = withSocketAddress(directory.socketPath, { connect(descriptor, $0, $1) }) else {
            return nil
        }
        guard connected == 0 else {
            if [ECONNREFUSED, ENOENT, ENOTDIR, ENOTSOCK].contains(errno) { return nil }
            throw .system("cannot reach the control process of '\(directory.name)'", errno: errno)
        }
        guard sendWhole(descriptor, try JSONLine.encode(request)) else { return nil }
        var deadline = monotonicMilliseconds() + timeout
        var input: [UInt8] = []
        while pollOne(descriptor, POLLIN, milliseconds: max(0, deadline - monotonicMilliseconds())) {
            guard let bytes = readOnce(descriptor), !bytes.isEmpty else { return nil }
            input += bytes
            while let end = bytes.contains(10) ? input.firstIndex(of: 10) : nil {
                let response = try JSONLine.decode(ControlResponse.self, input[..<end])
                input.removeSubrange(...end)
                if let error = response.error { throw error }
                guard let told = response.progress else { return response }
                progress(told)
                deadline = monotonicMilliseconds() + timeout
            }
        }
        throw ApplianceError(
            .failed, "the control process of '\(directory.name)' does not answer",
            mend: "'tapline down \(directory.name)' ends it and takes the topology away")
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
