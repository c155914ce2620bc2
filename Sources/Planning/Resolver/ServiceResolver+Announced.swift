import Forwarding
import Reporting
import TopologyFiles
import Wire

// Addresses that move among nodes: `may-have`, and `send: announced`.
extension AddressStage {
    /// The address by which packets find the instance of an application that announced it last: at the end of a chain
    /// the service's address if it is in a network of the leg's interface, else the first one of `may-have` that is.
    func announcedAddress(_ stop: Stop, leg: Int, _ address: IPPrefix, isEnd: Bool) -> IPAddress? {
        let links = file.interfaces[legs[stop.node][leg].interface].addresses.map(\.value.value.prefix)
        let own = isEnd ? [address] : []
        return (own + file.nodes[stop.node].mayHave.map(\.value)).first { held in
            held.isHost && held.family == address.family && links.contains { $0.contains(held) }
        }?.address
    }
}

extension ServiceResolver {
    /// Reports applications that announce no address on a leg that a service's packets reach them by.
    func checkAnnounced(_ service: ResolvedService) {
        for (number, stop) in service.stops.enumerated() where file.nodes[stop.node].announced != nil {
            let isEnd = number == service.stops.count - 1
            for leg in (isEnd ? [stop.enter] : [stop.enter, stop.leave]).uniqued() {
                for address in service.raw.addresses.map(\.value)
                where announcedAddress(stop, leg: leg, address, isEnd: isEnd) == nil {
                    let interface = file.interfaces[legs[stop.node][leg].interface]
                    let network = interface.addresses.map(\.value.value.prefix).first { $0.family == address.family }
                    diagnostics.error(
                        file.nodes[stop.node].announced ?? place(stop.node),
                        "\(quoted(shownName(stop.node))) announces no address on interface \(quoted(interface.name.value)) "
                            + "for service \(quoted(service.raw.name.value)) \(service.raw.name.origin.place) (\(address))",
                        hint: network.map { "write an unused address of \($0) in its `may-have`" }
                            ?? "give the interface an address of that family, and one of its network in `may-have`")
                }
            }
        }
    }

    /// Notes addresses in `may-have` that no node can announce, or that are others'.
    func checkMovable() {
        var owners: [IPAddress: Int] = [:]
        for (node, legs) in legs.enumerated() {
            for address in legs.flatMap(\.addresses) { owners[address.address] = node }
        }
        let engine = Set(file.interfaces.flatMap { $0.addresses.map(\.value.value.address) })
        for (index, node) in file.nodes.enumerated() {
            let name = quoted(node.name.value)
            for prefix in node.mayHave {
                let value = prefix.value
                let links = legs[index].flatMap { file.interfaces[$0.interface].addresses.map(\.value.value.prefix) }
                if node.transparent {
                    diagnostics.error(
                        prefix.origin, "\(name) is transparent: it has no addresses", hint: "remove `may-have`")
                } else if let fault = unusable(value) {
                    diagnostics.error(
                        prefix.origin, "\(name) cannot have \(value): it \(fault)", hint: "write a unicast address")
                } else if !legs[index].isEmpty, !links.contains(where: { $0.contains(value) }) {
                    diagnostics.error(
                        prefix.origin, "\(value) is in no network of an interface that \(name) is on",
                        hint: links.isEmpty
                            ? "give the interface an address"
                            : "write an address of \(links.map(\.description).joined(separator: " or "))")
                } else if let taken = engine.first(where: { value.contains($0) }) {
                    diagnostics.error(
                        prefix.origin, "\(name) cannot have \(value): \(taken) is the engine's",
                        hint: "write addresses without it")
                } else if let other = owners.first(where: { $0.value != index && value.contains($0.key) }) {
                    diagnostics.error(
                        prefix.origin,
                        "\(name) cannot have \(value): \(other.key) is the address of \(quoted(file.nodes[other.value].name.value))",
                        hint: "an address moves only if no node has it in its `address`: write addresses without it")
                }
            }
        }
    }
}
