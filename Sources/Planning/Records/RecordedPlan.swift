import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// A plan with records, in a form that one instruction changes without planning and proving all of it anew.
///
/// A change is found by planning two small topologies, and by doing their difference to the plan. Both have the file and a
/// part of the records: before the change, and after it. The difference is that of the whole because of the chosen part:
///
/// 1. **All records whose packets the change can touch.** An entry of a record asks for one of its service addresses: as the
///    destination of requests, as the source of responses. The one exception is the end of a chain with a network send
///    address, whose answers come from its own address. So an entry of another record can take a packet of the changed one,
///    or lose one to it, only if their addresses overlap, if both end at one such application, or if a customer sends from
///    an address that is a service's. The part is closed under the first two; the third is in it always (`isExposed`). So
///    it has all flow classes that the change can touch, with all entries that can decide them, and the proof of
///    the part finds what the proof of the whole would find.
/// 2. **Two witnesses of each shape.** What is not of addresses (a node's kind, its routes to customers, the sharing of
///    engines) follows from which nodes, legs and customers services use: from their shapes (`KnownRecord.Shape`). Where it
///    matters whether there are none, one or several, two witnesses with different addresses tell.
///
/// This is judged, too: what goes must be in the plan and what comes must not, and everything else must be the same before
/// and after. If not, the caller plans all. A test compares both ways over random instructions.
package struct RecordedPlan: Sendable {
    /// The file without records.
    let file: TopologyFile
    /// The plan of the file with the records.
    package private(set) var plan: AppliancePlan
    private(set) var records: [KnownRecord]
    /// The addresses that customers may send from.
    let customers: AddressSpace
    /// The applications whose answers come from their own address.
    let networkEnds: Set<String>
    /// The numbers of the shapes of records, as far as there were any.
    private var shapes: [KnownRecord.Shape: Int]

    /// - Returns: nil if a record cannot be read, or the plan does not say where its entries are.
    package init?(_ file: TopologyFile, _ plan: AppliancePlan) {
        guard plan.recordEntries.counts.count == plan.serviceRecords.count else { return nil }
        let diagnostics = Diagnostics(path: file.path, text: file.text, included: file.included)
        var services: [RawService] = []
        guard RecordReader(file, diagnostics).reading(plan.serviceRecords, as: &services) == nil else { return nil }
        var customers = AddressSpace()
        for node in plan.nodes where node.kind == .customer {
            for address in node.legs.flatMap(\.addresses) { customers.add(IPPrefix(host: address.address)) }
        }
        for node in file.nodes {
            if node.kind == .customer { for prefix in node.prefixes + node.mayHave { customers.add(prefix.value) } }
        }
        for interface in plan.table.interfaces {
            for link in interface.addresses { customers.add(link.prefix) }
        }
        self.file = file
        self.plan = plan
        self.customers = customers
        networkEnds = Set(file.nodes.filter { $0.networkAddress != nil }.map { $0.application ?? $0.name.value })
        var shapes: [KnownRecord.Shape: Int] = [:]
        records = zip(plan.serviceRecords, services).map { KnownRecord($0, $1, &shapes) }
        self.shapes = shapes
    }

    /// What an instruction makes of the plan.
    package enum Outcome {
        /// The plan afterwards, and how its table differs.
        case changed(RecordedPlan, TablePatch)
        /// Only planning all of it can tell, because of this.
        case unknown(String)
    }

    /// The plan as it runs, if it differs in names of devices alone.
    package mutating func adopt(_ running: AppliancePlan) { plan = running }

    /// The plan after an instruction.
    ///
    /// - Parameters:
    ///   - put: Records to add, or to put in the places of those with the same ids.
    ///   - remove: The ids of records to remove.
    /// - Throws: `RecordRefusal` with all that is wrong with the records.
    package func changed(put: [ServiceRecord], remove: Set<String>) throws(RecordRefusal) -> Outcome {
        var recorded = self
        let replaced = Set(put.map(\.id))
        let next = try records(put, remove.subtracting(replaced), &recorded.shapes)
        let touched = remove.union(replaced)
        let part = part(of: next, touched)
        func chosen(_ records: [KnownRecord]) -> [KnownRecord] {
            records.filter { touched.contains($0.id) || part.contains($0.id) }
        }
        let kept = keptParts
        let (former, latter) = (chosen(records), chosen(next))
        guard let before = try? PartialPlan(file, former, name: plan.name, keeping: kept, changes: plan.changes)
        else { return .unknown("the part of the records is refused alone") }
        let after: PartialPlan
        do throws(TopologyError) {
            after = try PartialPlan(file, latter, name: plan.name, keeping: kept, changes: plan.changes)
        } catch { throw RecordRefusal(stage: .conflict, error: error) }
        do throws(Misfit) {
            let (changed, table) = try splice(from: before, to: after, next.map(\.record))
            (recorded.plan, recorded.records) = (changed, next)
            return .changed(recorded, table)
        } catch { return .unknown(error.what) }
    }

    /// The parts that a small plan takes over: all but entries, which get their counters in the whole.
    private var keptParts: AppliancePlan {
        var kept = plan
        kept.table.entries = []
        return kept
    }

    /// All records after an instruction, the new ones read and judged.
    private func records(
        _ put: [ServiceRecord], _ remove: Set<String>, _ shapes: inout [KnownRecord.Shape: Int]
    ) throws(RecordRefusal) -> [KnownRecord] {
        let diagnostics = Diagnostics(path: file.path, text: file.text, included: file.included)
        let reader = RecordReader(file, diagnostics)
        func check(_ fault: RecordReader.Fault?) throws(RecordRefusal) {
            guard let fault else { return }
            do throws(TopologyError) { try diagnostics.throwIfAny() } catch {
                throw RecordRefusal(stage: fault == .invalid ? .invalid : .forbidden, error: error)
            }
        }
        var services: [RawService] = []
        try check(reader.reading(put, as: &services))
        var fresh: [String: KnownRecord] = [:]
        for (record, service) in zip(put, services) { fresh[record.id] = KnownRecord(record, service, &shapes) }
        let judged = fresh
        var next: [KnownRecord] = []
        next.reserveCapacity(records.count + put.count)
        for known in records where !remove.contains(known.id) {
            next.append(fresh.removeValue(forKey: known.id) ?? known)
        }
        for record in put {
            if let known = fresh.removeValue(forKey: record.id) { next.append(known) }
        }
        let tenants = Set(put.map(\.tenant))
        try check(
            reader.judging(
                next.filter { tenants.contains($0.record.tenant) }.map { ($0.record, judged[$0.id]?.service) }))
        return next
    }

    /// The ids of the untouched records that a part of the plan needs (see above).
    private func part(of next: [KnownRecord], _ touched: Set<String>) -> Set<String> {
        var isIn = records.map { touched.contains($0.id) }
        let others = records.indices.filter { !isIn[$0] }
        var relations = Relations(networkEnds)
        for known in zip(records, isIn).lazy.filter(\.1).map(\.0) + next.filter({ touched.contains($0.id) }) {
            relations.add(known)
            relations.name(known.id)
        }
        for place in others
        where isExposed(records[place]) || relations.hasNames(in: records[place].id) {
            isIn[place] = true
            relations.add(records[place])
        }
        while true {
            let found = others.filter { !isIn[$0] && relations.touch(records[$0]) }
            guard !found.isEmpty else { break }
            for place in found {
                isIn[place] = true
                relations.add(records[place])
            }
        }
        var witnesses = [Witnesses](repeating: .none, count: shapes.count)
        for place in others {
            let known = records[place]
            switch witnesses[known.shape] {
            case .none: witnesses[known.shape] = .one(known.addresses)
            case .one(let first) where first != known.addresses: witnesses[known.shape] = .two
            case .one, .two: continue
            }
            isIn[place] = true
        }
        return Set(others.lazy.filter { isIn[$0] }.map { records[$0].id })
    }

    private enum Witnesses {
        case none
        case one([IPPrefix])
        case two
    }

    /// True if a customer may send from an address of the service.
    private func isExposed(_ known: KnownRecord) -> Bool { known.addresses.contains { customers.overlaps($0) } }
}

/// What records have in common by which the packets of one may be taken for those of another.
private struct Relations {
    private let networkEnds: Set<String>
    private var space = AddressSpace()
    private var ends: Set<String> = []
    private var names: [String] = []
    private var heads: Set<String> = []

    init(_ networkEnds: Set<String>) { self.networkEnds = networkEnds }

    private func end(_ known: KnownRecord) -> String? {
        known.record.sequence.last.flatMap { networkEnds.contains($0) ? $0 : nil }
    }

    mutating func add(_ known: KnownRecord) {
        for address in known.addresses { space.add(address) }
        if let end = end(known) { ends.insert(end) }
    }

    func touch(_ known: KnownRecord) -> Bool {
        known.addresses.contains { space.overlaps($0) } || !ends.isEmpty && end(known).map(ends.contains) == true
    }

    /// Names of entries begin with those of records, and names of records may have full stops: `alice/shop.request.web`.
    mutating func name(_ id: String) {
        names.append(id + ".")
        let parts = id.split(separator: ".", omittingEmptySubsequences: false)
        for count in 1..<max(1, parts.count) { heads.insert(parts[..<count].joined(separator: ".")) }
    }

    /// True if entries of a record might be called as those of one that was named.
    func hasNames(in id: String) -> Bool {
        names.contains { id.utf8.starts(with: $0.utf8) } || !heads.isEmpty && heads.contains(id)
    }
}
