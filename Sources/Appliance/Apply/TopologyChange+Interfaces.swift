import Attachments
import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Forwarding
import Plan
import Reporting

/// The interfaces and engines of a change: those that come before anything else, and those that go at its end.
extension TopologyChange {
    /// The places of the interfaces that come.
    var comingInterfaces: [Int] {
        difference.actions.compactMap { if case .addInterface(let place) = $0 { place } else { nil } }
    }

    /// The places of the interfaces that go.
    var goingInterfaces: [Int] {
        difference.actions.compactMap { if case .removeInterface(let place, _) = $0 { place } else { nil } }
    }

    private var changesEngines: Bool {
        difference.actions.contains { if case .engines = $0 { true } else { false } }
    }

    /// Makes new interfaces, and has engines read them, by the table in force. So new nodes find an engine that answers.
    func addInterfaces() throws(ApplianceError) {
        let places = comingInterfaces
        guard !places.isEmpty || changesEngines else { return }
        try Machine.requireFiles(for: during)
        let builder = self.builder(for: during)
        if !places.isEmpty {
            tell(.step("building \(names(of: places, during))"))
            // It stays, whatever happens.
            let there = try builder.addFabric(to: built())
            control.loop.sync { [control] in control.topology.take(there) }
            undoing("the interfaces") { [self] in try takeAway(places) }
            let grown = try builder.add(interfaces: places, to: there)
            control.loop.sync { [control] in control.topology.take(grown) }
        }
        tell(.step("starting other engines"))
        undoing("the engines") { [self] in
            let queues: [[Int32]] = try built().queues.enumerated().map { places.contains($0) ? [] : $1 }
            try replaceEngines(old.engines, Array(queues.prefix(old.interfaces.count))) { [old] table in
                for place in places where table.interfaces.indices.contains(place) {
                    if old.table.interfaces.indices.contains(place) {
                        table.interfaces[place] = old.table.interfaces[place]
                    }
                }
                table.interfaces.removeLast(max(0, table.interfaces.count - old.table.interfaces.count))
                table.removeAll(on: places)
                for (place, before) in zip(table.interfaces.indices, old.table.interfaces) {
                    table.interfaces[place].addresses = before.addresses
                }
            }
        }
        // New TAPs have theirs.
        let running = control.loop.sync { [control] in control.plan }
        try self.builder(for: running).growQueues(to: during.engines.queues, of: built())
        try replaceEngines(during.engines, built().queues, coming: places) { [during] table in
            let missing = table.interfaces.count..<max(table.interfaces.count, during.table.interfaces.count)
            table.interfaces += during.table.interfaces[missing]
            for place in places { table.interfaces[place] = during.table.interfaces[place] }
            // Its nodes are known from their first packet on.
            table.sources += during.table.sources.filter { places.contains($0.interface) }
            table.neighbours += during.table.neighbours.filter { places.contains($0.interface) }
            // Its underlay changes later.
            for place in places { table.fitTunnel(place) }
        }
    }

    /// Has engines read the interfaces that go no more. Their devices have no reader then.
    func leaveInterfaces() {
        let places = goingInterfaces
        guard !places.isEmpty else { return }
        tell(.step("removing \(names(of: places, old))"))
        note("the engines") {
            let queues: [[Int32]] = try built().queues.enumerated().map { places.contains($0) ? [] : $1 }
            try replaceEngines(new.engines, Array(queues.prefix(new.interfaces.count))) { [new] table in
                table.removeAll(on: places)
                for place in places where new.table.interfaces.indices.contains(place) {
                    table.interfaces[place] = new.table.interfaces[place]
                }
                table.interfaces.removeLast(max(0, table.interfaces.count - new.table.interfaces.count))
            }
        }
    }

    /// Takes the devices of the interfaces away that the new plan does not have.
    func removeInterfaces() {
        let places = goingInterfaces
        guard !places.isEmpty else { return }
        note(names(of: places, old)) { try takeAway(places) }
    }

    /// Gives devices of the machine back, and takes the others away. A device that could not be given back stays in the
    /// state file, so that `down` tries it again.
    private func takeAway(_ places: [Int]) throws(ApplianceError) {
        let builder = self.builder(for: during)
        var failure: ApplianceError?
        for place in places {
            let name = during.interfaces[place].name
            do throws(ApplianceError) {
                guard let loan = try builder.giveBackDevice(of: place, from: built()) else { continue }
                try control.record.change { $0.forget([loan], in: new.fabricNamespace) }
            } catch {
                unreturned.insert(name)
                failure = failure ?? error
            }
        }
        let left = try builder.remove(interfaces: places, from: built())
        control.loop.sync { [control] in control.topology.take(left) }
        if let failure { throw failure }
    }

    /// The machine's devices of the interfaces that come, as they are now.
    func comingLoans() throws(ApplianceError) -> [DeviceLoan] {
        var coming = new
        coming.interfaces = comingInterfaces.map { new.interfaces[$0] }
        return try control.loans(of: coming)
    }

    private func names(of places: [Int], _ plan: AppliancePlan) -> String {
        let names = places.map { plan.interfaces[$0].name }
        return "interface\(names.count == 1 ? "" : "s") \(names.joined(separator: ", "))"
    }

    /// Gives other engines the place of those that run, and waits until the last of these has sent on what it held.
    private func replaceEngines(
        _ plan: EnginesPlan, _ queues: [[Int32]], coming: [Int] = [],
        _ change: @escaping (inout ForwardingTable) -> Void
    ) throws(ApplianceError) {
        let set = EngineSet(plan: plan, queues: queues, coming: coming, segmentsUDP: try built().segmentsUDP)
        let changed = Box(change)
        try control.waiting(cancellation) { [control, cause] done in
            control.publisher.change(
                cause: cause, engines: set, { changed.value(&$0) }, done: done)
        }
        try control.waiting(cancellation) { [control] done in
            guard let fleet = control.fleet else { return done(.failure(.cancelled)) }
            fleet.whenRetired { done(.success(())) }
        }
    }
}

extension ForwardingTable {
    /// Forgets the nodes and addresses on interfaces that are no more. No entry may name one of these.
    fileprivate mutating func removeAll(on places: [Int]) {
        neighbours.removeAll { places.contains($0.interface) }
        sources.removeAll { places.contains($0.interface) }
        claimed.removeAll { places.contains($0.interface) }
        holders.removeAll { places.contains($0.interface) }
        mirrors.removeAll { places.contains($0.received) || places.contains($0.send) }
    }
}
