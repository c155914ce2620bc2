import LinuxNetwork
import Plan
import Wire

/// The bridges in the namespace of a virtual machine's node.
///
/// Of each leg, the veth's end is one port, and a TAP whose descriptor the machine has is the other. So the machine comes and goes
/// while the leg stays, and what looks at the leg in the node's namespace sees the machine's frames. What of checksums and segments
/// one side cannot take, the kernel finishes on the way, as for any other bridge.
package enum MachineLinks {
    /// The names of the devices beside a leg's. No interface of a file can be meant: they begin with a sign.
    static func bridge(ofLeg leg: Int) -> String { "+bridge\(leg)" }
    static func tap(ofLeg leg: Int) -> String { "+tap\(leg)" }

    /// Makes the TAP that a machine is about to have as a leg of its node. It goes with its last descriptor.
    ///
    /// - Returns: The TAP, and the MTU of the leg.
    /// - Throws: The kernel's refusal; EEXIST while an earlier machine has one.
    package static func openTap(
        ofLeg leg: Int, _ plan: LegPlan, in namespace: NetworkNamespace
    ) throws(SystemError) -> (tap: TapDevice, mtu: Int) {
        let netlink = try namespace.netlink
        let mtu = try netlink.existingLink(named: plan.device).mtu
        let settings = LinkSettings(
            name: tap(ofLeg: leg), mtu: mtu, master: try netlink.existingLink(named: bridge(ofLeg: leg)).index)
        // The machine says which offloads it takes.
        return (try TapDevice(settings, in: namespace, offloads: []), mtu)
    }
}

extension NetworkBuilder {
    /// Puts the legs of a virtual machine on bridges, and the namespace beside the machine.
    func makeBridges(
        of node: NodePlan, _ links: [Int32], _ namespace: NetworkNamespace
    ) throws(SystemError) {
        let netlink = try namespace.netlink
        for (place, link) in links.enumerated() {
            let mtu = plan.interfaces[plan.device(of: node.legs[place].interface)].mtu
            // With an address of its own, which does not change as ports come and go: unicast, locally administered.
            let mac = MACAddress(bits: UInt64.random(in: 0..<1 << 48) & ~(1 << 40) | 1 << 41)
            let bridge = try netlink.createBridge(
                LinkSettings(name: MachineLinks.bridge(ofLeg: place), mac: mac, mtu: mtu, mark: mark))
            try netlink.setLink(index: link, master: bridge)
            guard let vantage = node.vantage, vantage.leg == place else { continue }
            try netlink.addAddress(
                LinkAddress(vantage.address.address, length: vantage.address.length), link: bridge)
        }
    }
}
