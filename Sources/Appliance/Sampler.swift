import ControlAPI
import Engine
import EngineControl
import EventLoop
import Forwarding
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Redundancy
import Reporting
import Tracing

/// Reads everything that a topology counts, in one place. `status`, `tables`, `top` and metrics are made from its readings.
///
/// On the loop's thread.
final class Sampler {
    /// What the loop's thread knows at one moment. The rest is made of it beside the loop.
    struct Reading: Sendable {
        /// See `Sample`.
        var time = wallClockMicroseconds()
        /// See `Sample`.
        var clock = monotonicMicroseconds()
        /// Without the applications, which take time.
        var status: StatusReport
        /// What the applications' reports are made from; nil if there are none yet.
        var states: ApplicationStates?
        /// By node.
        var health: [String: InstanceHealth]
        var table: ForwardingTable
        var tableVersion: UInt64
        /// By the entries' counters; empty if they were not asked for.
        var counts: [CounterReading.EntryCount] = []
        /// By the counters of access lists' rules; empty if they were not asked for.
        var ruleCounts: [CounterReading.EntryCount] = []
        /// The members of groups that nodes join.
        var joined: Set<GroupJoiner> = []
        var services: [String]
        var interfaces: [InterfaceCount] = []
        /// By the reason's raw value.
        var drops: [UInt64] = []
        var work: [EngineWork] = []
        /// What packets spent in nodes, by node; empty if nobody asked.
        var times: [String: NodeTimes] = [:]
        /// When counting them began.
        var timesSince = 0
        /// The processes to look at.
        var processes: ProcessMeter.Subjects
    }

    private unowned let control: ControlProcess
    /// Used by one sample at a time.
    private let meter = ProcessMeter()
    private(set) lazy var samples = SharedAnswers<Sample>(loop: control.loop) { [unowned self] in
        let (reading, meter) = (read(withEntries: true), meter)
        return { reading.sample(meter) }
    }
    private(set) lazy var tables = SharedAnswers<TableListing>(loop: control.loop) { [unowned self] in
        let reading = read(withEntries: true)
        return { reading.tables }
    }

    init(_ control: ControlProcess) { self.control = control }

    /// Reads all counters.
    ///
    /// - Parameter withEntries: Whether to read those of the entries, of which there may be a million.
    func read(withEntries: Bool) -> Reading {
        control.loop.preconditionCurrent()
        let (fleet, plan, table, nodes) = (control.fleet, control.plan, control.table, control.nodes)
        let interfaces = fleet.map { fleet in table.interfaces.indices.map { fleet.interface($0) } } ?? []
        let drops = fleet.map { fleet in DropReason.allCases.map { fleet.drops($0) } } ?? []
        return Reading(
            status: control.status(interfaces: interfaces, drops: drops), states: control.applications?.states,
            health: control.watch.health(of: nodes), table: table, tableVersion: fleet?.newestGeneration ?? 0,
            counts: withEntries ? fleet?.entryCounts ?? [] : [],
            ruleCounts: withEntries ? fleet?.ruleCounts ?? [] : [], joined: fleet?.joined(table.joiners) ?? [],
            services: plan.services.map(\.name),
            interfaces: zip(table.interfaces, interfaces).filter { !$0.0.isVacant }.map { $0.1 }, drops: drops,
            work: fleet?.work ?? [], times: control.applicationTimes.counts,
            timesSince: control.applicationTimes.began,
            processes: ProcessMeter.Subjects(
                control: getpid(),
                engines: (fleet?.status ?? []).map { ($0.number, $0.pid) },
                nodes: nodes.map { ($0.plan.name, [$0.initProcess?.pid, $0.containerProcess].compactMap { $0 }) }))
    }
}

extension Sampler.Reading {
    /// The status with its applications. It takes time to deal slots out.
    var wholeStatus: StatusReport {
        var whole = status
        if let states, !states.applications.isEmpty { whole.applications = states.report(at: .now, health: health) }
        return whole
    }

    /// The listing of the table, with counters if they were read.
    var tables: TableListing {
        func reader(_ counts: [CounterReading.EntryCount]) -> (Int) -> (packets: UInt64, bytes: UInt64) {
            { counts.indices.contains($0) ? (counts[$0].packets, counts[$0].bytes) : (0, 0) }
        }
        return TableListing(
            name: status.name, table: table, joined: joined, counts: reader(counts), rules: reader(ruleCounts))
    }

    /// The counters of entries, by name and by service.
    var sums: EntrySums { EntrySums(table, counts, services: services) }

    /// All of it.
    func sample(_ meter: ProcessMeter) -> Sample {
        let uses = meter.read(processes)
        let sums = sums
        let status = wholeStatus
        var sample = Sample(
            time: time, clock: clock, status: status, tableVersion: tableVersion, entries: sums.entries,
            services: sums.services,
            interfaces: interfaces.map { Sample.InterfaceDrops(received: $0.receivedDrops, sent: $0.sentDrops) },
            drops: zip(DropReason.allCases, drops).map {
                StatusReport.Drop(reason: $0.name, sentence: $0.sentence, frames: $1)
            },
            engines: work.enumerated().map { index, work in
                Sample.Engine(
                    number: index + 1, packets: work.received, coalesced: work.coalesced, turns: work.turns,
                    use: uses.engines[index + 1])
            },
            control: uses.control,
            nodes: status.nodes.map { Sample.Node(name: $0.name, use: uses.nodes[$0.name] ?? Sample.ProcessUse()) },
            timesInApplications: timesInApplications(status))
        sample.accessRules = accessRules
        return sample
    }

    /// What the rules of access lists have counted, by the tenants' own rules.
    private var accessRules: [Sample.AccessRule] {
        table.access.flatMap { point in
            point.lists.flatMap { list -> [Sample.AccessRule] in
                var rules: [Sample.AccessRule] = []
                let counters = list.rules.enumerated().map { (list.number(of: $0), $1.counter) } + [(nil, list.counter)]
                for (number, counter) in counters {
                    // The parts of a rule follow one another.
                    if rules.isEmpty || rules[rules.count - 1].rule != number {
                        rules.append(
                            Sample.AccessRule(application: point.application, tenant: list.tenant, rule: number))
                    }
                    guard ruleCounts.indices.contains(counter) else { continue }
                    let place = rules.count - 1
                    rules[place].traffic.packets &+= ruleCounts[counter].packets
                    rules[place].traffic.bytes &+= ruleCounts[counter].bytes
                }
                return rules
            }
        }
    }

    private func timesInApplications(_ status: StatusReport) -> [Sample.TimeInApplication] {
        guard !times.isEmpty else { return [] }
        var applications: [String: String] = [:]
        for application in status.applications {
            for instance in application.instances { applications[instance.name] = application.name }
        }
        return status.nodes.compactMap { node in
            guard let times = times[node.name] else { return nil }
            let bounds = NodeTimes.bounds.map { Optional($0) } + [nil]
            return Sample.TimeInApplication(
                application: applications[node.name] ?? node.name, instance: node.name, since: timesSince,
                buckets: zip(bounds, times.counts).map { .init(atMost: $0, packets: $1) }, sum: times.sum)
        }
    }
}
