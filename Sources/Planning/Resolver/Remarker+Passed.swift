import Forwarding
import Plan
import Reporting
import TopologyFiles

/// Applications that a service's packets pass by.
extension Remarker {
    /// A service whose packets are on both interfaces of an inline application, and which uses neither it nor another
    /// one between the two.
    ///
    /// Another remark reports an application that no service uses as idle. A service may choose the detectors that
    /// listen to it. It may also choose which of several firewalls in parallel it passes.
    func remarkOnPassedApplications() {
        let used = Set(services.flatMap(\.chain).map { lead($0) })
        for service in services {
            let own = Set((service.chain + service.listeners).map { lead($0) })
            let crossed = Set(service.scopes.map(\.interface) + own.flatMap { legs[$0].map(\.interface) })
            for node in used.subtracting(own).sorted()
            where file.nodes[node].kind == .application && !service.openers.contains(node) {
                let sides = Set(legs[node].map(\.interface))
                let isCovered = own.contains { Set(legs[$0].map(\.interface)) == sides }
                guard sides.count == 2, sides.isSubset(of: crossed), !isCovered else { continue }
                let names = sides.sorted().map { file.interfaces[$0].name.value }.joined(separator: " and ")
                diagnostics.remark(
                    service.raw.name.origin,
                    "packets of \(quoted(service.raw.name.value)) are on \(names) and bypass \(quoted(shownName(node))), which "
                        + "stands between the two",
                    hint: "name it in the service's `sequence`, or give the service interfaces of its own")
            }
        }
    }
}
