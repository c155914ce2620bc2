import Forwarding
import Reporting
import TopologyFiles
import Wire

/// Service ports that different services, or one twice, turn into one port of an application.
///
/// Translated ports must be injective at every application that packets pass with them: of its address, protocol and port, one
/// service port is told. Else nothing in an answer says which port it gets back.
extension EntryJudge {
    /// The packets that may be mistaken for one another: those of one leg, in one direction.
    private struct Leg: Hashable {
        var interface: Int
        var mac: MACAddress?
        var direction: ChainDirection
    }

    /// Reports every pair of service ports, one of them translated, that an application has as one.
    func findPortCollisions() {
        guard entries.contains(where: { !$0.outerShift.isNone }) else { return }
        var legs: [Leg: [Int]] = [:]
        var order: [Leg] = []
        for (index, entry) in entries.enumerated() where entry.kind == .sequencing && bases[index].service != nil {
            let leg = Leg(interface: entry.receivedInterface, mac: entry.sourceMAC, direction: entry.direction)
            if legs[leg] == nil { order.append(leg) }
            legs[leg, default: []].append(index)
        }
        var reported: Set<[SourceOrigin]> = []
        for leg in order {
            let members = legs[leg, default: []]
            guard members.contains(where: { !entries[$0].outerShift.isNone }) else { continue }
            for (first, second) in collisions(among: members) {
                guard reported.insert([place(of: first), place(of: second)]).inserted else { continue }
                tellCollision(first, second)
            }
        }
    }

    /// The pairs of which one is translated, and which a packet may both match.
    private func collisions(among members: [Int]) -> [(Int, Int)] {
        // By the service's side, so that services with addresses of their own are not compared.
        var bySide: [IPPrefix?: [Int]] = [:]
        for index in members { bySide[side(index), default: []].append(index) }
        for side in bySide.keys { bySide[side]?.sort { lowerBound($0) < lowerBound($1) } }
        var found: [(Int, Int)] = []
        for index in members {
            for side in sides(around: side(index), bySide) {
                for other in near(index, in: bySide[side, default: []]) where collide(index, other) {
                    found.append((min(index, other), max(index, other)))
                }
            }
        }
        return found.sorted { $0 < $1 }
    }

    private func side(_ index: Int) -> IPPrefix? {
        entries[index].direction == .request ? entries[index].destination : entries[index].source
    }

    private func lowerBound(_ index: Int) -> UInt16 { entries[index].servicePort.ports.lowerBound }

    /// The side itself, and the wider ones.
    private func sides(around side: IPPrefix?, _ known: [IPPrefix?: [Int]]) -> [IPPrefix?] {
        guard let side else { return known[nil] == nil ? [] : [nil] }
        let wider = (0...side.length).map { Optional(IPPrefix(side.address, length: $0)) }
        return (wider + [nil]).filter { known[$0] != nil }
    }

    /// Those that begin within an entry's ports, and those that are so wide that they may reach them.
    private func near(_ index: Int, in sorted: [Int]) -> [Int] {
        let ports = entries[index].servicePort.ports
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if lowerBound(sorted[middle]) < ports.lowerBound { low = middle + 1 } else { high = middle }
        }
        let within = sorted[low...].prefix { lowerBound($0) <= ports.upperBound }
        // Ranges are few, and overlap the ports behind their beginning.
        let around = sorted[..<low].filter { entries[$0].servicePort.ports.upperBound >= ports.lowerBound }
        return around + within
    }

    private func collide(_ one: Int, _ other: Int) -> Bool {
        guard one != other else { return false }
        let (a, b) = (entries[one], entries[other])
        guard !a.outerShift.isNone || !b.outerShift.isNone else { return false }
        // A port that is the same in both, and becomes the same, is told apart by the more specific address.
        if bases[one].service == bases[other].service, place(of: one) == place(of: other) { return false }
        func meet(_ left: IPPrefix?, _ right: IPPrefix?) -> Bool {
            guard let left, let right else { return true }
            return left.overlaps(right)
        }
        let (left, right) = (a.servicePort, b.servicePort)
        return meet(a.source, b.source) && meet(a.destination, b.destination)
            && (left.protocolNumber == nil || right.protocolNumber == nil
                || left.protocolNumber == right.protocolNumber)
            && left.ports.overlaps(right.ports)
    }

    /// Where the file has the service port.
    private func place(of index: Int) -> SourceOrigin { bases[index].port?.origin ?? bases[index].origin }

    private func tellCollision(_ first: Int, _ second: Int) {
        let (left, right) = (bases[first], bases[second])
        let (one, other) = (entries[first].servicePort, entries[second].servicePort)
        let shared = ServicePort(
            protocolNumber: one.protocolNumber ?? other.protocolNumber, ports: one.ports.clamped(to: other.ports))
        let node = right.node >= 0 ? quoted(shownName(right.node)) : "one application"
        func text(_ basis: EntryBasis) -> String { basis.port.map { "\($0.value)" } ?? "its ports" }
        let isRequest = entries[second].direction == .request
        let pair =
            left.service == right.service
            ? "\(text(left)) and \(text(right)) of \(right.label)"
            : "\(text(right)) of \(right.label) and \(text(left)) of \(left.label) \(place(of: first).place)"
        diagnostics.error(
            place(of: second),
            "\(pair) are both \(describe(shared)) at \(node): nothing tells "
                + "\(isRequest ? "the packets that it passes on" : "its answers") for the one from those for the other",
            hint: "give one of them another application port, or an application of its own",
            related: [(place(of: first), "\(text(left)) of \(left.label) is here")]
                + (right.node >= 0 ? [(self.place(right.node), "\(node) is here")] : []),
            example:
                "\(sample(one.ports.lowerBound == shared.ports.lowerBound ? first : second)): \(entries[first].name) and \(entries[second].name) both take it"
        )
    }

    /// True if `findPortCollisions` reports that two entries tie.
    func isPortCollision(_ one: Int, _ other: Int) -> Bool {
        entries[one].kind == .sequencing && bases[one].service != nil && bases[other].service != nil
            && collide(one, other)
    }
}
