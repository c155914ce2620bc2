import Forwarding
import Plan
import TopologyFiles

/// The proved plan of a file with a part of the records.
struct PartialPlan {
    let plan: AppliancePlan
    /// The places of the records, by their ids.
    private let places: [String: Int]
    private let ranges: [Range<Int>]

    init(
        _ file: TopologyFile, _ records: [KnownRecord], name: String, keeping kept: AppliancePlan,
        changes: InstanceChanges
    ) throws(TopologyError) {
        var whole = file
        whole.services += records.map(\.service)
        let (made, proved) = try Planner.make(whole, name: name, keeping: kept, changes: changes)
        var plan = made
        plan.recordEntries = proved.routed.resolved.recordEntries(behind: file.services.count, records.count)
        self.plan = plan
        places = Dictionary(records.enumerated().map { ($1.id, $0) }) { first, _ in first }
        ranges = plan.recordEntries.ranges
    }

    func has(_ id: String) -> Bool { places[id] != nil }

    /// The entries of a record, without counters.
    func entries(of id: String) -> [Entry] { places[id].map { entries(ranges[$0]) } ?? [] }

    /// The entries of the file's services with a chain.
    var head: [Entry] { entries(0..<plan.recordEntries.start) }

    /// The entries of services between neighbours, and those by hand.
    var tail: [Entry] { entries(plan.recordEntries.end..<plan.table.entries.count) }

    private func entries(_ range: Range<Int>) -> [Entry] { plan.table.entries[range].map(\.uncounted) }

    /// A record as customers find it.
    func address(of id: String, behind own: Int) -> ServiceAddresses? { places[id].map { plan.services[own + $0] } }

    /// What the entries of a record are made for.
    func origin(of id: String, behind own: Int) -> EntryOrigin? { places[id].map { plan.entryOrigins[own + $0] } }
}
