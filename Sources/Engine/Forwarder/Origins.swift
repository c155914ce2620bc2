import Forwarding
import Wire

// The source addresses that each node may use. Packets with other sources are dropped.

extension Forwarder {
    /// True if the packet at hand comes from an address that its sender may have.
    ///
    /// An ICMP error goes the way of the flow that it quotes, so packets of that flow must go to its sender.
    func isGenuine(from sender: Sender, on interface: Int) -> Bool {
        if sender.maySendFromAnywhere { return true }
        // A host without an address asks all others for one (RFC 2131; RFC 4862, section 5.4; RFC 3810).
        let destination = fields.flow.destination
        let isAsking = destination.isMulticast || destination.isLimitedBroadcast
        guard mayHave(fields.flow.source, sender, on: interface, orNone: isAsking) else { return false }
        return !fields.hasQuoted || mayHave(fields.lookupFlow.source, sender, on: interface)
    }

    /// True if a sender may have an address. Every node may have link-local IPv6 addresses, except those of nodes that
    /// the table names.
    ///
    /// - Parameters:
    ///   - orNone: Whether it may have no address yet.
    func mayHave(_ address: IPAddress, _ sender: Sender, on interface: Int, orNone: Bool = false) -> Bool {
        if table.maySend(sender, from: address) { return true }
        if sender.isStranger { return false }
        if address.isUnspecified { return orNone }
        guard address.family == .ipv6, address.isLinkLocal else { return false }
        return table.staticNeighbour(address, on: interface).map { $0 == fields.sourceMAC } ?? true
    }
}
