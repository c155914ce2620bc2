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
        guard !closing, own == .restarting else { return }
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
        own = .restarting
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
            guard !closing, attempt == mine, own == .restarting, let log else { return nil }
            let child = try spawn(run, entrance, node, log, mark: newRun())
            restarts += 1
            process = child
            startedAt = monotonicTime()
            own = .starting
            watch(child)
            restarted?(self, "it \(lastEnd ?? "ended"), and was restarted")
            return child
        }
        guard let child, let cancellation else { return }
        guard waits(for: child, readinessProbe(entrance, node), cancellation) else { return }
        do throws(ApplianceError) { try admit() } catch {
            // It gets no packets: it does not count as ready.
            let error = error
            return loop.submit { [self] in log?.note("\(plan.name): not ready: \(error)") }
        }
        loop.sync { [self] in
            if attempt == mine, process === child, own == .starting { own = .ready }
        }
        (host ?? self).followAgain(cancellation)
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

    // MARK: - Brought back by a check or an operator, in a thread of the caller's

    /// Makes the node's application ready again: waits for the running one, or starts it.
    ///
    /// - Parameters:
    ///   - anew: One that runs is ended first.
    ///   - why: The reason of a restart, for its event.
    /// - Throws: `ApplianceError` if the application does not start or is not ready in time, or if `cancellation` is
    ///   raised.
    package func bringBack(
        anew: Bool, why: String = "a check restarted it", _ cancellation: Cancellation
    ) throws(ApplianceError) {
        try eachProgram { program throws(ApplianceError) in
            try program.bringBack(anew: anew, why: why, cancellation)
        }
        guard let run = plan.process.run else { return try follow(cancellation) }
        let running: (child: Pidfd?, isWhole: Bool) = loop.sync {
            self.pause = Self.shortestPause
            if let process = self.process, !process.hasEnded, !anew { return (process, true) }
            // From here on nothing else starts it.
            self.attempt += 1
            self.own = .starting
            let child = self.process
            if let child { self.loop.unwatch(child.descriptor) }
            self.process = nil
            return (child, false)
        }
        if running.isWhole {
            let (entrance, node) = try enter()
            try waitUntilReady(running.child, entrance, node, cancellation, isWatched: true)
            return try follow(cancellation)
        }
        if let old = running.child { CommandRun.end(old) }
        waitForDyingInit()
        let (entrance, node) = try enter()
        let log = try loop.sync { () throws(ApplianceError) in try self.openLog() }
        try endEarlierRuns(in: node)
        let child = try spawn(run, entrance, node, log, mark: newRun())
        loop.sync {
            self.restarts += 1
            self.process = child
            self.startedAt = monotonicTime()
            self.restarted?(self, why)
        }
        try waitUntilReady(child, entrance, node, cancellation)
        try admit()
        loop.sync {
            self.own = .ready
            self.watch(child)
        }
        try follow(cancellation)
    }

    /// An init that was killed ends when all of the node's processes have been reaped.
    func waitForDyingInit() {
        if let host { return host.waitForDyingInit() }
        guard let current = loop.sync({ self.initProcess }), isDying(current.pid) else { return }
        if current.waitForEnd(within: .seconds(5)) { _ = try? current.statusIfEnded() }
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
        if program == nil { try endContainer() }
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
