/// One of several programs of a node: supervised by itself, with a log of its own.
public struct ProgramPlan: Sendable, Hashable {
    /// Its name in the file.
    public var name: String
    /// The shell command.
    public var run: String
    /// When it counts as ready.
    public var ready = ReadinessPlan.started
    /// How long it may take to become ready, in milliseconds.
    public var readyTimeout = 30_000
    /// The reaction to its end.
    public var restart = RestartPolicy.onFailure
    /// The programs of the same node that must be ready before it starts.
    public var depends: [String] = []
    /// Variables beside those of the node.
    public var environment: [String: String] = [:]
    /// Who it is, and what it may do; what is nil here is as the node has it.
    public var confinement = ConfinementPlan()

    /// A program that is ready when it has been started.
    public init(name: String, run: String) {
        self.name = name
        self.run = run
    }
}

extension ProcessPlan {
    /// True if a command stays in the node that could be restarted.
    public var hasPrograms: Bool { run != nil || !programs.isEmpty }

    /// True if nothing has to run in the node.
    public var isNothing: Bool { setup.isEmpty && after.isEmpty && !hasPrograms }

    /// The programs in the order of their starts: all of a list start side by side, when those of the lists before are
    /// ready.
    public var programLevels: [[ProgramPlan]] {
        var levels: [[ProgramPlan]] = []
        var left = programs
        while !left.isEmpty {
            let waiting = Set(left.map(\.name))
            let level = left.filter { program in !program.depends.contains(where: waiting.contains) }
            // The file's reader refuses circles.
            guard !level.isEmpty else { return levels + [left] }
            levels.append(level)
            left.removeAll { program in level.contains { $0.name == program.name } }
        }
        return levels
    }

    /// The process of one program in its node.
    package func alone(_ program: ProgramPlan) -> ProcessPlan {
        var process = ProcessPlan(
            run: program.run, ready: program.ready, readyTimeout: program.readyTimeout, restart: program.restart,
            environment: environment.merging(program.environment) { $1 })
        process.confinement = program.confinement.within(confinement)
        return process
    }
}
