import Wire

/// Finds loops that no customer's packet enters. Packets that an application sends on its own may run in them.
///
/// The overlaps of the entries show which packets might come back to where they were. Then one packet of each such
/// class is followed for real. Entries of services have no such loops, so the search starts at entries by hand.
extension Proof {
    /// The packets at a place; nil stands for any.
    private struct Box: Hashable {
        var source: IPPrefix?
        var destination: IPPrefix?
        var number: UInt8?

        /// The part of the box that an entry matches, ports aside.
        func narrowed(to entry: Entry) -> Box? {
            guard let source = Self.meet(source, entry.source),
                let destination = Self.meet(destination, entry.destination)
            else { return nil }
            if let from = source.prefix, let to = destination.prefix, from.family != to.family { return nil }
            if let number, let other = entry.servicePort.protocolNumber, number != other { return nil }
            return Box(
                source: source.prefix, destination: destination.prefix,
                number: number ?? entry.servicePort.protocolNumber)
        }

        private struct Meeting { var prefix: IPPrefix? }

        private static func meet(_ left: IPPrefix?, _ right: IPPrefix?) -> Meeting? {
            guard let left, let right else { return Meeting(prefix: left ?? right) }
            if left.contains(right) { return Meeting(prefix: right) }
            return right.contains(left) ? Meeting(prefix: left) : nil
        }
    }

    /// A place that packets may come to.
    private struct Place: Hashable {
        var emitter: Emitter
        var box: Box
        /// The box at the start, as far as it is known. A rewrite ends that.
        var start: Box
        var isRewritten: Bool
    }

    private struct Scope: Hashable {
        var interface: Int
        var mac: MACAddress?
    }

    mutating func findLoopsOfApplications() {
        let entries = world.table.entries
        let starts = entries.indices.filter { world.owner(of: $0) == nil }
        guard !starts.isEmpty else { return }
        let circles = circles()
        guard !circles.isEmpty else { return }
        var scopes: [Scope: [Int]] = [:]
        for (index, entry) in entries.enumerated() {
            scopes[Scope(interface: entry.receivedInterface, mac: entry.sourceMAC), default: []].append(index)
        }
        for index in starts {
            for emitter in emitters(of: entries[index]) {
                guard let companions = circles[emitter], takesOn(index, emitter) else { continue }
                search(from: index, emitter, scopes, companions)
            }
        }
    }

    /// The emitters that packets might come back to, each with the others in a loop with it. The entries' matches are
    /// not looked at.
    private func circles() -> [Emitter: Set<Emitter>] {
        var next: [Emitter: Set<Emitter>] = [:]
        for (index, entry) in world.table.entries.enumerated() {
            for emitter in emitters(of: entry) where takesOn(index, emitter) {
                let place = Place(emitter: emitter, box: Box(), start: Box(), isRewritten: false)
                next[emitter, default: []].formUnion(onward(from: place, by: index).map(\.emitter))
            }
        }
        var reached: [Emitter: Set<Emitter>] = [:]
        for start in next.keys {
            var found: Set<Emitter> = []
            var pending = Array(next[start] ?? [])
            while let emitter = pending.popLast() {
                if found.insert(emitter).inserted { pending += next[emitter] ?? [] }
            }
            reached[start] = found
        }
        var circles: [Emitter: Set<Emitter>] = [:]
        for (start, found) in reached where found.contains(start) {
            circles[start] = found.filter { reached[$0]?.contains(start) ?? false }
        }
        return circles
    }

    /// True if an entry may take packets that its emitter passes on, and not only packets that the emitter sends
    /// itself.
    private func takesOn(_ index: Int, _ emitter: Emitter) -> Bool {
        guard let node = emitter.node else { return false }
        switch world.nodes[node].system {
        case .terminalApplication, .router:
            return vouchedNodes.contains(node) || world.passesOn(by: index, emitter, false)
        default: return true
        }
    }

    private func emitters(of entry: Entry) -> [Emitter] {
        let interface = entry.receivedInterface
        // A station that only an entry names passes nothing on.
        let legs = entry.sourceMAC.map { mac in world.stations.leg(mac, on: interface).map { [$0] } ?? [] }
        return (legs ?? world.stations.on[interface]).filter { leg in
            let node = world.nodes[leg.node]
            return node.system != .customer && !node.isSilenced(leg.leg)
        }.map { world.stations.emitter($0) }
    }

    private mutating func search(
        from index: Int, _ start: Emitter, _ scopes: [Scope: [Int]], _ companions: Set<Emitter>
    ) {
        let entries = world.table.entries
        guard let box = Box().narrowed(to: entries[index]) else { return }
        var seen: Set<Place> = []
        var tried: Set<Box> = []
        var pending = onward(from: Place(emitter: start, box: box, start: box, isRewritten: false), by: index)
        while let place = pending.popLast() {
            guard companions.contains(place.emitter), seen.insert(place).inserted else { continue }
            if place.emitter == start, tried.insert(place.start).inserted,
                confirm(index, start, place.start)
            {
                return
            }
            let (interface, mac) = (place.emitter.interface, place.emitter.mac)
            for scope in [Scope(interface: interface, mac: mac), Scope(interface: interface, mac: nil)] {
                for next in scopes[scope] ?? [] where takesOn(next, place.emitter) {
                    guard let box = place.box.narrowed(to: entries[next]) else { continue }
                    var narrowed = place
                    narrowed.box = box
                    if !place.isRewritten { narrowed.start = box }
                    pending += onward(from: narrowed, by: next)
                }
            }
        }
    }

    /// Where an entry's copies of a box's packets are emitted next.
    private func onward(from place: Place, by index: Int) -> [Place] {
        let entry = world.table.entries[index]
        return entry.targets.indices.flatMap { number -> [Place] in
            var next = place
            let target = entry.targets[number]
            var leg: Stations.Leg?
            if let rewrite = entry.rewriteSource {
                next.box.source = IPPrefix(host: rewrite)
                next.isRewritten = true
            }
            switch target.address {
            case .mac(let mac): leg = world.stations.leg(mac, on: target.interface)
            case .network(let address):
                leg = world.stations.leg(address, on: target.interface)
                next.box.destination = IPPrefix(host: address)
                next.isRewritten = true
            case .neighbour(let via):
                // A prefix may mean any of its hosts. Hosts that keep their own packets pass nothing on.
                guard let hop = via else { return [] }
                leg = world.stations.leg(hop, on: target.interface)
            }
            guard let leg else { return [] }
            let node = world.nodes[leg.node]
            let isVouched = world.vouched.contains(TargetPlace(entry: index, target: number))
            switch isVouched ? target.system : node.system(leg.leg) {
            case .customer, .packetingEngine: return []
            case .passiveApplication: if !node.mayEmit { return [] }
            case .inlineApplication, .terminalApplication, .router: break
            }
            return node.exits(from: leg.leg).map { exit in
                next.emitter = world.stations.emitter(Stations.Leg(node: leg.node, leg: exit))
                return next
            }
        }
    }

    /// Follows a packet of every class in a box, until one runs in a loop.
    private mutating func confirm(_ index: Int, _ emitter: Emitter, _ box: Box) -> Bool {
        let entry = world.table.entries[index]
        let families = (box.source ?? box.destination).map { [$0.family] } ?? AddressFamily.allCases
        var port = entry.servicePort
        if port.protocolNumber == nil, let number = box.number { port = ServicePort(protocolNumber: number) }
        for family in families {
            for from in pieces.representatives(in: box.source ?? .everything(family)) {
                for to in pieces.representatives(in: box.destination ?? .everything(family)) {
                    let flows = classes.classes(from: from, to: to).flows(from: from, to: to, port, entry.direction)
                    for flow in flows where world.decide(flow, from: emitter) == .forward(entry: index) {
                        guard let loop = PacketWalk.follow(flow, from: emitter, in: world).loops.first else { continue }
                        noteLoop(loop, index)
                        return true
                    }
                }
            }
        }
        return false
    }
}
