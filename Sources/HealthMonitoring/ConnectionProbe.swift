import CLinux
import EventLoop
import Glibc
import Health
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// One TCP connection inside a node: made, and where something is asked over it, asked and read.
final class ConnectionProbe: OpenProbe {
    /// The most that is read of an answer, in octets.
    private static let bound = 64 << 10

    /// The state of the probe.
    enum Outcome {
        case open
        case passed(String)
        case failed(String)
    }

    let descriptor: Int32
    let number: UInt64
    private let probe: HealthCheckPlan.Probe
    private var isConnected = false
    private var answer: [UInt8] = []

    /// Begins to connect, from the calling thread's namespace; nil with the reason where nothing can.
    init?(_ probe: HealthCheckPlan.Probe, number: UInt64, refused: inout String) {
        let (address, port) =
            switch probe {
            case .tcp(let address, let port), .http(let address, let port, _, _, _, _): (address, port)
            default: (IPAddress(ipv4: 0), 0 as UInt16)
            }
        let family = address.family == .ipv4 ? AF_INET : AF_INET6
        descriptor = socket(
            family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        self.number = number
        self.probe = probe
        guard descriptor >= 0 else {
            refused = "cannot make a socket: \(errorText(errno))"
            return nil
        }
        // Closed by a reset: a connection each tenth of a second would else leave hundreds in TIME_WAIT.
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        let result = address.withSocketAddress(port: port) { connect(descriptor, $0, $1) }
        if result != 0, errno != EINPROGRESS {
            refused = "\(address) port \(port): \(errorText(errno))"
            close(descriptor)
            return nil
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// How far it has come, as the beginning of a sentence that ends in a time.
    var summary: String {
        isConnected ? answer.isEmpty ? "connected, but no answer" : "the answer was incomplete" : "no connection"
    }

    /// Goes on as far as it can without waiting.
    func proceed() -> Outcome {
        if !isConnected {
            guard let outcome = connectFurther() else { return .open }
            if case .failed = outcome { return outcome }
            isConnected = true
            guard case .http(_, _, let path, let host, _, _) = probe else { return outcome }
            let request = "GET \(path) HTTP/1.0\r\nHost: \(host)\r\nConnection: close\r\nUser-Agent: tapline\r\n\r\n"
            // It is shorter than any socket's buffer.
            let sent = Array(request.utf8).withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent == request.utf8.count else { return .failed("connected, but the request could not be sent") }
        }
        return read()
    }

    private func connectFurther() -> Outcome? {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&waiting, 1, 0) > 0 else { return nil }
        var failure: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &length)
        return failure == 0 ? .passed("connected") : .failed(errorText(failure))
    }

    private func read() -> Outcome {
        guard case .http(_, _, _, _, let status, let body) = probe else { return .failed("no request was sent") }
        while answer.count < Self.bound {
            guard let bytes = readOnce(descriptor, limit: 16 << 10) else {
                if errno == EAGAIN { return .open }
                return .failed("the answer broke off: \(errorText(errno))")
            }
            answer += bytes
            if let outcome = judge(status, body, isEnd: bytes.isEmpty) { return outcome }
        }
        return judge(status, body, isEnd: true) ?? .failed("the answer is not HTTP")
    }

    /// Nil while more has to be read.
    private func judge(_ status: Int, _ body: String?, isEnd: Bool) -> Outcome? {
        guard let line = answer.firstIndex(of: 10) else { return isEnd ? .failed("the answer is not HTTP") : nil }
        let words = String(decoding: answer[..<line], as: UTF8.self).split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/"), let got = Int(words[1].prefix(3)) else {
            return .failed("the answer is not HTTP")
        }
        guard got == status else { return .failed("status \(got) instead of \(status)") }
        guard let body else { return .passed("status \(got)") }
        if bodyHolds(Array(body.utf8)) { return .passed("status \(got), and the body has the text") }
        return isEnd ? .failed("status \(got), and its body does not contain \"\(body)\"") : nil
    }

    private func bodyHolds(_ text: [UInt8]) -> Bool {
        let breaks: [[UInt8]] = [[13, 10, 13, 10], [10, 10]]
        for mark in breaks {
            guard let end = answer.firstRange(of: mark)?.upperBound else { continue }
            return text.isEmpty || answer[end...].firstRange(of: text) != nil
        }
        return false
    }
}

extension HealthMonitor {
    /// Begins a connection, on the thread that looks.
    func connect(_ check: WatchedCheck, _ number: UInt64) {
        guard enterNamespace(of: check.instance.node.name) else {
            conclude(check, number, "its namespace cannot be entered", seen: "its namespace cannot be entered")
            return
        }
        var refused = ""
        let opened: (any OpenProbe)? =
            if case .question(let question) = check.plan.probe {
                DatagramProbe(question, number: number, refused: &refused)
            } else {
                ConnectionProbe(check.plan.probe, number: number, refused: &refused)
            }
        guard let connection = opened else {
            conclude(check, number, refused, seen: refused)
            return
        }
        check.connection = connection
        // Between two sockets of one kernel the connection is usually made at once.
        proceed(check)
        guard check.connection != nil else { return }
        do throws(ApplianceError) {
            try listen(
                connection.descriptor, EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLET.rawValue,
                Self.connectionKeys + UInt64(check.slot))
        } catch {
            check.connection = nil
            conclude(check, number, "\(error)", seen: "\(error)")
        }
    }

    /// Goes on with a connection.
    func proceed(_ check: WatchedCheck) {
        guard let connection = check.connection else { return }
        let outcome = connection.proceed()
        if case .open = outcome { return }
        check.connection = nil
        switch outcome {
        case .open: break
        case .passed(let seen): conclude(check, connection.number, nil, seen: seen)
        case .failed(let reason): conclude(check, connection.number, reason, seen: reason)
        }
    }
}
