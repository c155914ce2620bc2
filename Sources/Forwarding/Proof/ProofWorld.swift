import Wire

/// The table as the engine reads it, and the nodes as the file describes them: what a packet meets.
final class ProofWorld {
    /// What becomes of a copy where it arrives.
    enum Fate {
        /// A passive application keeps it.
        case kept
        /// A passive application keeps it, and may send the like.
        case echoed
        /// It goes on, unchanged.
        case passedOn
        /// It is for the one who has it.
        case ended
        /// Nobody is there.
        case nobody
    }
    struct Arrival {
        var fate: Fate
        /// Who has the copy; nil where nobody is there.
        var holder: Emitter?
        /// Who emits it next.
        var next: Emitter?
        var flow: FlowFields
        /// The network address that it was sent to, where that was not found.
        var hop: IPAddress?
    }

    let table: ForwardingTable
    let nodes: [ProofNode]
    let stations: Stations
    let vouched: Set<TargetPlace>
    private let owners: [Int?]
    private let buffer: SnapshotBuffer
    private let snapshot: Snapshot
    /// For each interface: the only node on it that may emit anything, where there is only one.
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
            let emitting = Set(legs.map(\.node)).filter { !subject.nodes[$0].isSilenced }
            return emitting.count == 1 ? emitting.first : nil
        }
    }

    /// The service that an entry was made for.
    func owner(of entry: Int) -> Int? { owners.indices.contains(entry) ? owners[entry] : nil }

    /// True where the engine drops what a node sends from addresses that are not its own.
    func isJudged(_ emitter: Emitter) -> Bool {
        !snapshot.sender(of: emitter.mac, on: emitter.interface).maySendFromAnywhere
    }

    func isOwnAddress(_ address: IPAddress) -> Bool { snapshot.isOwnAddress(address) }

    /// What the engine does with a packet: nothing but the snapshot decides, as in the engine itself.
    func decide(_ flow: FlowFields, from emitter: Emitter) -> Decision {
        // The engine takes what is for its own addresses before it looks at any entry.
        if snapshot.isOwnAddress(flow.destination) { return .drop(.noService, answer: .none) }
        return snapshot.decide(flow, sourceMAC: emitter.mac, receivedInterface: emitter.interface)
    }

    /// Where a copy arrives, and what becomes of it.
    ///
    /// - Parameter isAnswer: True on the way back, where nobody answers but passes on, if anything.
    func arrival(of flow: FlowFields, by entry: Int, _ index: Int, isAnswer: Bool) -> Arrival {
        let target = table.entries[entry].targets[index]
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
            // A station that only the entry knows: what comes from it is known by its MAC address alone.
            let holder = Emitter(node: nil, interface: target.interface, mac: stranger ?? MACAddress(bits: 0))
            let isPassive = target.system == .passiveApplication
            return Arrival(fate: isPassive ? .kept : .ended, holder: holder, flow: flow)
        }
        return arrival(at: leg, as: isVouched ? target.system : nodes[leg.node].system, flow, isAnswer)
    }

    private func arrival(
        at leg: Stations.Leg, as system: DestinationSystemType, _ flow: FlowFields, _ isAnswer: Bool
    ) -> Arrival {
        let node = nodes[leg.node]
        let holder = stations.emitter(leg)
        let other = Stations.Leg(node: leg.node, leg: node.legs.count == 2 ? 1 - leg.leg : leg.leg)
        let far = stations.emitter(other)
        var fate: Fate
        switch system {
        case .passiveApplication: fate = node.mayEmit ? .echoed : .kept
        case .inlineApplication: fate = .passedOn
        case .terminalApplication, .router: fate = takesOn(flow, from: far, isAnswer) ? .passedOn : .ended
        case .customer, .packetingEngine: fate = .ended
        }
        if fate == .passedOn, stations.has(leg.node, flow.destination) { fate = .ended }
        return Arrival(fate: fate, holder: holder, next: fate == .passedOn || fate == .echoed ? far : nil, flow: flow)
    }

    /// True where an application that no service has in mid-sequence passes packets on by entries written by hand: one
    /// takes this packet from it.
    ///
    /// An entry that takes all that an application says may be meant for its answers alone; so a request is only taken
    /// for passed on where the entry is for requests and names their destination.
    private func takesOn(_ flow: FlowFields, from emitter: Emitter, _ isAnswer: Bool) -> Bool {
        guard case .forward(let index) = decide(flow, from: emitter) else { return false }
        return passesOn(by: index, emitter, isAnswer)
    }

    /// True where an entry may be what takes packets on from an application that no service has in mid-sequence.
    func passesOn(by index: Int, _ emitter: Emitter, _ isAnswer: Bool) -> Bool {
        let entry = table.entries[index]
        guard entry.kind == .sequencing, owner(of: index) == nil,
            entry.sourceMAC == emitter.mac || soleEmitters[emitter.interface] == emitter.node
        else { return false }
        return isAnswer || (entry.direction == .request && (entry.destination?.length ?? 0) > 0)
    }
}
