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
        let passages = self.passages
        for service in services {
            let own = Set((service.chain + service.listeners).map { lead($0) })
            let stops = service.stops + service.passives.joined()
            let crossed = Set(service.scopes.map(\.interface) + stops.flatMap { sides(of: $0) })
            for node in Set(passages.keys).subtracting(own).sorted()
            where file.nodes[node].kind == .application && !service.openers.contains(node) {
                let passed = passages[node, default: []].filter { sides in
                    sides.isSubset(of: crossed) && !service.stops.contains { self.sides(of: $0) == sides }
                }
                guard let sides = passed.min(by: { $0.sorted().lexicographicallyPrecedes($1.sorted()) }) else {
                    continue
                }
                let names = sides.sorted().map { file.interfaces[$0].name.value }.joined(separator: " and ")
                diagnostics.remark(
                    service.raw.name.origin,
                    "packets of \(quoted(service.raw.name.value)) are on \(names) and bypass \(quoted(shownName(node))), which "
                        + "stands between the two",
                    hint: "name it in the service's `sequence`, or give the service interfaces of its own")
            }
        }
    }

    /// For each application: the pairs of interfaces that it passes packets between, or ends them on one and begins others on the
    /// other. A leg for management, or for a database, is on neither way.
    private var passages: [Int: Set<Set<Int>>] {
        var openings: [Int: Set<Int>] = [:]
        for scope in services.flatMap(\.scopes) {
            if let node = scope.node { openings[lead(node), default: []].insert(scope.leg) }
        }
        var passages: [Int: Set<Set<Int>>] = [:]
        for stop in Set(services.flatMap(\.stops)) {
            let node = lead(stop.node)
            let begun = openings[node, default: []].map { Stop(node: stop.node, enter: stop.enter, leave: $0) }
            for sides in ([stop] + begun).map(sides(of:)) where sides.count == 2 {
                passages[node, default: []].insert(sides)
            }
        }
        return passages
    }

    /// The interfaces that a service's packets pass at a node.
    private func sides(of stop: Stop) -> Set<Int> {
        Set([stop.enter, stop.leave].map { legs[stop.node][$0].interface })
    }
}
