import Forwarding
import Plan
import Reporting
import TopologyFiles

extension Planner {
    /// Has exactly these access lists of tenants judge in a plan of `file`.
    ///
    /// - Parameter kept: The plan of the running topology: rules keep their counters, and records that are in force there stay
    ///   so, as far as the file lets them.
    /// - Throws: `RecordRefusal` with all that is wrong with records that are not.
    package static func judge(
        by records: [AccessRecord], in plan: inout AppliancePlan, of file: TopologyFile, keeping kept: AppliancePlan?
    ) throws(RecordRefusal) {
        let diagnostics = Diagnostics(path: file.path, text: file.text, included: file.included)
        let known = kept?.accessLists ?? []
        let reading = AccessReader(file, diagnostics).read(records, kept: Set(known.map(\.record)), known: known)
        if let fault = reading.fault {
            do throws(TopologyError) { try diagnostics.throwIfAny() } catch {
                throw RecordRefusal(stage: fault == .invalid ? .invalid : .forbidden, error: error)
            }
        }
        judge(by: reading, in: &plan, of: file, keeping: kept)
    }

    /// Has access lists judge that were right when they were written, as far as the file still lets them. What it does not is
    /// left out rule by rule (`PlannedAccess.omissions`), and never the whole list, unless nothing of it can be in force.
    package static func judge(
        fitting records: [AccessRecord], in plan: inout AppliancePlan, of file: TopologyFile,
        keeping kept: AppliancePlan?
    ) {
        let diagnostics = Diagnostics(path: file.path, text: "")
        let reading = AccessReader(file, diagnostics).read(
            records, kept: Set(records), known: kept?.accessLists ?? [])
        judge(by: reading, in: &plan, of: file, keeping: kept)
    }

    private static func judge(
        by reading: AccessReader.Reading, in plan: inout AppliancePlan, of file: TopologyFile,
        keeping kept: AppliancePlan?
    ) {
        plan.accessLists = counting(reading.lists, after: kept?.accessLists ?? [])
        plan.accessSetAside = reading.aside
        plan.access = points(in: plan, of: file)
        plan.judgeByEngine()
        giveFiles(to: &plan, of: file)
    }

    /// Nodes have the files of templates from their start, without any list: they get the lists before they are ready.
    private static func giveFiles(to plan: inout AppliancePlan, of file: TopologyFile) {
        for access in plan.access {
            guard case .template(let template)? = access.byApplication,
                let text = try? AccessTemplateText(template.template),
                let origin = file.access(of: access.application)?.origin
            else { continue }
            for index in plan.nodes.indices where access.nodes.contains(plan.nodes[index].name) {
                guard !plan.nodes[index].files.contains(where: { $0.path == template.path }) else { continue }
                plan.nodes[index].files.append(
                    FilePlan(path: template.path, contents: Array(text.filled([]).utf8), origin: origin))
            }
        }
    }

    /// The applications of the file whose packets lists judge, with the lists that are in force.
    private static func points(in plan: AppliancePlan, of file: TopologyFile) -> [AccessPlan] {
        var seen: Set<String> = []
        let order = Dictionary(file.tenants.enumerated().map { ($1.name.value, $0) }) { first, _ in first }
        return file.nodes.compactMap { node in
            let name = node.application ?? node.name.value
            guard node.access != nil || node.negotiation != nil, seen.insert(name).inserted else { return nil }
            let instances = plan.applications.first { $0.name == name }?.instances.map(\.node)
            let lists = plan.accessLists.filter { $0.record.application == name }.map { planned in
                var list = planned.list
                list.numbers = planned.sources.map { $0 + 1 }
                return list
            }
            // What an application keeps for itself is about its own mappings.
            let filters = lists.filter { $0.tenant == name && node.negotiation != nil }
            guard node.access != nil || !filters.isEmpty else { return nil }
            return AccessPlan(
                application: name, nodes: instances ?? [name], isTransparent: node.transparent,
                isByEngine: node.access?.isByEngine ?? false, byApplication: node.access?.byApplication,
                lists: lists.filter { !filters.contains($0) }
                    .sorted { order[$0.tenant] ?? .max < order[$1.tenant] ?? .max },
                filters: filters)
        }
    }

    // MARK: - Counters

    /// What makes two rules of different lists the same one.
    private struct RuleKey: Hashable {
        var list: String
        /// nil: the default.
        var rule: AccessRule?
    }

    /// The lists with the counters that their rules had before; new ones get numbers that nothing has used.
    private static func counting(_ lists: [PlannedAccess], after former: [PlannedAccess]) -> [PlannedAccess] {
        func key(_ list: PlannedAccess, _ rule: AccessRule?) -> RuleKey {
            var rule = rule
            rule?.counter = 0
            return RuleKey(list: list.record.id, rule: rule)
        }
        var known: [RuleKey: [Int]] = [:]
        var used: Set<Int> = []
        for list in former {
            for rule in list.list.rules.reversed() { known[key(list, rule), default: []].append(rule.counter) }
            known[key(list, nil)] = [list.list.counter]
            used.formUnion(list.list.counters)
        }
        var next = 0
        func counter(_ key: RuleKey) -> Int {
            if let counter = known[key]?.popLast() { return counter }
            while !used.insert(next).inserted { next += 1 }
            return next
        }
        return lists.map { list in
            var list = list
            for index in list.list.rules.indices {
                list.list.rules[index].counter = counter(key(list, list.list.rules[index]))
            }
            list.list.counter = counter(key(list, nil))
            return list
        }
    }
}
