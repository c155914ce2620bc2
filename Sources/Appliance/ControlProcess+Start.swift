import ControlAPI
import EngineControl
import EventLoop
import Fabric
import LinuxNetwork
import Logging
import Nodes
import Plan
import Reporting

/// Starts the nodes and engines of a topology that has been built.
extension ControlProcess {
    /// Takes an event, from any thread.
    func happened(_ event: ApplianceEvent) {
        var event = event
        if event.event == .tablePublished || event.event == .tableRefused, let why = publisher.reason {
            event.reason = event.reason.map { "\($0): \(why)" } ?? why
        }
        events.append(event)
        if event.engine != nil || event.generation != nil { logger.info("\(event.text)") }
    }

    /// Looks after exactly the instances of a plan from here on. On the loop's thread.
    func watchInstances(of plan: AppliancePlan) throws(ApplianceError) {
        try watch.watch(plan, nodes: nodes, built: built)
    }

    /// From here on, what is attached and goes away is seen.
    func watchAttachments() throws(ApplianceError) {
        let watch = try AttachmentWatch(self)
        loop.sync { self.attachments = watch }
        try watch.start()
    }

    /// Makes the runtime of every node of the plan, and watches the nodes' health from here on.
    func makeNodes(_ built: BuiltTopology) throws(ApplianceError) {
        let names = plan.hostNames
        let made = plan.nodes.compactMap { node in
            built.namespaces[node.name].map { runtime(node, names: names, folder: plan.directory, $0) }
        }
        try loop.sync { [self] () throws(ApplianceError) in
            topology.take(made)
            try watchInstances(of: plan)
            for node in made { watch.hear(node) }
        }
    }

    /// The runtime of a node; it starts nothing yet.
    func runtime(
        _ node: NodePlan, names: [HostPlan], folder: String, _ namespace: NetworkNamespace
    ) -> NodeRuntime {
        let made = NodeRuntime(
            plan: node, names: names, folder: folder, directory: directory, loop: loop, namespace: namespace,
            record: { [weak self] in self?.note($0) })
        made.ended = { [unowned self] node, end in
            logger.warning("node \(node.plan.name): \(node.subject) \(end.summary)")
            let after = node.startsAgain(after: end) ? "" : ", and is not started again"
            tell(.programEnded, of: node, "\(node.program ?? "run") \(end.summary)\(after)")
            if node.program == nil || end != .exited(0) { negotiation?.lose(node.plan.name) }
            if record.phase == .starting { cancellation.raise(node.unexpectedEnd(end)) }
            if let starting = topology.starting, starting.nodes.contains(node.plan.name) {
                starting.cancellation.raise(node.unexpectedEnd(end))
            }
        }
        made.restarted = { [unowned self] node, why in
            tell(.applicationRestarted, of: node, node.program.map { "\($0): \(why)" } ?? why)
        }
        made.ranOut = { [unowned self] node, what in
            logger.warning("node \(node.plan.name): \(what)")
            tell(.outOfMemory, of: node, what)
        }
        made.changed = { [unowned self] node in watch.heed(node) }
        made.admits = { [access] node throws(ApplianceError) in try access.load([node], anew: true) }
        made.groups = groups
        return made
    }

    /// Tells of an event in a node.
    func tell(_ kind: ApplianceEvent.Kind, of node: NodeRuntime, _ reason: String) {
        let name = node.plan.name
        let application = plan.applications.first { $0.instances.contains { $0.node == name } }?.name ?? name
        happened(ApplianceEvent(kind, application: application, instance: name, reason: reason))
    }

    /// Tells that access lists were put in force again in a node, or why they cannot be. From any thread.
    func tellRestored(_ node: NodeRuntime, _ why: String) {
        loop.submit { [self] in
            logger.warning("access lists in \(node.plan.name): \(why)")
            tell(.accessRestored, of: node, why)
        }
    }

    /// Tells why an application did not take its access lists. From any thread.
    func tell(_ refusal: AccessRefusal) {
        loop.submit { [self] in
            happened(
                ApplianceEvent(
                    .accessRefused, application: refusal.application, instance: refusal.node, reason: refusal.reason))
        }
    }

    /// Starts the engines with the table as it is, and waits until they forward.
    func startEngine(_ path: String, _ built: BuiltTopology) throws(ApplianceError) {
        let done = RaisedFlag()
        let result = Box<Result<Void, ApplianceError>?>(nil)
        try loop.sync { [self] () throws(ApplianceError) in
            let fleet = try EngineFleet(
                loop: loop, path: path, logPath: directory.logPath, logger: logger, table: table,
                queues: built.queues, segmentsUDP: built.segmentsUDP,
                leavesRoom: plan.records != nil || plan.negotiation != nil, plan: plan.engines,
                record: { [weak self] in self?.note($0) },
                events: { [weak self] in self?.happened($0) })
            take(fleet)
            fleet.tableChanges = { [weak self] in self?.captures.tableChanges() }
            // Engines have the links of the file before they read their first frame.
            handImpairments { [weak self] in
                if case .failure(let error) = $0 { self?.logger.error("\(error)") }
            }
            // The engines also get the changes that happen while they start.
            publisher.begin { [weak self] in self?.send($0, $1, $2) }
            groupWatch.begin()
            fleet.start {
                result.value = $0
                done.raise()
            }
        }
        // The fleet answers within its own time limit, even if an engine does not answer.
        done.wait()
        try result.value?.get()
        try cancellation.check()
    }

    /// Level by level: all nodes whose dependencies are ready come up side by side.
    func startApplications() throws(ApplianceError) {
        var waiting = loop.sync { self.nodes.filter { $0.state != .idle } }
        var pending = Set(waiting.map(\.plan.name))
        while !waiting.isEmpty {
            let level = waiting.filter { node in !node.plan.process.depends.contains(where: pending.contains) }
            guard !level.isEmpty else {
                throw ApplianceError(
                    .file, "these nodes depend on each other: \(pending.sorted().joined(separator: ", "))",
                    hint: "remove one 'depends'")
            }
            progress(.step("waiting for \(level.map(\.plan.name).joined(separator: ", "))"))
            let cancellation = cancellation
            do throws(ApplianceError) {
                try inParallel(level.count, width: 64) { [self] index throws(ApplianceError) in
                    do throws(ApplianceError) {
                        try awaitHealth(before: level[index].plan, cancellation)
                        try level[index].bringUp(cancellation)
                    } catch {
                        // The other nodes can stop: the whole topology is about to be taken away.
                        cancellation.raise(error)
                        throw error
                    }
                }
            } catch {
                throw cancellation.reason ?? error
            }
            // Nodes that depend on one of these may reach it through the engines.
            try awaitQuiet(cancellation)
            for node in level { pending.remove(node.plan.name) }
            waiting.removeAll { node in level.contains { $0 === node } }
        }
        try cancellation.check()
    }
}
