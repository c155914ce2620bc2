import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting

/// The programs of Tapline itself, and the programs that a topology's commands name.
extension Doctor {
    /// The subject of findings about programs that files name.
    static let programsSubject = "programs"

    func engine() -> Finding {
        let path: String
        do throws(ApplianceError) { path = try Machine.enginePath() } catch {
            return Finding("engine", .fail, error.message, hint: error.hint)
        }
        guard let line = Self.firstLine(of: path, "--version") else {
            return Finding(
                "engine", .fail, "\(path) does not tell its version", hint: "install both programs of one release")
        }
        guard line == "tapline-engine \(Machine.version)" else {
            return Finding(
                "engine", .fail, "\(path) says '\(line)', and this is tapline \(Machine.version)",
                hint: "install both programs of one release, or name the right one with TAPLINE_ENGINE")
        }
        return Finding("engine", .ok, "\(path), version \(Machine.version)")
    }

    /// The first line that a program prints, within two seconds; nil if it prints none.
    private static func firstLine(of path: String, _ argument: String) -> String? {
        do {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { return nil }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            defer { close(ends[0]) }
            let child = try ProcessLauncher.spawn(
                Command(path, arguments: ["tapline-engine", argument], descriptors: [1: ends[1]], diesWithParent: true))
            close(ends[1])
            let outcome = CommandRun.finish(
                child, output: ends[0], timeout: .seconds(2), cancellation: try Cancellation())
            return outcome.text.split(separator: "\n").first.map(String.init)
        } catch {
            return nil
        }
    }

    // MARK: - Of a file

    func programs(_ plan: AppliancePlan?) -> [Finding] {
        var findings: [Finding] = []
        if find("sh", nil) == nil {
            findings.append(
                Finding("sh", .fail, "there is no sh, but commands of a file need it", hint: "install dash or bash")
            )
        }
        guard let plan else {
            let optional = ["ip", "nft"].filter { find($0, nil) == nil }
            findings.append(
                optional.isEmpty
                    ? Finding(
                        Self.programsSubject, .ok, "sh, ip and nft are there; give a FILE to check its programs, too")
                    : Finding(
                        Self.programsSubject, .warn,
                        "many topologies need programs that are not installed: "
                            + optional.joined(separator: ", "), hint: "install iproute2 and nftables"))
            return findings
        }
        var sought: [String: String] = [:]
        for (place, command) in commands(of: plan) {
            for program in ShellPrograms.named(in: command) where sought[program] == nil { sought[program] = place }
        }
        let missing = sought.filter { find($0.key, plan.directory) == nil }.sorted { $0.key < $1.key }
        findings += missing.map { program, place in
            Finding(
                Self.programsSubject, .fail, "\(place) runs '\(program)', which is not installed",
                hint: "install \(program)")
        }
        if missing.isEmpty {
            let names = sought.keys.sorted().joined(separator: ", ")
            findings.append(
                Finding(Self.programsSubject, .ok, names.isEmpty ? "the file names none" : "all are there: \(names)"))
        }
        return findings
    }

    /// The shell commands of a file, each with its place.
    private func commands(of plan: AppliancePlan) -> [(place: String, command: String)] {
        var commands: [(String, String)] = []
        for node in plan.nodes {
            let place = node.place
            commands += node.process.setup.map { (place, $0) }
            if let run = node.process.run { commands.append((place, run)) }
            if case .command(let command) = node.process.ready { commands.append((place, command)) }
            for program in node.process.programs {
                commands.append((place, program.run))
                if case .command(let command) = program.ready { commands.append((place, command)) }
            }
            commands += node.process.after.map { (place, $0) }
        }
        for check in plan.checks {
            for step in check.steps.flatMap(\.withInnerSteps) {
                switch step.action {
                case .command(let command, _), .start(_, let command):
                    commands.append(("the check '\(check.name)' (\(step.origin))", command.command))
                case .finish, .log, .entry, .interface, .drops, .packet, .path, .outage, .wait, .capture, .captured,
                    .instance, .event, .fault:
                    break
                }
            }
        }
        return commands
    }

    /// The path of a program, as a node's shell finds it; nil if it is not installed.
    private func find(_ program: String, _ directory: String?) -> String? {
        if program.contains("/") {
            let path = program.hasPrefix("/") ? program : "\(directory ?? ".")/\(program)"
            return access(path, X_OK) == 0 ? path : nil
        }
        return ProcessPlan.path.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }
}
