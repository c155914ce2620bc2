import EventLoop
import Fabric
import Glibc
import Plan
import Reporting
import Wire

/// The files and variables of a node's commands.
extension NodeRuntime {
    /// Writes a small file anew.
    func writeSmall(_ path: String, _ text: String) throws(ApplianceError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .storage("cannot write \(path)", errno: errno) }
        defer { Glibc.close(descriptor) }
        guard writeAll(descriptor, Array(text.utf8)) else { throw .storage("cannot write \(path)", errno: errno) }
    }

    /// Its /etc/hosts.
    var hostsText: String {
        var lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
        let own = plan.legs.flatMap(\.addresses).map(\.address)
        let name = HostPlan.name(of: plan.name)
        let hostname = DerivedNames.node(plan.name)
        lines += own.map { "\($0) \(name)" + (hostname == name ? "" : " \(hostname)") }
        lines += plan.hosts.map { "\($0.address) \($0.name)" }
        let known = Set(plan.hosts.map(\.name) + [name, hostname, "localhost"])
        lines += names.filter { !known.contains($0.name) }.map { "\($0.address) \($0.name)" }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Its /etc/resolv.conf.
    var resolverText: String {
        // A resolver reads three at most (resolv.conf(5)).
        plan.nameServers.isEmpty
            ? "# Nothing in the topology resolves names beside /etc/hosts.\n"
            : plan.nameServers.prefix(3).map { "nameserver \($0)\n" }.joined() + "options timeout:2\n"
    }

    /// The variables that its commands get.
    var environment: [String: String] {
        var variables = ["PATH": ProcessPlan.path, "HOME": "/root"]
        variables["TERM"] = "dumb"
        variables["LANG"] = "C.UTF-8"
        for name in ["HOME", "TERM", "LANG"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        variables["TAPLINE_TOPOLOGY"] = directory.name
        variables["TAPLINE_NODE"] = plan.name
        variables["TAPLINE_DIR"] = directory.nodePath(plan.name)
        variables["TAPLINE_SHARE"] = directory.sharePath
        for leg in plan.legs { variables["TAPLINE_\(LegPlan.variable(ofLeg: leg.role))"] = leg.device }
        return variables.merging(plan.process.environment) { $1 }
    }
}
