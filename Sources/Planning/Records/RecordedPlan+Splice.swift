import Forwarding
import Plan
import Reporting
import TopologyFiles

/// Doing the difference of two small plans to the whole one.
extension RecordedPlan {
    /// The plan with the difference, and the difference of its table.
    ///
    /// - Parameters:
    ///   - next: All records afterwards.
    ///   - isIn: Whether a record of this plan is in the small ones, by its place.
    /// - Throws: `Misfit` if the small plans differ in something that is no part of services, or if the whole does not fit
    ///   them.
    func splice(
        from before: PartialPlan, to after: PartialPlan, _ next: NextRecords, _ isIn: [Bool]
    ) throws(Misfit) -> (plan: AppliancePlan, table: TablePatch) {
        let (old, new) = (before.plan, after.plan)
        guard old.interfaces == new.interfaces, old.table.interfaces == new.table.interfaces else {
            throw Misfit("the interfaces differ")
        }
        guard old.checks == new.checks, old.engines == new.engines else { throw Misfit("the checks or engines differ") }
        guard old.applications == new.applications, old.table.groups == new.table.groups else {
            throw Misfit("the applications differ")
        }
        guard old.impairments == new.impairments, old.table.neighbours == new.table.neighbours,
            old.table.mirrors == new.table.mirrors
        else { throw Misfit("the links differ") }
        let nodes = try nodes(from: old.nodes, to: new.nodes)
        let sources = try sources(from: old.table.sources, to: new.table.sources)
        let claimed = try ListChange(from: old.table.claimed, to: new.table.claimed)
            .done(to: plan.table.claimed, "the claimed addresses")
        let holders = try ListChange(from: old.table.holders, to: new.table.holders)
            .done(to: plan.table.holders, "the holders of addresses")
        let remarks = try ListChange(from: old.remarks, to: new.remarks).done(to: plan.remarks, "the remarks")
        let (patch, places) = try patch(from: before, to: after, next, isIn)
        guard let numbered = patch.numbered(for: plan.table.entries) else {
            throw Misfit("the table has other entries")
        }
        var changed = plan
        changed.nodes = nodes
        changed.table.sources = sources
        changed.table.claimed = claimed
        changed.table.holders = holders
        changed.table.entries = spare.entries(of: self, numbered)
        changed.remarks = remarks.sorted { $0.origin < $1.origin }
        changed.serviceRecords = next.records.map(\.record)
        changed.recordEntries = places
        describe(after, next, isIn, &changed)
        return (changed, numbered)
    }

    // MARK: - Nodes

    private func nodes(from old: [NodePlan], to new: [NodePlan]) throws(Misfit) -> [NodePlan] {
        guard old.count == new.count, new.count == plan.nodes.count else { throw Misfit("the nodes differ") }
        var nodes = plan.nodes
        for index in nodes.indices where old[index] != new[index] {
            let name = nodes[index].name
            guard old[index].withoutServices == new[index].withoutServices, name == new[index].name else {
                throw Misfit("node \(name) differs")
            }
            let loopback = try ListChange(from: old[index].loopback, to: new[index].loopback)
                .done(to: nodes[index].loopback, "the addresses of \(name)")
            let local = try ListChange(from: old[index].local, to: new[index].local)
                .done(to: nodes[index].local, "the prefixes of \(name)")
            let routes = try ListChange(from: old[index].routes, to: new[index].routes)
                .done(to: nodes[index].routes, "the routes of \(name)")
            guard Set(routes.map(\.destination)).count == routes.count else {
                throw Misfit("\(name) has two routes to one destination")
            }
            (nodes[index].loopback, nodes[index].local, nodes[index].routes) = (loopback, local, routes)
        }
        return nodes
    }

    /// The nodes' legs as the engine knows them: only what they may send from may differ.
    private func sources(from old: [KnownSource], to new: [KnownSource]) throws(Misfit) -> [KnownSource] {
        guard old.count == new.count, new.count == plan.table.sources.count else { throw Misfit("the nodes differ") }
        var sources = plan.table.sources
        for index in sources.indices where old[index] != new[index] {
            var same = old[index]
            same.origins = new[index].origins
            guard same == new[index], let before = old[index].origins, let after = new[index].origins,
                let whole = sources[index].origins
            else { throw Misfit("what \(same.node) may send differs") }
            sources[index].origins = try ListChange(from: before, to: after)
                .done(to: whole, "what \(same.node) may send")
        }
        return sources
    }

    // MARK: - Entries

    private func patch(
        from before: PartialPlan, to after: PartialPlan, _ next: NextRecords, _ isIn: [Bool]
    ) throws(Misfit) -> (patch: TablePatch, places: RecordEntries) {
        let (known, ranges) = (plan.recordEntries, plan.recordEntries.ranges)
        let (end, count) = (known.end, plan.table.entries.count)
        // The file's own are in the small plans as they are in the whole.
        guard before.head.count == known.start, before.tail.count == count - end else {
            throw Misfit("the entries of the file differ")
        }
        var spans: [TablePatch.Span] = []
        if before.head != after.head { spans.append(TablePatch.Span(0..<known.start, after.head)) }
        var counts: [Int] = []
        counts.reserveCapacity(next.records.count)
        for (place, record) in records.enumerated() {
            // The records that stay come in their order, and the new ones behind them.
            guard counts.count < next.places.count, next.places[counts.count] == place else {
                spans.append(TablePatch.Span(ranges[place], []))
                continue
            }
            counts.append(known.counts[place])
            guard isIn[place] else { continue }
            let (old, new) = (before.entries(of: record.id), after.entries(of: record.id))
            guard old.count == known.counts[place] else { throw Misfit("the entries of \(record.id) differ") }
            guard old != new else { continue }
            counts[counts.count - 1] = new.count
            spans.append(TablePatch.Span(ranges[place], new))
        }
        var added: [Entry] = []
        for record in next.records[counts.count...] {
            let entries = after.entries(of: record.id)
            counts.append(entries.count)
            added += entries
        }
        if !added.isEmpty { spans.append(TablePatch.Span(end..<end, added)) }
        if before.tail != after.tail { spans.append(TablePatch.Span(end..<count, after.tail)) }
        return (
            TablePatch(spans: spans, count: count), RecordEntries(start: after.head.count, counts: counts)
        )
    }

    // MARK: - Descriptions

    /// The lists with an element for each service, in their order.
    private func describe(
        _ after: PartialPlan, _ next: NextRecords, _ isIn: [Bool], _ changed: inout AppliancePlan
    ) {
        let own = file.services.count
        let (services, origins) = (plan.services, plan.entryOrigins)
        changed.services = Array(after.plan.services[..<own])
        changed.entryOrigins = Array(after.plan.entryOrigins[..<own])
        changed.services.reserveCapacity(own + next.records.count)
        changed.entryOrigins.reserveCapacity(origins.count + next.records.count)
        for (record, place) in zip(next.records, next.places) {
            if let place, !isIn[place] {
                changed.services.append(services[own + place])
                changed.entryOrigins.append(origins[own + place])
            } else if let address = after.address(of: record.id, behind: own),
                let origin = after.origin(of: record.id, behind: own)
            {
                changed.services.append(address)
                changed.entryOrigins.append(origin)
            }
        }
        changed.entryOrigins += origins[(own + records.count)...]
    }
}

extension NodePlan {
    /// The node without what it has of services.
    fileprivate var withoutServices: NodePlan {
        var node = self
        (node.loopback, node.local, node.routes) = ([], [], [])
        return node
    }
}
