import Glibc
import LinuxNetwork
import Reporting

extension Doctor {
    /// Whether a node sees the machine's files as `filesystem: machine` says. A node's first process is started, and ended.
    func nodeFiles() -> Finding {
        var view = NodeView()
        view.keepsMachine = false
        var refused: [String] = []
        do throws(SystemError) {
            let node = try ProcessLauncher.startInit(in: .current(), view: view) { refused = $0 }
            try? node.signal(SIGKILL)
            _ = try? node.wait()
        } catch {
            return Finding(
                "node files", .warn, "nodes cannot see the machine's files read-only: \(error)",
                hint: "write `filesystem: shared` at the top of topology files")
        }
        guard refused.isEmpty else {
            return Finding(
                "node files", .warn,
                "the kernel refuses private layers over \(refused.joined(separator: ", ")): nodes cannot write there",
                hint: "load the module overlay, or write `filesystem: shared` for nodes that need to")
        }
        return Finding(
            "node files", .ok, "nodes see the machine's files read-only, with /etc, /var, /root and /tmp of their own")
    }
}
