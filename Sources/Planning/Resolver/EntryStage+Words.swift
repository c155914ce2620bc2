import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Entries, and packets that they match, in the words of the file.
extension EntryStage {
    func nodeName(_ node: Int?) -> String {
        node.map { quoted(file.nodes[$0].name.value) } ?? "a station without a name"
    }

    func interfaceName(_ interface: Int) -> String { quoted(file.interfaces[interface].name.value) }

    /// The entry as messages name it; of a service, which of its entries.
    func entryName(_ index: Int) -> String {
        bases[index].service == nil ? bases[index].label : "\(bases[index].label) (\(entries[index].name))"
    }

    /// A packet that an entry matches, in words: the example of a mistake that no packet's way shows.
    func sample(_ index: Int) -> String {
        let entry = entries[index]
        let interface = file.interfaces[entry.receivedInterface]
        let family = (entry.source ?? entry.destination)?.family
        let sender = legsOn[entry.receivedInterface].first { place in
            entry.sourceMAC == nil || emitters(place.node).contains { $0.mac == entry.sourceMAC }
        }
        let own = sender.map { legs[$0.node][$0.leg].addresses.map(\.address) } ?? []
        let customer = file.nodes.indices.lazy.filter { self.file.nodes[$0].kind == .customer }
            .flatMap { self.legs[$0].flatMap(\.addresses) }.map(\.address)
        func host(_ prefix: IPPrefix?, else known: [IPAddress]) -> String {
            if let prefix {
                if let inside = known.first(where: { prefix.contains($0) }) { return inside.description }
                return (prefix.isHost ? prefix.address : prefix.address.advanced(by: 1)).description
            }
            return known.first { family == nil || $0.family == family }?.description ?? "anyone"
        }
        let isResponse = entry.direction == .response
        let isCustomers = sender.map { file.nodes[$0.node].kind == .customer } ?? false
        let source = host(entry.source, else: isResponse ? [] : isCustomers ? own : Array(customer) + own)
        let destination = host(entry.destination, else: isResponse ? Array(customer) : [])
        let name = sender.map { entry.sourceMAC == nil ? source : "\(file.nodes[$0.node].name.value) (\(source))" }
        let port = entry.servicePort
        let shown =
            port.ports == 0...65535
            ? port
            : ServicePort(protocolNumber: port.protocolNumber, ports: port.ports.lowerBound...port.ports.lowerBound)
        return "from \(name ?? source) on interface \(interface.name.value) to \(destination) \(describe(shown))"
            + (isResponse && port.ports != 0...65535 ? " as its source port" : "")
    }

    private func emitters(_ node: Int) -> [Emission] { legs[node].indices.map { emission(node, leg: $0) } }

    /// The protocol and service port of a packet.
    func port(_ flow: FlowFields, _ direction: ChainDirection) -> String {
        let number = flow.protocolNumber
        guard flow.hasPorts else {
            let name = describe(ServicePort(protocolNumber: number))
            return [6, 17, 33, 132, 136].contains(number) ? "\(name) (fragment)" : name
        }
        let port = direction == .request ? flow.destinationPort : flow.sourcePort
        return describe(ServicePort(protocolNumber: number, ports: port...port))
    }

    /// A service port as the file writes it.
    func describe(_ port: ServicePort) -> String {
        guard let number = port.protocolNumber else { return "any port" }
        let names: [UInt8: String] = [
            1: "icmp", 58: "icmpv6", 6: "tcp", 17: "udp", 132: "sctp", 33: "dccp", 136: "udplite",
        ]
        let name = names[number] ?? "protocol/\(number)"
        if port.ports == 0...65535 { return name }
        let (low, high) = (port.ports.lowerBound, port.ports.upperBound)
        return low == high ? "\(name)/\(low)" : "\(name)/\(low)-\(high)"
    }
}
