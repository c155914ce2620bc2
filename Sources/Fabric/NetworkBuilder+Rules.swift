import Forwarding
import LinuxNetwork
import Plan
import Reporting
import Wire

extension AppliancePlan {
    /// What the bridges of the fabric do to frames, besides finding the port.
    package var bridgeRules: BridgeRules {
        var rules = BridgeRules()
        // By the interface.
        var broadcasts: [Int: Set<IPAddress>] = [:]
        for index in table.entries.indices where table.entries[index].isBetween {
            let entry = table.entries[index]
            guard let destination = entry.destination, destination.isHost else { continue }
            let address = destination.address
            if address.isMulticast || address.isLimitedBroadcast {
                rules.addressesGroups = true
            } else if table.interfaces[entry.receivedInterface].hasBroadcast(address) {
                broadcasts[entry.receivedInterface, default: []].insert(address)
            }
        }
        for leg in nodes.flatMap(\.legs) {
            guard let port = leg.fabricDevice else { continue }
            rules.broadcasts += broadcasts[leg.interface, default: []].sorted { $0.low < $1.low }.map {
                BridgeRules.Broadcast(port: port, address: $0)
            }
            rules.virtual += leg.virtual.map {
                BridgeRules.VirtualMAC(port: port, own: leg.mac, mac: $0.mac, prefix: $0.prefix)
            }
        }
        return rules
    }
}

extension NetworkBuilder {
    /// Gives the bridges the rules of the plan, if there is a bridge.
    ///
    /// - Parameter old: The plan whose rules are in force; nil: none are.
    /// - Throws: `ApplianceError` if the kernel refuses.
    package func setBridgeRules(
        insteadOf old: AppliancePlan? = nil, in fabric: NetworkNamespace?
    ) throws(ApplianceError) {
        let rules = plan.bridgeRules
        guard let fabric, rules != old?.bridgeRules ?? BridgeRules() else { return }
        try attempting("the fabric") { () throws(SystemError) in try fabric.setBridgeRules(rules) }
    }
}
