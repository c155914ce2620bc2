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

    /// Begins a capture of a running topology, and waits until every engine copies.
    ///
    /// - Throws: `ApplianceError` if there is no such topology, or if its control process does not answer or refuses.
    package func capture(_ request: CaptureRequest) throws(ApplianceError) -> CaptureConnection {
        guard directory.exists else { throw unknown }
        try greet()
        return try CaptureConnection(control, request)
    }
}
