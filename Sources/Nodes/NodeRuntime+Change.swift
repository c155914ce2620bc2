import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// A node that changes while the topology is up. In a thread of the caller's, one change at a time.
extension NodeRuntime {
    /// Takes over another plan of the same node; running processes go on.
    ///
    /// - Parameter folder: Where its commands start from now on.
    /// - Throws: `ApplianceError` if /etc/hosts cannot be written.
    package func take(_ plan: NodePlan, folder: String) throws(ApplianceError) {
        try loop.sync { () throws(ApplianceError) in
            let old = self.plan
            self.plan = plan
            self.folder = folder
            self.adoptPrograms()
            if plan.process.isNothing { self.own = .idle }
            // A node without an init gets its files with the next one.
            if self.initProcess != nil {
                try self.putFiles(only: Set(plan.differentFiles(from: old)))
                self.removeFiles(of: old)
            }
            // Processes of the node have this very file open as /etc/hosts: it is overwritten, not replaced.
            if self.initProcess != nil { try self.rewriteHosts() }
        }
    }

    /// Becomes another plan of the same node, which differs in nothing that was made of it. On the loop's thread.
    ///
    /// - Parameter names: The names of all nodes and services from now on.
    package func adopt(_ plan: NodePlan, names: [HostPlan], folder: String) {
        loop.preconditionCurrent()
        self.plan = plan
        self.folder = folder
        adoptPrograms()
        guard names != self.names else { return }
        self.names = names
        guard initProcess != nil else { return }
        do throws(ApplianceError) {
            try rewriteHosts()
        } catch {
            log?.note("\(plan.name): its hosts file keeps its former names: \(error)")
        }
    }

    /// Writes its hosts file again; a resolver reads it again.
    private func rewriteHosts() throws(ApplianceError) {
        try writeSmall(directory.hostsPath(plan.name), hostsText)
        try writeSmall(directory.resolverPath(plan.name), resolverText)
        if plan.isResolver { try? process?.signal(SIGHUP) }
    }

    /// A leg that had its TAP in the node itself has got a veth. On the loop's thread.
    package func note(fabricDevice device: String, leg: Int) {
        loop.preconditionCurrent()
        plan.legs[leg].fabricDevice = device
    }

    /// It is about to be ended, and counts as not ready from now on. On the loop's thread.
    package func withdraw() {
        loop.preconditionCurrent()
        own = .starting
    }

    /// Sets the cancellation that ends all its waiting from now on. On the loop's thread.
    package func wait(on cancellation: Cancellation) {
        loop.preconditionCurrent()
        self.cancellation = cancellation
    }

    /// Ends the application, becomes another plan of the same node, and starts what that says, until it is ready.
    ///
    /// - Throws: `ApplianceError` if the application does not start or is not ready in time, or if `cancellation` is
    ///   raised.
    package func restart(as plan: NodePlan, folder: String, _ cancellation: Cancellation) throws(ApplianceError) {
        // The one that runs does its work until the image is there.
        try fetchImage(of: plan, cancellation)
        let old: Pidfd? = loop.sync {
            self.attempt += 1
            self.own = .starting
            self.cancellation = cancellation
            // The init process sets the folder that the node sees, so a new folder needs a new init.
            if folder != self.folder { try? self.initProcess?.signal(SIGKILL) }
            guard plan.process.run == nil else { return nil }
            let child = self.process
            if let child { self.loop.unwatch(child.descriptor) }
            self.process = nil
            return child
        }
        if let old {
            CommandRun.end(old)
            try endContainer()
        }
        exchangePrograms(for: plan)
        try take(plan, folder: folder)
        if plan.process.run == nil { become(plan.process.isNothing ? .idle : .ready) }
        try bringBack(anew: true, cancellation)
    }

    /// Becomes another plan of the same node, which has other files or another `after`. Runs its `reload` command for the
    /// files, and then `after` if it is another one, or had failed.
    ///
    /// - Throws: `ApplianceError` if a command fails, or if `cancellation` is raised.
    package func reload(as plan: NodePlan, folder: String, _ cancellation: Cancellation) throws(ApplianceError) {
        let (old, hadFailed) = loop.sync { (self.plan, self.following.failure != nil) }
        try take(plan, folder: folder)
        if !plan.differentFiles(from: old).isEmpty {
            try runReload(plan, cancellation)
            try admit()
        }
        let isOther = plan.process.after != old.process.after
        guard hadFailed || isOther else { return }
        loop.sync {
            // Nothing ran in it until now, so it has waited for nothing.
            if old.process.isNothing, !plan.process.isNothing { self.own = .ready }
            self.following.wanted += 1
            self.settle()
        }
        try follow(cancellation)
    }

    private func runReload(_ plan: NodePlan, _ cancellation: Cancellation) throws(ApplianceError) {
        guard let command = plan.process.reload else { return }
        try runReload(command, cancellation)
    }

    /// Runs a command that makes its application read a file.
    ///
    /// - Throws: `ApplianceError` with what it printed if it fails, or if `cancellation` is raised.
    package func runReload(_ command: String, _ cancellation: Cancellation) throws(ApplianceError) {
        try run(command, "its reload", [:], cancellation)
    }

    /// Runs a command that says whether its application would take other contents of one of its files.
    ///
    /// - Parameter path: The file.
    /// - Throws: `ApplianceError` with what it printed if it fails, or if `cancellation` is raised.
    package func runCheck(
        _ command: String, of contents: [UInt8], for path: String, _ cancellation: Cancellation
    ) throws(ApplianceError) {
        let candidate = try putCandidate(contents, for: path)
        defer { removeCandidate() }
        try run(command, "its check", ["TAPLINE_CANDIDATE": candidate], cancellation)
    }

    private func run(
        _ command: String, _ what: String, _ variables: [String: String], _ cancellation: Cancellation
    ) throws(ApplianceError) {
        var (entrance, node) = try enter()
        entrance.environment.merge(variables) { $1 }
        let outcome = try CommandRun.captured(
            command, in: entrance, node: node, timeout: readyTimeout, cancellation: cancellation)
        try cancellation.check()
        guard outcome.end != .exited(0) else { return }
        let lines = outcome.text.split(whereSeparator: \.isNewline).suffix(20).map(String.init)
        throw ApplianceError(
            .failed,
            "\(place): \(what) \(outcome.end?.summary ?? "did not end within \(seconds(readyTimeout))"): \(command)",
            details: lines)
    }

    /// Ends everything in the node, and waits for it without holding up the loop.
    package func end() {
        let processes = loop.sync {
            self.close()
            return self.programs.compactMap(\.process)
                + [self.process, self.container?.keeper, self.initProcess].compactMap { $0 }
        }
        // Its init ends only when the last process of the node has been reaped.
        for process in processes where process.waitForEnd(within: .seconds(5)) { _ = try? process.statusIfEnded() }
        loop.sync { self.finish() }
    }
}
