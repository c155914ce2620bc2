import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Wire

/// Asks a container engine where a container is.
enum ContainerLookup {
    /// How long an engine may take for its answer.
    private static let patience = Duration.seconds(20)
    private static let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    /// The first process of a running container, as this process counts.
    ///
    /// - Throws: `ApplianceError` if the engine is not installed or does not know the container, or if that does not run.
    static func process(
        of name: String, by engine: ContainerEngine, for node: String
    ) throws(ApplianceError) -> Int32 {
        let word = engine.rawValue
        let programs: [String] = folders.map { "\($0)/\(word)" }
        guard let program = programs.first(where: { access($0, X_OK) == 0 }) else {
            throw ApplianceError(
                .machine, "\(node): \(word) is not installed, so the container \(name) cannot be found",
                hint:
                    "install \(engine == .podman ? "podman" : "docker.io"), or name the namespace: `namespace` or `pid`"
            )
        }
        let (status, output) = try run(
            program, ["container", "inspect", "--format", "{{.State.Running}} {{.State.Pid}}", name], node)
        let lines = output.split(separator: "\n").map(String.init)
        guard status == .exited(0), let words = lines.last?.split(separator: " "), words.count == 2 else {
            throw ApplianceError(
                .machine, "\(node): \(word) knows no container \(name)",
                hint: "start it first; '\(word) ps --all' lists those that there are", details: lines)
        }
        guard words[0] == "true", let pid = Int32(words[1]), pid > 1 else {
            throw ApplianceError(
                .machine, "\(node): the container \(name) does not run", hint: "'\(word) start \(name)' starts it")
        }
        return pid
    }

    private static func run(
        _ program: String, _ arguments: [String], _ node: String
    ) throws(ApplianceError) -> (ProcessExit, String) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        do throws(SystemError) {
            defer { close(ends[1]) }
            // Where an engine keeps its containers follows from these.
            let names = ["HOME", "PATH", "USER", "LANG", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "DOCKER_HOST"]
            var environment = (names + ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DOCKER_CONFIG"])
                .compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
            if getenv("PATH") == nil { environment.append("PATH=\(folders.joined(separator: ":"))") }
            let command = Command(
                program, arguments: [program] + arguments, environment: environment, workingDirectory: "/",
                descriptors: [1: ends[1], 2: ends[1]], diesWithParent: true)
            let child = try ProcessLauncher.spawn(command)
            close(ends[1])
            ends[1] = -1
            return try finish(child, ends[0])
        } catch {
            throw ApplianceError(.machine, "\(node): \(error)")
        }
    }

    private static func finish(_ child: Pidfd, _ output: Int32) throws(SystemError) -> (ProcessExit, String) {
        let deadline = monotonicTime() + patience
        var bytes: [UInt8] = []
        while bytes.count < 1 << 16, pollOne(output, POLLIN, within: deadline - monotonicTime()) {
            guard let read = readOnce(output), !read.isEmpty else { break }
            bytes += read
        }
        if !child.waitForEnd(within: max(.zero, deadline - monotonicTime())) { try child.signal(SIGKILL) }
        return (try child.wait(), String(decoding: bytes, as: UTF8.self))
    }
}
