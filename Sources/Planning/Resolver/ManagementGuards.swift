import Forwarding
import Plan
import TopologyFiles
import Wire

/// Entries that keep the way to the management address open, whatever else the file says.
///
/// The engine prefers the entry with the most specific source, then the one with the most specific destination. So an entry of
/// another service, or one by hand, that names its customers would take their packets for the management address. For each such
/// source the management address gets an entry of that source: with its one address and its one port it is the more specific one.
/// If the other entry has the same address and the same port, the two tie, and that is a mistake of the file.
extension ServiceStage {
    /// The entries to add to `made`.
    func managementGuards(of made: [MadeEntry]) -> [MadeEntry] {
        guard file.records?.management != nil,
            let service = services.first(where: { $0.raw.name.value == ManagementPlan.name })
        else { return [] }
        let own = made.filter { $0.entry.kind == .distribution && $0.basis.origin == service.raw.name.origin }
        var guards: [MadeEntry] = []
        var known = Set(own.map { MatchedPackets($0.entry) })
        for open in own {
            for other in made where other.basis.origin != open.basis.origin {
                // Packets of one MAC address are looked up by themselves. Services name so what applications send.
                guard other.entry.sourceMAC == nil || other.basis.raw != nil, Self.takes(other.entry, open.entry) else {
                    continue
                }
                var guardian = open
                (guardian.entry.sourceMAC, guardian.entry.source) = (other.entry.sourceMAC, other.entry.source)
                if known.insert(MatchedPackets(guardian.entry)).inserted { guards.append(guardian) }
            }
        }
        return guards
    }

    /// True if an entry takes packets that are for another one.
    private static func takes(_ entry: Entry, _ open: Entry) -> Bool {
        guard entry.kind == .distribution, entry.receivedInterface == open.receivedInterface,
            entry.sourceMAC != nil || entry.source != nil, let address = open.destination,
            entry.source.map({ $0.family == address.family }) ?? true, entry.destination?.contains(address) ?? true
        else { return false }
        let (left, right) = (entry.servicePort, open.servicePort)
        return left.protocolNumber == nil
            || left.protocolNumber == right.protocolNumber && left.ports.overlaps(right.ports)
    }
}

/// The packets that an entry matches.
private struct MatchedPackets: Hashable {
    private let interface: Int
    private let mac: MACAddress?
    private let source: IPPrefix?
    private let destination: IPPrefix?
    private let port: ServicePort

    init(_ entry: Entry) {
        (interface, mac, source) = (entry.receivedInterface, entry.sourceMAC, entry.source)
        (destination, port) = (entry.destination, entry.servicePort)
    }
}
