import Forwarding
import Reporting
import TopologyFiles
import Wire

/// Packets that applications and routers send as customers, if the table would take them for a part of another service.
extension EntryJudge {
    /// Reports packets that an application or router sends as a customer, if the table takes them for a part of another
    /// service.
    func findShadows() {
        let opened = entries.indices.compactMap { index in
            entries[index].kind == .distribution && bases[index].service != nil
                ? place(index).map { (index: index, place: $0) } : nil
        }
        guard !opened.isEmpty else { return }
        let places = Set(opened.map(\.place))
        var passed: [Emission: [Int]] = [:]
        for index in entries.indices where entries[index].kind == .sequencing && bases[index].service != nil {
            if let place = place(index), places.contains(place) { passed[place, default: []].append(index) }
        }
        var reported: Set<[SourceOrigin]> = []
        for (index, place) in opened {
            for other in passed[place] ?? [] where Self.shadows(entries[other], entries[index]) {
                guard reported.insert([bases[index].origin, bases[other].origin]).inserted else { continue }
                tellShadow(index, other)
            }
        }
    }

    /// The place from which an entry's packets come, if it names a MAC address.
    private func place(_ entry: Int) -> Emission? {
        entries[entry].sourceMAC.map { Emission(interface: entries[entry].receivedInterface, mac: $0) }
    }

    /// True if another service's sequencing entry may take everything that an opening sends.
    private static func shadows(_ shadow: Entry, _ entry: Entry) -> Bool {
        if let own = shadow.source, let source = entry.source, !own.overlaps(source) { return false }
        if let own = shadow.source, let other = entry.destination, own.family != other.family { return false }
        if let own = shadow.destination {
            guard let destination = entry.destination, own.contains(destination) else { return false }
        }
        let (left, right) = (shadow.servicePort, entry.servicePort)
        guard left.protocolNumber == nil || right.protocolNumber == nil || left.protocolNumber == right.protocolNumber
        else { return false }
        if shadow.direction == .request { return left.ports.overlaps(right.ports) }
        // The source port of the answers tells them apart, unless it may be any.
        return left.ports == 0...65535
    }

    private func tellShadow(_ index: Int, _ other: Int) {
        let (opening, shadow) = (bases[index], bases[other])
        let node = legsOn[entries[index].receivedInterface].first {
            emission($0.node, leg: $0.leg).mac == entries[index].sourceMAC
        }
        // The cause may be a missing or swapped side, which is reported already.
        guard !followsMistakes,
            node.map({ file.nodes[$0.node].legs.count < 2 || legs[$0.node].count > 1 }) ?? true
        else { return }
        let name = node.map { quoted(shownName($0.node)) } ?? "the application"
        let interface = quoted(file.interfaces[entries[index].receivedInterface].name.value)
        let isAnswer = entries[other].direction == .response
        let isSingle = node.map { legs[$0.node].count == 1 } ?? false
        diagnostics.error(
            opening.origin,
            "\(name) sends requests of \(opening.label) on interface \(interface), where it also sends "
                + "\(isAnswer ? "its answers" : "its passed packets") of \(shadow.label) "
                + "\(shadow.origin.place), and nothing distinguishes the two",
            hint: isSingle
                ? "give it a second interface for its requests: attach: { in: …, out: … }"
                : "give one of the two services another address, other ports or other customers")
    }
}
