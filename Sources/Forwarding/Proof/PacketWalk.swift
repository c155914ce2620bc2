import Wire

/// Follows one packet through the table and the nodes, every copy of it, until each is kept, answered or lost.
struct PacketWalk {
    /// Where a copy ends.
    struct End {
        /// Who has it; the emitter of what is said to it.
        var holder: Emitter
        var flow: FlowFields
        var trace: [ProvedHop]
    }
    /// Where a packet is passed on, and no entry takes it.
    struct Break {
        var emitter: Emitter
        var flow: FlowFields
        var reason: DropReason
        var trace: [ProvedHop]
    }
    /// Where a packet comes to a place where it was before.
    struct Loop {
        var circle: [Int]
        var trace: [ProvedHop]
        var last: Emitter
        var flow: FlowFields
    }
    /// Where nobody is who could take a copy.
    struct Loss {
        var interface: Int
        var address: IPAddress?
        var trace: [ProvedHop]
        var flow: FlowFields
    }

    private struct State: Hashable {
        var emitter: Emitter
        var flow: FlowFields
    }

    private(set) var hops: [ProvedHop] = []
    private(set) var ends: [End] = []
    private(set) var breaks: [Break] = []
    private(set) var loops: [Loop] = []
    private(set) var losses: [Loss] = []

    private let world: ProofWorld
    private var path: [State] = []
    private var trace: [ProvedHop] = []
    /// What was followed to its end: first as a packet that must arrive, second as one that nobody misses.
    private var done: (required: Set<State>, optional: Set<State>) = ([], [])
    /// Where copies have ended: of instances that pass packets to the same ones, one shows it.
    private var ended: Set<State> = []

    private let isAnswer: Bool

    private init(_ world: ProofWorld, isAnswer: Bool) {
        self.world = world
        self.isAnswer = isAnswer
    }

    /// What becomes of a packet that `emitter` sends to the engine.
    ///
    /// - Parameter isAnswer: True for an answer on its way back to who asked.
    static func follow(
        _ flow: FlowFields, from emitter: Emitter, in world: ProofWorld, isAnswer: Bool = false
    ) -> PacketWalk {
        var walk = PacketWalk(world, isAnswer: isAnswer)
        walk.emit(State(emitter: emitter, flow: flow), required: true)
        return walk
    }

    /// - Parameter required: False for what a passive application may say, and nobody misses.
    private mutating func emit(_ state: State, required: Bool) {
        if let start = path.firstIndex(of: state) {
            loops.append(
                Loop(
                    circle: trace[start...].map(\.entry), trace: trace, last: state.emitter, flow: state.flow))
            return
        }
        if required {
            guard done.required.insert(state).inserted else { return }
        } else {
            guard !done.required.contains(state), done.optional.insert(state).inserted else { return }
        }
        switch world.decide(state.flow, from: state.emitter) {
        case .drop(let reason, _):
            guard required else { return }
            breaks.append(Break(emitter: state.emitter, flow: state.flow, reason: reason, trace: trace))
        case .forward(let index):
            path.append(state)
            let entry = world.table.entries[index]
            let arrivals = entry.targets.indices.map {
                world.arrival(of: state.flow, by: index, $0, isAnswer: isAnswer)
            }
            let hop = ProvedHop(
                emitter: state.emitter, flow: state.flow, entry: index,
                copies: zip(entry.targets, arrivals).map { target, arrival in
                    ProvedCopy(
                        interface: target.interface, node: arrival.holder?.node, address: target.address,
                        isPassive: arrival.fate == .kept || arrival.fate == .echoed)
                })
            if required { hops.append(hop) }
            trace.append(hop)
            for (target, arrival) in zip(entry.targets, arrivals) {
                take(arrival, of: entry, on: target.interface, required)
            }
            trace.removeLast()
            path.removeLast()
        }
    }

    private mutating func take(_ arrival: ProofWorld.Arrival, of entry: Entry, on interface: Int, _ required: Bool) {
        switch arrival.fate {
        case .kept: return
        case .echoed:
            if let next = arrival.next { emit(State(emitter: next, flow: arrival.flow), required: false) }
        case .passedOn:
            if let next = arrival.next { emit(State(emitter: next, flow: arrival.flow), required: required) }
        case .ended:
            if required, let holder = arrival.holder,
                ended.insert(State(emitter: holder, flow: arrival.flow)).inserted
            {
                ends.append(End(holder: holder, flow: arrival.flow, trace: trace))
            }
        case .nobody:
            if required {
                losses.append(Loss(interface: interface, address: arrival.hop, trace: trace, flow: arrival.flow))
            }
        }
    }
}
