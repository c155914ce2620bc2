import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Synchronization

/// A node in a network namespace that somebody else made, which may go and come again.
extension NodeRuntime {
    /// Where it is. It becomes another one if somebody else's namespace is replaced.
    package var namespace: NetworkNamespace { inhabited.withLock { $0.namespace } }

    /// Why its namespace, which somebody else made, is gone; nil while it is there.
    package var absence: String? { inhabited.withLock { $0.absence } }

    /// Leaves its namespace, which somebody else made and which is gone: nothing of Tapline's keeps it. On the loop's
    /// thread.
    ///
    /// - Parameter limbo: An empty namespace, where it is meanwhile.
    /// - Returns: Its init process, which was told to end; the caller waits for it. Commands in it end with it.
    package func leave(_ absence: String, for limbo: NetworkNamespace) -> Pidfd? {
        loop.preconditionCurrent()
        inhabited.withLock { $0 = (limbo, absence) }
        defer { initProcess = nil }
        try? initProcess?.signal(SIGKILL)
        return initProcess
    }

    /// Is in another namespace, which has come in place of the one before. On the loop's thread.
    package func enter(_ namespace: NetworkNamespace) {
        loop.preconditionCurrent()
        inhabited.withLock { $0 = (namespace, nil) }
    }

    /// Nothing can start in a node whose namespace is gone.
    func refuseAbsence() throws(ApplianceError) {
        guard let absence else { return }
        throw ApplianceError(
            .failed, "\(place): its network namespace is gone: \(absence)",
            hint: plan.attachment?.outlook)
    }
}
