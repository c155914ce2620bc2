import Attachments
import CLinux
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// The container that is a node's application.
///
/// `podman run` is the process of the `run` command: what the container prints goes to the log, and it ends as the container
/// ends. But the container is no child of it, and would live on without it. So a keeper stands beside each start: a process
/// that removes the container when the control process lets go of it, or has ended, however that was.
struct NodeContainer {
    /// The process that removes the container.
    let keeper: Pidfd
    /// As long as this process holds this, the container may live. The keeper has the other end.
    var leash: Int32?
}

extension NodeRuntime {
    /// How long an image may take to come from its registry.
    private static let fetchPatience = Duration.seconds(1800)
    /// How long the engine may take to remove a container.
    private static let removalPatience = Duration.seconds(20)

    private var engine: ContainerProgram {
        get throws(ApplianceError) {
            guard let engine = ContainerProgram(.podman) else {
                throw ApplianceError(
                    .machine, "\(place): podman is not installed, and runs its image", hint: "install podman")
            }
            return engine
        }
    }

    // MARK: - The image

    /// Gets the image as its `pull` says. In a thread of the caller's.
    func fetchImage(of plan: NodePlan, _ cancellation: Cancellation) throws(ApplianceError) {
        guard program == nil, let image = plan.image else { return }
        let engine = try engine
        let isThere = try run(engine, ["image", "exists", image.name], nil, cancellation) == .exited(0)
        switch image.pull {
        case .never where !isThere:
            throw ApplianceError(
                .machine, "\(place): there is no image \(image.name) on this machine, and `pull` is never",
                hint: "'podman pull \(image.name)' fetches it, or write `pull: missing`")
        case .missing where isThere, .never: return
        case .missing, .always: break
        }
        let log = try loop.sync { () throws(ApplianceError) in try self.openLog() }
        let end = try run(engine, ["pull", image.name], log, cancellation)
        guard end != .exited(0) else { return }
        let lines = loop.sync { log.tail(lines: 10) }
        throw ApplianceError(
            .failed, "\(place): the image \(image.name) was not fetched: podman \(end?.summary ?? "took too long")",
            hint: "'podman pull \(image.name)' shows it by itself; an image that is made here needs `pull: never`",
            details: lines)
    }

    private func run(
        _ engine: ContainerProgram, _ arguments: [String], _ log: OutputLog?, _ cancellation: Cancellation
    ) throws(ApplianceError) -> ProcessExit? {
        let child: Pidfd
        do throws(SystemError) {
            child = try ProcessLauncher.spawn(
                engine.command(arguments, output: log?.writeEnd, environment: ContainerProgram.fetchingEnvironment))
        } catch {
            throw ApplianceError(.failed, "\(place): \(error)")
        }
        let outcome = CommandRun.finish(
            child, output: nil, timeout: Self.fetchPatience, cancellation: cancellation)
        try cancellation.check()
        return outcome.end
    }

    // MARK: - Its life

    /// Starts a container. What an earlier start has left is gone.
    func startContainer(
        of image: ContainerImagePlan, _ log: OutputLog
    ) throws(ApplianceError) -> Pidfd {
        let engine = try engine
        for what in ["id", "pid"] { unlink(directory.containerPath(plan.name, what)) }
        let keeper = try startKeeper(engine)
        loop.sync {
            self.container = keeper
            log.begin()
            self.following.wanted += 1
        }
        do throws(SystemError) {
            return try ProcessLauncher.spawn(
                engine.command(
                    ["run"] + options(of: image) + ["--", image.name] + image.command, output: log.writeEnd))
        } catch {
            throw ApplianceError(.failed, "\(place): \(error)")
        }
    }

    private func startKeeper(_ engine: ContainerProgram) throws(ApplianceError) -> NodeContainer {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { Glibc.close(ends[0]) }
        let removal =
            [engine.path] + ContainerProgram.removal + ["--cidfile", directory.containerPath(plan.name, "id")]
        do throws(SystemError) {
            var command = Command(
                "/bin/sh", arguments: ["sh", "-c", "read -r line <&3; exec \"$@\"", "sh"] + removal,
                environment: ContainerProgram.environment, workingDirectory: "/", descriptors: [3: ends[0]])
            command.memoryScore = MemoryRank.application.score
            let keeper = try ProcessLauncher.spawn(command)
            if let process = RecordedProcess(pid: keeper.pid, what: "keeper of the container of \(plan.name)") {
                record(process)
            }
            return NodeContainer(keeper: keeper, leash: ends[1])
        } catch {
            Glibc.close(ends[1])
            throw ApplianceError(.failed, "\(place): \(error)")
        }
    }

    /// Lets the keeper remove the container. On the loop's thread.
    func letGoOfContainer() {
        loop.preconditionCurrent()
        guard let leash = container?.leash else { return }
        Glibc.close(leash)
        container?.leash = nil
    }

    /// Waits until the keeper has removed the container. On the loop's thread, after `letGoOfContainer`.
    func finishContainer() {
        loop.preconditionCurrent()
        guard let keeper = container?.keeper else { return }
        if keeper.waitForEnd(within: Self.removalPatience) { _ = try? keeper.statusIfEnded() }
        container = nil
    }

    /// Removes the container, and returns when it is gone. In a thread of the caller's.
    ///
    /// - Throws: `ApplianceError` if the engine does not remove it.
    func endContainer() throws(ApplianceError) {
        let keeper: Pidfd? = loop.sync {
            self.letGoOfContainer()
            return self.container?.keeper
        }
        guard let keeper else { return }
        let end = keeper.waitForEnd(within: Self.removalPatience) ? try? keeper.statusIfEnded() : nil
        loop.sync { if self.container?.keeper === keeper { self.container = nil } }
        // Without its file there was no container.
        guard end != .exited(0), access(directory.containerPath(plan.name, "id"), F_OK) == 0 else { return }
        throw ApplianceError(
            .failed, "podman did not remove the container of the earlier run: it \(end?.summary ?? "took too long")",
            hint: "'podman ps --all' shows it")
    }

    // MARK: - How it is run

    private func options(of image: ContainerImagePlan) -> [String] {
        var options = [
            "--rm", "--name", plan.namespace, "--pull", "never", "--log-driver", "none",
            "--network", "ns:/run/netns/\(plan.namespace)",
            "--hostname", DerivedNames.node(plan.name), "--no-hosts",
            "--cidfile", directory.containerPath(plan.name, "id"),
            "--pidfile", directory.containerPath(plan.name, "pid"),
            "--label", "\(ContainerProgram.topologyLabel)=\(directory.folder)",
            "--label", "\(ContainerProgram.nodeLabel)=\(plan.name)",
        ]
        var volumes = [
            "\(directory.hostsPath(plan.name)):/etc/hosts:ro",
            "\(directory.resolverPath(plan.name)):/etc/resolv.conf:ro",
            "\(directory.nodePath(plan.name)):\(directory.nodePath(plan.name))",
            "\(directory.sharePath):\(directory.sharePath)",
        ]
        for file in plan.files where file.isAbsolute {
            volumes.append("\(directory.keptFilePath(plan.name, file.path)):\(file.path)")
        }
        volumes += image.mounts.map { "\($0.source):\($0.target)\($0.isWritable ? "" : ":ro")" }
        options += volumes.flatMap { ["--volume", $0] }
        options += confinementOptions
        for (name, value) in environment.sorted(by: { $0.key < $1.key })
        where name.hasPrefix("TAPLINE_") || plan.process.environment[name] != nil {
            options += ["--env", "\(name)=\(value)"]
        }
        return options
    }

    private var confinementOptions: [String] {
        let confinement = plan.process.confinement
        var options: [String] = []
        if let user = confinement.user {
            options += ["--user", confinement.group.map { "\(user):\($0)" } ?? user]
        }
        if let capabilities = confinement.capabilities {
            // The kernel may know fewer than have names.
            options +=
                capabilities == .all
                ? ["--cap-add", "all"] : ["--cap-drop", "all"] + capabilities.names.flatMap { ["--cap-add", $0] }
        }
        let limits = confinement.limits
        if let memory = limits.memory { options += ["--memory", "\(memory)b"] }
        if let processor = limits.processor {
            let hundredths = String(processor % 100)
            options += ["--cpus", "\(processor / 100).\(hundredths.count == 1 ? "0" : "")\(hundredths)"]
        }
        if let processes = limits.processes { options += ["--pids-limit", "\(processes)"] }
        if let files = limits.files { options += ["--ulimit", "nofile=\(files):\(files)"] }
        return options
    }

    // MARK: - Its processes

    /// The container's first process, as the machine counts; nil while there is none.
    package var containerProcess: Int32? {
        guard program == nil, plan.image != nil,
            let bytes = readFile(directory.containerPath(plan.name, "pid"), limit: 32),
            let pid = Int32(String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self)), processStartTime(pid) != nil
        else { return nil }
        // Another process may have the number by now.
        var info = stat()
        guard stat("/proc/\(pid)/ns/net", &info) == 0, namespace.identity == UInt64(info.st_ino) else { return nil }
        return pid
    }

    /// The processes of the container, as the machine counts. It has a PID namespace of its own.
    var containerProcesses: [Int32] {
        containerProcess.map { [$0] + NodeProcesses.all(of: $0) } ?? []
    }

    /// Every process of the node but its init, as the machine counts.
    package var members: [Int32] {
        (currentInit.map { NodeProcesses.all(of: $0.pid) } ?? []) + containerProcesses
    }

    /// What tells that the container is ready, if the file does not say it; nil: it is no container.
    func containerReadiness() -> ContainerReadiness? {
        guard program == nil, plan.image != nil, let engine = ContainerProgram(.podman) else { return nil }
        return ContainerReadiness(engine: engine, file: directory.containerPath(plan.name, "id")) { [weak self] in
            self?.containerProcess != nil
        }
    }
}

/// Looks whether a container has come up: it runs, and the health check of its image, if that has one, succeeds.
struct ContainerReadiness {
    let engine: ContainerProgram
    /// The file that has its ID.
    let file: String
    let runs: @Sendable () -> Bool

    /// True if it is ready now.
    func holds(timeout: Duration, _ cancellation: Cancellation) throws(ApplianceError) -> Bool {
        guard runs(), let bytes = readFile(file, limit: 128) else { return false }
        let name = String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self)
        let asked = try CommandRun.captured(node: nil, timeout: timeout, cancellation: cancellation) {
            engine.command(["container", "inspect", "--format", "{{json .Config.Healthcheck}}", name], output: $0)
        }
        guard asked.end == .exited(0) else { return false }
        guard asked.text.contains("{") else { return runs() }
        let checked = try CommandRun.captured(node: nil, timeout: timeout, cancellation: cancellation) {
            engine.command(["healthcheck", "run", name], output: $0)
        }
        return checked.end == .exited(0)
    }
}
