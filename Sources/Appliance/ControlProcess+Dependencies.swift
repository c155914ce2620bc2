import ControlAPI
import EventLoop
import Nodes
import Plan
import Reporting
import Wire

/// What a node waits for before it is started.
extension ControlProcess {
    /// Waits until the nodes are healthy that a node depends on in that way. They are ready by now.
    ///
    /// - Throws: `ApplianceError` if one of them is not healthy within its ready timeout, counted from now, or if
    ///   `cancellation` is raised.
    func awaitHealth(before plan: NodePlan, _ cancellation: Cancellation) throws(ApplianceError) {
        let begun = monotonicTime()
        for name in plan.process.healthy {
            let node = try node(name)
            while true {
                try cancellation.check()
                let (health, limit) = loop.sync {
                    (self.watch.health(of: [node])[name], Duration.milliseconds(node.plan.process.readyTimeout))
                }
                if health?.isHealthy ?? true { break }
                guard monotonicTime() - begun < limit else {
                    throw ApplianceError(
                        .failed,
                        "\(plan.place): it waits until \(name) is healthy, which did not happen within \(seconds(limit)): "
                            + (health?.reason ?? ""),
                        hint: "correct the health checks of \(name), or raise its `ready-timeout`")
                }
                cancellation.sleep(.milliseconds(5))
            }
        }
    }
}
