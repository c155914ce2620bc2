import Engine
import Forwarding
import Wire

// Where a packet ends, and the trace of it.

extension PacketTracer {
    /// Ends a trace if its packet is nowhere any more, or if its time is over.
    mutating func settle(_ flight: Flight, isExpired: Bool = false, isEvicted: Bool = false) {
        guard !flight.isOver else { return }
        if !isExpired {
            guard !flight.hasOpenParts, !flight.hops.isEmpty, flight.hops[0].frames > 0 else { return }
            if flight.drop != nil || flight.isForEngine {
                // The engine may answer the sender in the same turn.
                if !flight.isEnding { endings.append((now, flight)) }
                flight.isEnding = true
                return
            }
            guard flight.isWhole else { return }
        }
        flight.isOver = true
        let end = isEvicted ? Self.unknown("Too many packets were under way.") : end(of: flight)
        for stage in flight.stages { room.remove(stage) }
        if let origin = flight.origin { origins[origin] = nil }
        flights[flight.id] = nil
        counts.traces += 1
        // A flight that is over is asked for nothing any more, so the trace takes its parts.
        finished.append(trace(of: flight, end))
        flight.dissolve()
    }

    private static func unknown(_ sentence: String) -> TraceEnd {
        TraceEnd(kind: .unknown, sentence: sentence, isGuess: false)
    }

    private func end(of flight: Flight) -> TraceEnd {
        if let drop = flight.drop { return dropped(drop.reason, flight, drop.hop, at: drop.time, isGuess: false) }
        if let stage = flight.stages.first(where: { $0.answered != nil }), let answered = stage.answered {
            let name = name(of: stage)
            return TraceEnd(
                kind: .answered, node: name, at: flight.offset(stage.enteredLast),
                sentence: "\(name) answered it itself: \(answered.what).", isGuess: answered.isGuess,
                isRefusal: answered.isRefusal ? true : nil)
        }
        if let stage = flight.stages.first(where: { !$0.isOver && !$0.isPassive && !$0.isUnjoined }) {
            return stuck(stage, flight)
        }
        for stage in flight.stages where !stage.isOver && stage.isPassive { flight.notes.append(note(stage, flight)) }
        if flight.isForEngine {
            return TraceEnd(
                kind: .engine, at: flight.offset(flight.last), sentence: "It was for the engine itself.", isGuess: false
            )
        }
        if let held = flight.states.firstIndex(where: { !$0.held.isEmpty }) {
            return dropped(.fragmentUndecided, flight, held, at: nil, isGuess: false)
        }
        if let total = flight.total, let first = flight.delivered.first,
            flight.delivered.allSatisfy({ $0.octets.covers(0..<total) })
        {
            let names = flight.delivered.map(\.node).joined(separator: " and ")
            return TraceEnd(
                kind: .delivered, node: first.node,
                at: flight.offset(flight.delivered.map(\.time).max() ?? flight.last),
                sentence: "It reached \(names).", isGuess: false)
        }
        if !flight.isWhole {
            if lost.overlap(flight.began, flight.last + stay) { return lostRecords }
            return TraceEnd(
                kind: .incomplete, sentence: "Not all of its fragments came within \(seconds).", isGuess: false)
        }
        if let hop = flight.states.indices.last(where: { flight.states[$0].stages.allSatisfy(\.isUnjoined) }) {
            if let stage = flight.states[hop].stages.first {
                if lost.overlap(stage.enteredLast, stage.enteredLast + stay) { return lostRecords }
                return dropped(.noMember, flight, hop, at: stage.enteredLast, isGuess: true)
            }
            if let reason = reason(flight, hop) { return dropped(reason, flight, hop, at: nil, isGuess: false) }
            return TraceEnd(kind: .copied, sentence: "The table sends it nowhere else.", isGuess: false)
        }
        return TraceEnd(
            kind: .copied, at: flight.offset(flight.last), sentence: "Only passive applications get it.", isGuess: false
        )
    }

    private var seconds: String {
        let milliseconds = stay / 1_000_000
        return milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000) s" : "\(milliseconds) ms"
    }

    private var lostRecords: TraceEnd {
        Self.unknown("Records were lost at that time, so nobody can tell what became of it.")
    }

    /// The end of a packet that has not left a stage.
    private func stuck(_ stage: Stage, _ flight: Flight) -> TraceEnd {
        if lost.overlap(stage.enteredLast, stage.enteredLast + stay) { return lostRecords }
        if stage.node != nil {
            let name = name(of: stage)
            let part = stage.left.isEmpty ? "did not come out" : "did not come out whole"
            // Fragments that were not known again may be its own.
            let isLoose = stage.isCuttable && looseFragments[stage.node ?? -1] ?? 0 >= flight.began
            return TraceEnd(
                kind: .vanished, node: name, at: flight.offset(stage.enteredLast),
                sentence:
                    "It entered \(name) at \(TraceText.time(flight.offset(stage.enteredLast))) and \(part) within "
                    + "\(seconds)\(isLoose ? ", unless fragments that \(name) sent are of it" : "")"
                    + "\(blindness.map { ", or \($0.clause)" } ?? "").", isGuess: isLoose || blindness != nil)
        }
        if let failure = stage.failure {
            return dropped(failure, flight, stage.hop, at: stage.enteredLast, isGuess: false)
        }
        if let reason = reason(flight, stage.hop) {
            return dropped(reason, flight, stage.hop, at: stage.enteredLast, isGuess: false)
        }
        // The engine would write it: then the kernel did not take it, or a neighbour was not known.
        let isWaiting = answer(flight, stage.hop) == .waits
        if blindness == .filter, !isWaiting {
            return Self.unknown("It was not seen behind the engine: the filter may not match it there any more.")
        }
        return dropped(
            isWaiting ? .neighbourUnresolved : .tapFull, flight, stage.hop, at: stage.enteredLast, isGuess: true)
    }

    private func note(_ stage: Stage, _ flight: Flight) -> String {
        let copy = flight.hops[stage.hop].copies[stage.copy]
        if lost.overlap(stage.enteredLast, stage.enteredLast + stay) {
            return "The record of the copy for \(copy.interface) is lost."
        }
        guard let reason = stage.failure ?? reason(flight, stage.hop) else {
            return "The copy for a passive application on \(copy.interface) was not written."
        }
        return "The copy for a passive application on \(copy.interface) was not written: \(reason.name)."
    }

    private func answer(_ flight: Flight, _ hop: Int) -> EngineReplay.Answer? {
        let state = flight.states[hop]
        return table(state.generation)?.replay.answer(state.head, length: state.headLength, on: state.interface)
    }

    private func reason(_ flight: Flight, _ hop: Int) -> DropReason? {
        if case .dropped(let reason)? = answer(flight, hop) { return reason }
        return nil
    }

    private func dropped(
        _ reason: DropReason, _ flight: Flight, _ hop: Int, at time: UInt64?, isGuess: Bool
    ) -> TraceEnd {
        TraceEnd(
            kind: .dropped, node: nil, reason: reason.name, at: time.map { flight.offset($0) },
            sentence: sentence(reason, flight, hop), isGuess: isGuess)
    }

    private func sentence(_ reason: DropReason, _ flight: Flight, _ hop: Int) -> String {
        guard reason == .accessDenied, answer(flight, hop) == .dropped(reason),
            let table = table(flight.states[hop].generation)
        else { return reason.sentence }
        return table.sentence(of: reason)
    }

    private func name(of stage: Stage) -> String {
        let name = stage.flight.hops[stage.hop].copies[stage.copy].to
        return name.isEmpty ? "a node" : name
    }

    /// The trace of a frame that is no packet: the engine could not read it, or refused a neighbour's message. From
    /// other messages of neighbours the replay learns.
    mutating func unread(_ fields: PacketFields, _ record: ReorderWindow.Record, _ table: TracedTable) {
        let frame = record.frame
        guard case .dropped(let reason) = table.replay.answer(frame.octets, length: frame.length, on: frame.interface),
            // Every host asks for others, and kernels announce themselves: nothing is lost.
            reason != .neighbourNotOurs, reason != .housekeeping, wants.map({ $0(frame) }) ?? true
        else { return }
        let node = table.network.node(fields.sourceMAC, on: frame.interface)
        let name = node.map { table.network.nodes[$0].name } ?? fields.sourceMAC.description
        let hop = TraceHop(
            at: 0, interface: table.network.interfaceName(frame.interface), from: name, drop: reason.name,
            isGuess: false, frames: 1, copies: [])
        let text = TracedPacketText(
            protocol: "frame", source: fields.sourceMAC.description, destination: fields.destinationMAC.description,
            length: max(0, frame.length - VirtioNetHeader.length), packets: 1, fragments: 0, detail: "")
        finished.append(
            PacketTrace(
                id: nextFlight, began: frame.time.nanoseconds, took: 0, packet: text, from: name,
                device: node == nil ? table.network.onlyNode(on: frame.interface)?.name : nil,
                beginning: node.map { table.network.nodes[$0].kind == .customer ? .customer : .end } ?? .stranger,
                services: [], hops: [hop],
                end: TraceEnd(kind: .dropped, reason: reason.name, at: 0, sentence: reason.sentence, isGuess: false),
                isGuess: false, notes: []))
        nextFlight += 1
        counts.traces += 1
    }

    private mutating func trace(of flight: Flight, _ end: TraceEnd) -> PacketTrace {
        var text = texts.text(of: flight.packet)
        text.fragments = flight.fragments
        var hops: [TraceHop] = []
        swap(&hops, &flight.hops)
        for hop in hops.indices {
            hops[hop].at = flight.offset(hops[hop].at)
            for copy in hops[hop].copies.indices { hops[hop].copies[copy].begin(at: flight.began) }
            let stages = flight.states[hop].stages
            guard stages.contains(where: { $0.isUnjoined }) else { continue }
            let unjoined = Set(stages.filter { $0.isUnjoined }.map { $0.copy })
            hops[hop].copies = hops[hop].copies.indices.filter { !unjoined.contains($0) }.map { hops[hop].copies[$0] }
        }
        return PacketTrace(
            id: flight.id, began: flight.began, took: flight.offset(flight.last), packet: text, from: hops[0].from,
            device: flight.device, beginning: flight.beginning,
            direction: hops.first { $0.direction != nil }?.direction,
            services: flight.services, hops: hops, end: end, answers: flight.answers, follows: flight.follows,
            isGuess: flight.isGuess || end.isGuess || flight.answers?.isGuess == true, notes: flight.notes,
            digest: flight.packet.digest)
    }
}

extension Flight {
    /// Nanoseconds from the packet's beginning to a time.
    func offset(_ time: UInt64) -> UInt64 { time - min(time, began) }

    /// True if a part of the packet is still in the engine or in a node: nearly always the last stage is open then.
    fileprivate var hasOpenParts: Bool {
        for stage in stages.reversed() where !stage.isOver { return true }
        for state in states where !state.held.isEmpty { return true }
        return false
    }
}

extension TraceCopy {
    /// Counts the time from the packet's beginning.
    fileprivate mutating func begin(at began: UInt64) {
        guard let time = at else { return }
        at = time - min(time, began)
    }

    /// The engine wrote a frame with the packet, or a part of it.
    ///
    /// - Parameters:
    ///   - time: In nanoseconds, as the time at which it was read.
    mutating func written(
        to name: String, at time: UInt64, read: UInt64, _ arrival: @autoclosure () -> PacketArrival
    ) {
        to = name
        at = time
        engine = time - min(time, read)
        frames += 1
        if self.arrival == nil { self.arrival = arrival() }
    }
}

extension PacketTracer.Blindness {
    /// What may have happened to a packet that was not seen any more.
    fileprivate var clause: String {
        switch self {
        case .filter: "the filter does not match it there any more"
        case .sample: "it belongs to another flow there, which is not sampled"
        }
    }
}
