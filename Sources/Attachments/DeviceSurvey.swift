import LinuxNetwork
import Plan
import Reporting
import Wire

/// Finds the devices of the machine that a plan binds to its interfaces, and records how they are. It touches none.
package enum DeviceSurvey {
    /// The devices of a plan, as they are now in the namespace of this process.
    ///
    /// - Parameters:
    ///   - allowsDefaultRoute: Whether a device may carry the machine's default route.
    ///   - others: The loans of other topologies, by the topologies' names.
    /// - Throws: `ApplianceError` if one is not there, is in use, or is of no use as an interface.
    package static func loans(
        of plan: AppliancePlan, allowsDefaultRoute: Bool, others: [(topology: String, loan: DeviceLoan)]
    ) throws(ApplianceError) -> [DeviceLoan] {
        let wanted = plan.interfaces.compactMap { interface in interface.device.map { (interface.name, $0.name) } }
        guard !wanted.isEmpty else { return [] }
        do {
            let home = try NetworkNamespace.current()
            let links = try home.netlink.links()
            let routes = try home.netlink.routes()
            var loans: [DeviceLoan] = []
            for (interface, device) in wanted {
                let place = "interface \(interface): the device \(device)"
                guard let link = try home.netlink.link(named: device) else {
                    throw absent(device, place, links, others.filter { $0.loan.home == home.identity })
                }
                try refuse(link, device, place, links)
                if !allowsDefaultRoute, carriesDefaultRoute(link, routes) {
                    throw ApplianceError(
                        .machine, "\(place) carries the machine's default route, and would be cut off from it",
                        hint: "name another device, or say --even-the-default-route")
                }
                loans.append(
                    DeviceLoan(
                        interface: interface, state: try DeviceState(of: device, in: home), home: home.identity))
            }
            return loans
        } catch let error as ApplianceError {
            throw error
        } catch {
            throw ApplianceError(.machine, "\(error)", hint: "run it as root, with CAP_NET_ADMIN")
        }
    }

    /// A route to everything, or to half of it, as VPNs have them.
    private static func carriesDefaultRoute(_ link: Link, _ routes: [Route]) -> Bool {
        routes.contains { $0.link == link.index && $0.destination.length <= 1 && $0.kind == .unicast }
    }

    private static func absent(
        _ device: String, _ place: String, _ links: [Link], _ others: [(topology: String, loan: DeviceLoan)]
    ) -> ApplianceError {
        if let other = others.first(where: { $0.loan.state.name == device }) {
            return ApplianceError(
                .machine, "\(place) is in use by the topology '\(other.topology)' (interface \(other.loan.interface))",
                hint: "take that away with 'tapline down \(other.topology)', or name another device")
        }
        let names = links.map(\.name).filter { $0 != "lo" }
        return ApplianceError(
            .machine, "\(place) is not there",
            hint: names.isEmpty
                ? "'ip link' lists the machine's devices: there is none but lo"
                : Spelling.nearest(to: device, among: names).map { "did you mean '\($0)'?" }
                    ?? "the machine has \(names.sorted().prefix(8).joined(separator: ", "))")
    }

    private static func refuse(_ link: Link, _ device: String, _ place: String, _ links: [Link]) throws(ApplianceError)
    {
        // The kernel also finds a device by its alternative names.
        if link.name != device {
            throw ApplianceError(
                .machine, "\(place) is called \(link.name) now", hint: "write `device: \(link.name)`")
        }
        let words = link.alias?.split(separator: " ") ?? []
        if words.count >= 3, words[0] == "tapline" {
            throw ApplianceError(
                .machine, "\(place) is in use by the topology '\(words[1])'",
                hint: "take that away with 'tapline down \(words[1])', or name another device")
        }
        if let master = link.master {
            let name = links.first { $0.index == master }?.name ?? "another device"
            throw ApplianceError(
                .machine, "\(place) belongs to the bridge \(name)",
                hint: "free it with 'ip link set \(device) nomaster', or add a veth to \(name) and name its other end")
        }
        if link.mac == nil || link.kind == "bridge" || link.isLoopback {
            throw ApplianceError(
                .machine,
                "\(place) is \(link.isLoopback ? "the loopback device" : link.kind == "bridge" ? "a bridge itself" : "no Ethernet device")",
                hint: "name a network card, a veth end, or a macvlan device in passthru or private mode")
        }
        if link.kind == "tun" {
            throw ApplianceError(
                .machine, "\(place) is a TAP: the program that holds it would lose it",
                hint: "name a veth end, and connect the TAP to the other one by a bridge")
        }
    }
}
