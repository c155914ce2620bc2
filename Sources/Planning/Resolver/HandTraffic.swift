import Forwarding
import Plan
import TopologyFiles
import Wire

/// The packets that entries by hand make a node send, as far as its routes must know.
struct HandTraffic: Sendable {
    /// The customers whose requests reach its near side.
    var sides: [CustomerSide] = []
    /// For each leg: the destinations that entries take from it there.
    var sent: [Set<IPPrefix>]
    var families: Set<AddressFamily> = []
    /// True if entries take on from it the requests that others send to it.
    var passesOn = false
}

/// Entries by hand do not say the routes of a node. The routes follow from the senders of its requests, and from the
/// packets that the entries take from each of its legs.
struct HandTrafficReader: EntryStage, Diagnosing {
    let planned: PlannedEntries
    let diagnostics: Diagnostics

    /// By node, the packets that the entries by hand make it send.
    func read() -> [Int: HandTraffic] {
        let byHand = entries.indices.filter { bases[$0].raw != nil }.map { entries[$0] }
        guard !byHand.isEmpty else { return [:] }
        var traffic: [Int: HandTraffic] = [:]
        func note(_ node: Int, _ change: (inout HandTraffic) -> Void) {
            change(&traffic[node, default: HandTraffic(sent: Array(repeating: [], count: legs[node].count))])
        }
        for entry in byHand {
            for (node, leg) in emitters(of: entry) {
                note(node) { traffic in
                    if let destination = entry.destination { traffic.sent[leg].insert(destination) }
                    traffic.families.formUnion(families(entry))
                }
            }
            for (node, _) in receivers(of: entry) { note(node) { $0.families.formUnion(families(entry)) } }
        }
        for (node, sides) in customersByHand(byHand) { note(node) { $0.sides = sides } }
        let onward = byHand.filter { $0.kind == .sequencing && $0.direction == .request && $0.sourceMAC != nil }
        for entry in byHand where entry.direction == .request {
            for (node, _) in receivers(of: entry) where traffic[node]?.passesOn == false {
                let isTakenOn = onward.contains { next in
                    emitters(of: next).contains { $0.node == node } && overlap(next.destination, entry.destination)
                }
                if isTakenOn { note(node) { $0.passesOn = true } }
            }
        }
        return traffic
    }

    /// The customers whose requests reach the near side of each node. Distribution entries name them, and the
    /// sequencing entries for requests hand them on.
    private func customersByHand(_ byHand: [Entry]) -> [Int: [CustomerSide]] {
        var sides: [Int: [CustomerSide]] = [:]
        var changed: Set<Int> = []
        func give(_ new: [CustomerSide], _ entry: Entry) {
            for (node, leg) in receivers(of: entry) where leg == 0 && file.nodes[node].kind != .customer {
                let all = (sides[node, default: []] + new).uniqued()
                guard all.count > sides[node, default: []].count else { continue }
                sides[node] = all
                changed.insert(node)
            }
        }
        for entry in byHand where entry.kind == .distribution { give(customers(of: entry), entry) }
        let onward = byHand.filter { $0.kind == .sequencing && $0.direction == .request }
        // Each round some node learns of a customer, or it was the last.
        while let node = changed.popFirst() {
            for entry in onward where emitters(of: entry).contains(where: { $0.node == node }) {
                give(sides[node, default: []], entry)
            }
        }
        return sides
    }

    private func overlap(_ left: IPPrefix?, _ right: IPPrefix?) -> Bool {
        guard let left, let right else { return true }
        return left.overlaps(right)
    }

    private func families(_ entry: Entry) -> [AddressFamily] {
        (entry.source ?? entry.destination).map { [$0.family] } ?? AddressFamily.allCases
    }

    /// The customers whose packets a distribution entry takes.
    private func customers(of entry: Entry) -> [CustomerSide] {
        let interface = entry.receivedInterface
        var sides: [CustomerSide] = []
        if let mac = entry.sourceMAC {
            guard let (node, leg) = owner(of: mac, on: interface) else { return [] }
            let isCustomer = file.nodes[node].kind == .customer
            sides = legs[node][leg].addresses.map {
                CustomerSide(interface: interface, prefix: IPPrefix(host: $0.address), node: isCustomer ? nil : node)
            }
            if isCustomer { sides += networks(behind: node) }
        } else {
            var scopes: [Scope] = []
            add(interface, &scopes, &sides)
        }
        guard let source = entry.source else { return sides }
        let within = sides.filter { source.contains($0.prefix) }
        return sides.contains { $0.prefix.contains(source) && $0.prefix != source }
            ? within + [CustomerSide(interface: interface, prefix: source)] : within
    }

    /// The nodes that an entry takes packets from, with the leg that they leave by; customers need no such route.
    private func emitters(of entry: Entry) -> [(node: Int, leg: Int)] {
        if let mac = entry.sourceMAC {
            return [owner(of: mac, on: entry.receivedInterface)].compactMap { $0 }
                .filter { file.nodes[$0.node].kind != .customer }
        }
        guard entry.kind == .sequencing else { return [] }
        return legsOn[entry.receivedInterface].filter {
            file.nodes[$0.node].kind != .customer && system($0.node, leg: $0.leg) != .passiveApplication
        }
    }

    /// The nodes that an entry sends to, with the leg that it reaches; passive ones send nothing.
    private func receivers(of entry: Entry) -> [(node: Int, leg: Int)] {
        entry.targets.compactMap { target -> (node: Int, leg: Int)? in
            switch target.address {
            case .mac(let mac): return owner(of: mac, on: target.interface)
            case .network(let address), .neighbour(let address?):
                return legsOn[target.interface].first { place in
                    legs[place.node][place.leg].addresses.contains { $0.address == address }
                }
            case .neighbour(nil): return nil
            }
        }.filter { system($0.node, leg: $0.leg) != .passiveApplication }
    }

    /// The node that sends and gets frames with a MAC address on an interface.
    private func owner(of mac: MACAddress, on interface: Int) -> (node: Int, leg: Int)? {
        legsOn[interface].first { place in
            let other = legs[place.node][across(place.node, place.leg)]
            return legs[place.node][place.leg].mac == mac || other.alias == mac
        }
    }
}
