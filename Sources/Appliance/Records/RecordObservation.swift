import ControlAPI
import EventLoop
import Plan
import Wire

/// What tenants may see of their services, made from the readings of `Sampler` as status and metrics are. Nodes, instances and
/// addresses have no names in it.
///
/// On the thread of `RecordKeeper`.
final class RecordObservation {
    /// What all tenants' answers are made from.
    private struct Moment {
        var at: MonotonicTime
        var time: Int
        var plan: AppliancePlan
        /// By name.
        var services: [String: Sample.Service]
        /// By the name of the service.
        var entries: [String: [Sample.Entry]]
        var status: StatusReport
    }

    private unowned let control: ControlProcess
    private var last: Moment?

    /// How old an answer may be. The sums of a million entries take time, however often somebody asks.
    private static let freshness = Duration.milliseconds(500)

    init(_ control: ControlProcess) { self.control = control }

    /// What one tenant may see; nothing if the file has no such tenant.
    func answer(of tenant: String) -> TenantObservation {
        let moment = moment()
        let plan = moment.plan
        guard let known = plan.records?.tenants.first(where: { $0.name == tenant }) else {
            return TenantObservation(time: moment.time, services: [], applications: [])
        }
        return TenantObservation(
            time: moment.time,
            services: plan.serviceRecords.filter { $0.tenant == tenant }.map { service($0, moment) },
            applications: known.applications.map { application($0.name, moment.status) })
    }

    private func moment() -> Moment {
        if let last, monotonicTime() - last.at < Self.freshness { return last }
        let (reading, plan) = control.loop.sync { (self.control.sampler.read(withEntries: true), self.control.plan) }
        let sums = reading.sums
        let fresh = Moment(
            at: monotonicTime(), time: reading.time, plan: plan,
            services: Dictionary(sums.services.map { ($0.name, $0) }) { first, _ in first },
            entries: Dictionary(grouping: sums.entries.filter { $0.service != nil }) { $0.service ?? "" },
            status: reading.wholeStatus)
        last = fresh
        return fresh
    }

    private func service(_ record: ServiceRecord, _ moment: Moment) -> TenantObservation.Service {
        let counted = moment.services[record.id]
        let addresses = moment.plan.entryOrigins.first { $0.isService && $0.name == record.id }?.addresses ?? []
        let drops = moment.status.drops.filter { drop in
            [drop.last?.source, drop.last?.destination].contains { text in
                guard let address = text.flatMap({ IPAddress($0) }) else { return false }
                return addresses.contains { $0.contains(address) }
            }
        }
        return TenantObservation.Service(
            name: record.name, requests: counted?.requests ?? Sample.Traffic(),
            responses: counted?.responses ?? Sample.Traffic(), entries: moment.entries[record.id] ?? [],
            drops: drops.map { TenantObservation.Drop(reason: $0.reason, sentence: $0.sentence) })
    }

    private func application(_ name: String, _ status: StatusReport) -> TenantObservation.Application {
        if let known = status.applications.first(where: { $0.name == name }) {
            return TenantObservation.Application(
                name: name, state: known.state, whenDown: known.whenDown,
                instances: known.instances.map { TenantObservation.Instance(state: $0.state, share: $0.share) })
        }
        // Nothing looks after its health: it is as its program is.
        let state = status.nodes.first { $0.name == name }?.state
        let word =
            switch state {
            case "idle", "ready": "active"
            case "waiting", "setup", "starting", "restarting": "starting"
            default: "down"
            }
        return TenantObservation.Application(
            name: name, state: word == "down" ? "down" : "up", whenDown: nil,
            instances: [TenantObservation.Instance(state: word, share: word == "down" ? 0 : 1)])
    }
}
