import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// A node whose devices an operator has taken down.
struct NodeLinks {
    let node: NodeRuntime
    /// Knows what going down costs the devices.
    let watch: NodeWatch
    /// The devices that are down.
    var down: Set<Int32> = []
}

/// What operators do to nodes, as the steps of checks do it. Each works in a thread of its own.
extension ControlProcess {
    /// The node of that name.
    func node(_ name: String) throws(ApplianceError) -> NodeRuntime {
        let (runtimes, plan) = loop.sync { (self.nodes, self.plan) }
        if let node = runtimes.first(where: { $0.plan.name == name }) { return node }
        let isStarting = record.phase == .starting
        guard !isStarting || !plan.nodes.contains(where: { $0.name == name }) else {
            throw ApplianceError(
                .failed, "'\(self.name)' is still coming up: node '\(name)' is not built yet",
                hint: "try again when 'tapline status \(self.name)' says that it is up")
        }
        let names = (isStarting ? plan.nodes : runtimes.map(\.plan)).map(\.name).sorted().joined(separator: ", ")
        throw ApplianceError(.name, "there is no node '\(name)' in '\(self.name)'", hint: "its nodes are: \(names)")
    }

    /// Does something to a node, and returns when it is done.
    ///
    /// - Throws: `ApplianceError` if there is no such node or device, if a change is under way, or if the node's
    ///   application does not become ready again.
    func operate(_ request: NodeOperationRequest) throws(ApplianceError) {
        try changing(ChangeGate.change) { [self] (cancellation) throws(ApplianceError) in
            _ = try running()
            let node = try node(request.node)
            switch request.operation {
            case .kill: try killAll(in: node, sparingApplication: false)
            case .restart:
                guard node.plan.process.hasPrograms else {
                    throw ApplianceError(
                        .failed, "\(request.node) has no application that could be restarted",
                        hint: "'tapline kill' ends what runs there")
                }
                try killAll(in: node, sparingApplication: true)
                try node.bringBack(anew: true, why: "it was restarted by command", cancellation)
            case .stop: signal(SIGSTOP, allIn: node)
            case .continue: signal(SIGCONT, allIn: node)
            case .linkDown, .linkUp:
                try setLink(of: node, try leg(of: node, request.interface), up: request.operation == .linkUp)
            }
        }
    }

    /// Sends a signal to every process in a node. One that has ended meanwhile takes it without a word.
    private func signal(_ number: Int32, allIn node: NodeRuntime) {
        for pid in node.members { try? Pidfd(pid: pid).signal(number) }
    }

    /// Kills the processes in a node, and waits until they have ended.
    ///
    /// - Parameter sparingApplication: Whether the application itself, and its programs, are left to the caller.
    private func killAll(in node: NodeRuntime, sparingApplication: Bool) throws(ApplianceError) {
        let spared = sparingApplication ? node.programPids : []
        let pids = node.members.filter { !spared.contains($0) }
        let processes = pids.compactMap { try? Pidfd(pid: $0) }
        // One that has ended meanwhile takes the signal without a word; root may signal every other.
        for process in processes { try? process.signal(SIGKILL) }
        let deadline = monotonicTime() + .seconds(10)
        for process in processes { _ = process.waitForEnd(within: deadline - monotonicTime()) }
    }

    private func leg(of node: NodeRuntime, _ interface: String?) throws(ApplianceError) -> LegPlan {
        let legs = node.plan.legs
        let names = legs.map(\.interface).map { index in plan.interfaces[index].name }
        guard let interface else {
            guard legs.count == 1 else {
                throw ApplianceError(
                    .usage, "\(node.plan.name) has several devices",
                    hint: "name the interface: \(names.joined(separator: ", "))")
            }
            return legs[0]
        }
        guard let index = names.firstIndex(of: interface) else {
            throw ApplianceError(
                .name, "\(node.plan.name) has no device on the interface '\(interface)'",
                hint: "it has one on \(names.joined(separator: ", "))")
        }
        return legs[index]
    }

    private func setLink(of node: NodeRuntime, _ leg: LegPlan, up: Bool) throws(ApplianceError) {
        let name = node.plan.name
        let links = loop.sync { self.operatedLinks[name] }
        // A node that was built anew has other devices.
        var kept =
            if let links, links.node === node { links } else { NodeLinks(node: node, watch: try NodeWatch(node)) }
        let left: [String]
        do throws(SystemError) {
            let index = try node.namespace.netlink.existingLink(named: leg.device).index
            try kept.watch.change(device: index, up: up) { (netlink) throws(SystemError) in
                try netlink.setLink(index: index, up: up)
            }
            if up { kept.down.remove(index) } else { kept.down.insert(index) }
            left = try up ? kept.watch.restore(except: kept.down) : []
        } catch {
            throw ApplianceError(.failed, "\(node.place): \(error)")
        }
        let now = kept.down.isEmpty ? nil : kept
        loop.sync { self.operatedLinks[name] = now }
        guard left.isEmpty else {
            throw ApplianceError(.failed, "\(name): \(leg.device) is up, but not as it was", details: left)
        }
    }
}
