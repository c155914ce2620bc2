import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Forwarding
import LinuxNetwork
import Nodes
import Plan
import Reporting

/// The nodes of a change: made, started, built anew, taken away.
extension TopologyChange {
    /// A node that is to be started, and how.
    private struct Start {
        enum How {
            case add
            case rebuild
            case restart
            case reload
        }
        var plan: NodePlan
        var how: How
    }

    /// Makes and starts new nodes, then running nodes that change. A node that depends on another waits until that is
    /// ready.
    func startNodes() throws(ApplianceError) {
        var waiting: [Start] = []
        for action in difference.actions {
            let (name, how): (String, Start.How)
            switch action {
            case .add(let node): (name, how) = (node, .add)
            case .rebuild(let node, _): (name, how) = (node, .rebuild)
            case .restart(let node, _): (name, how) = (node, .restart)
            case .reload(let node, _): (name, how) = (node, .reload)
            default: continue
            }
            guard let plan = new.nodes.first(where: { $0.name == name }) else { continue }
            waiting.append(Start(plan: plan, how: how))
        }
        try makeAddedNodes()
        while !waiting.isEmpty {
            let pending = Set(waiting.map(\.plan.name))
            var level = waiting.filter { start in !start.plan.process.depends.contains(where: pending.contains) }
            guard !level.isEmpty else {
                throw ApplianceError(
                    .file, "these nodes depend on each other: \(pending.sorted().joined(separator: ", "))",
                    hint: "remove one 'depends'")
            }
            // New nodes start first: if one fails, no running node has been touched.
            if level.contains(where: { $0.how == .add }) { level.removeAll { $0.how != .add } }
            try begin(level)
            let begun = Set(level.map(\.plan.name))
            waiting.removeAll { begun.contains($0.plan.name) }
        }
        try cancellation.check()
    }

    private func makeAddedNodes() throws(ApplianceError) {
        let nodes = addedNodes
        guard !nodes.isEmpty else { return }
        tell(.step("building \(nodes.map(\.name).joined(separator: ", "))"))
        try introduce(nodes)
        undoing("what was added") { [self] in try remove(nodes) }
        try make(nodes, as: new)
    }

    /// Has the engines know the new nodes by the table in force: their kernels send as soon as their devices are up, and nobody
    /// shall take that for a stranger's frames.
    private func introduce(_ nodes: [NodePlan]) throws(ApplianceError) {
        let macs = Set(nodes.flatMap(\.legs).map(\.mac))
        let known = Set(old.table.sources)
        let sources = during.table.sources.filter { macs.contains($0.mac) && !known.contains($0) }
        guard !sources.isEmpty else { return }
        undoing("the table") { [self] in
            try publish { table in table.sources.removeAll { sources.contains($0) } }
        }
        try publish { table in
            // One of that name may have gone a moment ago.
            table.sources.removeAll { former in
                sources.contains { $0.interface == former.interface && $0.mac == former.mac }
            }
            table.sources += sources
        }
    }

    private func publish(_ change: @escaping (inout ForwardingTable) -> Void) throws(ApplianceError) {
        let changed = Box(change)
        try control.waiting(cancellation) { [control, cause] done in
            control.publisher.change(groupsOnly: false, cause: cause, { changed.value(&$0) }, done: done)
        }
    }

    /// Makes nodes and their runtimes; nothing is started yet.
    private func make(_ nodes: [NodePlan], as plan: AppliancePlan) throws(ApplianceError) {
        try exclusively(nodes) { () throws(ApplianceError) in try build(nodes, as: plan) }
    }

    /// Nothing else happens to attached nodes meanwhile.
    private func exclusively(
        _ nodes: [NodePlan], _ body: () throws(ApplianceError) -> Void
    ) throws(ApplianceError) {
        let watch = control.loop.sync { self.control.attachments }
        guard nodes.contains(where: { $0.attachment != nil }), let watch else { return try body() }
        try watch.exclusively(body)
    }

    private func build(_ nodes: [NodePlan], as plan: AppliancePlan) throws(ApplianceError) {
        let built = try builder(for: plan).add(nodes, to: built())
        let names = plan.hostNames
        let made = control.loop.sync { [control] in
            let runtimes = nodes.compactMap { node in
                built.namespaces[node.name].map {
                    control.runtime(node, names: names, folder: plan.directory, $0)
                }
            }
            control.topology.add(runtimes, built)
            return runtimes
        }
        // Their programs may answer packets before they are ready.
        try control.access.load(made)
    }

    private func begin(_ level: [Start]) throws(ApplianceError) {
        let (control, stop, folder) = (self.control, self.cancellation, new.directory)
        let names = level.map(\.plan.name)
        tell(.step("waiting for \(names.joined(separator: ", "))"))
        for start in level where start.how != .add {
            guard let before = current(start.plan.name) else { continue }
            undoing(place(of: before.name)) { [self] in
                switch start.how {
                case .rebuild:
                    try remove([start.plan], keepingLog: true)
                    try make([before], as: old)
                    try control.node(before.name).removeFiles(of: start.plan)
                    try control.node(before.name).bringUp(cancellation)
                case .reload: try control.node(before.name).reload(as: before, folder: old.directory, cancellation)
                case .restart, .add:
                    try control.node(before.name).restart(as: before, folder: old.directory, cancellation)
                }
                control.loop.sync { [control] in
                    control.nodes.first { $0.plan.name == before.name }?.wait(on: control.cancellation)
                }
            }
        }
        try withdraw(level.filter { $0.how == .rebuild || $0.how == .restart }.map(\.plan.name))
        for start in level where start.how == .rebuild {
            guard let before = current(start.plan.name) else { continue }
            try remove([before], keepingLog: true)
            try make([start.plan], as: new)
            // Its folder stays.
            try control.node(before.name).removeFiles(of: before)
        }
        control.loop.sync { control.topology.note(starting: Set(names), stop) }
        defer { control.loop.sync { control.topology.note(starting: nil, stop) } }
        do throws(ApplianceError) {
            try inParallel(level.count, width: 64) { index throws(ApplianceError) in
                do throws(ApplianceError) {
                    try control.awaitHealth(before: level[index].plan, stop)
                    let node = try control.node(level[index].plan.name)
                    switch level[index].how {
                    case .restart: try node.restart(as: level[index].plan, folder: folder, stop)
                    case .reload: try node.reload(as: level[index].plan, folder: folder, stop)
                    case .add, .rebuild: try node.bringUp(stop)
                    }
                } catch {
                    // The other nodes can stop: the whole change is about to be taken back.
                    stop.raise(error)
                    throw error
                }
            }
        } catch {
            throw stop.reason ?? error
        }
        // From now on the end of the topology ends their waits, not the end of this change.
        control.loop.sync {
            for node in control.nodes where names.contains(node.plan.name) { node.wait(on: control.cancellation) }
        }
    }

    /// Ends all processes of nodes and takes the nodes away, with their namespaces and files.
    ///
    /// - Parameter keepingLog: True if a node of the same name comes in its place.
    private func remove(_ nodes: [NodePlan], keepingLog: Bool = false) throws(ApplianceError) {
        var failure: ApplianceError?
        for node in nodes {
            do throws(ApplianceError) {
                try exclusively([node]) { () throws(ApplianceError) in try removeOne(node, keepingLog) }
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }

    private func removeOne(_ node: NodePlan, _ keepingLog: Bool) throws(ApplianceError) {
        let there = try built()
        let runtime = control.loop.sync { self.control.nodes.first { $0.plan.name == node.name } }
        runtime?.end()
        try builder(for: old).removeLegs(of: node, from: there)
        if there.namespaces[node.name] != nil, node.attachment == nil {
            do throws(SystemError) {
                try ignoringAbsence { () throws(SystemError) in try NetworkNamespace.delete(node.namespace) }
            } catch {
                throw ApplianceError(.failed, "cannot take away the namespace \(node.namespace): \(error)")
            }
        }
        control.loop.sync { [control] in
            control.topology.remove(runtime, named: node.name)
        }
        if !keepingLog { control.directory.removeNode(node.name) }
    }

    /// Takes the nodes away that the new plan does not have.
    func removeNodes() {
        guard !removed.isEmpty else { return }
        tell(.step("removing \(removed.map(\.name).joined(separator: ", "))"))
        for node in removed {
            note(place(of: node.name)) { try remove([node]) }
        }
    }

    // MARK: - Instances

    /// Lets removed instances keep their flows for a time, and get no new ones.
    func withdrawRemoved() throws(ApplianceError) {
        let names = removed.map(\.name).filter(isInstance)
        guard time.drain > .zero, !names.isEmpty else { return }
        tell(.step("draining \(names.joined(separator: ", "))"))
        for name in names {
            undoing(place(of: name)) { [self] in try control.operate(.undrain, on: name, cancellation) }
            try control.operate(.drain(for: Milliseconds(time.drain)), on: name, cancellation)
        }
        cancellation.sleep(time.drain)
        try cancellation.check()
    }

    private func isInstance(_ node: String) -> Bool {
        old.applications.contains { $0.instances.contains { $0.node == node } }
    }

    /// Lets the engines know that instances which run take no packets, before they are ended.
    private func withdraw(_ nodes: [String]) throws(ApplianceError) {
        guard nodes.contains(where: isInstance) else { return }
        control.loop.sync { [control] in
            for node in control.nodes where nodes.contains(node.plan.name) { node.withdraw() }
        }
        try control.awaitQuiet(cancellation)
    }
}
