import EventLoop
import Forwarding
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Synchronization
import TopologyFiles

/// Has applications themselves judge by tenants' access lists: as tables of nftables in their nodes, or as files that their
/// programs read.
///
/// A node gets the lists before it counts as ready, so before packets come. If something in the node changes or removes the
/// table, it is put in force again.
final class AccessKeeper: @unchecked Sendable {
    /// What was put into a node.
    private struct Held {
        let node: ObjectIdentifier
        var access: AccessPlan
        /// The table as nft lists it, without counts; nil: there is none.
        var listing: String?
        /// Where the kernel tells changes.
        var ear: Int32
    }

    private struct State {
        /// What nodes are to have, by their names.
        var wanted: [String: AccessPlan] = [:]
        var held: [String: Held] = [:]
        /// The nodes that are looked after just now, and those that have changed again meanwhile.
        var looks: Set<String> = []
        /// The nodes whose table is not what was put there.
        var strange: Set<String> = []
        var again: Set<String> = []
    }

    private let loop: EventLoop
    private let cancellation: Cancellation
    private let tell: @Sendable (NodeRuntime, String) -> Void
    private let state = Mutex(State())
    /// One node is worked on at a time.
    private let turn = Mutex(())

    /// The time between two repairs of a node.
    private static let pause = Duration.milliseconds(500)

    /// - Parameter tell: Takes what was put in force again, from any thread.
    init(_ loop: EventLoop, _ cancellation: Cancellation, tell: @escaping @Sendable (NodeRuntime, String) -> Void) {
        self.loop = loop
        self.cancellation = cancellation
        self.tell = tell
    }

    // MARK: - What is wanted

    /// The lists of a plan are those that nodes get from now on.
    func want(_ plans: [AccessPlan]) {
        state.withLock { state in
            state.wanted = [:]
            for plan in plans { for node in plan.nodes { state.wanted[node] = plan } }
        }
    }

    /// Has nft look at what would be put into nodes, without doing it.
    ///
    /// - Throws: `ApplianceError` with what nft says.
    func check(_ plans: [AccessPlan], against nodes: [NodeRuntime]) throws(ApplianceError) {
        for plan in plans where plan.byApplication == .nftables && !plan.lists.isEmpty {
            let held = state.withLock { state in plan.nodes.compactMap { state.held[$0] } }
            if held.first?.access.lists == plan.lists { continue }
            guard let node = nodes.first(where: { plan.nodes.contains($0.plan.name) }) else { continue }
            let access = NftablesAccess(plan.lists, devices: Self.devices(node, plan))
            _ = try placed(node) { () throws(ApplianceError) in
                try Nft.run(["-c", "-f", "-"], script: access.anew, in: node.namespace, cancellation)
            }
        }
    }

    // MARK: - Putting it in force

    /// Puts the wanted lists into all of these nodes that do not have them.
    ///
    /// - Parameter anew: Whether nodes get them that should have them.
    /// - Throws: `ApplianceError` if a node does not take them. Others may have them then.
    func load(_ nodes: [NodeRuntime], anew: Bool = false) throws(ApplianceError) {
        for node in nodes {
            let (wanted, held) = state.withLock { ($0.wanted[node.plan.name], $0.held[node.plan.name]) }
            if !anew, let held, held.node == ObjectIdentifier(node), held.access == wanted { continue }
            if held == nil, wanted?.lists.isEmpty ?? true { continue }
            try load(node)
        }
    }

    /// Puts the wanted lists into a node, whatever it has.
    ///
    /// - Throws: `ApplianceError` if the node does not take them.
    func load(_ node: NodeRuntime) throws(ApplianceError) {
        let error: ApplianceError? = turn.withLock { _ in
            do throws(ApplianceError) { try loadInTurn(node) } catch { return error }
            return nil
        }
        if let error { throw error }
    }

    private func loadInTurn(_ node: NodeRuntime) throws(ApplianceError) {
        let name = node.plan.name
        var (wanted, held) = state.withLock { ($0.wanted[name], $0.held[name]) }
        if let other = held, other.node != ObjectIdentifier(node) {
            forget(name)
            held = nil
        }
        try placed(node) { () throws(ApplianceError) in
            switch (held?.access.byApplication, wanted?.byApplication) {
            case (_, .template(let template)?): try fill(template, node, wanted?.lists ?? [], held)
            case (.nftables?, nil):
                try remove(node, name)
                forget(name)
            case (_, .nftables?) where wanted?.lists.isEmpty == true: if held?.listing != nil { try remove(node, name) }
            case (_, .nftables?):
                guard let wanted else { return }
                try put(wanted, node, held)
                return
            case (_, nil): return
            }
            if let wanted {
                state.withLock { state in
                    let ear = state.held[name]?.ear ?? -1
                    state.held[name] = Held(node: ObjectIdentifier(node), access: wanted, listing: nil, ear: ear)
                }
            }
        }
    }

    private func put(_ wanted: AccessPlan, _ node: NodeRuntime, _ held: Held?) throws(ApplianceError) {
        let access = NftablesAccess(wanted.lists, devices: Self.devices(node, wanted))
        let isStrange = state.withLock { $0.strange.remove(node.plan.name) != nil }
        let script =
            isStrange
            ? access.anew : access.transaction(insteadOf: held?.listing == nil ? [] : held?.access.lists ?? [])
        var ear = held?.ear ?? -1
        if ear < 0 {
            do throws(SystemError) { ear = try node.namespace.listenForRules() } catch {
                throw ApplianceError(.failed, "\(error)")
            }
            watch(ear, node)
        }
        // Whatever happens now, what is there is to be looked at again.
        state.withLock {
            $0.held[node.plan.name] = Held(node: ObjectIdentifier(node), access: wanted, listing: "", ear: ear)
        }
        do throws(ApplianceError) {
            _ = try Nft.run(["-f", "-"], script: script, in: node.namespace, cancellation)
        } catch {
            // Something in the node has made the table another one, such as its chain in another hook.
            _ = try Nft.run(["-f", "-"], script: access.anew, in: node.namespace, cancellation)
        }
        let listing = try Self.listing(node, cancellation)
        state.withLock { $0.held[node.plan.name]?.listing = listing }
    }

    private func remove(_ node: NodeRuntime, _ name: String) throws(ApplianceError) {
        state.withLock { $0.held[name]?.listing = nil }
        _ = try Nft.run(["-f", "-"], script: NftablesAccess.removal, in: node.namespace, cancellation)
    }

    private func fill(
        _ template: AccessTemplate, _ node: NodeRuntime, _ lists: [AccessList], _ held: Held?
    ) throws(ApplianceError) {
        func write(_ lists: [AccessList]) throws(ApplianceError) {
            // It was read with the file.
            guard let text = try? AccessTemplateText(template.template) else { return }
            try node.write(Array(text.filled(lists).utf8), to: template.path)
            try node.runReload(template.reload, cancellation)
        }
        // A node in which nothing runs has no folder before.
        _ = try node.enter()
        do throws(ApplianceError) { try write(lists) } catch {
            // The program goes on with what it had.
            try? write(held?.access.lists ?? [])
            throw error
        }
    }

    private static func devices(_ node: NodeRuntime, _ plan: AccessPlan) -> [String] {
        plan.isTransparent ? node.plan.legs.map(\.device) : []
    }

    private static func listing(_ node: NodeRuntime, _ cancellation: Cancellation) throws(ApplianceError) -> String {
        try Nft.run(["-s", "list", "table", "inet", NftablesAccess.table], in: node.namespace, cancellation)
    }

    private func placed<Value>(
        _ node: NodeRuntime, _ body: () throws(ApplianceError) -> Value
    ) throws(ApplianceError) -> Value {
        do throws(ApplianceError) { return try body() } catch {
            var error = error
            error.message = "\(node.place): its access lists cannot be put in force: \(error.message)"
            throw error
        }
    }

    // MARK: - Looking after it

    private func watch(_ ear: Int32, _ node: NodeRuntime) {
        loop.submit { [weak self, weak node] in
            guard let self else { return }
            loop.watch(ear) { [weak self, weak node] _ in
                // Messages that did not fit are as good as read.
                var octets = [UInt8](repeating: 0, count: 65_536)
                while recv(ear, &octets, octets.count, 0) > 0 || errno == ENOBUFS {}
                if let node { self?.look(at: node) }
            }
        }
    }

    /// Looks at a node's table soon. On the loop's thread.
    private func look(at node: NodeRuntime) {
        let name = node.plan.name
        let isFirst = state.withLock { state in
            if state.looks.insert(name).inserted { return true }
            state.again.insert(name)
            return false
        }
        guard isFirst else { return }
        do throws(ApplianceError) {
            try startThread { [weak self] in
                guard let self else { return }
                repeat {
                    mend(node)
                } while state.withLock { state in
                    if state.again.remove(name) != nil, !self.cancellation.isRaised { return true }
                    state.looks.remove(name)
                    return false
                }
            }
        } catch {
            state.withLock { _ = $0.looks.remove(name) }
        }
    }

    private func mend(_ node: NodeRuntime) {
        let isOther = turn.withLock { _ in
            let held = state.withLock { $0.held[node.plan.name] }
            guard let held, held.node == ObjectIdentifier(node), let listing = held.listing, !cancellation.isRaised
            else {
                return false
            }
            return (try? Self.listing(node, cancellation)) != listing
        }
        guard isOther, !cancellation.isRaised else { return }
        do throws(ApplianceError) {
            // What else is in the table now goes with it.
            _ = state.withLock { $0.strange.insert(node.plan.name) }
            try load(node)
            tell(node, "something in the node changed them")
        } catch {
            guard !cancellation.isRaised else { return }
            tell(node, error.message)
        }
        cancellation.sleep(Self.pause)
    }

    // MARK: - Counts

    /// How often the rules of a node's table matched, by their counters.
    func counts(in node: NodeRuntime) -> [Int: (packets: UInt64, octets: UInt64)] {
        guard state.withLock({ $0.held[node.plan.name]?.listing }) != nil,
            let text = try? Nft.run(
                ["-j", "list", "counters", "table", "inet", NftablesAccess.table], in: node.namespace, cancellation),
            let listing = try? JSONReader.read(Array(text.utf8)), case .array(let objects)? = listing["nftables"]
        else { return [:] }
        var counts: [Int: (packets: UInt64, octets: UInt64)] = [:]
        for counter in objects.compactMap({ $0["counter"] }) {
            guard case .string(let name)? = counter["name"], let index = Int(name.dropFirst()),
                case .number(_, let packets)? = counter["packets"], case .number(_, let octets)? = counter["bytes"]
            else { continue }
            counts[index] = (UInt64(packets) ?? 0, UInt64(octets) ?? 0)
        }
        return counts
    }

    // MARK: - The end

    private func forget(_ name: String) {
        guard let held = state.withLock({ $0.held.removeValue(forKey: name) }), held.ear >= 0 else { return }
        loop.submit { [loop] in
            loop.unwatch(held.ear)
            close(held.ear)
        }
    }

    /// Nodes that are gone need no looking after.
    func keep(only names: Set<String>) {
        for name in state.withLock({ Array($0.held.keys) }) where !names.contains(name) { forget(name) }
    }
}
