import Plan
import TopologyFiles
import Wire

/// Nodes whose application is a virtual machine.
extension NodePlanner {
    /// Its legs lead to the machine, and its namespace has a place beside it.
    func beMachine(_ plan: inout NodePlan) {
        for leg in plan.legs.indices { plan.legs[leg].isOfMachine = true }
        plan.vantage = vantage(of: plan)
        if let vantage = plan.vantage { plan.process.ready = plan.process.ready.aimed(at: vantage.machine) }
        // The machine has its own. The namespace says nothing on the links by itself.
        plan.sysctls =
            plan.vantage?.address.address.family == .ipv6
            ? [SysctlPlan("net.ipv6.conf.all.accept_ra", "0"), SysctlPlan("net.ipv6.conf.default.accept_ra", "0")]
            : [
                SysctlPlan("net.ipv6.conf.all.disable_ipv6", "1"),
                SysctlPlan("net.ipv6.conf.default.disable_ipv6", "1"),
            ]
    }

    /// The last free address of the network of its first leg that has one.
    private func vantage(of plan: NodePlan) -> VantagePlan? {
        for family in AddressFamily.allCases {
            for (leg, plan) in plan.legs.enumerated() {
                guard let own = plan.addresses.first(where: { $0.address.family == family }) else { continue }
                guard let free = candidates(own).first(where: { !isTaken($0, on: plan.interface) }) else { continue }
                return VantagePlan(
                    leg: leg, address: InterfaceAddress(free, length: own.length), machine: own.address)
            }
        }
        return nil
    }

    private func candidates(_ own: InterfaceAddress) -> [IPAddress] {
        let room = own.address.family.width - own.length
        guard room >= 3 else { return [] }
        let count = min(64, (1 << min(room, 16)) - 3)
        switch own.address.family {
        case .ipv4:
            let last = own.address.ipv4Bits | UInt32.max >> UInt32(own.length)
            return (1...UInt32(count)).map { IPAddress(ipv4: last - $0) }
        case .ipv6:
            let low = own.address.low | UInt64(1) << UInt64(min(room, 16)) - 1
            return (1...UInt64(count)).map { IPAddress(ipv6High: own.address.high, low: low - $0) }
        }
    }

    private func isTaken(_ address: IPAddress, on interface: Int) -> Bool {
        file.interfaces[interface].addresses.contains { $0.value.value.address == address }
            || legs.contains { $0.contains { $0.addresses.contains { $0.address == address } } }
            || services.contains {
                $0.raw.addresses.contains { $0.value.contains(IPPrefix(host: address)) && $0.value.isHost }
            }
            || file.nodes.contains { $0.mayHave.contains { $0.value.contains(IPPrefix(host: address)) } }
    }
}
