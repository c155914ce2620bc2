import Glibc
import Nodes
import Plan
import Reporting

/// A probe that waits for a descriptor on the thread that looks.
protocol OpenProbe: AnyObject {
    var descriptor: Int32 { get }
    var number: UInt64 { get }
    /// How far it has come, as the beginning of a sentence that ends in a time.
    var summary: String { get }

    /// Goes on as far as it can without waiting.
    func proceed() -> ConnectionProbe.Outcome
}

/// One datagram inside a node, and the wait for its answer.
final class DatagramProbe: OpenProbe {
    let descriptor: Int32
    let number: UInt64
    private let exchange: DatagramExchange

    /// Sends it from the calling thread's namespace; nil with the reason where nothing can be sent.
    init?(_ question: NodeQuestion, number: UInt64, refused: inout String) {
        guard let exchange = DatagramExchange(question) else { return nil }
        self.exchange = exchange
        self.number = number
        descriptor = exchange.send(refused: &refused)
        guard descriptor >= 0 else { return nil }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    var summary: String { "no answer" }

    func proceed() -> ConnectionProbe.Outcome {
        switch exchange.receive(descriptor) {
        case .passed(let seen): .passed(seen)
        case .failed(let reason): .failed(reason)
        case .foreign, nil: .open
        }
    }
}

extension HealthMonitor {
    /// Asks something inside a node.
    func ask(_ question: NodeQuestion, _ check: WatchedCheck, _ number: UInt64) {
        switch question {
        case .datagram, .dns: connect(check, number)
        case .log, .file:
            // A folder may be on a file system that does not answer: no other probe must wait for it.
            let (name, timeout) = (check.instance.node.name, Duration.milliseconds(check.plan.timeout))
            guard let inquiry = check.inquiry, let namespace = namespaces[name] else { return }
            work(check, number) { [entrance, cancellation] in
                do throws(ApplianceError) {
                    let way = try entrance(name).entrance
                    return inquiry.failure(way, in: namespace, timeout: timeout, cancellation)
                } catch {
                    return "\(error)"
                }
            }
        }
    }

    /// The reason of a question whose time is over.
    func overdueReason(_ question: NodeQuestion, _ check: WatchedCheck) -> String {
        let time = seconds(.milliseconds(check.plan.timeout))
        return switch question {
        case .datagram(let address, let port, _, _): "no answer from \(address) port \(port) within \(time)"
        case .dns(let server, _, _, _): "no answer from \(server) within \(time)"
        case .log, .file: "it could not be looked for within \(time)"
        }
    }

    /// What a person can do about a question that is never answered.
    func hint(_ question: NodeQuestion, _ node: String) -> String {
        switch question {
        case .datagram(let address, let port, _, _), .dns(let address, let port, _, _):
            "let its application answer at \(address) port \(port) (UDP), or correct the check"
        case .log: "look with 'tapline logs \(plan.name) \(node)', or correct the check"
        case .file: "look with 'tapline exec \(plan.name) \(node)', or correct the check"
        }
    }
}
