import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting
import Wire

/// Nodes of a topology: their names, the way into them, commands in them.
extension ApplianceClient {
    /// The names of the nodes, as far as their folders tell.
    ///
    /// - Throws: `ApplianceError` if there is no such topology.
    public func loggedNodes() throws(ApplianceError) -> [String] {
        guard directory.exists else { throw unknown }
        guard let nodes = directory.readState()?.nodes else { return namesInFolder("\(directory.path)/nodes") }
        return nodes.filter { access(directory.nodePath($0), F_OK) == 0 }
    }

    /// The names of a node's programs that have a log.
    ///
    /// - Throws: `ApplianceError` if there is no such topology.
    public func loggedPrograms(of node: String) throws(ApplianceError) -> [String] {
        guard directory.exists else { throw unknown }
        if let known = try? status().nodes.first(where: { $0.name == node }) {
            return known.programs.map(\.name).filter {
                access(directory.outputPath(node, program: $0), F_OK) == 0
            }
        }
        // Without a control process the files tell; short plain names are in them as they are.
        return namesInFolder(directory.nodePath(node)).filter { $0.hasPrefix("output-") && $0.hasSuffix(".log") }
            .map { String($0.dropFirst(7).dropLast(4)) }.sorted()
    }

    /// How long a node of a topology that comes up is waited for.
    private static let patience = Duration.seconds(10)

    /// The way into a node, and its init process. While the topology comes up, this waits until the node is built.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, if it has no such node, or if that is not built in 10 s.
    package func entrance(to node: String) throws(ApplianceError) -> (NodeEntrance, Pidfd) {
        let deadline = monotonicTime() + Self.patience
        while true {
            do throws(ApplianceError) { return try entranceNow(to: node) } catch {
                guard error.status == .failed, monotonicTime() < deadline,
                    directory.readState()?.phase == .starting, TopologyLock.isHeld(directory)
                else { throw error }
                usleep(20_000)
            }
        }
    }

    private func entranceNow(to node: String) throws(ApplianceError) -> (NodeEntrance, Pidfd) {
        let entrance = try asked(NodeRequest(node: node))
        do throws(SystemError) {
            let entered = try Pidfd(pid: entrance.pid)
            guard processStartTime(entrance.pid) == entrance.started else {
                throw SystemError("enter the node", node, errno: ESRCH)
            }
            return (entrance, entered)
        } catch {
            throw ApplianceError(.failed, "node \(node): \(error)")
        }
    }

    /// Runs a command in a node with this process's terminal, and returns its status as a shell does.
    ///
    /// - Throws: `ApplianceError` without the privileges, if the topology is not up, or if it has no such node.
    public func execute(_ words: [String], in node: String) throws(ApplianceError) -> Int32 {
        try Machine.requireRoot()
        let (entrance, entered) = try entrance(to: node)
        let watched = SignalDescriptor.block([SIGTERM, SIGHUP])
        // The terminal sends these to the command, too; its answer to them is what counts.
        for number in [SIGINT, SIGQUIT] { signal(number, SIG_IGN) }
        do throws(SystemError) {
            var variables = entrance.environment
            if let terminal = getenv("TERM") { variables["TERM"] = String(cString: terminal) }
            var command = Command(
                "/bin/sh", arguments: ["sh", "-c", "exec \"$@\"", "tapline"] + words,
                environment: variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" },
                workingDirectory: entrance.directory, descriptors: [0: 0, 1: 1, 2: 2], keepsSession: true,
                diesWithParent: true)
            command.rights = entrance.capabilities.map { ProgramRights(bounding: $0) }
            let child = try ProcessLauncher.spawn(command, node: entered)
            let watcher: @Sendable () -> Void = {
                var (set, number) = (watched, Int32(0))
                while sigwait(&set, &number) == 0 { try? child.signal(number) }
            }
            do throws(ApplianceError) { try startThread(watcher) } catch { _ = error }
            return try child.wait().code
        } catch {
            throw ApplianceError(.failed, "node \(node): \(error)")
        }
    }

    /// Impairs a link, or makes it whole again, and returns when engines do so.
    ///
    /// - Parameters:
    ///   - link: An interface, a node with one device, NODE/INTERFACE or service/NAME; nil: nothing is changed.
    ///   - direction: `to-nodes` or `from-nodes`; nil: both.
    ///   - settings: Keys and values as in the file.
    ///   - clear: Whether nothing happens to its packets from now on.
    /// - Returns: All impaired links.
    /// - Throws: `ApplianceError` if the topology is not up, if it has no such link, or if the settings make no sense.
    public func impair(
        _ link: String?, direction: String? = nil, settings: [String: String] = [:], clear: Bool = false
    ) throws(ApplianceError) -> ImpairReport {
        try asked(ImpairRequest(link: link, direction: direction, settings: settings, clear: clear))
    }
}
