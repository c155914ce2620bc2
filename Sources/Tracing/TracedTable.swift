import Engine
import Forwarding
import Wire

/// One version of the table, with the words for it: what a frame's way through the engine must be.
final class TracedTable {
    /// A copy that the engine should write.
    struct Copy {
        /// The interface that it is written to.
        var interface: Int
        /// Where it may be seen: several where an instance that drains may be replaced by another one.
        var places: [WaitingPlace]
        /// The packet's own flow in the copy.
        var flow: FlowFields
        var system: DestinationSystemType
        /// True if the engine writes it only while the node is in the packet's group. The table does not tell that.
        var whileJoined = false
    }

    /// What happens to a packet.
    enum Route {
        case forward(counter: Int, direction: ChainDirection, copies: [Copy])
        /// For the engine's own address.
        case engine
        case drop(DropReason)
        /// A later fragment of a datagram whose first one has not come.
        case undecided
    }

    let network: TracedNetwork
    /// For each node of the network, a number that it has in every version of the table.
    let numbers: [Int]
    let replay: EngineReplay
    private var snapshot: Snapshot { replay.snapshot }
    /// The ports of fragmented datagrams whose first fragment was seen.
    private var datagrams: [Datagram: FlowFields] = [:]
    private var datagramOrder: [Datagram] = []

    /// What whole packets of a flow have in common at an interface.
    private struct Arrival: Hashable {
        var interface: Int
        var source: MACAddress
        var flow: FlowFields

        func hash(into hasher: inout Hasher) { hasher.combine(mixed) }

        func _rawHashValue(seed: Int) -> Int { mixed._rawHashValue(seed: seed) }

        private var mixed: MixedNumber {
            let place = Mixed.number(UInt64(truncatingIfNeeded: interface), source.bits)
            return MixedNumber(Mixed.number(flow.mixed, place))
        }
    }

    /// The routes of flows that came before. The table says the same of every packet of a flow.
    private var routes: [Arrival: Route] = [:]
    private static let mostRoutes = 4_096

    private struct Datagram: Hashable {
        var interface: Int
        var flow: FlowFields
        var identification: UInt32
    }

    /// - Throws: `SnapshotError` or `EngineError` if an engine would not take the table.
    init(_ image: TableImage, network: TracedNetwork, numbers: [Int]) throws {
        self.network = network
        self.numbers = numbers
        replay = try EngineReplay(image)
    }

    /// What became of a packet that the replay dropped last, as a sentence: of a packet that an access list denies, the rule.
    func sentence(of reason: DropReason) -> String {
        guard reason == .accessDenied, let rule = network.rules[replay.lastDenial] else { return reason.sentence }
        return "\(rule.prefix(1).uppercased())\(rule.dropFirst()) denies the packet."
    }

    /// True if the table has this interface.
    func has(_ interface: Int) -> Bool { interface >= 0 && interface < snapshot.interfaceCount }

    /// What happens to a packet that was read from an interface.
    ///
    /// - Parameter source: The frame's Ethernet source.
    func route(_ packet: TracedPacket, from source: MACAddress, on interface: Int) -> Route {
        guard packet.fragment == .whole, packet.quote == nil, packet.lookup == packet.flow else {
            return newRoute(packet, from: source, on: interface)
        }
        let arrival = Arrival(interface: interface, source: source, flow: packet.flow)
        if let route = routes[arrival] { return route }
        let route = newRoute(packet, from: source, on: interface)
        if routes.count >= Self.mostRoutes { routes.removeAll(keepingCapacity: true) }
        routes[arrival] = route
        return route
    }

    private func newRoute(_ packet: TracedPacket, from source: MACAddress, on interface: Int) -> Route {
        if snapshot.takes(packet.flow) { return .engine }
        let sender = snapshot.sender(of: source, on: interface)
        switch decide(packet, from: sender, on: interface) {
        case nil: return .undecided
        case .drop(let reason, _)?: return .drop(reason)
        case .forward(let index)?:
            let entry = snapshot.entry(index)
            var copies = mirrored(packet, on: interface)
            collect(entry.targets, entry, packet, into: &copies)
            return .forward(counter: entry.counter, direction: entry.direction, copies: copies)
        }
    }

    /// The copies of mirrored interfaces, which every frame has.
    func mirrored(_ packet: TracedPacket, on interface: Int) -> [Copy] {
        snapshot.mirrors(of: interface).map {
            Copy(
                interface: snapshot.mirror($0), places: [.egress(interface: snapshot.mirror($0), mac: nil)],
                flow: packet.flow, system: .passiveApplication)
        }
    }

    private func decide(_ packet: TracedPacket, from sender: Sender, on interface: Int) -> Decision? {
        guard packet.fragment != .whole, IPProtocol.hasPorts(packet.protocolNumber) else {
            return snapshot.decide(packet.lookup, from: sender, receivedInterface: interface)
        }
        let flow = packet.datagramFlow
        switch snapshot.decideFragment(flow, from: sender, receivedInterface: interface) {
        case .alike(let decision): return decision
        case .byPorts: break
        }
        let key = Datagram(interface: interface, flow: flow, identification: packet.identification)
        if packet.flow.hasPorts { note(key, packet.flow) }
        guard let whole = datagrams[key] else { return nil }
        return snapshot.decide(whole, from: sender, receivedInterface: interface)
    }

    private func note(_ key: Datagram, _ flow: FlowFields) {
        if datagrams.updateValue(flow, forKey: key) == nil { datagramOrder.append(key) }
        guard datagramOrder.count > 4_096 else { return }
        for old in datagramOrder.prefix(1_024) { datagrams[old] = nil }
        datagramOrder.removeFirst(1_024)
    }

    private func collect(_ hops: Range<Int>, _ entry: EntryRecord, _ packet: TracedPacket, into copies: inout [Copy]) {
        for index in hops {
            switch snapshot.hop(index) {
            case .target(let target): add([target], entry, packet, &copies)
            case .instance(let choice):
                var flow = packet.lookup
                if let source = entry.rewriteSource { flow.source = source }
                flow = flow.shifted(entry.direction.portSide, by: choice.portShift)
                switch snapshot.decide(choice, flow) {
                case .member(let member): add([snapshot.target(choice, member: member)], entry, packet, &copies)
                case .changes(_, let member, let new):
                    add(
                        [snapshot.target(choice, member: member), snapshot.target(choice, member: new)], entry, packet,
                        &copies)
                }
            case .hops(let hops): if snapshot.downAnswer(index) == nil { collect(hops, entry, packet, into: &copies) }
            }
        }
    }

    private func add(_ targets: [TargetRecord], _ entry: EntryRecord, _ packet: TracedPacket, _ copies: inout [Copy]) {
        var flow = packet.flow
        // A router behind the application keeps its own address in its errors.
        if let source = entry.rewriteSource, packet.quote == nil || packet.quote?.flow.destination == flow.source {
            flow.source = source
        }
        for target in targets {
            var own = flow
            var mac: MACAddress?
            switch target.address {
            case .mac(let address): mac = address
            case .network(let address): own.destination = address
            case .neighbour: break
            }
            if !target.portShift.isNone {
                // Fragments get no such copy.
                if packet.fragment != .whole, IPProtocol.hasPorts(packet.protocolNumber) { continue }
                if packet.quote == nil { own = own.shifted(entry.direction.portSide, by: target.portShift) }
            }
            let place = WaitingPlace.egress(interface: target.interface, mac: mac)
            if target == targets.first || own != flow {
                copies.append(
                    Copy(
                        interface: target.interface, places: [place], flow: own, system: target.system,
                        whileJoined: target.whileJoined))
            } else {
                copies[copies.count - 1].places.append(place)
            }
        }
    }
}
