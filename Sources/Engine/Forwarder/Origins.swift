import Forwarding
import Wire

// Who may send from which address: what a customer cannot have goes nowhere.

extension Forwarder {
    /// True where the packet at hand comes from an address that its sender may have.
    ///
    /// An ICMP error goes the way of the flow that it quotes, so its sender must be one that this flow's packets go to.
    func isGenuine(from sender: Sender, on interface: Int) -> Bool {
        if sender.maySendFromAnywhere { return true }
        // Before a host has an address it asks all others for one (RFC 2131; RFC 4862, section 5.4; RFC 3810).
        let destination = fields.flow.destination
        let isAsking = destination.isMulticast || destination.isLimitedBroadcast
        guard mayHave(fields.flow.source, sender, on: interface, orNone: isAsking) else { return false }
        return !fields.hasQuoted || mayHave(fields.lookupFlow.source, sender, on: interface)
    }

    /// True where a sender may have an address. Every node may have link-local IPv6 addresses, except those of the nodes
    /// that the table names.
    ///
    /// - Parameter orNone: Whether it may have none yet.
    func mayHave(_ address: IPAddress, _ sender: Sender, on interface: Int, orNone: Bool = false) -> Bool {
        if table.maySend(sender, from: address) { return true }
        if sender.isStranger { return false }
        if address.isUnspecified { return orNone }
        guard address.family == .ipv6, address.isLinkLocal else { return false }
        return table.staticNeighbour(address, on: interface).map { $0 == fields.sourceMAC } ?? true
    }
}
