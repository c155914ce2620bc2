import LinuxNetwork
import Plan

extension BuiltTopology {
    /// The TAP of an interface; nil for a circuit, which has none: its node waits for frames behind headers.
    package func tap(of interface: Int) -> TapDevice? {
        taps.indices.contains(interface) ? taps[interface] : nil
    }

    /// The namespace that the TAP of an interface is in, and that namespace's name for people.
    package func place(ofTap interface: Int, _ plan: AppliancePlan) -> (namespace: NetworkNamespace, name: String)? {
        switch plan.interfaces[interface].attachment {
        case .direct(let node): namespaces[node].map { ($0, "node \(node)") }
        case .bridge: fabric.map { ($0, "the fabric") }
        case .vacant: nil
        }
    }

    /// For each interface, the frames from its nodes that the kernel dropped because its TAP's ring was full. The ring
    /// is full when the engine reads too slowly, or not at all. 0 if the device is gone: its counters go with it.
    ///
    /// A TAP's ring has room for as many frames in each of its queues as its transmit queue length says.
    package func ringDrops(_ plan: AppliancePlan) -> [UInt64] {
        taps.indices.map { interface in
            guard let tap = taps[interface], plan.interfaces.indices.contains(interface),
                let namespace = place(ofTap: interface, plan)?.namespace
            else { return 0 }
            return ((try? namespace.netlink.counters(index: tap.index)) ?? nil)?.sentDrops ?? 0
        }
    }
}
