import EventLoop
import LinuxNetwork
import Plan
import Reporting
import Wire

/// Waiting until the kernel carries frames on what was built.
extension NetworkBuilder {
    /// How long a busy machine is waited for.
    private static let linkPatience = Duration.seconds(30)

    /// Waits until the devices of these nodes, and their ports of the bridges, carry frames.
    ///
    /// A device that was switched on loses frames until a thread of the kernel has seen the carrier (`linkwatch`): at
    /// once on an idle machine, later on a busy one. A node that sends before loses its question for its neighbour, and
    /// with it a second.
    ///
    /// - Throws: `ApplianceError` if a link does not come up within 30 s, or if the build is cancelled.
    package func awaitLinks(of nodes: [NodePlan], in built: BuiltTopology) throws(ApplianceError) {
        var (places, fabricDevices): ([(node: String, namespace: NetworkNamespace, devices: Set<String>)], Set<String>)
        (places, fabricDevices) = ([], [])
        for node in nodes {
            guard let namespace = built.namespaces[node.name] else { continue }
            places.append((node.place, namespace, Set(node.legs.map(\.device))))
            for leg in node.legs where built.bridges[leg.interface] != nil {
                if let device = leg.fabricDevice { fabricDevices.insert(device) }
            }
        }
        if let fabric = built.fabric {
            for (tap, bridge) in zip(built.taps, built.bridges) where bridge != nil {
                if let tap { fabricDevices.insert(tap.name) }
            }
            places.append(("the fabric", fabric, fabricDevices))
        }
        let deadline = monotonicTime() + Self.linkPatience
        for (place, namespace, devices) in places {
            while let idle = try attempting(
                place,
                { () throws(SystemError) in
                    try namespace.netlink.links().first { devices.contains($0.name) && $0.isUp && !$0.carriesFrames }
                })
            {
                try cancellation.check()
                guard monotonicTime() < deadline else {
                    throw ApplianceError(
                        .machine,
                        "\(place): the link of \(idle.name) did not come up within \(seconds(Self.linkPatience))",
                        hint: "try again when the machine is less busy")
                }
                cancellation.sleep(.milliseconds(1))
            }
        }
    }
}
