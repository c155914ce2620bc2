import Attachments
import ControlAPI
import EventLoop
import Fabric
import Forwarding
import HealthMonitoring
import LinuxNetwork
import Logging
import Nodes
import Plan
import Reporting
import TopologyFiles

/// One change of a running topology, from the running plan to another, in a thread of the caller's.
///
/// Until the engines decide by the new table, a failure takes back everything that was done: afterwards all is as it
/// was. Only after that point the change takes away the parts that are no longer wanted.
final class TopologyChange {
    let control: ControlProcess
    /// The running plan.
    let old: AppliancePlan
    /// The plan to reach.
    let new: AppliancePlan
    /// The plan to reach, with the interfaces that go.
    let during: AppliancePlan
    /// The file of the plan to reach.
    private let source: TopologyFile
    let difference: PlanDifference
    /// How the entries of the table differ, if that is known.
    private let patch: TablePatch?
    /// Why it is done, for events.
    let cause: String
    /// How long removed nodes keep their flows.
    let time: RemovalTime
    let tell: (Progress) -> Void
    /// Raised if the change is to end early.
    private(set) var cancellation: Cancellation
    /// The steps that take back what was done; the last one runs first.
    private var undo: [(what: String, body: () throws -> Void)] = []
    private(set) var notes: [String] = []
    /// The nodes whose networks change, between widening and narrowing.
    private var networks: [(name: String, network: NodeNetwork)] = []
    /// The nodes that go, as they are.
    private(set) var removed: [NodePlan] = []
    /// The interfaces whose only node goes. Their TAPs leave the node's namespace only after its time has passed,
    /// because the move drops the frames in transit.
    private var leftAlone: [Int] = []
    /// The interfaces whose devices could not be given back.
    var unreturned: Set<String> = []
    /// The entries of the old table that stay for a while beside the new one.
    private var lingering: LingeringEntries?

    init(
        _ control: ControlProcess, from old: AppliancePlan, to fresh: PlannedFile, drain: Duration?,
        _ cancellation: Cancellation, tell: @escaping (Progress) -> Void
    ) {
        self.control = control
        self.old = old
        new = fresh.plan
        during = fresh.plan.retaining(old)
        source = fresh.source
        (patch, cause) = (fresh.patch, fresh.cause)
        difference = PlanDifference(from: old, to: new, patch: patch)
        let gone = difference.actions.compactMap { if case .remove(let node) = $0 { node } else { nil } }
        let instances = Set(old.applications.flatMap(\.instances).map(\.node))
        time = RemovalTime(drain, instancesOnly: !gone.isEmpty && gone.allSatisfy(instances.contains))
        self.cancellation = cancellation
        self.tell = tell
    }

    /// Does it.
    ///
    /// - Returns: How many entries kept their counters.
    /// - Throws: `ApplianceError` if the change failed. All is as it was then, or is about to be taken away.
    func perform() throws(ApplianceError) -> Int {
        let kept: Int
        do throws(ApplianceError) {
            try GuestNeeds(new).require()
            try NodeImages(control.directory).unpack(for: new.nodes, cancellation)
            try announce()
            try addInterfaces()
            try alterInterfaces()
            removed = goingNodes()
            try widen()
            wantAccess()
            try startNodes()
            try prove()
            try withdrawRemoved()
            try loadAccess()
            kept = try publish()
        } catch {
            throw takeBack(after: error)
        }
        undo = []
        control.loop.sync { self.commit() }
        control.access.keep(only: Set(new.nodes.map(\.name)))
        cleanUp()
        return kept
    }

    /// Adds a step that takes back the next one.
    func undoing(_ what: String, _ body: @escaping () throws -> Void) { undo.append((what, body)) }

    private func takeBack(after error: ApplianceError) -> ApplianceError {
        // The whole topology is about to go: nothing has to be restored.
        if control.cancellation.isRaised { return control.cancellation.reason ?? error }
        tell(.step("restoring the former state"))
        var error = error
        do throws(ApplianceError) { cancellation = try control.gate.rollBack() } catch {
            return error
        }
        // The steps hold this change, and with it all that was built.
        let steps = undo.reversed()
        defer { (undo, networks) = ([], []) }
        for step in steps {
            do { try step.body() } catch {
                control.logger.error("\(step.what): \(error)")
                notes.append("\(step.what): \(error)")
            }
        }
        // A node that was put back is a new one: the health checks must watch that.
        note("the health checks") { try watch(old) }
        error.message += notes.isEmpty ? "; the former state is restored" : "; not everything could be restored"
        error.details += notes
        return error
    }

    // MARK: - The steps

    /// Records everything that is about to be made, before any of it is.
    private func announce() throws(ApplianceError) {
        let namespaces = Set(NetworkBuilder.namespaces(of: during)).subtracting(NetworkBuilder.namespaces(of: old))
            .sorted()
        let nodes = addedNodes.map(\.name)
        let legs = AttachedLegs.all(of: new).filter { !AttachedLegs.all(of: old).contains($0) }
        if new.nodes.contains(where: { $0.image != nil }) {
            try control.record.change { $0.noteContainers(of: new) }
        }
        let loans = try comingLoans()
        guard !namespaces.isEmpty || !nodes.isEmpty || !legs.isEmpty || !loans.isEmpty else { return }
        undoing("the state") { [self] in
            try control.record.change { state in
                state.forget(loans.filter { !unreturned.contains($0.interface) }, in: new.fabricNamespace)
                state.namespaces.removeAll { namespaces.contains($0) && $0 != new.fabricNamespace }
                state.nodes?.removeAll { nodes.contains($0) }
                state.note(AttachedLegs.all(of: old), in: new.fabricNamespace)
            }
        }
        try control.record.change { state in
            state.namespaces += namespaces
            state.nodes = (state.nodes ?? []) + nodes
            state.note((state.loans ?? []) + loans, in: new.fabricNamespace)
            state.note(AttachedLegs.all(of: old) + legs, in: new.fabricNamespace)
        }
        try StateDirectory.refuseForeignNames(namespaces)
    }

    private func alterInterfaces() throws(ApplianceError) {
        for action in difference.actions {
            try cancellation.check()
            switch action {
            case .bridge(let interface):
                if isLeftAlone(interface) { leftAlone.append(interface) } else { try bridge(interface) }
            case .reshape(let interface, _):
                let (nodes, built) = (there(on: interface), try built())
                undoing("interface \(new.interfaces[interface].name)") { [self] in
                    try builder(for: old).alter(interface, from: new, nodes: nodes, in: built)
                    try builder(for: old).forgetAddresses(of: interface, from: new, in: built)
                }
                // Its nodes may have legs on interfaces that go.
                try builder(for: during).alter(interface, from: old, nodes: nodes, in: built)
            default: break
            }
        }
        // So that the TAP outlives a node that is built anew.
        for place in goingInterfaces { try bridge(place) }
        try alterBridgeRules()
    }

    private func alterBridgeRules() throws(ApplianceError) {
        guard new.bridgeRules != old.bridgeRules else { return }
        let fabric = try built().fabric
        undoing("the packet filter of the bridges") { [self] in
            try builder(for: old).setBridgeRules(insteadOf: new, in: fabric)
        }
        try builder(for: new).setBridgeRules(insteadOf: old, in: fabric)
    }

    /// True if the node that has the interface's TAP for its own goes, and none comes.
    private func isLeftAlone(_ interface: Int) -> Bool {
        guard case .direct(let owner) = old.interfaces[interface].attachment else { return false }
        return !new.nodes.contains { node in node.name == owner || node.legs.contains { $0.interface == interface } }
    }

    /// An interface that has got a bridge keeps it, even if the change fails later. That makes no difference.
    private func bridge(_ interface: Int) throws(ApplianceError) {
        guard case .direct(let owner) = old.interfaces[interface].attachment,
            case .bridge = during.interfaces[interface].attachment,
            var node = old.nodes.first(where: { $0.name == owner }),
            let place = node.legs.firstIndex(where: { $0.interface == interface })
        else { return }
        tell(.step("giving interface \(during.interfaces[interface].name) a bridge"))
        let device =
            new.nodes.first { $0.name == owner }?.legs.first { $0.interface == interface }?.fabricDevice
            ?? "v\(interface)-leaving"
        node.legs[place].fabricDevice = device
        let there = try built()
        let changed = try control.withoutForwarding { () throws(ApplianceError) in
            try builder(for: during).bridge(interface, of: node, in: there)
        }
        if let index = removed.firstIndex(where: { $0.name == owner }) {
            removed[index].legs[place].fabricDevice = device
        }
        control.loop.sync { [control, during] in
            control.topology.bridge(
                interface, during.interfaces[interface].attachment, of: owner, leg: place, device: device, changed)
        }
    }

    private func widen() throws(ApplianceError) {
        let built = try built()
        for case .alter(let name, _) in difference.actions {
            guard let before = current(name), let after = new.nodes.first(where: { $0.name == name }),
                let namespace = built.namespaces[name]
            else { continue }
            let network = NodeNetwork(
                old: before, new: after, namespace: namespace, built: built, builder: builder(for: during))
            networks.append((name, network))
            undoing(place(of: name)) {
                let back = network.reversed
                try back.widen()
                try back.narrow()
            }
            do throws(SystemError) { try network.widen() } catch {
                throw NetworkBuilder.explained(error, place(of: name))
            }
            if !LegMatch(before.legs, after.legs).added.isEmpty {
                try builder(for: during).awaitLinks(of: [after], in: built)
            }
        }
    }

    /// Watches the instances of the new plan, and waits until each has passed its health checks once. If an instance
    /// never does, the error explains it, and the change is taken back.
    private func prove() throws(ApplianceError) {
        // What an instruction of a tenant adds to nodes that run on takes nothing from a check.
        guard patch == nil else { return }
        try watch(new)
        guard let monitor = control.loop.sync({ self.control.watch.monitor }) else { return }
        tell(.step("waiting for the health checks"))
        try monitor.proveOnce(cancellation)
    }

    /// Nodes that are started from here on get the new access lists.
    private func wantAccess() {
        guard old.access != new.access else { return }
        undoing("the access lists") { [self] in
            control.access.want(old.access)
            try control.access.load(control.loop.sync { self.control.nodes })
        }
        control.access.want(new.access)
    }

    /// All applications judge by the new access lists from here on.
    private func loadAccess() throws(ApplianceError) {
        guard old.access != new.access else { return }
        try cancellation.check()
        try control.access.load(control.loop.sync { self.control.nodes })
    }

    private func watch(_ plan: AppliancePlan) throws(ApplianceError) {
        try control.loop.sync { () throws(ApplianceError) in try self.control.watchInstances(of: plan) }
    }

    /// The engines decide by the new table from here on, and for a while also by the lingering entries of the old one.
    private func publish() throws(ApplianceError) -> Int {
        if time.linger > .zero {
            let found = LingeringEntries(from: old.table, to: during.table)
            if !found.entries.isEmpty { lingering = found }
        }
        try cancellation.check()
        tell(.step("publishing the table"))
        return try control.publishAndWait(
            during, leaving: lingering, patch: patch.map { PlanPatch(table: $0, before: old.table.entries) },
            cause: cause, cancellation)
    }

    /// Waits until removed nodes and services have had their time. Packets that come out of the nodes meanwhile are
    /// forwarded. After that, the table has no entries of them.
    private func awaitLeavers() {
        let isNodes = time.isAsked && !removed.isEmpty
        guard time.linger > .zero, lingering != nil || isNodes else { return }
        let what = removed.isEmpty ? "packets in the chains" : removed.map(\.name).joined(separator: ", ")
        tell(.step("draining \(what)"))
        cancellation.sleep(time.linger)
        guard lingering != nil else { return }
        note("the table") { _ = try control.publishAndWait(during, leaving: nil, cause: cause, control.cancellation) }
    }

    /// Makes the new plan the running one. On the loop's thread.
    private func commit() {
        control.topology.commit(
            PlannedFile(source: source, plan: patch == nil ? new : control.sharing(new)),
            keeping: leftAlone.map { ($0, old.interfaces[$0].attachment) })
        control.captures.namesChanged()
    }

    private func cleanUp() {
        awaitLeavers()
        for (name, network) in networks {
            note(place(of: name)) {
                try network.narrow()
                try control.node(name).take(network.new, folder: new.directory)
            }
        }
        for case .reshape(let interface, _) in difference.actions {
            note("interface \(new.interfaces[interface].name)") {
                try builder(for: new).forgetAddresses(of: interface, from: old, in: built())
            }
        }
        for interface in leftAlone {
            note("interface \(new.interfaces[interface].name)") { try bridge(interface) }
        }
        leaveInterfaces()
        removeNodes()
        removeInterfaces()
        // An instruction of a tenant neither adds a node nor removes one.
        guard patch == nil else { return }
        let (namespaces, nodes) = (NetworkBuilder.namespaces(of: new), new.nodes.map(\.name))
        note("the state") { [control] in
            try control.record.change { state in
                let kept = Set(namespaces)
                state.namespaces.removeAll { !kept.contains($0) && $0 != self.new.fabricNamespace }
                state.nodes = nodes
                state.note(AttachedLegs.all(of: self.new), in: self.new.fabricNamespace)
            }
        }
    }

    /// Does a step that cannot be taken back: a failure becomes a note, and the other steps are still done.
    func note(_ what: String, _ body: () throws -> Void) {
        do { try body() } catch {
            control.logger.warning("\(what): \(error)")
            notes.append("\(what): \(error)")
        }
    }

    // MARK: - What it stands on

    var addedNodes: [NodePlan] {
        let added = difference.actions.compactMap { action -> String? in
            if case .add(let node) = action { node } else { nil }
        }
        return new.nodes.filter { added.contains($0.name) }
    }

    private func goingNodes() -> [NodePlan] {
        let names = difference.actions.compactMap { action -> String? in
            if case .remove(let node) = action { node } else { nil }
        }
        return control.loop.sync { self.control.plan.nodes.filter { names.contains($0.name) } }
    }

    /// A node as it is now: as in `old`, but for interfaces that have got bridges.
    func current(_ name: String) -> NodePlan? {
        control.loop.sync { self.control.plan.nodes.first { $0.name == name } }
    }

    private func there(on interface: Int) -> [NodePlan] {
        let nodes = control.loop.sync { self.control.plan.nodes }
        return nodes.filter { node in node.legs.contains { $0.interface == interface } }
    }

    func built() throws(ApplianceError) -> BuiltTopology {
        guard let built = control.loop.sync({ self.control.built }) else { throw .cancelled }
        return built
    }

    func builder(for plan: AppliancePlan) -> NetworkBuilder {
        NetworkBuilder(
            plan: plan, mark: control.record.mark, cancellation: cancellation,
            loans: control.record.current.loans ?? [])
    }

    func place(of node: String) -> String {
        (new.nodes.first { $0.name == node } ?? old.nodes.first { $0.name == node })?.place ?? "node \(node)"
    }
}

extension NodeNetwork {
    /// The way back.
    var reversed: NodeNetwork {
        NodeNetwork(old: new, new: old, namespace: namespace, built: built, builder: builder)
    }
}
