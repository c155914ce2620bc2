import EngineControl
import EventLoop
import Forwarding
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Synchronization
import Wire

extension CheckSession {
    /// The time to wait for unexpected nodes to see a packet, after all expected nodes have seen it.
    private static let settling = Duration.milliseconds(80)

    /// Sends a packet, and watches its way and the way of its answer.
    func send(_ plan: PacketPlan, _ timeout: Duration) throws(ApplianceError) -> StepOutcome {
        for name in [plan.from] + plan.reaches.joined() {
            let instances = plan.standIns.filter { $0.value == name }.map(\.key).sorted()
            for node in instances.isEmpty ? [name] : instances { concern(node) }
        }
        let probe = ProbePacket(
            source: plan.source, destination: plan.destination, protocolNumber: plan.protocolNumber, port: plan.port,
            sourcePort: plan.sourcePort ?? UInt16.random(in: 20_000...32_000), payload: plan.payload, size: plan.size,
            hopLimit: plan.hopLimit, dontFragment: plan.dontFragment)
        let watch = try PacketWatch(probe, sources, standIns: plan.standIns)
        watch.prove(.before, sources) { isDownByFault($0) }
        let before = sources.counters()
        let namespace = try sources.node(plan.from).namespace
        do throws(SystemError) {
            try namespace.send(probe.octets, to: plan.destination)
        } catch {
            let hint = error.errno == EMSGSIZE ? ": it has \(probe.octets.count) octets, its device carries less" : ""
            return StepOutcome(
                holds: false, expected: ["that \(plan.from) can send it"], came: ["\(error)\(hint)"])
        }
        watch.follow(timeout: timeout, settling: Self.settling, sources.cancellation) { watch in
            watch.trace(plan).isComplete && (plan.answer.map { watch.answerTrace(plan, $0).isComplete } ?? true)
        }
        watch.prove(.after, sources) { isDownByFault($0) }
        return finding(plan, watch, before)
    }

    /// True if a fault of this check has taken a device of the node down: then nothing arrives there, and nothing needs to be
    /// watched.
    private func isDownByFault(_ node: String) -> Bool { faults.down[node]?.isEmpty == false }

    /// Why nobody saw the packet leave its sender: perhaps a device took it that a program of the node has made.
    private func unsent(_ name: String) -> String {
        let missing = "\(name) did not send it on any device of the file"
        guard let node = try? sources.node(name), let links = try? node.namespace.netlink.links() else {
            return missing
        }
        let own = Set(node.plan.legs.map(\.device) + ["lo"])
        let others = links.filter { $0.isUp && !own.contains($0.name) }.map(\.name)
        guard !others.isEmpty else { return missing }
        let them = others.count == 1 ? "a device" : "devices"
        return "\(missing); it has \(others.joined(separator: ", ")), \(them) of its own, "
            + "which Tapline does not watch: a packet in a tunnel cannot be followed, "
            + "so send it from the node where the tunnel ends"
    }

    private func finding(_ plan: PacketPlan, _ watch: PacketWatch, _ before: CounterReading) -> StepOutcome {
        let trace = watch.trace(plan)
        var faults = trace.faults
        var expected: [String] = []
        var came = ["the packet: \(trace.summary)"]
        if !faults.isEmpty {
            expected.append("that the packet reaches \(ProbeWay.summary(plan.reaches)), and no other node")
        }
        if let stages = plan.answer {
            let answer = watch.answerTrace(plan, stages)
            came.append("the answer\(watch.answerName.map { " (\($0))" } ?? ""): \(answer.summary)")
            let wrong = answer.faults.map { "the answer: \($0)" }
            if !wrong.isEmpty {
                expected.append("that the answer reaches \(ProbeWay.summary(stages)), and no other node")
            }
            faults += wrong
        } else if let answer = watch.answerName {
            came.append("the answer (\(answer)): \(watch.answerTrace(plan, []).summary)")
        }
        if !watch.wasSent { faults.append(unsent(plan.from)) }
        if !watch.blind.isEmpty || watch.losses > 0 {
            expected.append("that every node is watched while the packet is under way")
        }
        faults += watch.blind
        if watch.losses > 0 {
            faults.append(
                "cannot tell whether another node saw it: \(Plural.counted(watch.losses, "frame")) could not be watched"
            )
        }
        let drops = sources.counters().dropSummary(since: before, of: sources.plan).map { "dropped meanwhile: \($0)" }
        return StepOutcome(unmet: expected.isEmpty ? faults : expected, came: faults + came + drops)
    }
}

/// Watches every device of every node for a probe and its answers.
private final class PacketWatch {
    private let probe: ProbePacket
    private let standIns: [String: String]
    private var sockets: [(node: String, interface: String, socket: PacketSocket)] = []
    /// The place of each of them, and that of packets in its frames.
    private var legs: [LegPlan] = []
    private var packetPlaces: [PacketPlace] = []
    /// What the canaries of this watch have and no others, and those that were seen.
    private let token = UInt64.random(in: 1...UInt64.max)
    private var heard: Set<UInt32> = []
    /// The devices of which nobody can tell, one sentence each.
    private(set) var blind: [String] = []
    /// All that has to do with the probe.
    private var seen: [(kind: ProbePacket.Kind, sighting: Sighting, isOutgoing: Bool)] = []
    // The sightings in `seen`, sorted by kind.
    private var packets: [Sighting] = []
    private var answers: [Sighting] = []
    private var sent: [Sighting] = []
    /// The first sender of the answer.
    private var answerer: Sighting?
    /// The name of the answer.
    private(set) var answerName: String?
    private(set) var losses = 0

    /// - Parameter standIns: The instances that messages call by their application's name.
    init(_ probe: ProbePacket, _ sources: CheckSources, standIns: [String: String]) throws(ApplianceError) {
        self.probe = probe
        self.standIns = standIns
        let frame = max(2048, probe.octets.count + 256)
        var places: [(node: NodeRuntime, leg: LegPlan)] = []
        for node in sources.plan.nodes {
            let runtime = try sources.node(node.name)
            places += node.legs.map { (runtime, $0) }
        }
        // Each waits for the kernel's own pace a while: side by side that is one while for all.
        let opened = Mutex<[Int: PacketSocket]>([:])
        let matches = probe.matches
        let packetPlaces = places.map { PacketPlace(sources.plan, $0.leg) }
        try inParallel(places.count, width: 32) { [places] index throws(ApplianceError) in
            let (node, leg) = places[index]
            do throws(SystemError) {
                let socket = try PacketSocket(
                    on: leg.device, in: node.namespace, matches: packetPlaces[index].matches(matches),
                    etherType: Canary.etherType,
                    frameLength: frame, room: 4 * frame + 32768)
                opened.withLock { $0[index] = socket }
            } catch {
                throw ApplianceError(.failed, "\(node.place): \(error)")
            }
        }
        legs = places.map(\.leg)
        self.packetPlaces = packetPlaces
        sockets = opened.withLock { opened in
            places.indices.compactMap { index in
                let (node, leg) = places[index]
                return opened[index].map { (node.plan.name, sources.plan.interfaces[leg.interface].name, $0) }
            }
        }
    }

    var wasSent: Bool { !sent.isEmpty }

    /// When canaries are sent: before the packet, and after its way.
    enum Moment: UInt32 {
        case before, after
    }

    /// How long a canary may take, and how long it is waited for until another one is sent.
    private static let canaryTime = Duration.seconds(5)
    private static let canaryPause = Duration.milliseconds(100)

    /// Proves that every device is watched: each must see a canary that is delivered to it.
    ///
    /// - Parameter isDown: Says of a node whether a fault has taken a device of it down.
    func prove(_ moment: Moment, _ sources: CheckSources, _ isDown: (String) -> Bool) {
        func number(_ index: Int) -> UInt32 { moment.rawValue << 31 | UInt32(index) }
        var missing = sockets.indices.map { $0 }
        let deadline = monotonicTime() + Self.canaryTime
        while !missing.isEmpty, !sources.cancellation.isRaised, monotonicTime() < deadline {
            for index in missing {
                let leg = legs[index]
                let frame = Canary.frame(
                    to: leg.mac, from: sources.plan.table.interfaces[leg.interface].mac, token: token,
                    number: number(index))
                // A circuit has no device of its own.
                sources.deliver(sources.plan.interfaces[leg.interface].carrier ?? leg.interface, frame)
            }
            let next = min(deadline, monotonicTime() + Self.canaryPause)
            while !missing.isEmpty, !sources.cancellation.isRaised, monotonicTime() < next {
                look()
                missing.removeAll { heard.contains(number($0)) || (isDown(sockets[$0].node) && !isUp($0, sources)) }
                if !missing.isEmpty { sources.cancellation.sleep(.milliseconds(2)) }
            }
        }
        blind += missing.map { index in
            let (node, interface, _) = sockets[index]
            return
                "cannot tell whether \(node) saw it on \(interface): a canary \(moment) the packet did not arrive there"
        }
    }

    private func isUp(_ index: Int, _ sources: CheckSources) -> Bool {
        guard let node = try? sources.node(sockets[index].node), let netlink = try? node.namespace.netlink,
            let link = try? netlink.link(named: legs[index].device)
        else { return true }
        return link.isUp
    }

    /// Looks until `isComplete` and nothing has come for a while, or the time is over.
    func follow(
        timeout: Duration, settling: Duration, _ cancellation: Cancellation, _ isComplete: (PacketWatch) -> Bool
    ) {
        let deadline = monotonicTime() + timeout
        var quietSince = monotonicTime()
        while !cancellation.isRaised {
            let now = monotonicTime()
            if look() { quietSince = now }
            if now >= deadline { break }
            if now - quietSince >= settling, isComplete(self) { break }
            cancellation.sleep(min(.milliseconds(5), deadline - now))
        }
        for (_, _, socket) in sockets { losses += (try? socket.losses()) ?? 0 }
    }

    /// Takes the frames that have come; false if there are none.
    @discardableResult
    private func look() -> Bool {
        var came = false
        for (index, (node, interface, socket)) in sockets.enumerated() {
            let place = packetPlaces[index]
            socket.drain { frame in
                if let number = Canary.number(of: frame.bytes, token: token) {
                    if !frame.isOutgoing { heard.insert(number) }
                    return
                }
                let kind =
                    place.isPlain
                    ? probe.kind(of: frame.bytes.bytes)
                    : place.packets(in: frame.bytes).lazy.compactMap { self.probe.kind(of: $0.span.bytes) }.first
                guard let kind else { return }
                came = true
                let sighting = Sighting(
                    node: standIns[node] ?? node, interface: interface, nanoseconds: frame.nanoseconds)
                seen.append((kind, sighting, frame.isOutgoing))
            }
        }
        if came { judge() }
        return came
    }

    /// Tells packets and answers apart. Each device has a queue of its own: only all of them together have an order.
    private func judge() {
        (packets, answers, sent, answerer, answerName) = ([], [], [], nil, nil)
        seen.sort { $0.sighting.nanoseconds < $1.sighting.nanoseconds }
        var direction = ProbeDirection(probe.ends)
        for (kind, sighting, isOutgoing) in seen {
            switch kind {
            case .packet: take(nil, sighting, isOutgoing)
            case .answer(let name): take(name, sighting, isOutgoing)
            case .either(let ends, let name): take(direction.isAnswer(ends) ? name : nil, sighting, isOutgoing)
            case .other(let ends, let name):
                if direction.goesBack(ends) { take(name, sighting, isOutgoing) }
            case .error(let name): takeError(name, sighting, isOutgoing)
            case .errorAbout(let ends, let name):
                // The sender's kernel may refuse an answer that no program waits for: that error is no answer.
                if !direction.quotesAnswer(ends) { takeError(name, sighting, isOutgoing) }
            }
        }
    }

    private func takeError(_ name: String, _ sighting: Sighting, _ isOutgoing: Bool) {
        let before = answerName
        take("ICMP error: \(name)", sighting, isOutgoing)
        answerName = before ?? answerName
    }

    /// - Parameter answer: The name of the answer; nil for the packet itself.
    private func take(_ answer: String?, _ sighting: Sighting, _ isOutgoing: Bool) {
        guard let answer else {
            if isOutgoing { sent.append(sighting) } else { packets.append(sighting) }
            return
        }
        if !isOutgoing { answers.append(sighting) } else if answerer == nil { answerer = sighting }
        answerName = answer
    }

    func trace(_ plan: PacketPlan) -> ProbeWay {
        ProbeWay(origin: plan.from, sightings: packets, stages: plan.reaches)
    }

    /// An answer may be sent more than once: only the first sightings at each node count.
    func answerTrace(_ plan: PacketPlan, _ stages: [[String]]) -> ProbeWay {
        var seen: [String: Int] = [:]
        let bound = Dictionary(stages.joined().map { ($0, 1) }, uniquingKeysWith: +)
        let first = answers.sorted { $0.nanoseconds < $1.nanoseconds }.filter { sighting in
            seen[sighting.node, default: 0] += 1
            return seen[sighting.node, default: 0] <= max(1, bound[sighting.node] ?? 1)
        }
        let last = plan.reaches.last?.last ?? "the engine"
        return ProbeWay(origin: answerer?.node ?? last, sightings: first, stages: stages)
    }
}
