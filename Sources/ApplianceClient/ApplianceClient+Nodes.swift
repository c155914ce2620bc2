import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting

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

    /// The way into a node, and its init process.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, or if it has no such node.
    package func entrance(to node: String) throws(ApplianceError) -> (NodeEntrance, Pidfd) {
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
}
