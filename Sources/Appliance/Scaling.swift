import ControlAPI
import EventLoop
import Fabric
import Forwarding
import LinuxNetwork
import Logging
import Nodes
import Plan
import Redundancy
import Reporting
import Wire

/// Once a second reads the load of applications whose file asks for scaling, and adds and removes instances.
///
/// In a thread of its own, which ends with the topology.
final class Scaling: @unchecked Sendable {
    private let control: ControlProcess
    private var decisions: [String: ScaleDecision] = [:]
    private var sampler = LoadSampler()
    /// When a change that failed may be tried again, by application.
    private var pauses: [String: MonotonicTime] = [:]

    /// The time between two looks.
    private static let interval = Duration.seconds(1)
    /// How long a change that failed is not tried again.
    private static let pause = Duration.seconds(60)

    init(_ control: ControlProcess) { self.control = control }

    /// Starts to look; does nothing for as long as no application asks for it.
    func start() throws(ApplianceError) {
        try startThread { [self] in
            while !control.cancellation.isRaised {
                look()
                control.cancellation.sleep(Self.interval)
            }
        }
    }

    private func look() {
        let (plan, there, table, nodes) = control.loop.sync { [control] in
            (control.plan, control.built, control.table, control.nodes)
        }
        guard let built = there, control.record.phase == .up else { return }
        let applications = plan.applications.filter { $0.scale != nil }
        decisions = decisions.filter { entry in
            applications.contains { $0.name == entry.key && $0.scale == entry.value.plan }
        }
        guard !applications.isEmpty else { return }
        let names = Set(applications.flatMap(\.instances).map(\.node))
        let subjects = nodes.compactMap { node -> LoadSampler.Subject? in
            guard names.contains(node.plan.name), let namespace = built.namespaces[node.plan.name] else { return nil }
            return LoadSampler.Subject(
                node: node.plan, namespace: namespace,
                initProcess: control.loop.sync { node.initProcess?.pid })
        }
        let now = monotonicTime()
        let loads = sampler.read(subjects, fabric: built.fabric, at: now)
        for application in applications {
            guard let scale = application.scale else { continue }
            var decision = decisions[application.name] ?? ScaleDecision(scale)
            for instance in decision.added where !application.instances.contains(where: { $0.node == instance }) {
                decision.note(removed: instance)
            }
            let working = Set(
                application.instances.filter {
                    table.groups[$0.group].members[$0.member].availability == .up
                }.map(\.node))
            let step = decision.look(loads.filter { working.contains($0.instance) }, at: now)
            decisions[application.name] = decision
            if let step, pauses[application.name].map({ $0 <= now }) ?? true { perform(step, application) }
        }
    }

    private func perform(_ step: ScaleDecision.Step, _ application: ApplicationPlan) {
        do throws(ApplianceError) {
            try control.changing("an instance is being added or removed by the scaling rule of '\(application.name)'") {
                [self] (cancellation) throws(ApplianceError) in
                let before = Set(application.instances.map(\.node))
                switch step {
                case .add(let because):
                    _ = try control.add(application.name, nil, cancellation) { _ in }
                    let now = try control.running().applications.first { $0.name == application.name }
                    guard let fresh = now?.instances.first(where: { !before.contains($0.node) })?.node else { return }
                    decisions[application.name]?.note(added: fresh)
                    tell(application.name, fresh, "\(fresh) was added: \(because)")
                case .remove(let instance, let because):
                    _ = try control.remove(instance, drain: .milliseconds(application.drainTime), cancellation) { _ in }
                    decisions[application.name]?.note(removed: instance)
                    tell(application.name, instance, "\(instance) was removed: \(because)")
                }
            }
        } catch {
            decisions[application.name]?.begin()
            // If another change goes on just now, the next look may find that it is over.
            guard error.hint != ChangeGate.hint, !control.cancellation.isRaised else { return }
            pauses[application.name] = monotonicTime() + Self.pause
            control.logger.warning("scaling \(application.name): \(error)")
            control.happened(
                ApplianceEvent(.scaled, application: application.name, reason: "no change: \(error)"))
        }
    }

    private func tell(_ application: String, _ instance: String, _ reason: String) {
        control.logger.info("scaling \(application): \(reason)")
        control.happened(ApplianceEvent(.scaled, application: application, instance: instance, reason: reason))
    }
}
