import Forwarding
import Health
import LinuxNetwork
import Plan
import Wire

/// Probes of applications at other sites. They go in at the fabric's end of the next hop's leg, inside the tunnel's headers as the
/// engine writes them, and what comes back is heard there.
extension HealthMonitor {
    /// The longest frame of a probe: with a tunnel's headers, if there are tunnels.
    static func longestFrame(_ plan: AppliancePlan) -> Int {
        let hasTunnels = plan.table.interfaces.contains { $0.tunnel != nil }
        return ProbeShape.longestFrame + (hasTunnels ? Tunnel.mostOctets : 0)
    }

    /// The fabric's end of the leg of the node that a tunnel's packets go by.
    func nextHopDevice(of leg: LegPlan) -> String? {
        guard let tunnel = plan.table.interfaces[leg.interface].tunnel else { return nil }
        return plan.nodes.lazy.flatMap(\.legs).first { $0.interface == tunnel.carrier && $0.mac == tunnel.nextHop }?
            .fabricDevice
    }

    /// The legs behind tunnels over a device.
    func farLegs(over link: Link) -> [(instance: WatchedInstance, leg: Int)] {
        instances.values.flatMap { instance in
            instance.legs.indices.filter {
                instance.legs[$0].tunnel != nil
                    && (instance.legs[$0].device == link.index || instance.legs[$0].fabricDevice == link.name)
            }.map { (instance, $0) }
        }
    }

    /// Puts a frame into the queue, for a leg behind a tunnel with the tunnel's headers.
    @discardableResult
    func queue(
        _ leg: WatchedLeg, on device: Int32, answering frame: RawSpan = RawSpan(),
        _ write: (inout MutableRawSpan, RawSpan) -> Int
    ) -> Bool {
        guard let packets else { return false }
        guard let tunnel = leg.tunnel else { return packets.queue(on: device, answering: frame, write) }
        return packets.queue(on: device, answering: frame) { room, request in
            let length = write(&room, request)
            return length > 0 ? tunnel.enclose(&room, length: length) : 0
        }
    }

    /// A frame came from one of several far ends.
    func saw(_ frame: RawSpan, beyond legs: [(instance: WatchedInstance, leg: Int)]) {
        for (instance, leg) in legs {
            guard let inner = instance.legs[leg].tunnel?.inner(of: frame) else { continue }
            return saw(frame.extracting(inner), instance, leg)
        }
    }
}
