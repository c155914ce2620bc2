import ControlAPI
import EventLoop
import Reporting

extension NodeRuntime {
    /// The health that follows from the node's process alone. On the loop's thread.
    package var processHealth: InstanceHealth {
        loop.preconditionCurrent()
        let end = lastEnd.map { "its application \($0)" } ?? "its application has ended"
        let reason =
            switch state {
            case .idle: "nothing runs in it"
            case .ready: "it is ready"
            case .waiting: "it waits for its dependencies"
            case .setup: "it is being set up"
            case .starting: restarts > 0 ? "\(end), and is being restarted" : "it is being started"
            case .restarting: "\(end), and will be restarted"
            case .ended, .failed: end
            }
        return InstanceHealth(
            isHealthy: state == .idle || state == .ready, reason: reason, since: wallClockMicroseconds(),
            isSuppressed: false, checks: [])
    }
}
