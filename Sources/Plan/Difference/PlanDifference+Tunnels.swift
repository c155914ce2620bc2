import Forwarding
import Wire

/// Tunnels that come or go together with a change of their underlay.
extension PlanDifference {
    /// Refuses a tunnel that would be too small meanwhile: one that comes is there before its underlay changes, one that
    /// goes is there after that.
    mutating func compareTunnels(_ old: AppliancePlan, _ new: AppliancePlan) {
        for place in 0..<Swift.max(old.interfaces.count, new.interfaces.count) {
            let isOld = old.interfaces.indices.contains(place) && !old.interfaces[place].isVacant
            let isNew = new.interfaces.indices.contains(place) && !new.interfaces[place].isVacant
            guard isOld != isNew else { continue }
            let interface = (isOld ? old : new).table.interfaces[place]
            let others = (isOld ? new : old).table.interfaces
            guard let carrier = interface.tunnel?.carrier, others.indices.contains(carrier), !others[carrier].isVacant,
                let room = interface.room(in: others[carrier]), room < interface.leastMTU
            else { continue }
            refuse(
                "tunnel \(interface.name) \(isOld ? "goes" : "comes"), and interface \(others[carrier].name) carries "
                    + "\(others[carrier].mtu) octets \(isOld ? "before it has gone" : "until it has come"): packets in the "
                    + "tunnel would have \(room), and \(interface.leastMTU) is the least",
                isOld
                    ? "apply a file without the tunnel and with the former MTU first"
                    : "apply a file with the new MTU and without the tunnel first", old.name)
        }
    }
}

extension TableInterface {
    /// The least MTU of an interface with its addresses (RFC 791, RFC 8200).
    var leastMTU: Int { addresses.contains { $0.address.family == .ipv6 } ? 1280 : 576 }

    /// The largest packet of this tunnel that an underlay carries; nil: it is no tunnel.
    func room(in underlay: TableInterface) -> Int? {
        tunnel.map { underlay.mtu - $0.encapsulation.overhead($0.local.family) }
    }
}

extension ForwardingTable {
    /// Has a tunnel fit its underlay, which has another MTU or other addresses than the tunnel's own plan, because one of
    /// the two comes or goes.
    package mutating func fitTunnel(_ place: Int) {
        guard var tunnel = interfaces[place].tunnel, interfaces.indices.contains(tunnel.carrier) else { return }
        let addresses = interfaces[tunnel.carrier].addresses.map(\.address)
        if !addresses.contains(tunnel.local) {
            if let other = addresses.first(where: { $0.family == tunnel.local.family }) {
                tunnel.local = other
                interfaces[place].tunnel = tunnel
            } else {
                // The underlay has the other family alone.
                interfaces[tunnel.carrier].addresses.append(
                    InterfaceAddress(tunnel.local, length: tunnel.local.family.width))
            }
        }
        guard let room = interfaces[place].room(in: interfaces[tunnel.carrier]) else { return }
        interfaces[place].mtu = min(interfaces[place].mtu, room)
    }
}
