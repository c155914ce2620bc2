import ControlAPI
import EngineControl
import EventLoop
import Forwarding
import Logging
import Nodes
import Plan
import Planning
import Reporting
import TopologyFiles

/// Access lists: proved, checked by nft, and looked at.
extension RecordInstructions {
    /// A plan with the access lists that are wanted.
    func judging(
        _ wanted: RecordChange, _ planned: PlannedFile, _ recorded: RecordedPlan?, _ source: TopologyFile,
        _ current: AppliancePlan
    ) -> Planned {
        guard !wanted.putAccess.isEmpty || !wanted.removeAccess.isEmpty else { return .proved(planned, recorded) }
        let touched = Set(wanted.removeAccess + wanted.putAccess.map(\.id))
        var records = current.accessLists.map(\.record)
        records.removeAll { wanted.removeAccess.contains($0.id) }
        for list in wanted.putAccess {
            let record = AccessRecord(list)
            if let index = records.firstIndex(where: { $0.id == record.id }) {
                records[index] = record
            } else {
                records.append(record)
            }
        }
        var planned = planned
        do throws(RecordRefusal) {
            try Planner.judge(by: records, in: &planned.plan, of: source, keeping: current)
        } catch {
            return .refused(InstructionRefusal(error))
        }
        planned.plan.accessSetAside = current.accessSetAside.filter { !touched.contains($0.record.id) }
        // Lists are no entries. What changes beside them, the patch of services says.
        if !wanted.changesServices { planned.patch = TablePatch(spans: [], count: current.table.entries.count) }
        return .proved(planned, recorded)
    }

    /// Why applications would not take the lists; nil: they would.
    func refusal(ofAccess plan: AppliancePlan, _ wanted: RecordChange) -> InstructionRefusal? {
        guard wanted.isAboutAccess else { return nil }
        do throws(AccessRefusal) {
            try control.access.check(plan.access, against: control.loop.sync { self.control.nodes })
            return nil
        } catch {
            tell(error, wanted)
            return InstructionRefusal(
                stage: .conflict, problems: [problem(error, wanted, hint: "change the list, or ask the operator")],
                reason: error.reason)
        }
    }

    /// Why lists could not be put in force that had been proved; nil: no application was to blame.
    func refusal(ofCommitting wanted: RecordChange) -> InstructionRefusal? {
        guard let refusal = control.access.takeRefusal(), wanted.isAboutAccess else { return nil }
        tell(refusal, wanted)
        return InstructionRefusal(
            stage: .unavailable,
            problems: [
                problem(refusal, wanted, hint: "all is as it was before; try again, or ask the operator")
            ], reason: refusal.reason)
    }

    /// Has programs read their lists again whose files something has overwritten.
    func restoreFiles(_ wanted: RecordChange) {
        guard wanted.isAboutAccess else { return }
        for refusal in control.access.restoreFiles(control.loop.sync { self.control.nodes }) { tell(refusal, wanted) }
    }

    /// What nft or a program says of a node is the operator's to read.
    private func tell(_ refusal: AccessRefusal, _ wanted: RecordChange) {
        control.logger.error("\(wanted.ids.first ?? ""): \(refusal.error)")
        control.tell(refusal)
    }

    private func problem(_ refusal: AccessRefusal, _ wanted: RecordChange, hint: String) -> InstructionProblem {
        let lists = wanted.putAccess.map { ($0.application, $0.id) }
        return InstructionProblem(
            record: lists.first { $0.0 == refusal.application }?.1 ?? wanted.putAccess.first?.id
                ?? wanted.removeAccess.first, pointer: nil,
            message: "the application \(quoted(refusal.application)) refused the list: its operator sees why in events",
            hint: hint)
    }

    /// What is hardly intended in lists that are wanted.
    func remarks(_ wanted: RecordChange, _ plan: AppliancePlan) -> [RecordRemark] {
        let ids = Set(wanted.putAccess.map(\.id))
        return plan.accessLists.filter { ids.contains($0.record.id) }.flatMap { remarks(on: $0, plan) }
    }

    private func remarks(on list: PlannedAccess, _ plan: AppliancePlan) -> [RecordRemark] {
        plan.remarks(on: list, shadows: shadows(of: list)).map {
            RecordRemark(record: list.record.id, pointer: $0.pointer, message: $0.message)
        }
    }

    /// The rules of a list that never match. They are sought once: it takes long in large lists.
    private func shadows(of list: PlannedAccess) -> [AccessRemark] {
        if let known = shadows[list.record.id], known.list == list { return known.remarks }
        // Lists come and go.
        if shadows.count >= 1_000 { shadows = [:] }
        let remarks = list.shadows
        shadows[list.record.id] = (list, remarks)
        return remarks
    }

    /// How lists do that are in force.
    ///
    /// - Parameter tenant: nil: all tenants.
    func accessStates(of tenant: String?) -> [AccessState] {
        let (plan, nodes, engines) = control.loop.sync {
            (self.control.plan, self.control.nodes, self.control.fleet?.ruleCounts ?? [])
        }
        var counts: [String: [Int: PacketCount]] = [:]
        return plan.accessLists.filter { tenant == nil || $0.record.tenant == tenant }.map { list in
            let access = plan.access.first { $0.application == list.record.application }
            if let access, counts[access.application] == nil {
                counts[access.application] = applicationCounts(access, nodes)
            }
            let known = counts[list.record.application] ?? [:]
            func sum(_ counters: [Int], _ count: (Int) -> PacketCount?) -> PacketCount {
                counters.reduce(PacketCount()) { $0 + (count($1) ?? PacketCount()) }
            }
            let isByEngine =
                access?.isByEngine == true || access?.filters.contains { $0.tenant == list.record.tenant } == true
            func hits(_ counters: [Int]) -> RuleHits {
                RuleHits(
                    engine: isByEngine
                        ? sum(counters) {
                            engines.indices.contains($0)
                                ? PacketCount(packets: engines[$0].packets, octets: engines[$0].bytes) : nil
                        } : nil, application: access?.byApplication == .nftables ? sum(counters) { known[$0] } : nil)
            }
            return AccessState(
                id: list.record.id,
                rules: list.record.rules.indices.map { index in
                    hits(
                        list.list.rules.indices.filter { list.sources[$0] == index }.map { list.list.rules[$0].counter }
                    )
                }, otherwise: hits([list.list.counter]), remarks: remarks(on: list, plan))
        }
    }

    /// The sums over an application's nodes, by counter.
    private func applicationCounts(_ access: AccessPlan, _ nodes: [NodeRuntime]) -> [Int: PacketCount] {
        var sums: [Int: PacketCount] = [:]
        for node in nodes where access.nodes.contains(node.plan.name) {
            for (index, count) in control.access.counts(in: node) {
                sums[index, default: PacketCount()] =
                    sums[index, default: PacketCount()] + PacketCount(packets: count.packets, octets: count.octets)
            }
        }
        return sums
    }
}

extension AccessRecord {
    init(_ list: RecordedAccess) {
        self.init(
            tenant: list.tenant, application: list.application,
            rules: list.rules.map { rule in
                Rule(
                    Verdict(rule.action, answer: rule.answer), protocolName: rule.protocolName, own: rule.own,
                    ownPorts: rule.ownPorts, remote: rule.remote, remotePorts: rule.remotePorts,
                    icmpTypes: rule.icmpTypes)
            }, otherwise: Verdict(list.otherwise.action, answer: list.otherwise.answer))
    }
}
