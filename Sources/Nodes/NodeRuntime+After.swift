import EventLoop
import LinuxNetwork
import Plan
import Reporting

/// The commands that follow a node's becoming ready: which start of its programs they are for.
struct Following {
    /// Counts the starts of its programs.
    var wanted = 0
    /// The count when the commands were begun that have ended.
    var done = 0
    var isUnderWay = false
    /// How the last of them failed.
    var failure: String?

    /// True if nothing has been started since.
    var isDone: Bool { done == wanted && !isUnderWay }
}

extension NodeRuntime {
    /// Runs the commands, if all programs are ready and one of them has been started since the commands ran last. In a
    /// thread of the caller's.
    ///
    /// - Throws: `ApplianceError` if a command fails, or if `cancellation` is raised.
    func follow(_ cancellation: Cancellation) throws(ApplianceError) {
        // A program is followed by what follows its node.
        guard program == nil else { return }
        while let turn = loop.sync({ self.beginFollowing() }) {
            do throws(ApplianceError) {
                try runAfter(cancellation)
                try admit()
                loop.sync { self.endFollowing(turn, nil) }
            } catch {
                loop.sync { self.endFollowing(turn, error) }
                throw error
            }
        }
    }

    /// Sees to what must be there before packets come. In a thread of the caller's.
    func admit() throws(ApplianceError) {
        let node = host ?? self
        try node.admits?(node)
    }

    /// The same as `follow` after a restart: a failure is told by the node's state and its log.
    func followAgain(_ cancellation: Cancellation) {
        do throws(ApplianceError) {
            try follow(cancellation)
        } catch {
            guard !cancellation.isRaised else { return }
            loop.submit { [self] in log?.note("\(error)") }
        }
    }

    private func beginFollowing() -> Int? {
        guard !plan.process.after.isEmpty, !following.isUnderWay, following.done != following.wanted, own == .ready,
            programs.allSatisfy({ $0.own == .ready })
        else { return nil }
        following.isUnderWay = true
        following.failure = nil
        settle()
        return following.wanted
    }

    private func endFollowing(_ turn: Int, _ error: ApplianceError?) {
        following.isUnderWay = false
        following.done = turn
        following.failure = error.map { _ in "a command of `after` failed" }
        settle()
    }

    private func runAfter(_ cancellation: Cancellation) throws(ApplianceError) {
        let (entrance, node) = try enter()
        let log = try loop.sync { () throws(ApplianceError) in try self.openLog() }
        for command in plan.process.after {
            let child = try spawn(command, entrance, node, log)
            let outcome = CommandRun.finish(child, output: nil, timeout: readyTimeout, cancellation: cancellation)
            try cancellation.check()
            guard let end = outcome.end else {
                throw failure("a command of `after` did not end within \(seconds(readyTimeout))", command)
            }
            guard end == .exited(0) else { throw failure("a command of `after` \(end.summary)", command, end) }
        }
    }
}
