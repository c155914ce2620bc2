import Forwarding
import Plan
import Reporting
import TopologyFiles

extension Planner {
    /// Has exactly these access lists of tenants judge in a plan of `file`.
    ///
    /// - Parameter kept: The plan of the running topology: rules keep their counters.
    /// - Throws: `RecordRefusal` with all that is wrong.
    package static func judge(
        by records: [AccessRecord], in plan: inout AppliancePlan, of file: TopologyFile, keeping kept: AppliancePlan?
    ) throws(RecordRefusal) {
        let diagnostics = Diagnostics(path: file.path, text: file.text, included: file.included)
        let (lists, fault) = AccessReader(file, diagnostics).read(records)
        if let fault {
            do throws(TopologyError) { try diagnostics.throwIfAny() } catch {
                throw RecordRefusal(stage: fault == .invalid ? .invalid : .forbidden, error: error)
            }
        }
        plan.accessLists = counting(lists, after: kept?.accessLists ?? [])
        plan.accessSetAside = []
        plan.access = points(in: plan, of: file)
        plan.judgeByEngine()
        giveFiles(to: &plan, of: file)
    }

    /// Has as many of the access lists judge as the file lets, in their order. The others are set aside in the plan, with the
    /// reasons.
    package static func judge(
        fitting records: [AccessRecord], in plan: inout AppliancePlan, of file: TopologyFile,
        keeping kept: AppliancePlan?
    ) {
        var (fitting, aside) = ([AccessRecord](), [AccessSetAside]())
        for record in records {
            do throws(RecordRefusal) {
                try judge(by: fitting + [record], in: &plan, of: file, keeping: kept)
                fitting.append(record)
            } catch {
                aside.append(AccessSetAside(record, reasons: error.error.problems.map(\.message)))
            }
        }
        // Each of these has been read.
        try? judge(by: fitting, in: &plan, of: file, keeping: kept)
        plan.accessSetAside = aside
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
            guard let access = node.access, seen.insert(name).inserted else { return nil }
            let instances = plan.applications.first { $0.name == name }?.instances.map(\.node)
            let lists = plan.accessLists.filter { $0.record.application == name }.map { planned in
                var list = planned.list
                list.numbers = planned.sources.map { $0 + 1 }
                return list
            }
            return AccessPlan(
                application: name, nodes: instances ?? [name], isTransparent: node.transparent,
                isByEngine: access.isByEngine, byApplication: access.byApplication,
                lists: lists.sorted { order[$0.tenant] ?? .max < order[$1.tenant] ?? .max })
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
