import Forwarding
import Topology

/// The health of a topology's instances, as its control process has it looked after.
extension ControlProcess {
    /// Begins to look after the plan's instances, where it has any.
    func startHealth(_ built: BuiltTopology) throws(ApplianceError) {
        guard !plan.applications.isEmpty else { return }
        if table.heartbeatToken == 0 { table.heartbeatToken = .random(in: 1 ... .max) }
        let monitor = try HealthMonitor(
            plan: plan, built: built, loop: loop, token: table.heartbeatToken,
            events: { [weak self] event in self?.logger.info("\(event.event.rawValue) \(event.instance ?? "") \(event.reason ?? "")") },
            entrance: { [weak self] node throws(ApplianceError) in
                guard let self else { throw .interrupted }
                return try self.node(node).enter()
            })
        try? loop.sync { [self] in
            health = monitor
            for node in nodes { follow(node) }
        }
        try monitor.start()
    }

    /// Tells the health checks of what becomes of a node's application. On the loop's thread.
    func follow(_ node: NodeRuntime) {
        let before = node.ended
        node.began = { [weak self] in self?.health?.processBegan($0.plan.name) }
        node.becameReady = { [weak self] in self?.health?.processReady($0.plan.name) }
        node.ended = { [weak self] node, end in
            self?.health?.processEnded(node.plan.name, told: end.told)
            before?(node, end)
        }
    }

    /// Waits until every check has passed once, or says why one does not.
    func proveHealth() throws(ApplianceError) {
        guard let health else { return }
        progress(.step("waiting for the health checks of \(plan.applications.map(\.name).joined(separator: ", "))"))
        try health.proveOnce(interruption)
    }
}
