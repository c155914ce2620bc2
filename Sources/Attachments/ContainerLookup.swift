import LinuxNetwork
import Plan
import Reporting

/// Asks a container engine where a container is.
enum ContainerLookup {
    /// The first process of a running container, as this process counts.
    ///
    /// - Throws: `ApplianceError` if the engine is not installed or does not know the container, or if that does not run.
    static func process(
        of name: String, by engine: ContainerEngine, for node: String
    ) throws(ApplianceError) -> Int32 {
        let word = engine.rawValue
        guard let program = ContainerProgram(engine) else {
            throw ApplianceError(
                .machine, "\(node): \(word) is not installed, so the container \(name) cannot be found",
                hint:
                    "install \(engine == .podman ? "podman" : "docker.io"), or name the namespace: `namespace` or `pid`"
            )
        }
        let answer: (end: ProcessExit, lines: [String])
        do throws(SystemError) {
            answer = try program.ask(["container", "inspect", "--format", "{{.State.Running}} {{.State.Pid}}", name])
        } catch {
            throw ApplianceError(.machine, "\(node): \(error)")
        }
        guard answer.end == .exited(0), let words = answer.lines.last?.split(separator: " "), words.count == 2 else {
            throw ApplianceError(
                .machine, "\(node): \(word) knows no container \(name)",
                hint: "start it first; '\(word) ps --all' lists those that there are", details: answer.lines)
        }
        guard words[0] == "true", let pid = Int32(words[1]), pid > 1 else {
            throw ApplianceError(
                .machine, "\(node): the container \(name) does not run", hint: "'\(word) start \(name)' starts it")
        }
        return pid
    }
}
