import ControlAPI
import EngineControl
import EventLoop
import Fabric
import HealthMonitoring
import LinuxNetwork
import Nodes
import Plan
import Reporting

/// Watches the health of instances. It knows the state of each instance from its process, its links and its checks.
///
/// On the loop's thread.
final class InstanceWatch {
    /// A node that the monitor watches, in one life of the node.
    private struct Watched {
        let application: ApplicationPlan
        let legs: [LegPlan]
        let runtime: ObjectIdentifier
        /// Its health under its earlier checks, until the new checks have a result.
        var before: InstanceHealth?
    }

    /// Makes and asks the health checks; nil before an application has any.
    private(set) var monitor: HealthMonitor?
    private let loop: EventLoop
    private let events: EventLog
    private let token: UInt64
    private let node: @Sendable (String) throws(ApplianceError) -> NodeRuntime
    private let heard: (InstanceHealth, _ node: String) -> Void
    private var watched: [String: Watched] = [:]

    /// - Parameters:
    ///   - token: The octets at the end of every packet of the health checks.
    ///   - node: The node of a name, from any thread.
    ///   - heard: Takes the state of a node, whenever that may have changed.
    init(
        loop: EventLoop, events: EventLog, token: UInt64,
        node: @escaping @Sendable (String) throws(ApplianceError) -> NodeRuntime,
        heard: @escaping (InstanceHealth, _ node: String) -> Void
    ) {
        self.loop = loop
        self.events = events
        self.token = token
        self.node = node
        self.heard = heard
    }

    /// Begins to look after the instances of a plan whose nodes have been made.
    private func begin(_ plan: AppliancePlan, _ built: BuiltTopology) throws(ApplianceError) {
        // It begins with nothing: instances are added as their nodes are there.
        var empty = plan
        empty.applications = []
        let (log, node) = (events, node)
        let made = try HealthMonitor(
            plan: empty, built: built, loop: loop, token: token, events: { log.append($0) },
            entrance: { name throws(ApplianceError) in try node(name).enter() },
            logs: { name, program in try? node(name).logPlace(of: program) })
        made.changed = { [unowned self] name, _ in
            do throws(ApplianceError) { hear(try node(name)) } catch { return }
        }
        monitor = made
        try made.start()
    }

    /// Watches exactly the instances of a plan from here on. Instances that are gone leave the watch. New instances,
    /// and instances with other checks or another node, begin anew.
    func watch(_ plan: AppliancePlan, nodes: [NodeRuntime], built: BuiltTopology?) throws(ApplianceError) {
        loop.preconditionCurrent()
        if monitor == nil, let built {
            guard !plan.applications.isEmpty else { return }
            try begin(plan, built)
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
            // An instance with new checks goes on taking packets until the first result is there.
            let before = known?.runtime == runtime ? health(of: node) : nil
            watched[name] = Watched(application: application, legs: fresh.legs, runtime: runtime, before: before)
            try monitor?.add(application: application, instance: instance, node: fresh, namespace: node.namespace)
            tell(of: node)
        }
    }

    /// Looks after nothing any more.
    func stop() {
        loop.preconditionCurrent()
        monitor?.stop()
        monitor = nil
    }

    /// A node's state has changed: informs the monitor, and takes the new health.
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
            monitor?.processEnded(node.plan.name, summary: node.endSummary)
        }
    }

    /// Takes the health of a node from its process, links and checks.
    func hear(_ node: NodeRuntime) {
        loop.preconditionCurrent()
        heard(health(of: node), node.plan.name)
    }

    /// The health of a node. The state of its process goes first: a node that is being set up is not healthy, whatever
    /// else says so.
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
    func health(of nodes: [NodeRuntime]) -> [String: InstanceHealth] {
        loop.preconditionCurrent()
        return Dictionary(nodes.map { ($0.plan.name, health(of: $0)) }) { first, _ in first }
    }
}
