import ControlAPI
import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Wire

/// Asks one question of a node, as often as somebody wants to know.
package final class NodeInquiry: Sendable {
    private let question: NodeQuestion
    private let scanner: LogScanner?
    private let log: @Sendable (_ program: String?) -> LogPlace?

    /// - Parameter log: Where the log of a program is now; nil for the `run` command's.
    package init(_ question: NodeQuestion, log: @escaping @Sendable (_ program: String?) -> LogPlace?) {
        self.question = question
        self.log = log
        if case .log(let pattern, _) = question { scanner = LogScanner(pattern) } else { scanner = nil }
    }

    /// Why the answer is not as it should be; nil if it is.
    ///
    /// - Parameters:
    ///   - timeout: The longest time that an answer may take.
    package func failure(
        _ entrance: NodeEntrance, in namespace: NetworkNamespace, timeout: Duration, _ cancellation: Cancellation
    ) -> String? {
        switch question {
        case .file(let path): return absence(path, entrance)
        case .log(let pattern, let program):
            guard let place = log(program) else { return "there is no log yet" }
            return scanner?.finds(in: place) == true ? nil : "no line of its log has \(pattern)"
        case .datagram, .dns: return exchange(namespace, timeout, cancellation)
        }
    }

    private func absence(_ path: String, _ entrance: NodeEntrance) -> String? {
        let folder = entrance.environment["TAPLINE_DIR"] ?? "/"
        let whole = path.hasPrefix("/") ? path : "\(folder)/\(path)"
        do throws(SystemError) {
            return try ProcessView.exists(whole, for: entrance.pid) ? nil : "there is no \(whole)"
        } catch {
            return "\(error)"
        }
    }

    private func exchange(_ namespace: NetworkNamespace, _ timeout: Duration, _ cancellation: Cancellation) -> String? {
        guard let exchange = DatagramExchange(question) else { return nil }
        let sent = try? namespace.perform { () throws(SystemError) -> (descriptor: Int32, refused: String) in
            var refused = ""
            return (exchange.send(refused: &refused), refused)
        }
        guard let sent else { return "its namespace cannot be entered" }
        guard sent.descriptor >= 0 else { return sent.refused }
        defer { close(sent.descriptor) }
        let deadline = monotonicTime() + timeout
        while true {
            let left = deadline - monotonicTime()
            var waiting = [
                pollfd(fd: sent.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            guard left > .zero, !cancellation.isRaised, poll(&waiting, 2, left.waitMilliseconds) >= 0 || errno == EINTR
            else { return "no answer within \(seconds(timeout))" }
            switch waiting[0].revents != 0 ? exchange.receive(sent.descriptor) : nil {
            case .passed: return nil
            case .failed(let reason): return reason
            case .foreign, nil: continue
            }
        }
    }
}
