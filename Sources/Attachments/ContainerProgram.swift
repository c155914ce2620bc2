import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Wire

/// The program of a container engine on this machine, and how it is asked.
package struct ContainerProgram: Sendable {
    /// Which engine it is of.
    package let engine: ContainerEngine
    /// Its absolute path.
    package let path: String

    /// How long an engine may take for an answer.
    private static let patience = Duration.seconds(20)
    private static let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    /// nil if the engine is not installed.
    package init?(_ engine: ContainerEngine) {
        let programs: [String] = Self.folders.map { "\($0)/\(engine.rawValue)" }
        guard let found = programs.first(where: { access($0, X_OK) == 0 }) else { return nil }
        (self.engine, path) = (engine, found)
    }

    /// The variables from which it follows where an engine keeps its containers.
    private static let places = [
        "HOME", "PATH", "USER", "LANG", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "DOCKER_HOST", "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DOCKER_CONFIG",
    ]
    /// The variables from which it follows how images are fetched.
    private static let ways = [
        "CONTAINERS_REGISTRIES_CONF", "REGISTRY_AUTH_FILE", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
        "http_proxy",
        "https_proxy", "no_proxy",
    ]

    /// What an engine gets of this process's environment to find its containers.
    package static var environment: [String] {
        // The engine's own timers for health checks are systemd's. Tapline asks at its own times.
        taken(places) + ["DISABLE_HC_SYSTEMD=true"]
            + (getenv("PATH") == nil ? ["PATH=\(folders.joined(separator: ":"))"] : [])
    }

    /// The same, and what it needs to fetch images.
    package static var fetchingEnvironment: [String] { environment + taken(ways) }

    private static func taken(_ names: [String]) -> [String] {
        names.compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
    }

    /// A process of it, to be started on the machine.
    ///
    /// - Parameters:
    ///   - output: Where it prints; nil: nowhere.
    ///   - environment: Of another run; nil: this process's.
    package func command(_ arguments: [String], output: Int32?, environment: [String]? = nil) -> Command {
        Command(
            path, arguments: [path] + arguments, environment: environment ?? Self.environment, workingDirectory: "/",
            descriptors: output.map { [1: $0, 2: $0] } ?? [:], diesWithParent: true)
    }

    /// Asks it something, and waits for the answer.
    ///
    /// - Throws: The kernel's refusal to start it.
    package func ask(
        _ arguments: [String], environment: [String]? = nil
    ) throws(SystemError) -> (end: ProcessExit, lines: [String]) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SystemError("make a pipe", path, errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        let child: Pidfd
        do throws(SystemError) {
            defer { close(ends[1]) }
            child = try ProcessLauncher.spawn(command(arguments, output: ends[1], environment: environment))
        } catch {
            throw error
        }
        let (end, text) = try Self.finish(child, ends[0])
        return (end, text.split(separator: "\n").map(String.init))
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

/// The containers that Tapline has made. Their labels tell whose they are.
extension ContainerProgram {
    /// The label of every container that Tapline makes. Its value is the folder of the topology.
    package static let topologyLabel = "tapline.topology"
    /// The label whose value is the node.
    package static let nodeLabel = "tapline.node"

    /// What ends and removes containers, whatever state they are in; it is no error if one is not there.
    package static let removal = ["rm", "--force", "--time", "0", "--ignore"]

    /// True if the engine has been used since the machine was started. One that has not has no containers of Tapline's, and
    /// asking it would make its folders.
    package var isUsed: Bool { access("/run/libpod", F_OK) == 0 || access("/run/containers", F_OK) == 0 }

    /// The containers of all topologies: the topology's folder → their IDs.
    ///
    /// - Throws: `ApplianceError` if the engine does not answer.
    package func marked(environment: [String]? = nil) throws(ApplianceError) -> [String: [String]] {
        let format = "{{.ID}} {{index .Labels \"\(Self.topologyLabel)\"}}"
        let lines = try answer(
            ["ps", "--all", "--no-trunc", "--filter", "label=\(Self.topologyLabel)", "--format", format],
            "list its containers", environment)
        var found: [String: [String]] = [:]
        for line in lines {
            let words = line.split(separator: " ")
            guard words.count == 2, words[0].count >= 12, words[0].allSatisfy(\.isHexDigit) else { continue }
            found[String(words[1]), default: []].append(String(words[0]))
        }
        return found
    }

    /// Ends and removes containers.
    ///
    /// - Throws: `ApplianceError` if the engine refuses.
    package func remove(_ containers: [String], environment: [String]? = nil) throws(ApplianceError) {
        guard !containers.isEmpty else { return }
        _ = try answer(Self.removal + containers, "remove the containers of the topology", environment)
    }

    private func answer(
        _ arguments: [String], _ what: String, _ environment: [String]?
    ) throws(ApplianceError) -> [String] {
        let answered: (end: ProcessExit, lines: [String])
        do throws(SystemError) { answered = try ask(arguments, environment: environment) } catch {
            throw ApplianceError(.failed, "\(engine.rawValue) did not \(what): \(error)")
        }
        guard answered.end == .exited(0) else {
            throw ApplianceError(
                .failed, "\(engine.rawValue) did not \(what): it \(answered.end)",
                details: Array(answered.lines.suffix(5)))
        }
        return answered.lines
    }
}
