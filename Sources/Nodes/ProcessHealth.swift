import ControlAPI
import EventLoop
import Reporting

extension NodeRuntime {
    /// The health that follows from the node's process alone. On the loop's thread.
    package var processHealth: InstanceHealth {
        loop.preconditionCurrent()
        let troubled = self.troubled
        let end = endSummary
        let reason =
            switch troubled === self ? state : troubled.own {
            case .idle: "nothing runs in it"
            case .ready: "it is ready"
            case .waiting: "it waits for its dependencies"
            case .setup: "it is being set up"
            case .starting:
                troubled.restarts > 0 && troubled.own == .starting
                    ? "\(end), and is being restarted" : "it is being started"
            case .restarting: "\(end), and will be restarted"
            case .ended, .failed: end
            }
        return InstanceHealth(
            isHealthy: state == .idle || state == .ready, reason: reason, since: wallClockMicroseconds(),
            isSuppressed: false, checks: [])
    }

    /// The one of its programs that is not ready, if its `run` command is; else the node itself.
    private var troubled: NodeRuntime {
        guard own == .ready || own == .idle else { return self }
        return programs.first { $0.own != .ready } ?? self
    }

    /// How that which should run has ended, as the end of a sentence.
    package var endSummary: String {
        loop.preconditionCurrent()
        let troubled = self.troubled
        if troubled === self, own == .ready, let failure = following.failure { return failure }
        return "\(troubled.subject) \(troubled.lastEnd ?? "has ended")"
    }
}
