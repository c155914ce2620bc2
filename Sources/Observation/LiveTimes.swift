import ApplianceClient
import ControlAPI
import EventLoop
import Glibc
import Reporting
import Tracing
import Wire

/// The times that packets of a running topology spend in its applications, counted until the topology goes away.
///
/// It runs in a process of its own: the control process reads no frame.
package struct LiveTimes {
    /// Octets of each frame: headers, and the payload's first octets.
    private static let snapLength = 160
    /// The time between two reports at least.
    private static let pause = Duration.milliseconds(200)
    /// The part of a processor that it takes at most is one in `restraint` + 1.
    private static let restraint = 3

    /// Measures one flow in `oneIn`, and gives what was counted so far to `tell` whenever that changes.
    ///
    /// - Parameter tell: Returns false to end.
    /// - Throws: `ApplianceError` if no such topology runs, or if its control process answers with an error.
    package static func follow(
        _ client: ApplianceClient, oneIn: Int, _ tell: ([NodeTimes]) -> Bool
    ) throws(ApplianceError) {
        var meter = TimeMeter(TracedNetwork(try client.description(entries: false)))
        var before: [NodeTimes] = []
        let frames = try LiveFrames(
            client, CaptureRequest(oneIn: oneIn > 1 ? oneIn : nil, snapLength: Self.snapLength))
        var told: [NodeTimes]?
        while true {
            let began = monotonicTime()
            switch try frames.next(within: Self.pause) {
            case .frames(let frames): for frame in frames { meter.add(frame) }
            case .table(_, isNamedAnew: false): break
            case .table:
                // Nodes may have come and gone.
                before = sum(before, meter.report)
                meter = TimeMeter(TracedNetwork(try client.description(entries: false)))
            case .end: return
            }
            let report = sum(before, meter.report)
            if report != told {
                guard tell(report) else { return }
                told = report
            }
            let took = monotonicTime() - began
            let rest = took < Self.pause ? Self.pause : min(took * Self.restraint, .seconds(1))
            _ = Glibc.usleep(UInt32(clamping: rest.wholeNanoseconds / 1_000))
        }
    }

    private static func sum(_ one: [NodeTimes], _ other: [NodeTimes]) -> [NodeTimes] {
        var sum = one
        for times in other {
            if let index = sum.firstIndex(where: { $0.node == times.node }) {
                sum[index].add(times)
            } else {
                sum.append(times)
            }
        }
        return sum
    }
}
