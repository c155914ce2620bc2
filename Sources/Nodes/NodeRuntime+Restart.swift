import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Synchronization
import Wire

/// Starting an application again that has ended.
extension NodeRuntime {
    /// Starts the application again, on a thread of its own. On the loop's thread.
    package func restart() {
        loop.preconditionCurrent()
        guard !closing, state == .restarting else { return }
        attempt += 1
        let mine = attempt
        let again: @Sendable () -> Void = { [self] in
            do throws(ApplianceError) {
                try startAgain(mine)
            } catch {
                loop.submit { self.restartLater(error, mine) }
            }
        }
        do throws(ApplianceError) { try startThread(again) } catch { restartLater(error, mine) }
    }

    private func restartLater(_ error: ApplianceError, _ mine: Int) {
        guard !closing, attempt == mine else { return }
        log?.note("cannot start again: \(error)")
        state = .restarting
        loop.after(pause) { [weak self] in self?.restart() }
        pause = min(pause * 2, Self.longestPause)
    }

    /// Runs in a thread of its own. The application is ready again when its readiness probe holds, as at its first
    /// start.
    private func startAgain(_ mine: Int) throws(ApplianceError) {
        guard let run = plan.process.run else { return }
        waitForDyingInit()
        let (entrance, node) = try enter()
        try endEarlierRuns(in: node)
        let child = try loop.sync { [self] () throws(ApplianceError) -> Pidfd? in
            guard !closing, attempt == mine, state == .restarting, let log else { return nil }
            let child = try spawn(run, entrance, node, log, mark: newRun())
            restarts += 1
            process = child
            startedAt = monotonicTime()
            state = .starting
            watch(child)
            restarted?(self, "it \(lastEnd ?? "ended"), and was restarted")
            return child
        }
        guard let child, let cancellation else { return }
        let probe = ReadinessProbe(plan: plan.process.ready, namespace: namespace, entrance: entrance, node: node)
        guard waits(for: child, probe, cancellation) else { return }
        loop.submit { [self] in
            if attempt == mine, process === child, state == .starting { state = .ready }
        }
    }

    /// Waits until the application is ready, as long as it lives; true when it is. A late one is reported and waited
    /// for: it runs, and ending it gains nothing.
    private func waits(for child: Pidfd, _ probe: ReadinessProbe, _ cancellation: Cancellation) -> Bool {
        if plan.process.ready == .started { watchFirstMoments(of: child, cancellation) }
        let begun = monotonicTime()
        var wait = Duration.milliseconds(5)
        var isReported = false
        while !cancellation.isRaised, !child.hasEnded {
            if (try? probe.holds(timeout: .seconds(5), cancellation)) == true { return !child.hasEnded }
            if !isReported, monotonicTime() - begun > readyTimeout {
                isReported = true
                loop.submit { [self] in
                    log?.note("restarted, but not ready within \(seconds(readyTimeout)): \(probe.summary)")
                }
            }
            cancellation.sleep(wait)
            wait = min(wait * 2, .milliseconds(200))
        }
        return false
    }

    // MARK: - Leftovers of earlier runs

    /// A mark for the processes of one more start.
    func newRun() -> ProcessMark {
        let mark = ProcessMark()
        runs.withLock { _ = $0.insert(mark) }
        return mark
    }

    /// Ends processes that earlier starts of the application have left. Such a daemon has outlived the command that
    /// started it. It would hold the ports of its replacement, and take its packets.
    ///
    /// Processes that `setup` or people have started live on.
    func endEarlierRuns(in node: Pidfd) throws(ApplianceError) {
        let marks = runs.withLock { $0 }
        let left = NodeProcesses.all(of: node.pid).filter { ProcessMark.isCarried(marks, by: $0) }
        guard !left.isEmpty else {
            runs.withLock { $0.subtract(marks) }
            return
        }
        let names = Set(left.map(NodeProcesses.name)).sorted().prefix(5).joined(separator: ", ")
        let count = left.count == 1 ? "a process" : "\(left.count) processes"
        guard ProcessMark.end(marks, in: node.pid) else {
            throw ApplianceError(
                .failed, "\(count) of the earlier run cannot be ended: \(names)",
                hint: "find out with 'ps' what blocks them, or take the topology down")
        }
        runs.withLock { $0.subtract(marks) }
        loop.submit { [self] in
            log?.note(
                "\(plan.name): \(count) of the earlier run still ran, and \(left.count == 1 ? "was" : "were") ended: \(names)"
            )
        }
    }
}
