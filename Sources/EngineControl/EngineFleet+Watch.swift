import Engine
import EventLoop
import LinuxNetwork
import Reporting

/// Engines that live and do nothing.
extension EngineFleet {
    /// The time between two looks at whether engines go round.
    private static let lookInterval = Duration.milliseconds(250)
    /// An engine is given up after so many looks without an answer: 1 s.
    private static let patience = 4
    /// The same if its threads have waited for a processor meanwhile, or if the kernel does not tell: 10 s. So load
    /// alone never ends a healthy engine.
    private static let longPatience = 40
    /// The least time that its threads waited for a processor, for each look, that counts as load.
    private static let busyDelay = Duration.milliseconds(25)

    /// Asks every engine regularly whether it makes progress.
    ///
    /// Looks are counted, not time. So no engine is given up while this process itself does not run.
    func watch() {
        guard !hasStopped else { return }
        for process in living where process.phase == .ready {
            lookAtWriting(of: process)
            process.look()
            if process.unansweredLooks >= Self.patience, !isStarved(process) {
                evict(process, "made no progress for \(seconds(Self.lookInterval * process.unansweredLooks))")
            }
        }
        loop.after(Self.lookInterval) { [weak self] in self?.watch() }
    }

    private func isStarved(_ process: EngineProcess) -> Bool {
        guard process.unansweredLooks < Self.longPatience else { return false }
        guard let before = process.delayBefore, let now = process.processorDelay() else { return true }
        return now - before >= Self.busyDelay * process.unansweredLooks
    }

    /// Gives up the engines that a signal has stopped (SIGSTOP and the like). To be called when the kernel has said that
    /// something happened to a child: it tells that at once.
    package func lookForStopped() {
        loop.preconditionCurrent()
        guard !hasStopped else { return }
        for process in living where process.process.isStopped {
            evict(process, "was stopped by a signal", isStopped: true)
        }
    }
}
