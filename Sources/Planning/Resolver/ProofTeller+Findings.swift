import Forwarding
import Reporting
import TopologyFiles
import Wire

/// The findings of a proof, in the words of the file: the lines that collide, a packet that shows it, and the hint.
extension ProofTeller {
    func tell(_ finding: ProofFinding) {
        switch finding {
        case .loop(let entry, let circle, let trace): tellLoop(entry, circle, trace)
        case .dead(let entry, let reason, let flow): tellDead(entry, reason, flow)
        case .brokenOff(let entry, _, let trace): tellBreak(entry, trace)
        case .unanswered(let entry, let failure, let request, let answer):
            tellUnanswered(entry, failure, request, answer)
        case .confused(let entry, let other, let trace): tellConfusion(entry, other, trace)
        case .mismatch(let place, let reason): tellMismatch(place, reason)
        case .mtu(let trap): tellTrap(trap)
        }
    }

    private func nodePlace(_ node: Int?) -> [(SourceOrigin, String)] {
        guard let node else { return [] }
        return [(provedOrigin(node), "\(quoted(provedName(node))) is here")]
    }

    private func entryPlace(_ index: Int, _ label: String? = nil) -> (SourceOrigin, String) {
        (bases[index].origin, label ?? "\(entryName(index)) is here")
    }

    // MARK: Circles, breaks, answers

    private func tellLoop(_ entry: Int, _ circle: [Int], _ trace: ExampleTrace) {
        let around = circle.uniqued()
        // The line that was written last closed the circle, and only entries by hand can be wrong in it.
        let byHand = around.filter { bases[$0].service == nil }
        let main = (byHand.isEmpty ? around : byHand).max { bases[$0].origin < bases[$1].origin } ?? entry
        let nodes = trace.hops.suffix(circle.count).compactMap(\.emitter.node).uniqued()
        let names = nodes.map { nodeName($0) }
        let others = around.filter { $0 != main }
        let message =
            others.isEmpty
            ? "\(entryName(main)) sends what \(names.first ?? "a node") passes on back to it: packets run in a loop"
            : "\(entryName(main)) closes a loop: packets run between \(names.joined(separator: " and ")) for ever"
        diagnostics.finding(
            bases[main].origin, message,
            hint: "send them to another node, or let the entry match less: by source, destination or service port",
            related: others.map { entryPlace($0, "\(entryName($0)) is a part of the loop") }
                + nodes.flatMap { nodePlace($0) },
            example: example(trace) + " → …")
    }

    private func tellBreak(_ entry: Int, _ trace: ExampleTrace) {
        let holder = trace.last?.node
        let interface = trace.last?.interface ?? entries[entry].receivedInterface
        let sender = trace.hops.last?.entry ?? entry
        let alternatives = alternatives(interface, trace.last?.mac)
        diagnostics.finding(
            bases[sender].origin,
            "\(nodeName(holder)) passes on what \(entryName(sender)) sends it, but no entry takes it from interface "
                + "\(interfaceName(interface))",
            hint: "add a sequencing entry with received-interface \(file.interfaces[interface].name.value), source "
                + "\(holder.map { provedName($0) } ?? "any") and destination \(trace.flow.destination); or say "
                + "`system: terminal-application` if the packets end there",
            related: alternatives + nodePlace(holder), example: example(trace) + " → no entry")
    }

    /// Entries that take something else from the same place.
    private func alternatives(_ interface: Int, _ mac: MACAddress?) -> [(SourceOrigin, String)] {
        let near = entries.indices.lazy.filter { [self] in
            entries[$0].receivedInterface == interface
                && (entries[$0].sourceMAC == nil || entries[$0].sourceMAC == mac)
                && entries[$0].kind == .sequencing
        }
        return near.prefix(2).map { entryPlace($0, "\(entryName($0)) takes \(matched(entries[$0])) there") }
    }

    /// The packets that an entry matches, in words.
    private func matched(_ entry: Entry) -> String {
        let source = entry.source.map { " from \($0)" } ?? ""
        let destination = entry.destination.map { " to \($0)" } ?? ""
        return
            "\(entry.direction == .request ? "requests" : "responses") of \(describe(entry.servicePort))\(source)\(destination)"
    }

    private func tellUnanswered(
        _ entry: Int, _ failure: AnswerFailure, _ request: ExampleTrace, _ answer: ExampleTrace
    ) {
        let end = request.last?.node
        let last = answer.hops.last?.entry
        let main = last ?? request.hops.last?.entry ?? entry
        let asker = nodeName(request.hops.first?.emitter.node)
        var related = last == nil ? [] : [entryPlace(entry, "\(entryName(entry)) takes the requests")]
        let message: String
        let hint: String
        var tail = ""
        switch failure {
        case .dropped:
            let holder = answer.last?.node
            let interface = answer.last?.interface ?? 0
            let name = file.interfaces[interface].name.value
            message =
                last == nil
                ? "no entry takes the answers of \(nodeName(end)) from interface \(quoted(name)) back to \(asker)"
                : "\(nodeName(holder)) passes the answers to \(asker) on, but no entry takes them from interface "
                    + "\(quoted(name))"
            hint =
                "add a sequencing entry with received-interface \(name), source "
                + "\(holder.map { provedName($0) } ?? "any") and direction response, that takes "
                + "\(port(answer.flow, .response)) to \(answer.flow.destination)"
            related += alternatives(interface, answer.last?.mac) + nodePlace(holder)
            tail = " → no entry"
        case .wrongNode(let node):
            message = "the answers to \(asker) are sent to \(nodeName(node)), which did not ask"
            hint = "send them back on the request's path, at last to { interface: …, neighbour: true }"
            related += nodePlace(node)
        case .wrongAddress(let expected, let found):
            message = "\(asker) asks \(expected) and is answered from \(found)"
            hint =
                bases[main].raw != nil
                ? "add `rewrite-source: \(expected)` to the entry that takes the answers of \(nodeName(end))"
                : "give the services of \(nodeName(end)) ports that do not overlap, or an application each; or give it a MAC "
                    + "send address"
        case .wrongPort(let expected, let found):
            message = "\(asker) asks port \(expected) and is answered from port \(found)"
            hint = "give the services of \(nodeName(end)) application ports of their own"
        case .nobody(let interface, let address):
            message =
                "the answers to \(asker) are sent to interface \(interfaceName(interface)), where "
                + (address.map { "no node has \($0)" } ?? "no node passes them on")
            hint = "send them to the interface that the request came from, or to the next node on the way back"
        case .loop:
            message = "the answers to \(asker) run in a loop"
            hint = "send them back on the request's path"
        }
        var shown = example(request)
        if !answer.hops.isEmpty || answer.last != nil { shown += "; its answer: " + way(answer) + tail }
        diagnostics.finding(
            bases[main].origin, message, hint: hint, related: related + nodePlace(end), example: shown)
    }

    private func tellConfusion(_ entry: Int, _ other: Int, _ trace: ExampleTrace) {
        let (mine, theirs) = (bases[entry], bases[other])
        let (first, second) = mine.origin < theirs.origin ? (mine, theirs) : (theirs, mine)
        let what = entries[other].direction == .request ? "requests" : "answers"
        diagnostics.finding(
            second.origin,
            "\(what) of \(mine.label) are taken for those of \(theirs.label) where they leave "
                + "\(nodeName(trace.last?.node)) on interface \(interfaceName(entries[other].receivedInterface)): nothing "
                + "tells them apart there",
            hint: "give one of the services another address or other ports, or an application on interfaces of its own",
            related: [(first.origin, "\(first.label) is here")] + nodePlace(trace.last?.node),
            example: example(trace) + " by \(entries[other].name)")
    }

    // MARK: Examples

    /// A packet in words, with its way.
    func example(_ trace: ExampleTrace) -> String {
        let flow = trace.firstFlow
        let emitter = trace.hops.first?.emitter ?? trace.last
        let direction = trace.hops.first.map { entries[$0.entry].direction } ?? .request
        return "from \(emitter?.node.map { provedName($0) } ?? "unknown") (\(flow.source)) on interface "
            + "\(emitter.map { file.interfaces[$0.interface].name.value } ?? "?") to \(flow.destination) "
            + "\(port(flow, direction)): \(way(trace))"
    }

    /// The interfaces and nodes of a way, from the first received interface on.
    private func way(_ trace: ExampleTrace) -> String {
        var places: [String] = []
        for (index, hop) in trace.hops.enumerated() {
            if index > 0, let node = hop.emitter.node { places.append(provedName(node)) }
            places.append(file.interfaces[hop.emitter.interface].name.value)
        }
        if let last = trace.last {
            if let node = last.node {
                places.append(provedName(node))
                if trace.hops.isEmpty { places.append(file.interfaces[last.interface].name.value) }
            }
        } else if let copy = trace.hops.last?.copies.first(where: { !$0.isPassive }) {
            places.append(file.interfaces[copy.interface].name.value)
        }
        return places.joined(separator: " → ")
    }
}
