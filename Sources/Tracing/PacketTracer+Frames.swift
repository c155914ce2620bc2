import Engine
import Forwarding
import Wire

// What the records of frames say: one packet that the engine has read or written.

extension PacketTracer {
    /// The engine read a packet.
    mutating func received(
        _ packet: TracedPacket, _ fields: PacketFields, _ record: ReorderWindow.Record, _ table: TracedTable
    ) {
        let interface = record.frame.interface
        let source = fields.sourceMAC
        let node = table.network.node(source, on: interface)
        if let node {
            let matches = exits(packet, table.numbers[node])
            for match in matches { comeOut(match, packet, source, node, record, table) }
            guard matches.isEmpty else { return }
        }
        let origin = Origin(
            interface: interface, source: source, flow: packet.datagramFlow, identification: packet.identification)
        if packet.fragment != .whole, let flight = origins[origin] {
            flight.fragments += 1
            flight.hops[0].frames += 1
            add(packet, range: packet.octets, to: flight, hop: 0, record, source, table)
            settle(flight)
            return
        }
        begin(packet, origin, node, record, table)
    }

    /// The packets in a node that one which came out of it belongs to.
    private mutating func exits(_ packet: TracedPacket, _ node: Int) -> [WaitingRoom.Match] {
        guard !room.isEmpty(.node(node)) else { return [] }
        guard packet.fragment == .whole else { return room.datagram(packet, in: node) }
        let found = room.matches(packet, at: .node(node))
        guard found.isEmpty else { return found }
        // Exactly what came out before is a repetition, whatever else has the same content.
        if packet.identification != 0, recent.flight(of: packet, at: node) != nil { return [] }
        let translated = room.translated(packet, in: node)
        return translated.isEmpty ? room.datagram(packet, in: node) : translated
    }

    /// A packet, or a part of it, came out of a node.
    private mutating func comeOut(
        _ match: WaitingRoom.Match, _ packet: TracedPacket, _ source: MACAddress, _ node: Int,
        _ record: ReorderWindow.Record, _ table: TracedTable
    ) {
        let (stage, flight) = (match.stage, match.stage.flight)
        guard !flight.isOver else { return }
        let time = record.frame.time.nanoseconds
        stage.left.add(match.range)
        if stage.exit == nil {
            stage.exit = flight.hops.count
            flight.appendHop(record, source, node, table)
        }
        guard let exit = stage.exit else { return }
        flight.hops[exit].inside = time - min(time, stage.enteredLast)
        // Later fragments have no ports.
        if match.isTranslated, flight.hops[exit].translated == nil || packet.flow.hasPorts {
            flight.hops[exit].translated = TracedPacketText(packet).ends
        }
        if match.isGuess {
            flight.hops[exit].isGuess = true
            flight.isGuess = true
        }
        flight.hops[exit].frames += 1
        if stage.left.covers(stage.entered) {
            room.remove(stage)
            recent.note(packet, at: table.numbers[node], flight: flight.id, time: time)
        }
        add(packet, range: match.range, to: flight, hop: exit, record, source, table)
        settle(flight)
    }

    /// A packet of which nothing was seen before.
    private mutating func begin(
        _ packet: TracedPacket, _ origin: Origin, _ node: Int?, _ record: ReorderWindow.Record, _ table: TracedTable
    ) {
        let time = record.frame.time.nanoseconds
        let flight = Flight(id: nextFlight, packet, time: time)
        nextFlight += 1
        flights[flight.id] = flight
        if let wants, !wants(record.frame) { unwanted.insert(flight.id) }
        flight.beginning = beginning(of: flight, packet, node, table)
        if node == nil { flight.device = table.network.onlyNode(on: record.frame.interface)?.name }
        flight.appendHop(record, origin.source, node, table)
        flight.hops[0].frames = 1
        if packet.fragment != .whole {
            flight.fragments = 1
            origins[origin] = flight
            flight.origin = origin
            if let node { looseFragments[table.numbers[node]] = time }
        }
        let range = packet.fragment == .whole ? 0..<(flight.total ?? 1) : packet.octets
        add(packet, range: range, to: flight, hop: 0, record, origin.source, table)
        watch(flight)
        settle(flight)
    }

    /// What the sender has to do with a packet that was not seen before, and which packet it answers.
    private mutating func beginning(
        of flight: Flight, _ packet: TracedPacket, _ node: Int?, _ table: TracedTable
    ) -> TraceBeginning {
        guard let node else { return .stranger }
        if let earlier = recent.flight(of: packet, at: table.numbers[node]) {
            flight.follows = TraceLink(trace: earlier, isGuess: false)
            return .duplicate
        }
        let kind = table.network.nodes[node].kind
        let isUncertain = lost.overlap(now - min(now, stay), now)
        if let (question, isGuess, answered) = questions.answered(by: packet, .node(table.numbers[node])) {
            flight.answers = TraceLink(trace: question.flight, isGuess: isGuess)
            if !isUncertain {
                for question in answered {
                    guard let stage = stage(question), !stage.isOver else { continue }
                    stage.answered = (
                        // A fragment may be of a packet that it was not known to be of.
                        TracedPacketText(packet).what, isGuess && packet.segment == nil || packet.fragment != .whole,
                        packet.message == .error || packet.segment?.isRST == true
                    )
                    room.remove(stage)
                    settle(stage.flight)
                }
            }
        }
        if flight.answers == nil, kind != .customer, let last = lastInto[table.numbers[node]],
            now - min(now, last.time) <= stay
        {
            flight.follows = TraceLink(trace: last.flight, isGuess: true)
        }
        switch kind {
        case .customer: return .customer
        case .terminal: return .end
        case .passive: return .made
        case .inline, .router: return isUncertain && flight.answers == nil ? .midway : .made
        }
    }

    /// The place of a node, in an array that all its stages share.
    private mutating func places(_ node: Int) -> [WaitingPlace] {
        while nodePlaces.count <= node { nodePlaces.append([.node(nodePlaces.count)]) }
        return nodePlaces[node]
    }

    /// The stage in which a node has a packet; nil if the packet has ended.
    private func stage(_ question: Questions.Question) -> Stage? {
        guard question.stage != 0 else { return nil }
        return flights[question.flight]?.stages.first { $0.number == question.stage }
    }

    /// A part of a packet is in the engine: computes again what the engine does with it.
    private mutating func add(
        _ packet: TracedPacket, range: Range<Int>, to flight: Flight, hop: Int, _ record: ReorderWindow.Record,
        _ source: MACAddress, _ table: TracedTable
    ) {
        let time = record.frame.time.nanoseconds
        let interface = record.frame.interface
        flight.last = max(flight.last, time)
        flight.states[hop].lastRead = time
        if hop == 0 {
            flight.sent.add(range)
            if packet.isLast, flight.total == nil { flight.total = packet.octets.upperBound }
        }
        if record.frame.failure != 0 {
            // An impaired link lost it on its way from the node: the engine never saw it.
            let reason = DropReason(writing: record.frame.failure)
            flight.drop = flight.drop ?? (reason, hop, time)
            flight.hops[hop].drop = reason.name
            return
        }
        // A superframe is asked about once for all of its datagrams.
        let refused = refusal ?? table.replay.refusal(of: record.frame)
        refusal = .some(refused)
        switch refused.map(TracedTable.Route.drop) ?? table.route(packet, from: source, on: interface) {
        case .undecided: flight.states[hop].held.append((packet, range, time))
        case .engine:
            let head = record.frame
            if case .dropped(let reason) = table.replay.answer(head.octets, length: head.length, on: interface) {
                flight.drop = flight.drop ?? (reason, hop, time)
                flight.hops[hop].drop = reason.name
            }
            flight.isForEngine = true
            expect(table.mirrored(packet, on: interface), packet, range, flight, hop, time, table.network)
            questions.note(packet, flow: packet.flow, .engine(interface), flight, nil)
        case .drop(let reason):
            var reason = reason
            let head = record.frame
            if case .dropped(let said) = table.replay.answer(head.octets, length: head.length, on: interface) {
                reason = said
            }
            flight.drop = flight.drop ?? (reason, hop, time)
            flight.hops[hop].drop = reason.name
            expect(table.mirrored(packet, on: interface), packet, range, flight, hop, time, table.network)
            questions.note(packet, flow: packet.flow, .engine(interface), flight, nil)
        case .forward(let counter, let direction, let copies):
            flight.name(counter, direction, hop, table.network)
            expect(copies, packet, range, flight, hop, time, table.network)
            questions.note(packet, flow: packet.flow, .engine(interface), flight, nil)
            let held = flight.states[hop].held
            flight.states[hop].held = []
            for part in held { expectHeld(part, flight, hop, source, interface, table) }
        }
    }

    private mutating func expectHeld(
        _ part: (packet: TracedPacket, range: Range<Int>, time: UInt64), _ flight: Flight, _ hop: Int,
        _ source: MACAddress, _ interface: Int, _ table: TracedTable
    ) {
        guard case .forward(_, _, let copies) = table.route(part.packet, from: source, on: interface) else { return }
        expect(copies, part.packet, part.range, flight, hop, part.time, table.network)
    }

    /// The copies that the engine should write.
    private mutating func expect(
        _ copies: [TracedTable.Copy], _ packet: TracedPacket, _ range: Range<Int>, _ flight: Flight, _ hop: Int,
        _ time: UInt64, _ network: TracedNetwork
    ) {
        for (index, copy) in copies.enumerated() {
            if index < flight.states[hop].stages.count {
                let stage = flight.states[hop].stages[index]
                let wasOver = stage.isOver
                stage.entered.add(range)
                stage.enteredLast = time
                if wasOver { room.insert(stage) }
                continue
            }
            var seen = packet
            seen.flow = copy.flow
            let stage = Stage(
                flight, at: copy.places, seen, hop: hop, copy: index, copy.system, number: nextStage, time: time)
            nextStage += 1
            stage.whileJoined = copy.whileJoined
            stage.entered.add(range)
            flight.appendCopy(
                stage, copy, hop, from: packet, interface: network.interfaceName(copy.interface))
            room.insert(stage)
        }
    }

    /// The engine wrote a packet.
    mutating func sent(
        _ packet: TracedPacket, _ fields: PacketFields, _ record: ReorderWindow.Record, _ table: TracedTable
    ) {
        let interface = record.frame.interface
        var matches = room.matches(packet, at: .egress(interface: interface, mac: fields.destinationMAC))
        if matches.isEmpty { matches = room.matches(packet, at: .egress(interface: interface, mac: nil)) }
        guard !matches.isEmpty else {
            ownFrame(packet, interface)
            return
        }
        let node = table.network.node(fields.destinationMAC, on: interface)
        for match in matches { leave(match, packet, fields.destinationMAC, node, record, table) }
    }

    /// The kernel did not take a frame that the engine would write.
    mutating func failed(_ packet: TracedPacket, _ fields: PacketFields, _ frame: CapturedFrame) {
        for mac in [fields.destinationMAC, nil] {
            let matches = room.matches(packet, at: .egress(interface: frame.interface, mac: mac))
            for match in matches { match.stage.failure = DropReason(writing: frame.failure) }
            if !matches.isEmpty { return }
        }
    }

    /// A frame that the engine made itself, or whose beginning was not seen.
    private mutating func ownFrame(_ packet: TracedPacket, _ interface: Int) {
        guard let (question, _, _) = questions.answered(by: packet, .engine(interface)) else {
            counts.strays += 1
            return
        }
        flights[question.flight]?.notes.append("The engine answered: \(TracedPacketText(packet).what).")
    }

    /// A copy, or a part of it, has left the engine.
    private mutating func leave(
        _ match: WaitingRoom.Match, _ packet: TracedPacket, _ mac: MACAddress, _ node: Int?,
        _ record: ReorderWindow.Record, _ table: TracedTable
    ) {
        let (stage, flight) = (match.stage, match.stage.flight)
        guard !flight.isOver else { return }
        let time = record.frame.time.nanoseconds
        flight.last = max(flight.last, time)
        if match.isGuess { flight.isGuess = true }
        stage.left.add(match.range)
        var name = node.map { table.network.nodes[$0].name } ?? mac.description
        if node == nil, stage.isPassive {
            let passive = table.network.passive(on: record.frame.interface)
            if !passive.isEmpty { name = passive.joined(separator: ", ") }
        }
        let read = flight.states[stage.hop].lastRead
        flight.hops[stage.hop].copies[stage.copy].written(
            to: name, at: time, read: read,
            PacketArrival(packet, frame: record.sequence << 8 | UInt64(record.worker & 0xFF)))
        if stage.left.covers(stage.entered) { room.remove(stage) }
        defer { settle(flight) }
        guard !stage.isPassive else { return }
        if let node { lastInto[table.numbers[node]] = (flight.id, time) }
        let passes = node.map { Self.passes(stage.system, table.network.nodes[$0]) } ?? false
        var inside: Stage?
        if passes, let node { inside = enter(match.range, packet, table.numbers[node], flight, stage, time) }
        if !passes { flight.deliver(to: name, match.range, time) }
        if let node { questions.note(packet, flow: packet.flow, .node(table.numbers[node]), flight, inside) }
    }

    /// True if a node passes on what it gets.
    private static func passes(_ system: DestinationSystemType, _ node: TracedNetwork.Node) -> Bool {
        switch system {
        case .inlineApplication: true
        case .router: Set(node.legs.map(\.interface)).count > 1
        case .passiveApplication, .terminalApplication, .customer, .packetingEngine: false
        }
    }

    /// A packet, or a part of it, has entered a node that passes it on.
    private mutating func enter(
        _ range: Range<Int>, _ packet: TracedPacket, _ node: Int, _ flight: Flight, _ stage: Stage, _ time: UInt64
    ) -> Stage {
        if let inside = flight.stages.first(where: {
            $0.node == node && $0.hop == stage.hop && $0.copy == stage.copy
        }) {
            let isMissing = inside.isOver
            if inside.start == nil, packet.start != nil {
                if !isMissing { room.remove(inside) }
                inside.noteStart(packet)
                if !isMissing { room.insert(inside) }
            }
            inside.entered.add(range)
            inside.enteredLast = time
            if isMissing { room.insert(inside) }
            return inside
        }
        // Only a part may be in this frame, or more than the packet: what the engine read tells its size.
        var own = stage.packet
        own.flow = packet.flow
        if packet.start != nil { own.start = packet.start }
        let inside = Stage(
            flight, at: places(node), own, hop: stage.hop, copy: stage.copy, stage.system, number: nextStage,
            time: time)
        nextStage += 1
        inside.entered.add(range)
        flight.stages.append(inside)
        room.insert(inside)
        return inside
    }
}
