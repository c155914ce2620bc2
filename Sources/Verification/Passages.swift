import Forwarding
import Plan
import Reporting
import Wire

/// The entries that send packets into each application, and the entries that take its packets. They show a person where
/// packets stopped.
struct Passages {
    private struct Passage {
        var application: String
        var system: DestinationSystemType
        /// The names of entries.
        var into: Set<String> = []
        var outOf: Set<String> = []
    }
    private var passages: [Passage] = []

    init(_ plan: AppliancePlan) {
        let table = plan.table
        let shared = Set(plan.applications.filter { $0.instances.count > 1 }.flatMap { $0.instances.map(\.node) })
        for node in plan.nodes where node.kind == .application && !shared.contains(node.name) {
            let own = table.sources.filter { $0.node == node.name }
            guard let system = own.first?.system else { continue }
            var passage = Passage(application: node.name, system: system)
            for entry in table.entries {
                let isFrom = own.contains { $0.interface == entry.receivedInterface && $0.mac == entry.sourceMAC }
                if isFrom { passage.outOf.insert(entry.name) }
                let isTo = entry.targets.contains { target in node.legs.contains { Self.leads(target, to: $0) } }
                if isTo { passage.into.insert(entry.name) }
            }
            passages.append(passage)
        }
    }

    private static func leads(_ target: SendTarget, to leg: LegPlan) -> Bool {
        guard target.interface == leg.interface else { return false }
        return switch target.address {
        case .mac(let mac): mac == leg.mac || leg.deliverToo.contains(mac)
        case .network(let address), .neighbour(let address?): leg.addresses.contains { $0.address == address }
        case .neighbour(nil): false
        }
    }

    /// A line for each application that packets went into or came out of, in the order of the file.
    ///
    /// - Parameter packets: How many packets the entries of a name have counted.
    func summary(_ packets: (String) -> UInt64) -> [String] {
        passages.compactMap { passage in
            // Engines write the counters: with any values, the sum is a number.
            let into = passage.into.reduce(0) { $0 &+ packets($1) }
            let outOf = passage.outOf.reduce(0) { $0 &+ packets($1) }
            guard into > 0 || outOf > 0 else { return nil }
            let begun = "\(into == 0 ? "no packets" : Plural.counted(into, "packet")) went into \(passage.application)"
            if passage.system == .passiveApplication, outOf == 0 { return "\(begun), which keeps all packets" }
            return "\(begun), \(outOf == 0 ? "none" : "\(outOf)") came out"
        }
    }
}
