import LinuxNetwork
import Logging
import Topology

/// Whose health is looked after, and what becomes of what it says. On the loop's thread.
extension ControlProcess {
    /// What the monitor looks after, and since which life of its node.
    struct Watched {
        let application: ApplicationPlan
        let legs: [LegPlan]
        let runtime: ObjectIdentifier
        /// How it was when it was looked at in another way, until the checks of now have something to say.
        var before: InstanceHealth?
    }

    /// From here on, health changes the table, and listeners get events.
    func watchApplications() {
        let events = events
        loop.sync { [unowned self] in
            events.listen { [unowned self] in loop.submit { [unowned self] in server?.pump() } }
            applications = ApplicationControl(
                plan: plan, publisher: publisher, loop: loop, tell: { events.append($0) })
        }
    }

    /// Takes what happens, from any thread.
    func happened(_ event: ApplianceEvent) {
        var event = event
        if event.event == .tablePublished || event.event == .tableRefused, let why = publisher.reason {
            event.reason = event.reason.map { "\($0): \(why)" } ?? why
        }
        events.append(event)
        if event.engine != nil || event.generation != nil { logger.info("\(event.text)") }
    }

    /// Begins to look after the instances of a plan whose nodes have been made.
    private func watchHealth(_ plan: AppliancePlan, _ built: BuiltTopology) throws(ApplianceError) {
        guard !plan.applications.isEmpty else { return }
        // It begins with nothing: instances are added as their nodes are there.
        var empty = plan
        empty.applications = []
        let log = events
        let monitor = try HealthMonitor(
            plan: empty, built: built, loop: loop, token: heartbeatToken, events: { log.append($0) },
            entrance: { [unowned self] name throws(ApplianceError) in
                let (entrance, node) = try node(name).enter()
                return (entrance, node)
            })
        monitor.changed = { [unowned self] name, _ in
            if let node = nodes.first(where: { $0.plan.name == name }) { hear(node) }
        }
        self.monitor = monitor
        try monitor.start()
        try watchInstances(of: plan)
    }

    /// Looks after exactly the instances of a plan from here on: those that are gone are let go, and those that are new,
    /// or whose checks or nodes are others, begin anew.
    func watchInstances(of plan: AppliancePlan) throws(ApplianceError) {
        loop.preconditionCurrent()
        if monitor == nil, let built {
            try watchHealth(plan, built)
            return
        }
        var wanted: [String: (application: ApplicationPlan, instance: InstancePlan)] = [:]
        for application in plan.applications {
            for instance in application.instances { wanted[instance.node] = (application, instance) }
        }
        for name in watched.keys where wanted[name] == nil {
            monitor?.remove(node: name)
            watched[name] = nil
        }
        var withoutInstances = plan
        withoutInstances.applications = []
        monitor?.take(withoutInstances)
        let planned = Dictionary(plan.nodes.map { ($0.name, $0) }) { first, _ in first }
        for node in nodes {
            let name = node.plan.name
            guard let (application, instance) = wanted[name] else { continue }
            let (known, runtime, fresh) = (watched[name], ObjectIdentifier(node), planned[name] ?? node.plan)
            if let known, known.runtime == runtime, known.legs == fresh.legs,
                known.application.health == application.health, known.application.damping == application.damping
            {
                continue
            }
            // Who is asked something else goes on taking packets until the answer is there.
            let before = known?.runtime == runtime ? health(of: node) : nil
            watched[name] = Watched(application: application, legs: fresh.legs, runtime: runtime, before: before)
            try monitor?.add(application: application, instance: instance, node: fresh, namespace: node.namespace)
            tell(of: node)
        }
    }

    /// A node's state has changed: tells the monitor, and takes what follows.
    func heed(_ node: NodeRuntime) {
        loop.preconditionCurrent()
        tell(of: node)
        hear(node)
    }

    private func tell(of node: NodeRuntime) {
        switch node.state {
        case .idle, .ready: monitor?.processReady(node.plan.name)
        case .waiting, .setup, .starting: monitor?.processBegan(node.plan.name)
        case .restarting, .ended, .failed:
            monitor?.processEnded(node.plan.name, told: node.lastEnd ?? "has ended")
        }
    }

    /// Takes what a node's process, links and checks say of it.
    func hear(_ node: NodeRuntime) {
        loop.preconditionCurrent()
        applications?.hear(health(of: node), of: node.plan.name)
    }

    /// What is known of a node. What its process says goes first: a node that is being set up is not healthy, whatever
    /// else is seen of it.
    private func health(of node: NodeRuntime) -> InstanceHealth {
        let process = node.processHealth
        guard var seen = monitor?.health(of: node.plan.name) else { return process }
        if let before = watched[node.plan.name]?.before {
            if process.isHealthy, monitor?.isUndecided(node.plan.name) == true { return before }
            watched[node.plan.name]?.before = nil
        }
        if !process.isHealthy {
            seen.isHealthy = false
            seen.isSuppressed = false
            seen.reason = process.reason
        }
        return seen
    }

    /// How every instance is, as far as it is known.
    var health: [String: InstanceHealth] {
        loop.preconditionCurrent()
        return Dictionary(nodes.map { ($0.plan.name, health(of: $0)) }) { first, _ in first }
    }
}
