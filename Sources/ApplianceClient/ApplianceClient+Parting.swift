import EventLoop
import Fabric
import Glibc
import Reporting
import Wire

extension ApplianceClient {
    /// Why the topology is still there without its control process; nil if it has one, or is gone.
    package var leftBehind: ApplianceError? {
        guard directory.exists, !TopologyLock.isHeld(directory) else { return nil }
        return ApplianceError(
            .failed, "the control process of '\(directory.name)' ended, and left the topology behind: it was killed",
            hint: "'tapline down \(directory.name)' takes away what is left")
    }

    /// What happened to a topology whose control process has closed a connection.
    ///
    /// - Parameter hint: What to do if it was taken away.
    package func parting(_ hint: String) -> ApplianceError {
        // Of a process that is killed, the connection may be closed before the lock is given up.
        let deadline = monotonicTime() + .seconds(1)
        while directory.exists, TopologyLock.isHeld(directory), directory.readState()?.phase == .up,
            monotonicTime() < deadline
        {
            usleep(10_000)
        }
        guard directory.exists else {
            return ApplianceError(.name, "the topology '\(directory.name)' was taken away", hint: hint)
        }
        if let leftBehind { return leftBehind }
        guard directory.readState()?.phase == .up else {
            return ApplianceError(.name, "the topology '\(directory.name)' was taken away", hint: hint)
        }
        return ApplianceError(
            .failed, "the control process of '\(directory.name)' ended the connection",
            hint: "try again; \(directory.logPath) may say why")
    }
}
