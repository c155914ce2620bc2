import Glibc
import LinuxNetwork
import Plan
import Reporting

/// The programs that the shell commands of a file name, each looked for where its node finds programs.
struct CommandPrograms {
    /// A shell command, and the node whose shell runs it.
    private struct Command {
        var place: String
        var text: String
        var node: NodePlan?
    }

    /// A program, and the root directory in which it is looked for; nil: the machine's.
    private struct Sought: Hashable {
        var program: String
        var root: String?
    }

    private let plan: AppliancePlan
    private let nodes: [String: NodePlan]

    init(_ plan: AppliancePlan) {
        self.plan = plan
        nodes = Dictionary(plan.nodes.map { ($0.name, $0) }) { first, _ in first }
    }

    /// A finding for each program that is missing; else one that lists them.
    var findings: [Doctor.Finding] {
        var (sought, missing): (Set<Sought>, [Doctor.Finding]) = ([], [])
        for command in commands {
            let root = command.node?.root
            for program in ShellPrograms.named(in: command.text)
            where sought.insert(Sought(program: program, root: root)).inserted && !isFound(program, command.node) {
                missing.append(
                    Doctor.Finding(
                        Doctor.programsSubject, .fail,
                        "\(command.place) runs '\(program)', which is not installed" + (root.map { " in \($0)" } ?? ""),
                        hint: "install \(program)" + (root == nil ? "" : " there")))
            }
        }
        guard missing.isEmpty else { return missing.sorted { $0.message < $1.message } }
        let names = Set(sought.map(\.program)).sorted().joined(separator: ", ")
        return [
            Doctor.Finding(
                Doctor.programsSubject, .ok, names.isEmpty ? "the file names none" : "all are there: \(names)")
        ]
    }

    // MARK: - Which

    private var commands: [Command] {
        plan.nodes.flatMap(commands(of:)) + plan.applications.flatMap(commands(of:))
            + plan.checks.flatMap(commands(of:))
    }

    private func commands(of node: NodePlan) -> [Command] {
        let process = node.process
        var texts = process.setup
        let run = process.guest == nil ? process.run : nil
        for (ready, run) in process.programs.map({ ($0.ready, Optional($0.run)) }) + [(process.ready, run)] {
            if let run { texts.append(run) }
            if case .command(let command) = ready { texts.append(command) }
        }
        texts += process.after
        if let reload = process.reload { texts.append(reload) }
        return texts.map { Command(place: node.place, text: $0, node: node) }
    }

    private func commands(of application: ApplicationPlan) -> [Command] {
        application.health.flatMap { check -> [Command] in
            application.instances.compactMap { nodes[$0.node] }.compactMap { node in
                guard case .command(let command) = check.of(instance: node.name).probe else { return nil }
                return Command(place: "the health check of \(node.place)", text: command, node: node)
            }
        }
    }

    private func commands(of check: CheckPlan) -> [Command] {
        check.steps.flatMap(\.withInnerSteps).compactMap { step in
            switch step.action {
            case .command(let command, _), .start(_, let command):
                Command(
                    place: "the check '\(check.name)' (\(step.origin))", text: command.command,
                    node: nodes[command.node])
            case .finish, .log, .entry, .interface, .drops, .packet, .path, .outage, .wait, .capture, .captured,
                .instance, .event, .fault, .impair, .mapping, .instruct:
                nil
            }
        }
    }

    // MARK: - Where

    /// True if the node's shell finds a program.
    private func isFound(_ program: String, _ node: NodePlan?) -> Bool {
        // What is in an image shows when it is unpacked.
        if case .image? = node?.filesystem.base { return true }
        if program.contains("/") {
            // The folder of the file has its own path in every node.
            if !program.hasPrefix("/") { return Self.isExecutable("\(plan.directory)/\(program)", below: nil) }
            return isThere(program, node)
        }
        let path = node?.process.environment["PATH"] ?? ProcessPlan.path
        return path.split(separator: ":").contains { isThere("\($0)/\(program)", node) }
    }

    private func isThere(_ path: String, _ node: NodePlan?) -> Bool {
        if let file = node?.files.first(where: { $0.path == path }) { return file.mode & 0o111 != 0 }
        return Self.isExecutable(path, below: node?.root)
    }

    private static func isExecutable(_ path: String, below root: String?) -> Bool {
        guard let root else { return access(path, X_OK) == 0 }
        guard let file = try? ProcessView.open(path, below: root) else { return false }
        return access("/proc/self/fd/\(file.number)", X_OK) == 0
    }
}

extension NodePlan {
    /// The folder that it has as its root directory; nil: the machine's.
    fileprivate var root: String? {
        if case .root(let path) = filesystem.base { path } else { nil }
    }
}
