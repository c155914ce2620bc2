import Wire

/// The surroundings of a packet: the table as the engine reads it, and the nodes as the file describes them.
final class ProofWorld {
    /// What happens to a copy at its receiver.
    enum Fate {
        /// A passive application keeps it.
        case kept
        /// A passive application keeps it, and may send a packet like it.
        case echoed
        /// It goes on, unchanged.
        case passedOn
        /// It is for the receiver itself.
        case ended
        /// No node is there.
        case nobody
        /// The engine makes no such copy: the service port is translated, and a fragment has none.
        case withheld
    }
    struct Arrival {
        var fate: Fate
        /// The node that has the copy; nil if no node is there.
        var holder: Emitter?
        /// The next sender.
        var next: Emitter?
        var flow: FlowFields
        /// The network address that it was sent to, if no node has that address.
        var hop: IPAddress?
    }

    let table: ForwardingTable
    let nodes: [ProofNode]
    let stations: Stations
    let vouched: Set<TargetPlace>
    private let owners: [Int?]
    private let buffer: SnapshotBuffer
    private let snapshot: Snapshot
    /// For each interface, the only node on it that may send, if there is only one.
    private let soleEmitters: [Int?]

    init(_ subject: ProofSubject, _ buffer: SnapshotBuffer) {
        table = subject.table
        nodes = subject.nodes
        vouched = subject.vouched
        owners = subject.owners
        let stations = Stations(subject)
        self.stations = stations
        self.buffer = buffer
        snapshot = buffer.snapshot
        soleEmitters = stations.on.map { legs in
            let emitting = Set(legs.filter { !subject.nodes[$0.node].isSilenced($0.leg) }.map(\.node))
            return emitting.count == 1 ? emitting.first : nil
        }
    }

    /// The service that an entry was made for.
    func owner(of entry: Int) -> Int? { owners.indices.contains(entry) ? owners[entry] : nil }

    /// True if the engine drops what a node sends from addresses that are not its own.
    func isJudged(_ emitter: Emitter) -> Bool {
        !snapshot.sender(of: emitter.mac, on: emitter.interface).maySendFromAnywhere
    }

    func isOwnAddress(_ address: IPAddress) -> Bool { snapshot.isOwnAddress(address) }

    /// What the engine does with a packet. Only the snapshot decides, as in the engine itself.
    func decide(_ flow: FlowFields, from emitter: Emitter) -> Decision {
        // The engine takes packets for its own addresses before it looks at any entry.
        if snapshot.takes(flow) { return .drop(.noService, answer: .none) }
        return snapshot.decide(flow, sourceMAC: emitter.mac, receivedInterface: emitter.interface)
    }

    /// Where a copy arrives, and what happens to it.
    ///
    /// - Parameter isAnswer: True on the way back, where nodes pass packets on but do not answer.
    func arrival(of flow: FlowFields, by entry: Int, _ index: Int, isAnswer: Bool) -> Arrival {
        let target = table.entries[entry].targets[index]
        let side = table.entries[entry].direction.portSide
        let isWithheld = !target.portShift.isNone && !flow.hasPorts
        var arrival = self.arrival(of: flow.shifted(side, by: target.portShift), by: entry, index, target, isAnswer)
        if isWithheld { (arrival.fate, arrival.next) = (.withheld, nil) }
        return arrival
    }

    private func arrival(
        of flow: FlowFields, by entry: Int, _ index: Int, _ target: SendTarget, _ isAnswer: Bool
    ) -> Arrival {
        var flow = flow
        if let source = table.entries[entry].rewriteSource, source.family == flow.source.family { flow.source = source }
        var leg: Stations.Leg?
        var hop: IPAddress?
        var stranger: MACAddress?
        switch target.address {
        case .mac(let mac):
            leg = stations.leg(mac, on: target.interface)
            stranger = mac
        case .network(let address):
            if address.family == flow.destination.family { flow.destination = address }
            hop = address
        case .neighbour(let via): hop = via ?? flow.destination
        }
        if let hop { leg = stations.leg(hop, on: target.interface) }
        let isVouched = vouched.contains(TargetPlace(entry: entry, target: index))
        guard let leg else {
            guard isVouched else { return Arrival(fate: .nobody, flow: flow, hop: hop) }
            // A station that only the entry names. Only its MAC address identifies its packets.
            let holder = Emitter(node: nil, interface: target.interface, mac: stranger ?? MACAddress(bits: 0))
            let isPassive = target.system == .passiveApplication
            return Arrival(fate: isPassive ? .kept : .ended, holder: holder, flow: flow)
        }
        if table.entries[entry].isBetween, target.system != .passiveApplication {
            // Packets among neighbours are for the receiver itself.
            return Arrival(fate: .ended, holder: stations.emitter(leg), flow: flow)
        }
        return arrival(at: leg, as: isVouched ? target.system : nodes[leg.node].system(leg.leg), flow, isAnswer)
    }

    private func arrival(
        at leg: Stations.Leg, as system: DestinationSystemType, _ flow: FlowFields, _ isAnswer: Bool
    ) -> Arrival {
        let node = nodes[leg.node]
        let holder = stations.emitter(leg)
        guard let exit = node.exit(from: leg.leg, to: flow.destination) else {
            let isKept = system == .passiveApplication
            return Arrival(fate: isKept ? .kept : .ended, holder: holder, flow: flow)
        }
        let far = stations.emitter(Stations.Leg(node: leg.node, leg: exit))
        var fate: Fate
        switch system {
        case .passiveApplication:
            fate = !node.mayEmit ? .kept : stations.has(leg.node, flow.destination) ? .ended : .echoed
        case .inlineApplication: fate = .passedOn
        case .terminalApplication, .router: fate = takesOn(flow, from: far, isAnswer) ? .passedOn : .ended
        case .customer, .packetingEngine: fate = .ended
        }
        if fate == .passedOn, stations.has(leg.node, flow.destination) { fate = .ended }
        return Arrival(fate: fate, holder: holder, next: fate == .passedOn || fate == .echoed ? far : nil, flow: flow)
    }

    /// True if an entry by hand takes this packet from an application that no service has in mid-sequence, and the
    /// application passes it on.
    ///
    /// An entry that takes all packets of an application may be meant for its answers alone. So a request only counts
    /// as passed on if the entry is for requests and names their destination.
    private func takesOn(_ flow: FlowFields, from emitter: Emitter, _ isAnswer: Bool) -> Bool {
        guard case .forward(let index) = decide(flow, from: emitter) else { return false }
        return passesOn(by: index, emitter, isAnswer)
    }

    /// True if an entry may take packets from an application that no service has in mid-sequence.
    func passesOn(by index: Int, _ emitter: Emitter, _ isAnswer: Bool) -> Bool {
        let entry = table.entries[index]
        guard entry.kind == .sequencing, owner(of: index) == nil,
            entry.sourceMAC == emitter.mac || soleEmitters[emitter.interface] == emitter.node
        else { return false }
        return isAnswer || (entry.direction == .request && (entry.destination?.length ?? 0) > 0)
    }
}
