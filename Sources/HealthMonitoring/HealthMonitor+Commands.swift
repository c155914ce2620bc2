import EventLoop
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting

/// Commands: each on a thread of its own, for starting one takes milliseconds and it may hang.
extension HealthMonitor {
    /// The most that is kept of what a command prints, in octets; the rest is read and thrown away.
    private static let bound = 4 << 10

    /// Begins a command, unless the one of the last time is still there.
    func run(_ command: String, _ check: WatchedCheck, _ number: UInt64) {
        let (node, timeout) = (check.instance.node.name, Duration.milliseconds(check.plan.timeout))
        work(check, number) { [entrance, cancellation] in
            Self.outcome(of: command, in: node, entrance, timeout, cancellation)
        }
    }

    /// Does what may take its time on a thread of its own, unless that of the last time is still there.
    ///
    /// - Parameter body: Returns why the check has failed; nil if it has passed.
    func work(_ check: WatchedCheck, _ number: UInt64, _ body: @escaping @Sendable () -> String?) {
        guard check.command == nil else {
            let reason = "the command's earlier run has not ended yet"
            conclude(check, number, reason, seen: reason)
            return
        }
        serial += 1
        let mine = serial
        check.command = mine
        let identity = check.identity
        do throws(ApplianceError) {
            try startThread { [weak self] in
                let failure = body()
                self?.finished(identity, mine, number, failure)
            }
        } catch {
            check.command = nil
            conclude(check, number, "\(error)", seen: "\(error)")
        }
    }

    /// Why the command failed; nil if it exited with status 0.
    private static func outcome(
        of command: String, in node: String, _ entrance: Entrance, _ timeout: Duration, _ cancellation: Cancellation
    ) -> String? {
        do throws(ApplianceError) {
            let (way, initProcess) = try entrance(node)
            let mark = ProcessMark()
            let pid = initProcess.pid
            let outcome = try CommandRun.captured(
                command, in: way, node: initProcess, timeout: timeout, cancellation: cancellation,
                bounds: CommandBounds(
                    output: bound, pausesBeyondOutput: true, limits: mark.limits,
                    sweep: { _ = ProcessMark.end([mark], in: pid) }))
            guard let end = outcome.end else {
                return "it did not end within \(seconds(timeout))" + printed(outcome)
            }
            return end == .exited(0) ? nil : "it \(end.summary)" + printed(outcome)
        } catch {
            return "\(error)"
        }
    }

    /// Its last line, as far as it was kept.
    private static func printed(_ outcome: CommandOutcome) -> String {
        guard let line = outcome.text.split(whereSeparator: \.isNewline).last?.prefix(200) else { return "" }
        return ": \(line)"
    }

    private static func success(of probe: HealthCheckPlan.Probe) -> String {
        switch probe {
        case .question(.log): "the line is there"
        case .question: "it is there"
        default: "exited with status 0"
        }
    }

    private func finished(_ identity: UInt64, _ serial: UInt64, _ number: UInt64, _ failure: String?) {
        guarded {
            guard let check = checksByIdentity[identity], check.command == serial else { return }
            check.command = nil
            conclude(check, number, failure, seen: failure ?? Self.success(of: check.plan.probe))
            settle()
        }
        tell()
        ring()
    }
}
