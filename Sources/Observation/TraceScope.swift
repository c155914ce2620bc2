import ApplianceClient
import ControlAPI
import Glibc
import Reporting

/// What engines copy for a trace.
package enum TraceScope: Sendable, Hashable {
    /// Every frame of the protocol, so that each packet is followed whatever applications change.
    case everything
    /// What the filter matches, and frames of applications' own addresses: packets may be lost from sight.
    case busy
    /// The same, where it is known that the packets match the filter at every hop.
    case matching
    /// Everything, but on a busy topology what the filter matches.
    case byLoad

    /// Frames that engines read in a second from which on a topology is busy.
    private static let busyRate = 20_000.0
    /// The time for which they are counted, in microseconds.
    private static let counting: UInt32 = 100_000

    /// What it comes to on a topology.
    ///
    /// - Parameter oneIn: One flow in this many is followed.
    /// - Throws: `ApplianceError` if the topology goes away.
    func decided(_ client: ApplianceClient, oneIn: Int) throws(ApplianceError) -> TraceScope {
        guard self == .byLoad else { return self }
        let before = try client.sample()
        usleep(Self.counting)
        let after = try client.sample()
        let count = after.receivedPackets - min(after.receivedPackets, before.receivedPackets)
        let seconds = Double(max(1, after.clock - min(after.clock, before.clock))) / 1_000_000
        return Double(count) / seconds / Double(oneIn) > Self.busyRate ? .busy : .everything
    }
}

extension Sample {
    /// Frames that the engines have read.
    fileprivate var receivedPackets: UInt64 { status.interfaces.reduce(0) { $0 &+ $1.receivedPackets } }
}
