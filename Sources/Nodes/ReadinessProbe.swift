import ControlAPI
import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Wire

/// Looks whether an application is ready, from inside its node.
struct ReadinessProbe {
    let plan: ReadinessPlan
    let namespace: NetworkNamespace
    let entrance: NodeEntrance
    let node: Pidfd
    /// What is asked, if it is something that a command, TCP and HTTP do not ask.
    let inquiry: NodeInquiry?

    /// What tells that a container has come up, if nothing else is to be asked.
    let container: ContainerReadiness?

    /// - Parameter log: Where the log of a program of the node is.
    init(
        plan: ReadinessPlan, namespace: NetworkNamespace, entrance: NodeEntrance, node: Pidfd,
        container: ContainerReadiness? = nil,
        log: @escaping @Sendable (_ program: String?) -> LogPlace?
    ) {
        self.plan = plan
        self.namespace = namespace
        self.entrance = entrance
        self.node = node
        self.container = container
        if case .question(let question) = plan { inquiry = NodeInquiry(question, log: log) } else { inquiry = nil }
    }

    /// The condition that is waited for, as the end of a sentence.
    var summary: String {
        switch plan {
        case .started where container != nil: "the container does not run, or its image's health check fails"
        case .started: "it was not started"
        case .command(let command): "this failed: \(command)"
        case .tcp(let address, let port): "no TCP connection to \(address) port \(port)"
        case .http(let address, let port, let path, _, let status):
            "no answer with status \(status) for \(path) from \(address) port \(port)"
        case .question(let question): summary(of: question)
        }
    }

    /// True if it is ready now.
    ///
    /// - Parameter timeout: The longest time that looking may take.
    func holds(timeout: Duration, _ cancellation: Cancellation) throws(ApplianceError) -> Bool {
        switch plan {
        case .started:
            return try container?.holds(timeout: timeout, cancellation) ?? true
        case .command(let command):
            let outcome = try CommandRun.captured(
                command, in: entrance, node: node, timeout: timeout, cancellation: cancellation)
            return outcome.end == .exited(0)
        case .tcp(let address, let port):
            guard let socket = connected(address, port, timeout) else { return false }
            close(socket)
            return true
        case .http(let address, let port, let path, let host, let status):
            guard let socket = connected(address, port, timeout) else { return false }
            defer { close(socket) }
            let request = "GET \(path) HTTP/1.0\r\nHost: \(host)\r\nConnection: close\r\nUser-Agent: tapline\r\n\r\n"
            guard writeAll(socket, Array(request.utf8)) else { return false }
            return answer(socket, timeout) == status
        case .question:
            // A datagram may be lost, and is then sent again.
            let failure = inquiry?.failure(entrance, in: namespace, timeout: min(timeout, .seconds(1)), cancellation)
            return failure == nil
        }
    }

    private func summary(of question: NodeQuestion) -> String {
        switch question {
        case .datagram(let address, let port, _, let expect):
            "no answer \(expect.map { "with \($0) " } ?? "")from UDP port \(port) of \(address)"
        case .log(let pattern, _): "no line of its log has \(pattern)"
        case .file(let path): "there is no file \(path)"
        case .dns(let server, _, let question, let expect):
            "\(server) does not answer with \(expect ?? "a record") for \(question.name) \(question.type.word)"
        }
    }

    /// A connected socket of the node's, nonblocking; nil if no program listens.
    private func connected(_ address: IPAddress, _ port: UInt16, _ timeout: Duration) -> Int32? {
        let family = address.family == .ipv4 ? AF_INET : AF_INET6
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let made = try? namespace.perform { () throws(SystemError) -> Int32 in socket(family, kind, 0) }
        guard let descriptor = made, descriptor >= 0 else { return nil }
        let result = address.withSocketAddress(port: port) { connect(descriptor, $0, $1) }
        if result == 0 { return descriptor }
        var failure: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard errno == EINPROGRESS, pollOne(descriptor, POLLOUT, within: timeout),
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &length) == 0, failure == 0
        else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    /// The status of an HTTP answer.
    private func answer(_ socket: Int32, _ timeout: Duration) -> Int? {
        let deadline = monotonicTime() + timeout
        var head: [UInt8] = []
        while head.count < 1024, pollOne(socket, POLLIN, within: deadline - monotonicTime()) {
            guard let bytes = readOnce(socket, limit: 1024), !bytes.isEmpty else { break }
            head += bytes
            if head.contains(10) { break }
        }
        let words = String(decoding: head.prefix { $0 != 10 }, as: UTF8.self).split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/") else { return nil }
        return Int(words[1].prefix(3))
    }
}

extension IPAddress {
    /// Calls `body` with the address and port as the socket calls take them.
    package func withSocketAddress<Result>(
        port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        switch family {
        case .ipv4:
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = ipv4Bits.bigEndian
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        case .ipv6:
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &address.sin6_addr) {
                $0.storeBytes(of: high.bigEndian, as: UInt64.self)
                $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
    }
}
