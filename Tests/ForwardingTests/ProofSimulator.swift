import Forwarding
import TableReading
import Wire

/// Sends every packet of a small universe through a table, one by one, and looks what becomes of it: slow, and plain.
/// What a proof says is judged by it.
struct ProofSimulator {
    let table: ForwardingTable
    let nodes: [ProofNode]
    let reading: NaiveReading
    let addresses: [IPAddress]
    let flows: [FlowFields]

    /// What all packets together have shown.
    struct Verdict {
        var dead: Set<Int> = []
        var circles: Set<Set<Int>> = []
        var broken: Set<Emitter> = []
        var unanswered: Set<Int> = []
        var answered: Set<Int> = []
    }

    /// What one packet has shown.
    private struct Story {
        var ends: [(emitter: Emitter, flow: FlowFields)] = []
        var circles: Set<Set<Int>> = []
        var broken: Set<Emitter> = []
    }

    init(_ subject: ProofSubject, addresses: [IPAddress], ports: [UInt16]) {
        table = subject.table
        nodes = subject.nodes
        reading = NaiveReading(of: subject.table)
        let own = Set(subject.table.interfaces.flatMap { $0.addresses.map(\.address) })
        self.addresses = addresses.filter { !own.contains($0) }
        var flows: [FlowFields] = []
        for source in self.addresses {
            for destination in self.addresses where destination.family == source.family {
                for number in [tcp, udp, icmp] {
                    var flow = FlowFields()
                    flow.source = source
                    flow.destination = destination
                    flow.protocolNumber = number
                    flows.append(flow)
                    guard number != icmp else { continue }
                    flow.hasPorts = true
                    for sourcePort in ports {
                        for destinationPort in ports {
                            flow.sourcePort = sourcePort
                            flow.destinationPort = destinationPort
                            flows.append(flow)
                        }
                    }
                }
            }
        }
        self.flows = flows
    }

    func verdict() -> Verdict {
        var verdict = Verdict()
        var alive: Set<Int> = []
        for (index, node) in nodes.enumerated() where !(node.system == .passiveApplication && !node.mayEmit) {
            for leg in node.legs {
                let emitter = Emitter(node: index, interface: leg.interface, mac: leg.mac)
                let networks = table.interfaces[leg.interface].addresses.map(\.prefix)
                for flow in flows {
                    let isTheirs = leg.addresses.contains(flow.source) || networks.contains { $0.contains(flow.source) }
                    let mayBeTheirs = isTheirs || flow.source.isLinkLocal
                    if node.system == .customer, !mayBeTheirs { continue }
                    guard let entry = reading.matchingEntry(flow, from: leg.mac, on: leg.interface) else { continue }
                    // To the link they also send from the address that every IPv6 host has.
                    let matched = table.entries[entry]
                    if node.system == .customer, !isTheirs, matched.source != nil || matched.destination != nil {
                        continue
                    }
                    alive.insert(entry)
                    if node.system != .customer {
                        verdict.circles.formUnion(story(of: flow, from: emitter, isAnswer: false).circles)
                    }
                    if asks(index, leg, flow, entry) { ask(flow, emitter, entry, &verdict) }
                }
            }
        }
        verdict.dead = Set(table.entries.indices).subtracting(alive)
        return verdict
    }

    /// True where the packet is one that its sender may want an answer to.
    private func asks(_ index: Int, _ leg: ProofLeg, _ flow: FlowFields, _ number: Int) -> Bool {
        let entry = table.entries[number]
        // Nobody asks itself; an address that is not its own stands for any.
        if leg.addresses.contains(flow.source), flow.source == flow.destination { return false }
        if nodes[index].system == .customer { return leg.addresses.contains(flow.source) }
        let hasCustomers = nodes.contains { node in
            node.system == .customer && node.legs.contains { $0.interface == leg.interface }
        }
        guard entry.kind == .distribution, entry.sourceMAC != nil || !hasCustomers else { return false }
        let own = leg.addresses.filter { entry.source?.contains($0) ?? true }
        guard own.isEmpty else { return own.contains(flow.source) }
        let isAnothers = nodes.contains { $0.legs.contains { $0.addresses.contains(flow.source) } }
        return entry.source != nil && !isAnothers
    }

    private func ask(_ flow: FlowFields, _ emitter: Emitter, _ entry: Int, _ verdict: inout Verdict) {
        let request = story(of: flow, from: emitter, isAnswer: false)
        verdict.circles.formUnion(request.circles)
        verdict.broken.formUnion(request.broken)
        guard table.entries[entry].direction == .request else { return }
        for end in request.ends {
            let answer = story(of: end.flow.reversed, from: end.emitter, isAnswer: true)
            verdict.circles.formUnion(answer.circles)
            if answer.ends.contains(where: { $0.emitter.node == emitter.node && $0.flow == flow.reversed }) {
                verdict.answered.insert(entry)
            } else if answer.circles.isEmpty
                || answer.ends.contains(where: { $0.emitter.node == emitter.node }) || !answer.broken.isEmpty
            {
                verdict.unanswered.insert(entry)
            }
        }
    }

    private func story(of flow: FlowFields, from emitter: Emitter, isAnswer: Bool) -> Story {
        var story = Story()
        follow(flow, emitter, isAnswer, required: true, [], &story)
        return story
    }

    private typealias Step = (emitter: Emitter, flow: FlowFields, entry: Int)

    private func follow(
        _ flow: FlowFields, _ emitter: Emitter, _ isAnswer: Bool, required: Bool, _ path: [Step], _ story: inout Story
    ) {
        if let start = path.firstIndex(where: { $0.emitter == emitter && $0.flow == flow }) {
            story.circles.insert(Set(path[start...].map(\.entry)))
            return
        }
        guard let number = reading.matchingEntry(flow, from: emitter.mac, on: emitter.interface),
            addresses.contains(flow.destination)
        else {
            if required { story.broken.insert(emitter) }
            return
        }
        let entry = table.entries[number]
        let steps = path + [(emitter, flow, number)]
        for target in entry.targets {
            var copy = flow
            if let source = entry.rewriteSource { copy.source = source }
            if case .network(let address) = target.address { copy.destination = address }
            if !target.portShift.isNone {
                // A fragment has no port that could become another.
                guard flow.hasPorts else { continue }
                copy = copy.shifted(entry.direction.portSide, by: target.portShift)
            }
            guard let (index, place) = receiver(of: target, copy) else { continue }
            let node = nodes[index]
            let here = Emitter(node: index, interface: target.interface, mac: node.legs[place].mac)
            let exit = node.legs[node.legs.count == 2 ? 1 - place : place]
            let there = Emitter(node: index, interface: exit.interface, mac: exit.mac)
            let isOwn = node.legs.contains { $0.addresses.contains(copy.destination) }
            switch node.system {
            case .passiveApplication:
                if node.mayEmit { follow(copy, there, isAnswer, required: false, steps, &story) }
            case .inlineApplication where !isOwn,
                .terminalApplication where !isOwn && passesOn(copy, there, isAnswer):
                follow(copy, there, isAnswer, required: required, steps, &story)
            default:
                if required { story.ends.append((here, copy)) }
            }
        }
    }

    private func receiver(of target: SendTarget, _ flow: FlowFields) -> (node: Int, leg: Int)? {
        for (index, node) in nodes.enumerated() {
            for (place, leg) in node.legs.enumerated() where leg.interface == target.interface {
                switch target.address {
                case .mac(let mac): if leg.mac == mac { return (index, place) }
                case .network(let address): if leg.addresses.contains(address) { return (index, place) }
                case .neighbour(let via):
                    if leg.addresses.contains(via ?? flow.destination) { return (index, place) }
                }
            }
        }
        return nil
    }

    /// Whether an application that would else answer passes a packet on.
    private func passesOn(_ flow: FlowFields, _ emitter: Emitter, _ isAnswer: Bool) -> Bool {
        guard addresses.contains(flow.destination),
            let number = reading.matchingEntry(flow, from: emitter.mac, on: emitter.interface)
        else { return false }
        let entry = table.entries[number]
        guard entry.kind == .sequencing else { return false }
        let talkers = nodes.filter { node in
            !(node.system == .passiveApplication && !node.mayEmit)
                && node.legs.contains { $0.interface == emitter.interface }
        }
        guard entry.sourceMAC == emitter.mac || talkers.count == 1 else { return false }
        return isAnswer || (entry.direction == .request && (entry.destination?.length ?? 0) > 0)
    }
}
