import EventLoop
import Glibc
import LinuxNetwork

/// A process that lives in a topology's namespace and was not started by it.
public struct ForeignProcess: Hashable, Sendable {
    /// Its number.
    public var pid: Int32
    /// Its name, as ps(1) shows it.
    public var command: String
    /// The namespace's name, as it was.
    public var namespace: String

    /// One sentence with what to do.
    public var sentence: String {
        "process \(pid) (\(command)) still runs in what was the namespace \(namespace); Tapline did not start it, and "
            + "leaves it alone; 'kill \(pid)' ends it, and the namespace with it"
    }
}

/// Looks for processes that outlive a topology in its namespaces. A person has started them with `ip netns exec`, so
/// Tapline does not end them. They keep a namespace without a name alive.
///
/// The namespaces are held open meanwhile, so that no later namespace can be taken for one of them.
package struct ForeignProcesses {
    private let namespaces: [NetworkNamespace]

    /// Opens the namespaces to look for. Namespaces that are gone have no processes.
    package init(of names: [String]) {
        namespaces = names.compactMap { try? NetworkNamespace.open($0) }
    }

    /// The processes that live in them now.
    package func remaining() -> [ForeignProcess] {
        guard !namespaces.isEmpty else { return [] }
        let known = Dictionary(namespaces.map { ($0.identity, $0.name) }) { first, _ in first }
        return namesInFolder("/proc").compactMap { entry in
            guard let pid = Int32(entry), pid != getpid() else { return nil }
            var info = stat()
            guard stat("/proc/\(pid)/ns/net", &info) == 0, let name = known[UInt64(info.st_ino)] else { return nil }
            let command = readFile("/proc/\(pid)/comm", limit: 64).map {
                String(decoding: $0.prefix { $0 != 10 }, as: UTF8.self)
            }
            return ForeignProcess(pid: pid, command: command ?? "?", namespace: name)
        }.sorted { $0.pid < $1.pid }
    }
}
