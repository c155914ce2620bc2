import Forwarding
import Reporting
import TopologyFiles
import Wire

/// Reports entries that collide, and packets that the table takes for another service's.
struct EntryJudge: EntryStage, Diagnosing {
    let planned: PlannedEntries
    let diagnostics: Diagnostics

    /// The common part of two entries that are candidates for one packet with equal right, ports aside.
    private struct TieKey: Hashable {
        var kind: EntryKind
        var direction: ChainDirection
        var interface: Int
        var mac: MACAddress?
        var source: IPPrefix?
        var destination: IPPrefix?
    }

    /// Reports every pair of services or entries that cannot be told apart.
    func findTies() {
        var groups: [TieKey: [Int]] = [:]
        var order: [TieKey] = []
        for (index, entry) in entries.enumerated() {
            let key = TieKey(
                kind: entry.kind, direction: entry.direction, interface: entry.receivedInterface, mac: entry.sourceMAC,
                source: entry.source, destination: entry.destination)
            if groups[key] == nil { order.append(key) }
            groups[key, default: []].append(index)
        }
        var reported: Set<[SourceOrigin]> = []
        for key in order {
            for (first, second) in ties(among: groups[key] ?? []) {
                if isPortCollision(first, second) { continue }
                let positions = [bases[first].origin, bases[second].origin]
                guard reported.insert(positions).inserted else { continue }
                tellTie(first, second)
            }
        }
    }

    /// The pairs that tie. The entries are sorted by where they begin; each is compared with the earlier entries that
    /// still reach over it.
    private func ties(among members: [Int]) -> [(Int, Int)] {
        guard members.count > 1 else { return [] }
        let sorted = members.sorted {
            let (left, right) = (entries[$0].servicePort, entries[$1].servicePort)
            return (left.protocolNumber.map(Int.init) ?? -1, left.ports.lowerBound, right.ports.upperBound, $0)
                < (right.protocolNumber.map(Int.init) ?? -1, right.ports.lowerBound, left.ports.upperBound, $1)
        }
        var found: [(Int, Int)] = []
        var open: [Int] = []
        for index in sorted {
            let port = entries[index].servicePort
            open.removeAll {
                entries[$0].servicePort.protocolNumber != port.protocolNumber
                    || entries[$0].servicePort.ports.upperBound < port.ports.lowerBound
            }
            for other in open where entries[other].servicePort.ties(with: port) {
                found.append((min(other, index), max(other, index)))
            }
            if open.count < 64 { open.append(index) }
        }
        return found
    }

    /// Where a record has an address; for a service of the file, its own place.
    private func placeOfAddress(_ address: IPPrefix?, in basis: EntryBasis) -> SourceOrigin {
        guard basis.origin.record != nil, let service = basis.service, file.services.indices.contains(service) else {
            return basis.origin
        }
        return file.services[service].addresses.first { $0.value == address }?.origin ?? basis.origin
    }

    private func tellTie(_ first: Int, _ second: Int) {
        let (left, right) = (bases[first], bases[second])
        let entry = entries[second]
        let interface = file.interfaces[entry.receivedInterface].name.value
        let port = describe(entry.servicePort)
        let related = [(left.origin, "\(left.label) is here")]
        let shown = "\(sample(second)): \(entries[first].name) and \(entry.name) both take it"
        guard left.service != nil, right.service != nil else {
            diagnostics.error(
                right.origin,
                "\(right.label) and \(left.label) \(left.origin.place) match the same packets on interface "
                    + "\(quoted(interface)) (\(port)), and neither is more specific",
                hint: "give one of them another source, destination or service port", related: related, example: shown)
            return
        }
        if left.service == right.service {
            diagnostics.error(
                right.origin, "\(right.label) matches the same packets twice (\(entry.name), \(port))",
                hint: "remove one of its overlapping addresses, ports or customers", example: shown)
            return
        }
        if entry.kind == .distribution {
            let address = entry.destination.map { "\($0)" } ?? "any address"
            diagnostics.error(
                placeOfAddress(entry.destination, in: right),
                "\(right.label) and \(left.label) \(left.origin.place) have the same address \(address) and "
                    + "service port \(port) for the same customers on interface \(quoted(interface))",
                hint: "give one of them another address, other ports, or other customers (`from`)", related: related,
                example: shown)
            return
        }
        let node = right.node >= 0 ? shownName(right.node) : "an application"
        let what = entry.direction == .request ? "its passed packets" : "its answers"
        let where_ = (right.node >= 0 ? place(right.node) : right.origin).place
        diagnostics.error(
            right.origin,
            "\(right.label) and \(left.label) \(left.origin.place) share \(quoted(node)) \(where_), and on "
                + "interface \(quoted(interface)) nothing tells \(what) for the one from those for the other "
                + "(\(entry.source.map { "source \($0), " } ?? "")\(port))",
            hint: entry.rewriteSource != nil
                ? "give each service an application of its own, other ports, or a MAC send address"
                : "give one of them another address or other ports, or an application on interfaces of its own",
            related: related
                + (right.node >= 0 ? [(place(right.node), "\(quoted(node)) is here")] : []),
            example: shown)
    }
}

extension ServicePort {
    /// True if some port is in both, and neither is more specific.
    func ties(with other: ServicePort) -> Bool {
        guard protocolNumber == other.protocolNumber else { return false }
        guard self != other else { return true }
        guard ports.overlaps(other.ports) else { return false }
        let holds = ports.lowerBound <= other.ports.lowerBound && ports.upperBound >= other.ports.upperBound
        let isHeld = other.ports.lowerBound <= ports.lowerBound && other.ports.upperBound >= ports.upperBound
        return !holds && !isHeld
    }
}
