import Plan
import Reporting
import Yams

extension FileReader {
    /// The packeting engines: `engine` for the workers of one, `engines` for several.
    func engines(_ fields: Fields) -> EnginesPlan {
        var plan = EnginesPlan()
        if let node = fields["engine"] {
            let engine = nodes.fields(node, "engine", Grammar.engine)
            plan.workers = nodes.integer(engine["workers"], "the number of workers", in: Grammar.workers)?.value ?? 1
            readTuning(engine, into: &plan)
        }
        guard let node = fields["engines"] else { return plan }
        if fields["engine"] != nil {
            diagnostics.error(
                fields.origin(of: "engine"), "the file has both `engine` and `engines`",
                hint: "write `engines: { count: 2, workers: 1 }` alone")
        }
        if case .scalar = node {
            plan.count =
                nodes.integer(node, "the number of engines", in: Grammar.engineCounts)?.value ?? plan.count
            return plan
        }
        let engines = nodes.fields(node, "engines", Grammar.engines)
        let count = nodes.integer(engines["count"], "the number of engines", in: Grammar.engineCounts)
        let workers = nodes.integer(engines["workers"], "the number of workers", in: Grammar.workers)
        plan.count = count?.value ?? 2
        plan.workers = workers?.value ?? 1
        readTuning(engines, into: &plan)
        if let workers, plan.count * plan.workers > Grammar.workers.upperBound {
            // As many queues as the kernel gives a TAP (MAX_TAP_QUEUES), of which each worker has its own.
            diagnostics.error(
                workers.origin,
                "\(plan.count) engines with \(plan.workers) workers each exceed the limit of \(Grammar.workers.upperBound)",
                hint: "write `workers: \(Grammar.workers.upperBound / plan.count)` or fewer")
        }
        let sharing: Located<EnginesPlan.Sharing>? = nodes.choice(engines["share"], "`share`")
        plan.sharing = sharing?.value ?? .queues
        if plan.sharing == .direction, let count, count.value != 2 {
            diagnostics.error(
                count.origin, "\(count.value) engines cannot share the load by direction: there are only two",
                hint: "write `count: 2`, or `share: queues`")
        }
        return plan
    }
    /// How every engine moves frames.
    private func readTuning(_ fields: Fields, into plan: inout EnginesPlan) {
        let writing: Located<EnginesPlan.Writing>? = nodes.choice(fields["io"], "`io`")
        let latency: Located<EnginesPlan.Latency>? = nodes.choice(fields["latency"], "`latency`")
        plan.writing = writing?.value ?? .automatic
        plan.coalesces = nodes.flag(fields["coalescing"], "`coalescing`")?.value ?? true
        plan.latency = latency?.value ?? .normal
    }
}
