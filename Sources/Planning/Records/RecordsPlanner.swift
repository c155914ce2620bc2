import Plan
import Reporting
import TopologyFiles

/// Why records cannot be in force beside a file: all that is wrong, and how far they came.
package struct RecordRefusal: Error, Sendable {
    /// The stage that found it.
    package enum Stage: String, Sendable {
        /// A value of a record has no right form.
        case invalid
        /// A tenant may not do that.
        case forbidden
        /// It contradicts the file or another record, or a packet would suffer.
        case conflict
    }

    package var stage: Stage
    /// What is wrong: records with the places in them, and lines of the file.
    package var error: TopologyError
}

extension Planner {
    /// The plan of `file` with the records of tenants. The other parameters are those of `plan`.
    ///
    /// - Throws: `RecordRefusal` with all that is wrong.
    package static func plan(
        _ file: TopologyFile, records: [ServiceRecord], name: String?, keeping kept: AppliancePlan?,
        changes: InstanceChanges
    ) throws(RecordRefusal) -> AppliancePlan {
        let diagnostics = Diagnostics(path: file.path, text: file.text, included: file.included)
        var whole = file
        if let fault = RecordReader(file, diagnostics).adding(records, to: &whole) {
            do throws(TopologyError) { try diagnostics.throwIfAny() } catch {
                throw RecordRefusal(stage: fault == .invalid ? .invalid : .forbidden, error: error)
            }
        }
        do throws(TopologyError) {
            let (made, proved) = try make(whole, name: name, keeping: kept, changes: changes)
            var plan = made
            plan.serviceRecords = records
            plan.recordEntries = proved.routed.resolved.recordEntries(behind: file.services.count, records.count)
            return plan
        } catch {
            throw RecordRefusal(stage: .conflict, error: error)
        }
    }

    /// The plan of `file` with as many of the records as can be in force beside it: the file goes first, then the records in
    /// their order. Those that cannot are set aside in the plan, with the reasons.
    ///
    /// - Throws: `TopologyError` with the mistakes of the file itself.
    package static func plan(
        _ file: TopologyFile, fitting records: [ServiceRecord], name: String?, keeping kept: AppliancePlan?,
        changes: InstanceChanges
    ) throws(TopologyError) -> AppliancePlan {
        var (left, aside) = (records, [RecordSetAside]())
        while !left.isEmpty {
            do throws(RecordRefusal) {
                var plan = try self.plan(file, records: left, name: name, keeping: kept, changes: changes)
                plan.recordsSetAside = aside
                return plan
            } catch {
                // A mistake names the later of two that collide, or both. If it names none, the newest record gives way.
                let named = error.error.problems.compactMap { problem in
                    left.last { record in
                        ([problem.origin] + problem.related.map(\.origin)).contains { $0.record?.id == record.id }
                    }
                }
                for record in named.isEmpty ? [left[left.count - 1]] : named {
                    guard left.contains(record) else { continue }
                    left.removeAll { $0.id == record.id }
                    let own = error.error.problems.filter { $0.origin.record?.id == record.id }
                    let reasons = (own.isEmpty ? error.error.problems : own).map { $0.message }
                    aside.append(RecordSetAside(record, reasons: reasons))
                }
            }
        }
        var plan = try self.plan(file, name: name, keeping: kept, changes: changes)
        plan.recordsSetAside = aside
        return plan
    }
}

extension ResolvedTopology {
    /// Where the entries of records are.
    ///
    /// - Parameters:
    ///   - own: How many services the file has: the records' come behind them.
    ///   - count: How many records there are.
    func recordEntries(behind own: Int, _ count: Int) -> RecordEntries {
        var counts = Array(repeating: 0, count: count)
        let chained = Set(services.map(\.index))
        let end = bases.prefix { $0.service.map(chained.contains) ?? false }.count
        for basis in bases[..<end] {
            if let service = basis.service, service >= own { counts[service - own] += 1 }
        }
        return RecordEntries(start: end - counts.reduce(0, +), counts: counts)
    }
}
