import Wire

/// The steps that make a running node equal to its node in another plan.
///
/// Each list holds the reasons for a step, as ends of sentences; all lists are empty if nothing has to happen.
public struct NodeChange: Sendable, Hashable {
    /// Why its namespace, and all in it, is made anew.
    public var rebuild: [String] = []
    /// Why its `run` command is ended and started again.
    public var restart: [String] = []
    /// Why its files are written, and its `reload` command is run if it has one; or its `after` is run.
    public var reload: [String] = []
    /// The changes that are made while it runs on.
    public var inPlace: [String] = []

    /// True if nothing that is made or runs differs. Its place in the file may.
    public var isEmpty: Bool { rebuild.isEmpty && restart.isEmpty && reload.isEmpty && inPlace.isEmpty }

    /// Nothing.
    public init() {}

    /// The steps from a node of `old` to the node of the same name in `new`.
    ///
    /// - Parameter isElsewhere: True if the file is in another folder, from which its commands are to start.
    public init(from old: NodePlan, to new: NodePlan, isElsewhere: Bool = false) {
        if old.kind != new.kind { rebuild.append("it is \(new.kind.phrase) now") }
        compareLegs(old, new)
        if old.attachment != new.attachment { rebuild.append("its network namespace") }
        if old.machine != nil || new.machine != nil { compareMachines(old, new) }
        let written = Set(new.sysctls.map(\.name))
        let gone = Set(LegMatch(old.legs, new.legs).removed.map { old.legs[$0].device })
        for sysctl in old.sysctls where !written.contains(sysctl.name) {
            // It goes with its device.
            let parts = sysctl.name.split { $0 == "." || $0 == "/" }
            if parts.count > 4, gone.contains(String(parts[3])) { continue }
            // The kernel's former value is unknown.
            rebuild.append("its sysctl \(sysctl.name), which is gone")
        }
        compareProcesses(old.process, new.process, isElsewhere, Self.variables(old, new))
        compareFiles(old, new)
        compareNetworks(old, new)
    }

    /// The network of a virtual machine is its own: it is told once, when it starts.
    private mutating func compareMachines(_ old: NodePlan, _ new: NodePlan) {
        func network(_ node: NodePlan) -> [[AnyHashable]] {
            [node.legs, node.loopback, node.local, node.routes, [node.vantage], [node.machine == nil]]
        }
        if network(old) != network(new) { rebuild.append("the network of its machine") }
    }

    /// Legs are added and removed while the node runs. A leg that stays must stay as it is.
    ///
    /// Legs in a namespace of somebody else's, and those of circuits, are made all at once, with what has to be looked at or set
    /// before any of them carries frames.
    private mutating func compareLegs(_ old: NodePlan, _ new: NodePlan) {
        let match = LegMatch(old.legs, new.legs)
        let others = match.added.map { new.legs[$0] } + match.removed.map { old.legs[$0] }
        let isWhole = !others.isEmpty && (new.attachment != nil || others.contains(where: \.isCircuit))
        guard !isWhole, !match.kept.isEmpty,
            match.kept.allSatisfy({ old.legs[$0.old].isSameDevice(as: new.legs[$0.new]) })
        else {
            if old.legs != new.legs { rebuild.append("its interfaces") }
            return
        }
        let added = match.added.map { "\(new.legs[$0].device) is added" }
        let removed = match.removed.map { "\(old.legs[$0].device) is removed" }
        if !added.isEmpty || !removed.isEmpty {
            inPlace.append("its legs (\((added + removed).joined(separator: ", ")))")
        }
    }

    /// The variables that tell of legs which come or go, without their ends. What runs on keeps those that it was started
    /// with.
    private static func variables(_ old: NodePlan, _ new: NodePlan) -> [String] {
        let match = LegMatch(old.legs, new.legs)
        guard !match.kept.isEmpty else { return [] }
        let roles = match.added.map { new.legs[$0].role } + match.removed.map { old.legs[$0].role }
        let kept = match.kept.flatMap { [old.legs[$0.old].role, new.legs[$0.new].role] }
        return roles.filter { !kept.contains($0) }.map { "TAPLINE_\(LegPlan.variable(ofLeg: $0))" }
    }

    private mutating func compareProcesses(
        _ old: ProcessPlan, _ new: ProcessPlan, _ isElsewhere: Bool, _ ofOtherLegs: [String]
    ) {
        var given: [String] = []
        let names = Set(old.environment.keys).union(new.environment.keys)
        let different = names.filter { name in
            old.environment[name] != new.environment[name]
                && !ofOtherLegs.contains { name == $0 || name.hasPrefix("\($0)_") }
        }.sorted()
        if !different.isEmpty { given.append("its environment (\(different.joined(separator: ", ")))") }
        if isElsewhere, !new.isNothing { given.append("the folder of the file") }
        // Nothing can take back the effects of `setup` on the namespace, and `setup` may have used its environment.
        if old.setup != new.setup { rebuild.append("its setup") }
        if !new.setup.isEmpty { rebuild += given }
        if old.guest != new.guest {
            let key = new.guest?.key ?? "run"
            restart.append(key == old.guest?.key ? "its \(key)" : "its application")
        } else if old.run != new.run {
            restart.append("its run")
        }
        if old.confinement != new.confinement {
            var sameLimits = old.confinement
            sameLimits.limits = new.confinement.limits
            let what = sameLimits == new.confinement ? "its limits" : "its user, capabilities and limits"
            if new.hasPrograms { restart.append(what) } else { inPlace.append(what) }
        }
        if old.programs != new.programs { restart.append("its programs") }
        if new.setup.isEmpty {
            if !new.hasPrograms { inPlace += given } else { restart += given }
        }
        if old.ready != new.ready || old.readyTimeout != new.readyTimeout { inPlace.append("its readiness") }
        // It runs when the programs have become ready, so they are started for it.
        if old.after != new.after {
            if new.hasPrograms { restart.append("its after") } else { reload.append("its after") }
        }
        if old.restart != new.restart { inPlace.append("its restart") }
        if old.depends != new.depends || old.healthy != new.healthy { inPlace.append("its depends") }
    }

    private mutating func compareFiles(_ old: NodePlan, _ new: NodePlan) {
        if old.filesystem != new.filesystem { rebuild.append("its filesystem") }
        if old.process.reload != new.process.reload { inPlace.append("its reload") }
        let different = new.differentFiles(from: old)
        guard !different.isEmpty else { return }
        let shown = different.prefix(6).joined(separator: ", ") + (different.count > 6 ? " and others" : "")
        let reason = "its files (\(shown))"
        if old.mountedPaths != new.mountedPaths {
            // Its mounts are made with its namespaces.
            rebuild.append(reason)
        } else if new.process.reload != nil {
            reload.append(reason)
        } else if !new.process.setup.isEmpty {
            // `setup` may have used them.
            rebuild.append(reason)
        } else if new.process.hasPrograms {
            restart.append(reason)
        } else {
            reload.append(reason)
        }
    }

    private mutating func compareNetworks(_ old: NodePlan, _ new: NodePlan) {
        let kept = LegMatch(old.legs, new.legs).kept.map { (old.legs[$0.old], new.legs[$0.new]) }
        if kept.contains(where: { $0.addresses != $1.addresses }) { inPlace.append("its addresses") }
        if kept.contains(where: { $0.deliverToo != $1.deliverToo }) { inPlace.append("its delivered addresses") }
        if kept.contains(where: { $0.isLocked != $1.isLocked }) { inPlace.append("its anti-spoofing") }
        if kept.contains(where: { $0.virtual != $1.virtual }) { inPlace.append("its virtual MAC addresses") }
        // Their order means nothing.
        if !old.loopback.isPermuted(new.loopback) || !old.local.isPermuted(new.local) {
            inPlace.append("its service addresses")
        }
        if !old.routesByInterface.isPermuted(new.routesByInterface) { inPlace.append("its routes") }
        let before = Set(old.sysctls)
        if new.sysctls.contains(where: { !before.contains($0) }) { inPlace.append("its sysctls") }
        if old.hosts != new.hosts { inPlace.append("its hosts") }
        if old.nameServers != new.nameServers { inPlace.append("its name servers") }
        if old.type != new.type { inPlace.append("its type") }
    }
}

extension Array where Element: Hashable {
    /// True if another array has the same elements, none of them twice.
    fileprivate func isPermuted(_ other: [Element]) -> Bool {
        self == other || count == other.count && Set(self) == Set(other)
    }
}

extension LegPlan {
    /// True if the device inside the node can stay. The place of its other end does not matter: a TAP can become a veth
    /// while the node runs.
    func isSameDevice(as other: LegPlan) -> Bool {
        interface == other.interface && device == other.device && mac == other.mac
            && offload == other.offload && takesEverything == other.takesEverything && isCircuit == other.isCircuit
            && isRemote == other.isRemote
    }
}

extension NodePlan {
    /// Its routes, each with the place of its interface in place of its leg's: legs that go change the order of others.
    fileprivate var routesByInterface: [RoutePlan] {
        routes.map { route in
            var route = route
            if legs.indices.contains(route.leg) { route.leg = legs[route.leg].interface }
            return route
        }
    }
}

extension NodeKind {
    /// With its article.
    fileprivate var phrase: String {
        switch self {
        case .customer: "a customer"
        case .application: "an application"
        case .router: "a router"
        }
    }
}
