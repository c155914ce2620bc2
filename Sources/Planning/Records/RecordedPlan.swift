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
        records = zip(plan.serviceRecords, services).map { KnownRecord($0, $1, &shapes, customers: customers) }
        self.shapes = shapes
    }

    /// What an instruction makes of the plan.
    package enum Outcome {
        /// The plan afterwards, and how its table differs.
        case changed(RecordedPlan, TablePatch)
        /// Only planning all of it can tell, because of this.
        case unknown(String)
    }

    /// How often the plan was changed, which tells its versions apart.
    private(set) var version = 0
    /// How the entries of this version differ from those of the one before.
    private(set) var patch: TablePatch?
    /// Copying all entries takes longer than all else, so there is a second list of them.
    let spare = SpareEntries()

    /// The plan as it runs, if it differs in names of devices, and in counters of entries, alone.
    ///
    /// - Parameter former: The version before, of which only this one was made. Its entries are needed no more.
    package mutating func adopt(_ running: AppliancePlan, insteadOf former: RecordedPlan?) {
        let isSame = running.table.entries.isSame(as: plan.table.entries)
        plan = running
        // Access lists change no entry.
        if isSame, former?.version == version { return }
        guard isSame, let former, former.version + 1 == version, let patch else { return spare.drop() }
        spare.keep(former.plan.table.entries, patch, version)
    }

    /// Makes the entries of the version before equal to those of this one, in their own memory, if nothing else has them.
    /// It may be done later, on the same thread.
    package func catchUp() { spare.catchUp() }

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
        // By the place of each record.
        var isTouched = [Bool](repeating: true, count: records.count)
        for (known, place) in zip(next.records, next.places) {
            if let place, known === records[place] { isTouched[place] = false }
        }
        let isIn = part(of: next, isTouched)
        let kept = keptParts
        let former = records.indices.lazy.filter { isIn[$0] }.map { records[$0] }
        let latter = next.places.indices.lazy.filter { next.places[$0].map { isIn[$0] } ?? true }
            .map { next.records[$0] }
        guard let before = try? PartialPlan(file, Array(former), name: plan.name, keeping: kept, changes: plan.changes)
        else { return .unknown("the part of the records is refused alone") }
        let after: PartialPlan
        do throws(TopologyError) {
            after = try PartialPlan(file, Array(latter), name: plan.name, keeping: kept, changes: plan.changes)
        } catch { throw RecordRefusal(stage: .conflict, error: error) }
        do throws(Misfit) {
            let (changed, table) = try splice(from: before, to: after, next, isIn)
            (recorded.plan, recorded.records) = (changed, next.records)
            (recorded.version, recorded.patch) = (version + 1, table)
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
    ) throws(RecordRefusal) -> NextRecords {
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
        for (record, service) in zip(put, services) {
            fresh[record.id] = KnownRecord(record, service, &shapes, customers: customers)
        }
        let judged = fresh
        let names = FewNames(remove.union(fresh.keys))
        var next = NextRecords()
        next.records.reserveCapacity(records.count + put.count)
        next.places.reserveCapacity(records.count + put.count)
        for (place, known) in records.enumerated() {
            var chosen = known
            if names.contains(known.id) {
                guard let changed = fresh.removeValue(forKey: known.id) else { continue }
                chosen = changed
            }
            next.records.append(chosen)
            next.places.append(place)
        }
        for record in put {
            guard let known = fresh.removeValue(forKey: record.id) else { continue }
            next.records.append(known)
            next.places.append(nil)
        }
        let tenants = FewNames(Set(put.map(\.tenant)))
        try check(
            reader.judging(
                next.records.filter { tenants.contains($0.record.tenant) }
                    .map { ($0.record, judged[$0.id]?.service) }))
        return next
    }

    /// The records that a part of the plan needs (see above), by their places: those that the instruction touches, and
    /// others.
    private func part(of next: NextRecords, _ isTouched: [Bool]) -> [Bool] {
        var isIn = isTouched
        let others = records.indices.filter { !isIn[$0] }
        var relations = Relations(networkEnds)
        for place in records.indices where isTouched[place] {
            relations.add(records[place])
            relations.name(records[place].id)
        }
        for (known, place) in zip(next.records, next.places) where place.map({ isTouched[$0] }) ?? true {
            relations.add(known)
            relations.name(known.id)
        }
        for place in others where records[place].isExposed || relations.hasNames(in: records[place].id) {
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
        var open = shapes.count
        for place in others where open > 0 {
            let known = records[place]
            switch witnesses[known.shape] {
            case .none: witnesses[known.shape] = .one(known.addresses)
            case .one(let first) where first != known.addresses:
                witnesses[known.shape] = .two
                open -= 1
            case .one, .two: continue
            }
            isIn[place] = true
        }
        return isIn
    }

    private enum Witnesses {
        case none
        case one([IPPrefix])
        case two
    }
}

/// Whether a name is one of a few, which takes no hashing of it.
private struct FewNames {
    private let names: [String]
    private let all: Set<String>

    init(_ all: Set<String>) {
        self.all = all
        names = all.count > 8 ? [] : Array(all)
    }

    func contains(_ name: String) -> Bool { all.count > 8 ? all.contains(name) : names.contains(name) }
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
