import PacketCapture
import Plan
import Wire

extension AppliancePlan {
    /// What the addresses of all nodes are called in a capture: by the node's name, and a MAC address also by its interface.
    package var captureNames: [PcapngName] {
        nodes.flatMap { node in
            node.legs.flatMap { leg in
                leg.addresses.map { PcapngName(.network($0.address), node.name) }
                    + [PcapngName(.hardware(leg.mac), "\(node.name)-\(interfaces[leg.interface].name)")]
            }
        }
    }
}
