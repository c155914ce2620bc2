import Forwarding
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// Sends single packets for people, as the check `packet` does.
package enum ProbeSender {
    /// Sends a packet from a node.
    ///
    /// - Parameters:
    ///   - destination: An IPv4 or IPv6 address, as text.
    ///   - port: `tcp/80`, `udp/53` or `icmp`.
    ///   - sourcePort: nil for any.
    /// - Returns: Its source, and its octets from the network header on.
    /// - Throws: `ApplianceError` if there can be no such packet, or if the node's kernel refuses it.
    package static func send(
        from node: NodeRuntime, to destination: String, port: String, sourcePort: UInt16?
    ) throws(ApplianceError) -> (source: IPAddress, length: Int) {
        guard let to = IPAddress(destination) else {
            throw ApplianceError(
                .usage, "'\(HarmlessText.reading(destination.utf8, most: 64))' is no IPv4 or IPv6 address",
                hint: "write a service address, such as 203.0.113.80")
        }
        guard let specification = PortSpecification(port),
            let number = specification.servicePort(to.family).protocolNumber,
            !IPProtocol.hasPorts(number) || specification.ports.count == 1
        else {
            throw ApplianceError(
                .usage, "'\(HarmlessText.reading(port.utf8, most: 64))' is not the port of one packet",
                hint: "write tcp/80, udp/53 or icmp, for example")
        }
        // The leg of the default route first.
        let usual = node.plan.routes.first { $0.destination.length == 0 && $0.destination.family == to.family }?.leg
        let legs = (usual.map { [node.plan.legs[$0]] } ?? []) + node.plan.legs.reversed()
        let addresses = legs.flatMap(\.addresses).map(\.address)
        guard let source = addresses.first(where: { $0.family == to.family }) else {
            throw ApplianceError(
                .usage, "\(node.plan.name) has no \(to.family == .ipv4 ? "IPv4" : "IPv6") address to send from",
                hint: "send from another node")
        }
        let probe = ProbePacket(
            source: source, destination: to, protocolNumber: number,
            port: IPProtocol.hasPorts(number) ? specification.ports.lowerBound : 0,
            sourcePort: sourcePort ?? UInt16.random(in: 20_000...32_000), payload: nil, size: nil, hopLimit: 64,
            dontFragment: false)
        do throws(SystemError) {
            try node.namespace.send(probe.octets, to: to)
        } catch {
            throw ApplianceError(.failed, "\(node.plan.place) cannot send it: \(error)")
        }
        return (source, probe.octets.count)
    }
}
