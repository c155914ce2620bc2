import ControlAPI
import Fabric
import Reporting

/// Names and frames of a running topology.
extension ApplianceClient {
    /// The names of a running topology's parts.
    ///
    /// - Parameter entries: Whether the entries' names are wanted, too.
    /// - Throws: `ApplianceError` if there is no such topology, or if its control process does not answer.
    package func description(entries: Bool) throws(ApplianceError) -> NetworkDescription {
        try asked(DescribeRequest(entries: entries))
    }

    /// Does something to a node, and waits until it is done.
    ///
    /// - Parameter interface: The interface of the device that is meant; nil: the node has one device.
    /// - Throws: `ApplianceError` if there is no such topology, node or device, or if it fails.
    package func operate(
        _ operation: NodeOperation, on node: String, interface: String? = nil
    ) throws(ApplianceError) {
        _ = try change(NodeOperationRequest(operation, on: node, interface: interface)) { _ in }
    }

    /// Sends one packet from a node.
    ///
    /// - Parameters:
    ///   - port: `tcp/80`, `udp/53` or `icmp`.
    ///   - sourcePort: nil for any.
    /// - Throws: `ApplianceError` if there is no such topology or node, or if the packet cannot be sent.
    package func send(
        from node: String, to destination: String, port: String, sourcePort: Int? = nil
    ) throws(ApplianceError) -> SentPacket {
        try asked(SendRequest(from: node, to: destination, port: port, sourcePort: sourcePort))
    }

    /// Begins a capture of a running topology, and waits until every engine copies.
    ///
    /// - Throws: `ApplianceError` if there is no such topology, or if its control process does not answer or refuses.
    package func capture(_ request: CaptureRequest) throws(ApplianceError) -> CaptureConnection {
        guard isThere else { throw unknown }
        if !control.isBrokered { try greet() }
        return try CaptureConnection(control, request)
    }

    /// The picture of the running topology; nil beside the version if that is the known one.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, or its control process does not answer.
    package func drawing(known: Int?) throws(ApplianceError) -> DrawingAnswer {
        try asked(DrawingRequest(known: known))
    }

    /// The end of what a node has written.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, its control process does not answer, or it has no such node.
    package func log(of node: String) throws(ApplianceError) -> [String] {
        try asked(LogRequest(node: node)).lines
    }
}
