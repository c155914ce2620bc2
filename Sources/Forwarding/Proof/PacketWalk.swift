import Wire

/// Follows every copy of one packet through the table and the nodes, until each copy is kept, answered or lost.
struct PacketWalk {
    /// Where a copy ends.
    struct End {
        /// The node that has it, which also emits the answer.
        var holder: Emitter
        var flow: FlowFields
        var trace: [ProvedHop]
    }
    /// A place where a packet is passed on and no entry takes it.
    struct Break {
        var emitter: Emitter
        var flow: FlowFields
        var reason: DropReason
        var trace: [ProvedHop]
    }
    /// A place that a packet comes to for the second time.
    struct Loop {
        var circle: [Int]
        var trace: [ProvedHop]
        var last: Emitter
        var flow: FlowFields
    }
    /// A copy that no node could take.
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
    /// True if a copy of a fragment is not made, because the service port is translated.
    private(set) var isWithheld = false

    private let world: ProofWorld
    private var path: [State] = []
    private var trace: [ProvedHop] = []
    /// The states that were followed to the end: packets that must arrive, and packets that may be lost.
    private var done: (required: Set<State>, optional: Set<State>) = ([], [])
    /// Where copies have ended. If several instances pass packets to the same nodes, one of them is followed.
    private var ended: Set<State> = []

    private let isAnswer: Bool

    private init(_ world: ProofWorld, isAnswer: Bool) {
        self.world = world
        self.isAnswer = isAnswer
    }

    /// Follows a packet that `emitter` sends to the engine.
    ///
    /// - Parameter isAnswer: True for an answer on its way back to the sender of the request.
    static func follow(
        _ flow: FlowFields, from emitter: Emitter, in world: ProofWorld, isAnswer: Bool = false
    ) -> PacketWalk {
        var walk = PacketWalk(world, isAnswer: isAnswer)
        walk.emit(State(emitter: emitter, flow: flow), required: true)
        return walk
    }

    /// - Parameter required: False for packets of a passive application, which may be lost.
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
        case .withheld: isWithheld = true
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
