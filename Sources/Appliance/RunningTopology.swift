import Attachments
import EventLoop
import Fabric
import LinuxNetwork
import Nodes
import Plan
import TopologyFiles

/// The running topology: the plan, its source, the built networks, and the runtimes of its nodes.
///
/// While the topology comes up, its own thread alone changes it. After that the loop's thread alone changes it, where
/// all answers and watches read it.
final class RunningTopology: @unchecked Sendable {
    private let loop: EventLoop
    private(set) var plan: AppliancePlan
    /// Rises with each plan.
    private(set) var version = 1
    /// The file of `plan`, as it was read.
    private(set) var source: TopologyFile
    /// The path of that file.
    private(set) var file: String
    private(set) var built: BuiltTopology?
    private(set) var nodes: [NodeRuntime] = []
    /// The nodes that a change starts just now, and the cancellation to raise if one of them ends.
    private(set) var starting: (nodes: Set<String>, cancellation: Cancellation)?

    init(loop: EventLoop, planned: PlannedFile, file: String) {
        self.loop = loop
        plan = planned.plan
        source = planned.source
        self.file = file
    }

    // MARK: - Coming up and going

    /// Gives namespaces other names, before any is made.
    func rename(_ namespaces: (inout AppliancePlan) -> Void) { namespaces(&plan) }

    /// Takes the networks, which have been built.
    func take(_ made: BuiltTopology) {
        loop.preconditionCurrent()
        built = made
    }

    /// Takes the runtimes of its nodes.
    func take(_ runtimes: [NodeRuntime]) {
        loop.preconditionCurrent()
        nodes = runtimes
    }

    /// Forgets all networks and nodes: they no longer exist.
    func clear() {
        loop.preconditionCurrent()
        nodes = []
        built = nil
    }

    // MARK: - Changes

    /// The file that the plan is of from now on.
    func take(file path: String) {
        loop.preconditionCurrent()
        file = path
    }

    /// A plan that differs in nothing that was made.
    func take(_ fresh: PlannedFile) {
        loop.preconditionCurrent()
        plan = fresh.plan
        source = fresh.source
        version += 1
    }

    /// An interface has got a bridge, and its only node a veth to it.
    ///
    /// - Parameters:
    ///   - device: The bridge's end of the veth.
    ///   - leg: The place of the interface among the node's legs.
    func bridge(
        _ interface: Int, _ attachment: InterfacePlan.Attachment, of owner: String, leg: Int, device: String,
        _ changed: BuiltTopology
    ) {
        loop.preconditionCurrent()
        built = changed
        plan.interfaces[interface].attachment = attachment
        if let index = plan.nodes.firstIndex(where: { $0.name == owner }) {
            plan.nodes[index].legs[leg].fabricDevice = device
        }
        nodes.first { $0.plan.name == owner }?.note(fabricDevice: device, leg: leg)
    }

    /// Nodes have been made.
    func add(_ runtimes: [NodeRuntime], _ grown: BuiltTopology) {
        loop.preconditionCurrent()
        built = grown
        nodes += runtimes
    }

    /// A node has been taken away.
    func remove(_ runtime: NodeRuntime?, named name: String) {
        loop.preconditionCurrent()
        nodes.removeAll { $0 === runtime }
        built?.namespaces[name] = nil
        built?.foreign[name] = nil
    }

    /// A node is in another namespace of somebody else's, or in none: in `limbo`, until its own is there again.
    func move(_ name: String, to found: ForeignNamespace?, limbo: NetworkNamespace) {
        loop.preconditionCurrent()
        built?.foreign[name] = found
        built?.namespaces[name] = found?.namespace ?? limbo
    }

    /// A change starts these nodes from now on; nil: it starts none any more.
    func note(starting names: Set<String>?, _ cancellation: Cancellation) {
        loop.preconditionCurrent()
        starting = names.map { ($0, cancellation) }
    }

    /// Makes the new plan the running one.
    ///
    /// - Parameter kept: Interfaces that have not got their bridges yet, with their present attachments.
    func commit(_ fresh: PlannedFile, keeping kept: [(interface: Int, attachment: InterfacePlan.Attachment)]) {
        loop.preconditionCurrent()
        let new = fresh.plan
        plan = new
        source = fresh.source
        version += 1
        for (interface, attachment) in kept { plan.interfaces[interface].attachment = attachment }
        let names = new.hostNames
        for node in nodes {
            guard let plan = new.nodes.first(where: { $0.name == node.plan.name }) else { continue }
            node.adopt(plan, names: names, folder: new.directory)
        }
        let order = Dictionary(new.nodes.enumerated().map { ($1.name, $0) }) { first, _ in first }
        nodes.sort { order[$0.plan.name] ?? .max < order[$1.plan.name] ?? .max }
    }
}
