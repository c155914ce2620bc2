import Forwarding
import Reporting
import Wire

/// The steps that make one topology of another while it runs: a pure function of the two plans. Parts that are equal in
/// both are in no step, so they stay untouched.
public struct PlanDifference: Sendable, Hashable {
    /// One thing that is done. Interfaces are indices, nodes are named.
    public enum Action: Sendable, Hashable {
        /// An interface that was not there: its bridge, and its TAP with a queue for each worker of each engine. Or a circuit or a
        /// tunnel, which has its carrier's.
        case addInterface(Int)
        /// An interface goes. Its place stays free. The title is its kind and its name.
        case removeInterface(Int, title: String)
        /// Other engines take the place of those that run.
        case engines(what: [String])
        /// The TAP that was a node's own device becomes a port of a bridge. The node gets a veth in its place, with the
        /// same name, number, MAC address, addresses and routes.
        case bridge(interface: Int)
        /// The MTU of every device of an interface, and the MAC addresses that lead to the engine.
        case reshape(interface: Int, what: [String])
        /// A node that was not there.
        case add(node: String)
        /// A node is taken away and made anew.
        case rebuild(node: String, because: [String])
        /// A node's `run` command is ended and started again.
        case restart(node: String, because: [String])
        /// A node's files are written, and its `reload` command is run.
        case reload(node: String, because: [String])
        /// A node changes while it runs on.
        case alter(node: String, what: [String])
        /// Engines decide by another table.
        case publish(TableChange)
        /// A node goes.
        case remove(node: String)
        /// The health checks and the instances of an application.
        case application(name: String, what: [String])
        /// What happens to the packets of a link; nil: nothing any more.
        case impair(ImpairmentPlace, ImpairmentPair?)
        /// The access lists that an application's packets are judged by.
        case access(application: String, what: [String])
        /// What tenants may do.
        case tenants(what: [String])
        /// The checks of `run`.
        case checks(before: Int, after: Int)
    }

    /// How much of a table is new.
    public struct TableChange: Sendable, Hashable {
        /// Entries that are in the new one alone.
        public var added: Int
        /// Entries that are in the old one alone.
        public var removed: Int
        /// Entries that are in both.
        public var kept: Int
    }

    /// Something that cannot be changed while the topology is up.
    public struct Refusal: Sendable, Hashable {
        /// The difference, as a sentence.
        public var what: String
        /// The hint.
        public var hint: String
    }

    /// The actions in their order: an action that can fail without harm comes first, the removal of parts that others
    /// still use comes last.
    public private(set) var actions: [Action] = []
    /// The refusals; if there are any, nothing is done.
    public private(set) var refusals: [Refusal] = []

    /// True if the two are the same.
    public var isEmpty: Bool { actions.isEmpty && refusals.isEmpty }

    /// The difference from `old` to `new`.
    ///
    /// - Parameters:
    ///   - new: As it is carried out where `old` runs (`AppliancePlan.adopting`).
    ///   - patch: How the entries of its table differ, if that is known; nil: all of them are compared.
    public init(from old: AppliancePlan, to new: AppliancePlan, patch: TablePatch? = nil) {
        compareInterfaces(old, new)
        compareRecords(old, new)
        compareTunnels(old, new)
        guard refusals.isEmpty else { return }
        var interfaces: [Action] = []
        let (comingInterfaces, goingInterfaces) = Self.interfaces(old, new)
        interfaces += comingInterfaces
        for index in old.interfaces.indices { interfaces += Self.changes(of: index, old, new) }
        let engines = new.engines.differences(from: old.engines)
        if !engines.isEmpty { interfaces.append(.engines(what: engines)) }
        let before = Dictionary(old.nodes.map { ($0.name, $0) }) { first, _ in first }
        let after = Set(new.nodes.map(\.name))
        var (added, changed, alteredInPlace): ([Action], [Action], [Action]) = ([], [], [])
        for node in new.nodes {
            guard let known = before[node.name] else {
                added.append(.add(node: node.name))
                continue
            }
            let change = NodeChange(from: known, to: node, isElsewhere: old.directory != new.directory)
            if !change.rebuild.isEmpty {
                changed.append(.rebuild(node: node.name, because: change.rebuild))
                continue
            }
            if !change.inPlace.isEmpty { alteredInPlace.append(.alter(node: node.name, what: change.inPlace)) }
            if !change.restart.isEmpty {
                changed.append(.restart(node: node.name, because: change.restart + change.reload))
            } else if !change.reload.isEmpty {
                changed.append(.reload(node: node.name, because: change.reload))
            }
        }
        let removed = old.nodes.filter { !after.contains($0.name) }.map { Action.remove(node: $0.name) }
        actions = interfaces + added + alteredInPlace + changed
        if let table = Self.change(from: old.table, to: new.table, patch) { actions.append(.publish(table)) }
        actions += removed + goingInterfaces + Self.applications(old, new) + Self.impairments(old, new)
        actions += Self.access(old.access, new.access)
        var tenants = Self.tenants(old.records?.tenants ?? [], new.records?.tenants ?? [])
        tenants += Self.negotiations(old.negotiation?.applications ?? [], new.negotiation?.applications ?? [])
        if let before = old.records?.management, let after = new.records?.management {
            if before.certificate?.chain.text != after.certificate?.chain.text {
                tenants.append("the management address gets another certificate")
            }
            if before.authorities?.text != after.authorities?.text {
                tenants.append("the management address trusts other client certificates")
            }
        }
        if !tenants.isEmpty { actions.append(.tenants(what: tenants)) }
        if old.checks.map(\.placeless) != new.checks.map(\.placeless) {
            actions.append(.checks(before: old.checks.count, after: new.checks.count))
        }
    }

    mutating func refuse(_ what: String, _ hint: String, _ name: String) {
        refusals.append(Refusal(what: what, hint: "\(hint), or take '\(name)' away and bring it up again"))
    }

    /// The database is opened once, by a process that can open nothing afterwards.
    private mutating func compareRecords(_ old: AppliancePlan, _ new: AppliancePlan) {
        switch (old.records, new.records) {
        case (nil, nil): break
        case (nil, _): refuse("`records` is new", "remove it", old.name)
        case (_, nil): refuse("`records` is gone", "keep it in the file, without tenants", old.name)
        case (let before?, let after?):
            guard before.database != after.database else { return }
            refuse("the database of the records is another", "write the one from before", old.name)
        }
    }

    private static func access(_ old: [AccessPlan], _ new: [AccessPlan]) -> [Action] {
        let before = Dictionary(old.map { ($0.application, $0) }) { first, _ in first }
        let after = Set(new.map(\.application))
        let changed = new.compactMap { plan -> Action? in
            let known = before[plan.application]
            var what: [String] = []
            if known?.isByEngine ?? false != plan.isByEngine || known?.byApplication != plan.byApplication {
                what.append("judges: \(plan.words.joined(separator: ", "))")
            }
            for list in plan.lists where known?.lists.contains(list) != true {
                // As the tenant wrote them: one may be several for the engine.
                let rules = Set(list.rules.indices.map(list.number)).count
                what.append("\(Plural.counted(rules, "rule")) of \(list.tenant)")
            }
            for list in known?.lists ?? [] where !plan.lists.contains(where: { $0.tenant == list.tenant }) {
                what.append("none of \(list.tenant) any more")
            }
            if known?.filters ?? [] != plan.filters { what.append("which senders may use its mappings") }
            return what.isEmpty ? nil : .access(application: plan.application, what: what)
        }
        return changed
            + old.filter { !after.contains($0.application) }.map {
                .access(application: $0.application, what: ["none any more"])
            }
    }

    private static func negotiations(
        _ old: [NegotiationPlan.Application], _ new: [NegotiationPlan.Application]
    ) -> [String] {
        let known = Dictionary(old.map { ($0.name, $0) }) { first, _ in first }
        let changed = new.filter { application in
            guard var before = known[application.name] else { return true }
            before.instances = application.instances
            return before != application
        }
        let gone = old.filter { application in !new.contains { $0.name == application.name } }
        return changed.map { "\($0.name) may ask for other mappings" }
            + gone.map { "\($0.name) may ask for no mappings any more" }
    }

    private static func tenants(_ old: [TenantPlan], _ new: [TenantPlan]) -> [String] {
        let known = Dictionary(old.map { ($0.name, $0) }) { first, _ in first }
        let names = Set(new.map(\.name))
        let changed = new.compactMap { tenant in
            guard let before = known[tenant.name] else { return "tenant \(tenant.name) is added" }
            return before == tenant ? nil : "tenant \(tenant.name) may do other things"
        }
        return changed + old.filter { !names.contains($0.name) }.map { "tenant \($0.name) is removed" }
    }

    /// The interfaces that come, and those that go.
    private static func interfaces(_ old: AppliancePlan, _ new: AppliancePlan) -> (coming: [Action], going: [Action]) {
        func isThere(_ place: Int, _ plan: AppliancePlan) -> Bool {
            plan.interfaces.indices.contains(place) && !plan.interfaces[place].isVacant
        }
        let coming = new.interfaces.indices.filter { isThere($0, new) && !isThere($0, old) }
        let going = old.interfaces.indices.filter { isThere($0, old) && !isThere($0, new) }
        return (
            coming.map { .addInterface($0) },
            going.map { .removeInterface($0, title: old.interfaces[$0].title) }
        )
    }

    private static func changes(of index: Int, _ old: AppliancePlan, _ new: AppliancePlan) -> [Action] {
        guard new.interfaces.indices.contains(index), new.interfaces[index].name == old.interfaces[index].name else {
            return []
        }
        let (before, after) = (old.interfaces[index], new.interfaces[index])
        var actions: [Action] = []
        if case .direct = before.attachment, case .bridge = after.attachment {
            actions.append(.bridge(interface: index))
        }
        var what: [String] = []
        if before.encapsulation != after.encapsulation {
            what.append("its encapsulation is \(after.encapsulation ?? "none")")
        }
        if before.mtu != after.mtu { what.append("its MTU is \(after.mtu)") }
        if before.queue != after.queue { what.append("its queues have room for \(after.queue) frames") }
        if old.table.interfaces[index].addresses != new.table.interfaces[index].addresses {
            what.append("the engine's addresses on it")
        }
        if Set(old.engineMACs(on: index)) != Set(new.engineMACs(on: index)) {
            what.append("the engine's MAC addresses on it")
        }
        if !what.isEmpty { actions.append(.reshape(interface: index, what: what)) }
        return actions
    }

    /// nil if the tables are the same, apart from parts that change at run time: counters, health, heartbeats' token.
    private static func change(
        from old: ForwardingTable, to new: ForwardingTable, _ patch: TablePatch?
    ) -> TableChange? {
        if let patch {
            let kept = patch.unchanged(of: old.entries)
            let change = TableChange(
                added: new.entries.count - kept, removed: old.entries.count - kept, kept: kept)
            return patch.spans.isEmpty && old.isWritten(as: new) ? nil : change
        }
        var known: [Entry: Int] = [:]
        for entry in old.entries { known[entry.uncounted, default: 0] += 1 }
        var kept = 0
        for entry in new.entries {
            guard let left = known[entry.uncounted], left > 0 else { continue }
            known[entry.uncounted] = left - 1
            kept += 1
        }
        let change = TableChange(
            added: new.entries.count - kept, removed: old.entries.count - kept, kept: kept)
        return change.added == 0 && change.removed == 0 && old.isWritten(as: new) ? nil : change
    }

    private static func impairments(_ old: AppliancePlan, _ new: AppliancePlan) -> [Action] {
        let changed = new.impairments.filter { !old.impairments.contains($0) }
        let ended = old.impairments.filter { plan in !new.impairments.contains { $0.place == plan.place } }
        return changed.map { .impair($0.place, $0.impairment) } + ended.map { .impair($0.place, nil) }
    }

    private static func applications(_ old: AppliancePlan, _ new: AppliancePlan) -> [Action] {
        let before = Dictionary(old.applications.map { ($0.name, $0) }) { first, _ in first }
        let after = Set(new.applications.map(\.name))
        var actions: [Action] = []
        for application in new.applications {
            guard let known = before[application.name] else {
                actions.append(.application(name: application.name, what: ["its health is watched now"]))
                continue
            }
            let what = application.differences(from: known)
            if !what.isEmpty { actions.append(.application(name: application.name, what: what)) }
        }
        for application in old.applications where !after.contains(application.name) {
            actions.append(.application(name: application.name, what: ["its health is no longer watched"]))
        }
        return actions
    }
}

extension ForwardingTable {
    /// True if another table is the same besides its entries: without decisions made while it runs, and in any order where
    /// none matters.
    fileprivate func isWritten(as other: ForwardingTable) -> Bool {
        written == other.written && Set(claimed) == Set(other.claimed) && Set(holders) == Set(other.holders)
    }

    private var written: ForwardingTable {
        var table = self
        (table.entries, table.claimed, table.holders) = ([], [], [])
        table.heartbeatToken = 0
        for index in table.sources.indices {
            table.sources[index].origins?.sort {
                ($0.family.rawValue, $0.address, $0.length) < ($1.family.rawValue, $1.address, $1.length)
            }
        }
        for group in table.groups.indices {
            for member in table.groups[group].members.indices {
                table.groups[group].members[member].availability = .up
            }
        }
        return table
    }
}

extension ApplicationPlan {
    /// The differences, in words; a moved line and another place in the table do not count.
    fileprivate func differences(from other: ApplicationPlan) -> [String] {
        var what: [String] = []
        let (now, then) = (Set(instances.map(\.node)), Set(other.instances.map(\.node)))
        let (more, less) = (now.subtracting(then).sorted(), then.subtracting(now).sorted())
        if !more.isEmpty { what.append("more instances: \(more.joined(separator: ", "))") }
        if !less.isEmpty { what.append("fewer instances: \(less.joined(separator: ", "))") }
        if redundancy != other.redundancy { what.append("its redundancy is \(redundancy.rawValue)") }
        if health.map(\.placeless) != other.health.map(\.placeless) { what.append("its health checks") }
        if damping != other.damping { what.append("its damping") }
        if whenDown != other.whenDown { what.append("when it is down: \(whenDown.rawValue)") }
        if drainTime != other.drainTime { what.append("its drain time") }
        if scale != other.scale { what.append("its scaling") }
        return what
    }
}

/// The place of all parts in a comparison where places do not count.
private let somewhere = SourceOrigin.line(SourcePosition(line: 1, column: 1))

extension HealthCheckPlan {
    fileprivate var placeless: HealthCheckPlan {
        var check = self
        check.origin = somewhere
        return check
    }
}

extension CheckPlan {
    fileprivate var placeless: CheckPlan {
        var check = self
        check.origin = somewhere
        check.steps = check.steps.map(\.placeless)
        return check
    }
}

extension StepPlan {
    fileprivate var placeless: StepPlan {
        var step = self
        step.origin = somewhere
        if case .outage(var outage) = step.action {
            outage.steps = outage.steps.map(\.placeless)
            step.action = .outage(outage)
        }
        return step
    }
}
