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
        if old.legs.count != new.legs.count || zip(old.legs, new.legs).contains(where: { !$0.isSameDevice(as: $1) }) {
            rebuild.append("its interfaces")
        }
        if old.attachment != new.attachment { rebuild.append("its network namespace") }
        let written = Set(new.sysctls.map(\.name))
        for sysctl in old.sysctls where !written.contains(sysctl.name) {
            // The kernel's former value is unknown.
            rebuild.append("its sysctl \(sysctl.name), which is gone")
        }
        compareProcesses(old.process, new.process, isElsewhere)
        compareFiles(old, new)
        compareNetworks(old, new)
    }

    private mutating func compareProcesses(_ old: ProcessPlan, _ new: ProcessPlan, _ isElsewhere: Bool) {
        var given: [String] = []
        let names = Set(old.environment.keys).union(new.environment.keys)
        let different = names.filter { old.environment[$0] != new.environment[$0] }.sorted()
        if !different.isEmpty { given.append("its environment (\(different.joined(separator: ", ")))") }
        if isElsewhere, !new.isNothing { given.append("the folder of the file") }
        // Nothing can take back the effects of `setup` on the namespace, and `setup` may have used its environment.
        if old.setup != new.setup { rebuild.append("its setup") }
        if !new.setup.isEmpty { rebuild += given }
        if old.run != new.run { restart.append("its run") }
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
        if old.legs.map(\.addresses) != new.legs.map(\.addresses) { inPlace.append("its addresses") }
        if old.legs.map(\.deliverToo) != new.legs.map(\.deliverToo) { inPlace.append("its delivered addresses") }
        if old.legs.map(\.isLocked) != new.legs.map(\.isLocked) { inPlace.append("its anti-spoofing") }
        if old.legs.map(\.virtual) != new.legs.map(\.virtual) { inPlace.append("its virtual MAC addresses") }
        // Their order means nothing.
        if !old.loopback.isPermuted(new.loopback) || !old.local.isPermuted(new.local) {
            inPlace.append("its service addresses")
        }
        if !old.routes.isPermuted(new.routes) { inPlace.append("its routes") }
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
        interface == other.interface && role == other.role && device == other.device && mac == other.mac
            && offload == other.offload && takesEverything == other.takesEverything
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
