import Reporting
import TopologyFiles

/// Finds the nodes that others wait for; notes sysctls of devices that nodes do not have.
struct DependencyResolver: NameStage, Diagnosing {
    let named: NamedTopology
    let diagnostics: Diagnostics

    /// For each node: the nodes that it waits for, in the order of the file. Reports nodes that wait for each other.
    func dependencies() -> [[Int]] {
        let edges = file.nodes.map { node in node.depends.flatMap { every($0) } }
        // 1: on the path that is walked, 2: done.
        var state = [Int](repeating: 0, count: file.nodes.count)
        for start in file.nodes.indices where state[start] == 0 {
            var path = [(node: start, next: 0)]
            state[start] = 1
            while let (node, next) = path.last {
                guard next < edges[node].count else {
                    state[node] = 2
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let target = edges[node][next]
                if state[target] == 0 {
                    state[target] = 1
                    path.append((target, 0))
                } else if state[target] == 1, let begin = path.firstIndex(where: { $0.node == target }) {
                    let circle = (path[begin...].map(\.node) + [target]).map { file.nodes[$0].name.value }
                    let where_ = file.nodes[node].depends.first {
                        $0.value == file.nodes[target].name.value || $0.value == shownName(target)
                    }
                    diagnostics.error(
                        where_?.origin ?? file.nodes[node].name.origin,
                        "the nodes wait for each other: \(circle.joined(separator: " → "))",
                        hint: "remove one of the `depends`")
                }
            }
        }
        checkHealth()
        return edges
    }

    /// Reports nodes that are waited for until they are healthy, and that have no checks which could tell that.
    private func checkHealth() {
        for name in file.nodes.flatMap(\.dependsOnHealth) {
            guard let target = nodeIndex[name.value], application(of: target)?.raw.health.isEmpty ?? true else {
                continue
            }
            diagnostics.error(
                name.origin,
                "\(quoted(name.value)) has no health checks, so nothing tells whether it is more than ready",
                hint: "give it `health`, or write `\(name.value): ready`")
        }
    }

    /// Reports sysctls of devices that a node does not have, under any kernel.
    func checkSysctls() {
        for (index, node) in file.nodes.enumerated() where !named.nodes.legs[index].isEmpty {
            let devices = named.nodes.legs[index].map(\.device)
            for (name, position) in node.sysctlPlaces where KernelSettings.isOfUnknownDevice(name, devices: devices) {
                diagnostics.error(
                    position, "\(quoted(name)) is of a device that the node does not have yet when its sysctls are set",
                    hint:
                        "its devices are \((devices + ["lo"]).joined(separator: ", ")); for others write sysctl -w in `setup`"
                )
            }
        }
    }
}
