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
        /// What is known of its table; nil: there is none.
        var table: Table?
        /// Where the kernel tells changes.
        var ear: Int32
    }

    private enum Table: Equatable {
        /// It is being put there, or that has failed.
        case unknown
        case listed(AccessTableText)
    }

    private struct State {
        /// Counts what was put into nodes.
        var puts = 0
        /// What nodes are to have, by their names.
        var wanted: [String: AccessPlan] = [:]
        var held: [String: Held] = [:]
        /// The nodes that are looked after just now, and those that have changed again meanwhile.
        var looks: Set<String> = []
        /// The nodes whose table is not what was put there.
        var strange: Set<String> = []
        var again: Set<String> = []
        /// Who did not take lists.
        var refusal: AccessRefusal?
    }

    private let loop: EventLoop
    let cancellation: Cancellation
    let tell: @Sendable (NodeRuntime, String) -> Void
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

    /// Has nft, or the check command of a template, look at what would be put into nodes, without doing it.
    ///
    /// One instance stands for all with nftables: the rules are the same, and so is the kernel. Programs are asked in each
    /// instance, because instances may be of different vendors.
    ///
    /// - Throws: `AccessRefusal` with what these say.
    func check(_ plans: [AccessPlan], against nodes: [NodeRuntime]) throws(AccessRefusal) {
        for plan in plans {
            let instances = nodes.filter { plan.nodes.contains($0.plan.name) }
            let isNftables = if case .nftables? = plan.byApplication { true } else { false }
            for node in isNftables ? Array(instances.prefix(1)) : instances {
                do throws(ApplianceError) { try check(plan, of: node) } catch {
                    throw AccessRefusal(application: plan.application, node: node.plan.name, error: error)
                }
            }
        }
    }

    private func check(_ plan: AccessPlan, of node: NodeRuntime) throws(ApplianceError) {
        switch plan.byApplication {
        case .nftables? where !plan.lists.isEmpty: try check(plan, in: node)
        case .template(let template)? where heldAccess(of: node)?.lists ?? [] != plan.lists:
            try ask(template, node, plan.lists)
        case .nftables?, .template?, nil: break
        }
    }

    private func check(_ plan: AccessPlan, in node: NodeRuntime) throws(ApplianceError) {
        let name = node.plan.name
        let held = state.withLock { state in state.strange.contains(name) ? nil : state.held[name] }
        if held?.access.lists == plan.lists { return }
        let access = Self.rules(of: plan, node)
        func check(_ script: String) throws(ApplianceError) {
            _ = try Nft.run(["-c", "-f", "-"], script: script, in: node.namespace, cancellation)
        }
        if let held, held.node == ObjectIdentifier(node), case .listed? = held.table,
            (try? check(access.transaction(insteadOf: held.access.lists))) != nil
        {
            return
        }
        try check(access.anew)
    }

    /// The lists that were put into a node; nil: none were.
    func heldAccess(of node: NodeRuntime) -> AccessPlan? {
        state.withLock { state in
            state.held[node.plan.name].flatMap { $0.node == ObjectIdentifier(node) ? $0.access : nil }
        }
    }

    // MARK: - Putting it in force

    /// Puts the wanted lists into all of these nodes that do not have them.
    ///
    /// - Parameter anew: Whether nodes get them that should have them.
    /// - Throws: `ApplianceError` if a node does not take them (`refusal` says which one). Others may have them then.
    func load(_ nodes: [NodeRuntime], anew: Bool = false) throws(ApplianceError) {
        for node in nodes {
            let (wanted, held) = state.withLock { ($0.wanted[node.plan.name], $0.held[node.plan.name]) }
            if !anew, let held, held.node == ObjectIdentifier(node), held.access == wanted { continue }
            if held == nil, wanted?.lists.isEmpty ?? true { continue }
            do throws(ApplianceError) { try load(node) } catch {
                if let wanted, !cancellation.isRaised {
                    state.withLock {
                        $0.refusal = AccessRefusal(
                            application: wanted.application, node: node.plan.name, error: error)
                    }
                }
                throw error
            }
        }
    }

    /// The application that did not take its lists since this was asked last; nil: all did.
    func takeRefusal() -> AccessRefusal? {
        state.withLock { state in
            defer { state.refusal = nil }
            return state.refusal
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
            case (_, .template(let template)?):
                try fill(template, node, wanted?.lists ?? [], after: held?.access.lists ?? [])
            case (.nftables?, nil):
                try remove(held?.access, node)
                forget(name)
            case (_, .nftables?) where wanted?.lists.isEmpty == true:
                if held?.table != nil { try remove(held?.access, node) }
            case (_, .nftables?):
                guard let wanted else { return }
                try put(wanted, node, held)
                return
            case (_, nil): return
            }
            if let wanted {
                state.withLock { state in
                    let ear = state.held[name]?.ear ?? -1
                    state.held[name] = Held(node: ObjectIdentifier(node), access: wanted, table: nil, ear: ear)
                }
            }
        }
    }

    private func put(_ wanted: AccessPlan, _ node: NodeRuntime, _ held: Held?) throws(ApplianceError) {
        let name = node.plan.name
        let access = Self.rules(of: wanted, node)
        let isStrange = state.withLock { $0.strange.remove(name) != nil }
        var ear = held?.ear ?? -1
        if ear < 0 {
            do throws(SystemError) { ear = try node.namespace.listenForRules() } catch {
                throw ApplianceError(.failed, "\(error)")
            }
            watch(ear, node)
        }
        // Whatever happens now, what is there is to be looked at again.
        state.withLock { state in
            state.puts += 1
            state.held[name] = Held(node: ObjectIdentifier(node), access: wanted, table: .unknown, ear: ear)
        }
        var table: AccessTableText?
        if !isStrange, case .listed(let known)? = held?.table {
            table = try? change(known, from: held?.access.lists ?? [], to: access, node)
        }
        if table == nil {
            // It is not there, or something in the node has made it another one, such as its chain in another hook.
            _ = try Nft.run(["-f", "-"], script: access.anew, in: node.namespace, cancellation)
            table = try listing(access, node)
        }
        state.withLock { $0.held[name]?.table = table.map(Table.listed) }
    }

    /// Replaces the chains of the tenants whose lists change.
    private func change(
        _ known: AccessTableText, from former: [AccessList], to access: NftablesAccess, _ node: NodeRuntime
    ) throws(ApplianceError) -> AccessTableText {
        let changes = access.changes(insteadOf: former)
        var table = known
        if changes.chains.isEmpty, changes.goneChains.isEmpty { return table }
        _ = try Nft.run(
            ["-f", "-"], script: access.transaction(insteadOf: former), in: node.namespace, cancellation)
        table.change(goneChains: changes.goneChains, counters: (changes.counters, changes.goneCounters))
        for chain in changes.chains {
            let listing = try Nft.run(
                ["-s", "list", "chain", access.family, NftablesAccess.table, chain], in: node.namespace, cancellation)
            table.take(AccessTableText(listing))
        }
        return table
    }

    private func remove(_ former: AccessPlan?, _ node: NodeRuntime) throws(ApplianceError) {
        state.withLock { state in
            state.puts += 1
            state.held[node.plan.name]?.table = nil
        }
        guard let former else { return }
        _ = try Nft.run(
            ["-f", "-"], script: Self.rules(of: former, node).removal, in: node.namespace, cancellation)
    }

    private static func rules(of plan: AccessPlan, _ node: NodeRuntime) -> NftablesAccess {
        NftablesAccess(plan.lists, devices: plan.isTransparent ? node.plan.legs.map(\.device) : [])
    }

    private func listing(_ access: NftablesAccess, _ node: NodeRuntime) throws(ApplianceError) -> AccessTableText {
        AccessTableText(
            try Nft.run(
                ["-s", "list", "table", access.family, NftablesAccess.table], in: node.namespace, cancellation))
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
        let name = node.plan.name
        // What is just being put there is looked at when it is done.
        let (before, known) = turn.withLock { _ in state.withLock { ($0.puts, $0.held[name]) } }
        guard let known, known.node == ObjectIdentifier(node), known.table != nil, !cancellation.isRaised else {
            return
        }
        // A large table takes long to list: instructions do not wait for it.
        let found = try? listing(Self.rules(of: known.access, node), node)
        let isOther = turn.withLock { _ in
            state.withLock { state in
                guard state.puts == before else {
                    // It has changed meanwhile.
                    state.again.insert(name)
                    return false
                }
                return found.map(Table.listed) != known.table
            }
        }
        guard isOther, !cancellation.isRaised else { return }
        do throws(ApplianceError) {
            // What else is in the table now goes with it.
            _ = state.withLock { $0.strange.insert(name) }
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
        guard let held = state.withLock({ $0.held[node.plan.name] }), held.table != nil,
            let text = try? Nft.run(
                ["-j", "list", "counters", "table", Self.rules(of: held.access, node).family, NftablesAccess.table],
                in: node.namespace, cancellation),
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
