import Wire

/// Proves a table before it is loaded:
///
/// - No packet runs in a loop.
/// - Every entry can match.
/// - Every request has an answer, which is not taken for another service's.
/// - Every send target exists.
/// - No packet is lost for its size without an error.
public enum Prover {
    /// What a proof found.
    public struct Result: Sendable {
        /// All problems that prevent the table from being loaded, at most one of a kind for each entry and place.
        public var findings: [ProofFinding] = []
        /// The proved paths, in the order of the table's entries.
        public var paths: [ProvedPath] = []
    }

    /// Proves a table.
    ///
    /// One packet is followed for each class of packets that the table can distinguish. The entries tell which classes
    /// there are. Every decision is the snapshot's own.
    ///
    /// - Throws: `TableError` if the table cannot be compiled.
    public static func prove(_ subject: ProofSubject) throws(TableError) -> Result {
        let bytes = try TableCompiler.compile(subject.table, generation: 1)
        let buffer: SnapshotBuffer
        do throws(SnapshotError) {
            buffer = try SnapshotBuffer(copying: bytes)
        } catch {
            preconditionFailure("the compiler made a snapshot that is refused: \(error)")
        }
        var proof = Proof(ProofWorld(subject, buffer))
        proof.findings += StationChecks(proof.world).findings
        proof.findings += MTUChecks(proof.world).findings
        proof.followRequests()
        proof.findLoopsOfApplications()
        proof.findDeadEntries()
        return Result(findings: proof.findings, paths: proof.paths)
    }
}

/// The state of one proof.
struct Proof {
    /// Two findings with the same key are one.
    enum FindingKey: Hashable {
        case loop(Set<Int>)
        case brokenOff(entry: Int, Emitter)
        case unanswered(entry: Int, Emitter)
        case confused(Int, Int)
    }

    let world: ProofWorld
    var findings: [ProofFinding] = []
    var paths: [ProvedPath] = []
    /// The pieces that all distinguishing prefixes cut the address space into.
    var pieces: AddressPieces
    var classes: FlowClassIndex
    let origins: Origins
    /// The nodes whose system type in some entry differs from the file's type.
    let vouchedNodes: Set<Int>
    private var seen: Set<FindingKey> = []

    init(_ world: ProofWorld) {
        self.world = world
        let entries = world.table.entries
        classes = FlowClassIndex(entries)
        vouchedNodes = Set(
            world.vouched.compactMap { place in
                let target = entries[place.entry].targets[place.target]
                guard case .mac(let mac) = target.address else { return nil }
                return world.stations.leg(mac, on: target.interface)?.node
            })
        var named: Set<IPPrefix> = []
        var askedOn: Set<Int> = []
        for entry in entries {
            if let source = entry.source { named.insert(source) }
            if let destination = entry.destination { named.insert(destination) }
            if let rewrite = entry.rewriteSource { named.insert(IPPrefix(host: rewrite)) }
            for target in entry.targets {
                switch target.address {
                case .network(let address): named.insert(IPPrefix(host: address))
                case .neighbour(nil) where entry.direction == .request: askedOn.insert(target.interface)
                default: break
                }
            }
        }
        let engine = Set(world.table.interfaces.flatMap { $0.addresses.map(\.address) } + [TableInterface.linkLocal])
        let namedPieces = AddressPieces(named, excluding: engine)
        origins = Origins(world, named: namedPieces)
        // Entries that send to the owner of the destination. Of customers that are alike, two are enough as examples.
        var all = named.union(origins.examples.map { IPPrefix(host: $0) })
        for interface in askedOn {
            // The destination itself decides which node gets the packet there.
            all.formUnion(world.table.interfaces[interface].addresses.map(\.prefix))
            for leg in world.stations.on[interface] {
                all.formUnion(world.nodes[leg.node].legs[leg.leg].addresses.map { IPPrefix(host: $0) })
            }
        }
        pieces = AddressPieces(all, excluding: engine, named: Set(world.table.answeredAddresses.keys))
    }

    mutating func note(_ key: FindingKey, _ finding: @autoclosure () -> ProofFinding) {
        if seen.insert(key).inserted { findings.append(finding()) }
    }

    /// Follows every class of packets of every customer to its ends, and its answers back.
    mutating func followRequests() {
        for (index, entry) in world.table.entries.enumerated() {
            guard entry.kind == .distribution || entry.isBetween || origins.hasCustomers(on: entry.receivedInterface)
            else { continue }
            for origin in origins.matching(entry, &pieces) {
                let everywhere = entry.destination ?? .everything(origin.address.family)
                guard everywhere.family == origin.address.family else { continue }
                for destination in pieces.representatives(in: everywhere) {
                    // No node asks itself. But if an address represents several nodes, one of them may ask another.
                    if origin.isOwn, destination == origin.address { continue }
                    follow(index, entry, origin, destination, pieces.isRemainder(destination, of: everywhere))
                }
            }
        }
    }

    private mutating func follow(
        _ index: Int, _ entry: Entry, _ origin: Origin, _ destination: IPAddress, _ isWhole: Bool
    ) {
        let flows = classes.classes(from: origin.address, to: destination)
            .flows(from: origin.address, to: destination, entry.servicePort, entry.direction)
        var shown: Set<[Int]> = []
        for flow in flows where world.decide(flow, from: origin.emitter) == .forward(entry: index) {
            guard let path = follow(flow, index, origin, isWhole) else { continue }
            let isFragment = !flow.hasPorts && ServicePort(protocolNumber: flow.protocolNumber).protocolHasPorts
            if isFragment, !shown.isEmpty { continue }
            if shown.insert((path.request + path.response).map(\.entry)).inserted { paths.append(path) }
        }
    }

    /// Follows one request and its answers.
    ///
    /// - Returns: The path if all of it holds.
    private mutating func follow(_ flow: FlowFields, _ index: Int, _ origin: Origin, _ isWhole: Bool) -> ProvedPath? {
        let walk = PacketWalk.follow(flow, from: origin.emitter, in: world)
        var holds = check(walk, index, flow)
        var response: [ProvedHop] = []
        if world.table.entries[index].direction == .request, !isForAGroup(flow, index) {
            for end in walk.ends {
                guard let hops = answer(to: flow, at: end, index, origin) else {
                    holds = false
                    continue
                }
                for hop in hops where !response.contains(hop) { response.append(hop) }
            }
        }
        // If no node has the destination, there is nothing to follow.
        guard holds, walk.losses.isEmpty || !walk.ends.isEmpty else { return nil }
        return ProvedPath(
            entry: index, customers: origin.members, flow: flow, isWholeDestination: isWhole, request: walk.hops,
            response: response, silence: response.isEmpty ? silence(walk, index, flow) : nil)
    }

    /// Why a packet that was followed has no answer.
    private func silence(_ walk: PacketWalk, _ index: Int, _ flow: FlowFields) -> AnswerSilence {
        if walk.ends.isEmpty { return walk.isWithheld ? .fragment : .passiveAlone }
        if world.table.entries[index].direction == .response { return .isAnswer }
        return isForAGroup(flow, index) ? .group : .unknownEnd
    }

    /// True for a packet to several receivers, whose answers have sources of their own.
    private func isForAGroup(_ flow: FlowFields, _ index: Int) -> Bool {
        flow.destination.isMulticast || flow.destination.isLimitedBroadcast
            || world.table.interfaces[world.table.entries[index].receivedInterface].hasBroadcast(flow.destination)
    }

    /// Notes loops, breaks and confusions of a walk. True if there are none.
    private mutating func check(_ walk: PacketWalk, _ index: Int, _ flow: FlowFields) -> Bool {
        for loop in walk.loops { noteLoop(loop, index) }
        for place in walk.breaks {
            let trace = ExampleTrace(hops: place.trace, last: place.emitter, flow: place.flow)
            note(
                .brokenOff(entry: place.trace.last?.entry ?? index, place.emitter),
                .brokenOff(entry: index, place.reason, trace))
        }
        let isConfused = confusions(walk.hops, of: index, flow)
        return walk.loops.isEmpty && walk.breaks.isEmpty && !isConfused
    }

    mutating func noteLoop(_ loop: PacketWalk.Loop, _ index: Int) {
        note(
            .loop(Set(loop.circle)),
            .loop(
                entry: index, circle: loop.circle,
                ExampleTrace(hops: loop.trace, last: loop.last, flow: loop.flow)))
    }

    /// True if an entry of another service than the first one's decides the packet. Fragments do not count: they follow
    /// the lowest port.
    private mutating func confusions(_ hops: [ProvedHop], of index: Int, _ flow: FlowFields) -> Bool {
        guard let own = world.owner(of: index) else { return false }
        if !flow.hasPorts, ServicePort(protocolNumber: flow.protocolNumber).protocolHasPorts { return false }
        for (place, hop) in hops.enumerated() {
            guard let other = world.owner(of: hop.entry), other != own else { continue }
            let trace = ExampleTrace(hops: Array(hops[...place]), last: hop.emitter, flow: hop.flow)
            note(.confused(own, other), .confused(entry: index, other: hop.entry, trace))
            return true
        }
        return false
    }

    /// What is wrong with an answer that arrived.
    private static func difference(_ found: FlowFields, from expected: FlowFields) -> AnswerFailure {
        if found.source != expected.source {
            return .wrongAddress(expected: expected.source, found: found.source)
        }
        if found.destination != expected.destination {
            return .wrongAddress(expected: expected.destination, found: found.destination)
        }
        return found.sourcePort != expected.sourcePort
            ? .wrongPort(expected: expected.sourcePort, found: found.sourcePort)
            : .wrongPort(expected: expected.destinationPort, found: found.destinationPort)
    }

    /// Follows the answer of the node that a request ends at.
    ///
    /// - Returns: Its hops, empty if no answer has to come back; nil if it does not reach the sender of the request.
    private mutating func answer(
        to flow: FlowFields, at end: PacketWalk.End, _ index: Int, _ origin: Origin
    ) -> [ProvedHop]? {
        // Only its network address identifies this station, so it is unknown which entries match its answers.
        if end.holder.node == nil, end.holder.mac.isZero { return [] }
        let back = end.flow.reversed
        let walk = PacketWalk.follow(back, from: end.holder, in: world, isAnswer: true)
        for loop in walk.loops { noteLoop(loop, index) }
        let isConfused = confusions(walk.hops, of: index, flow)
        let arrived = walk.ends.filter { $0.holder.node == origin.members[0] }
        if arrived.contains(where: { $0.flow == flow.reversed }) { return isConfused ? nil : walk.hops }
        let request = ExampleTrace(hops: end.trace, last: end.holder, flow: end.flow)
        var answer = ExampleTrace(hops: walk.hops, last: nil, flow: back)
        let failure: AnswerFailure
        if let found = arrived.first {
            answer = ExampleTrace(hops: found.trace, last: found.holder, flow: found.flow)
            failure = Self.difference(found.flow, from: flow.reversed)
        } else if let place = walk.breaks.first {
            answer = ExampleTrace(hops: place.trace, last: place.emitter, flow: place.flow)
            failure = .dropped(place.reason)
        } else if !walk.loops.isEmpty {
            return nil
        } else if let loss = walk.losses.first {
            answer = ExampleTrace(hops: loss.trace, last: nil, flow: loss.flow)
            failure = .nobody(interface: loss.interface, loss.address)
        } else if let found = walk.ends.first {
            answer = ExampleTrace(hops: found.trace, last: found.holder, flow: found.flow)
            failure = found.holder.node.map { .wrongNode($0) } ?? .nobody(interface: found.holder.interface, nil)
        } else {
            // All copies go to passive applications, so the answer ends with its last hop.
            failure = .nobody(interface: walk.hops.last?.copies.first?.interface ?? end.holder.interface, nil)
        }
        let place = answer.last ?? answer.hops.last?.emitter ?? end.holder
        note(
            .unanswered(entry: answer.hops.last?.entry ?? end.trace.last?.entry ?? index, place),
            .unanswered(entry: index, failure, request: request, answer: answer))
        return nil
    }
}
