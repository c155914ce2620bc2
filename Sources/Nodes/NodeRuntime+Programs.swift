import ControlAPI
import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Synchronization

/// The programs of a node beside its `run` command. Each has a runtime of its own, which differs from a node's in that it
/// lives in the node's init.
extension NodeRuntime {
    /// The subject of sentences about its process.
    package var subject: String { program.map { "its program \($0)" } ?? "its application" }

    /// The processes of its `run` command and of its programs, and those of its container.
    package var programPids: Set<Int32> {
        loop.sync { Set(([self] + self.programs).compactMap { $0.process?.pid } + self.containerProcesses) }
    }

    /// Where the log of one of its programs is; nil for its `run` command's. nil if that has none yet.
    package func logPlace(of program: String?) -> LogPlace? {
        loop.sync {
            let writer = program == nil ? self : self.programs.first { $0.program == program }
            return writer?.log?.written
        }
    }

    func readinessProbe(_ entrance: NodeEntrance, _ node: Pidfd) -> ReadinessProbe {
        ReadinessProbe(
            plan: plan.process.ready, namespace: namespace, entrance: entrance, node: node,
            container: plan.process.ready == .started ? containerReadiness() : nil
        ) { [weak self] program in self?.logPlace(of: program) }
    }

    /// The state of all of it. On the loop's thread.
    var whole: State {
        guard own == .ready || own == .idle else { return own }
        if let held = programs.first(where: { $0.own != .ready }) {
            return held.own == .waiting || held.own == .setup ? .starting : held.own
        }
        guard own == .ready, !plan.process.after.isEmpty else { return own }
        return following.failure != nil ? .failed : following.isDone ? .ready : .starting
    }

    /// The runtime of a program; it starts nothing yet.
    func runtime(_ program: ProgramPlan) -> NodeRuntime {
        let made = NodeRuntime(
            plan: plan.alone(program), folder: folder, directory: directory, loop: loop, namespace: namespace,
            record: record, program: program.name, of: self)
        made.ended = { [weak self] in self?.ended?($0, $1) }
        made.ranOut = { [weak self] in self?.ranOut?($0, $1) }
        made.restarted = { [weak self] in self?.restarted?($0, $1) }
        return made
    }

    /// Does something with every program, in a thread of the caller's: those that others depend on first, and side by
    /// side what can be.
    func eachProgram(
        _ body: @escaping @Sendable (NodeRuntime) throws(ApplianceError) -> Void
    ) throws(ApplianceError) {
        let (programs, levels) = loop.sync { (self.programs, self.plan.process.programLevels) }
        for level in levels {
            let runtimes = level.compactMap { plan in programs.first { $0.program == plan.name } }
            try inParallel(runtimes.count, width: 16) { index throws(ApplianceError) in try body(runtimes[index]) }
        }
    }

    // MARK: - Another plan

    /// Its programs know their part of the plan. On the loop's thread.
    func adoptPrograms() {
        loop.preconditionCurrent()
        for runtime in programs {
            guard let program = plan.process.programs.first(where: { $0.name == runtime.program }) else { continue }
            runtime.adopt(plan.alone(program), names: [], folder: folder)
        }
    }

    /// Ends the programs that another plan does not have, and makes those that it has beside. In a thread of the
    /// caller's.
    func exchangePrograms(for plan: NodePlan) {
        let names = Set(plan.process.programs.map(\.name))
        let gone = loop.sync {
            let gone = self.programs.filter { !names.contains($0.program ?? "") }
            for runtime in gone { runtime.close() }
            self.programs = plan.process.programs.map { program in
                self.programs.first { $0.program == program.name } ?? self.runtime(program)
            }
            return gone
        }
        for runtime in gone {
            if let process = loop.sync({ runtime.process }) { CommandRun.end(process) }
            // What they have left would hold the ports of those that come.
            let marks = runtime.runs.withLock { $0 }
            if let node = currentInit, !node.hasEnded { _ = ProcessMark.end(marks, in: node.pid) }
            loop.sync { runtime.finish() }
        }
    }
}

extension NodePlan {
    /// The node with one of its programs as its only process.
    fileprivate func alone(_ program: ProgramPlan) -> NodePlan {
        var node = self
        node.process = process.alone(program)
        return node
    }
}
