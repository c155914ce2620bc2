import Wire

/// The pieces that ranges of ports cut all ports into.
struct PortPieces {
    /// The first port of each piece, in order; the first is 0.
    private(set) var starts: [Int] = [0]

    mutating func cut(_ range: ClosedRange<UInt16>) {
        insert(Int(range.lowerBound))
        insert(Int(range.upperBound) + 1)
    }

    private mutating func insert(_ start: Int) {
        guard start <= 65535 else { return }
        let place = self.place(of: start)
        if starts[place] != start { starts.insert(start, at: place + 1) }
    }

    /// The index of the piece that a port lies in.
    private func place(of port: Int) -> Int {
        var (low, high) = (0, starts.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= port { low = middle } else { high = middle }
        }
        return low
    }

    /// One port of each piece within a range: first `preferred` for its own piece, then the lowest port of each other
    /// piece.
    func representatives(in range: ClosedRange<UInt16>, preferring preferred: UInt16) -> [UInt16] {
        let first = place(of: Int(range.lowerBound))
        let end = place(of: Int(range.upperBound))
        let favourite = range.contains(preferred) ? place(of: Int(preferred)) : nil
        var ports: [UInt16] = []
        ports.reserveCapacity(end - first + 1)
        if favourite != nil { ports.append(preferred) }
        for index in first...end where index != favourite {
            ports.append(max(UInt16(starts[index]), range.lowerBound))
        }
        return ports
    }
}

/// How a table distinguishes packets between two addresses.
struct FlowClasses {
    /// The ports of one protocol.
    struct Ports {
        /// The source port of the packets, and the destination port of their answers.
        var source = PortPieces()
        /// The destination port of the packets, and the source port of their answers.
        var destination = PortPieces()
    }
    /// The ports by protocol, for protocols that entries name.
    var protocols: [UInt8: Ports] = [:]

    /// A protocol that no entry names. It represents all such protocols.
    var otherProtocol: UInt8 {
        [6, 17, 1, 253, 254].first { protocols[$0] == nil } ?? (0...252).first { protocols[$0] == nil } ?? 255
    }
}

/// Finds how a table distinguishes the packets between two addresses, at every place of the packets and of their
/// answers.
struct FlowClassIndex {
    private struct Pair: Hashable {
        var source: IPPrefix?
        var destination: IPPrefix?
    }
    private struct Addresses: Hashable {
        var source: IPAddress
        var destination: IPAddress
    }
    /// A place that packets come to on their way: what they are there.
    private struct Waypoint: Hashable {
        var addresses: Addresses
        var isAnswer: Bool
        /// The ports that a translation has led here; nil: none has.
        var translated: TranslatedPorts?
    }
    /// What an entry contributes.
    private struct Key: Hashable {
        var port: ServicePort
        var direction: ChainDirection
    }
    /// The entries with this source and destination that rewrite something, and the ports of all.
    private struct Members {
        var ports: Set<Key> = []
        var rewrites: Set<Int> = []
    }

    private let entries: [Entry]
    private var members: [Pair: Members] = [:]
    private let sources: AddressPieces
    private let destinations: AddressPieces
    private var cache: [Addresses: FlowClasses] = [:]

    init(_ entries: [Entry]) {
        self.entries = entries
        sources = AddressPieces(entries.compactMap(\.source), excluding: [])
        destinations = AddressPieces(entries.compactMap(\.destination), excluding: [])
        for (index, entry) in entries.enumerated() {
            let pair = Pair(source: entry.source, destination: entry.destination)
            members[pair, default: Members()].ports.insert(Key(port: entry.servicePort, direction: entry.direction))
            let rewritesTarget = entry.targets.contains { target in
                if case .network = target.address { true } else { !target.portShift.isNone }
            }
            if rewritesTarget || entry.rewriteSource != nil {
                members[pair, default: Members()].rewrites.insert(index)
            }
        }
    }

    /// The classes of packets from `source` to `destination`, here or anywhere on their path.
    mutating func classes(from source: IPAddress, to destination: IPAddress) -> FlowClasses {
        let start = Addresses(source: source, destination: destination)
        if let known = cache[start] { return known }
        var classes = FlowClasses()
        // Requests and their answers, with every address and port that a rewrite may set.
        var pending: [Waypoint] = []
        var seen: Set<Waypoint> = []
        func add(_ addresses: Addresses, _ isAnswer: Bool, _ translated: TranslatedPorts?) {
            let waypoint = Waypoint(addresses: addresses, isAnswer: isAnswer, translated: translated)
            if seen.insert(waypoint).inserted { pending.append(waypoint) }
        }
        add(start, false, nil)
        add(Addresses(source: destination, destination: source), true, nil)
        while let here = pending.popLast() {
            for found in matching(here.addresses) {
                for key in found.ports { cut(key, here, &classes) }
                for index in found.rewrites {
                    let entry = entries[index]
                    let from = entry.rewriteSource ?? here.addresses.source
                    for target in entry.targets {
                        var to = here.addresses.destination
                        if case .network(let network) = target.address { to = network }
                        guard from.family == to.family else { continue }
                        var translated = here.translated
                        if !target.portShift.isNone {
                            let side = Self.side(entry.direction, here.isAnswer)
                            guard
                                let next = TranslatedPorts(
                                    translated, entry.servicePort, side, by: target.portShift)
                            else { continue }
                            translated = next.isBack ? nil : next
                        }
                        add(Addresses(source: from, destination: to), here.isAnswer, translated)
                        // Every node that gets a request may answer it.
                        if !here.isAnswer { add(Addresses(source: to, destination: from), true, translated) }
                    }
                }
            }
        }
        cache[start] = classes
        return classes
    }

    private func matching(_ addresses: Addresses) -> [Members] {
        let from: [IPPrefix?] = sources.around(addresses.source) + [nil]
        let to: [IPPrefix?] = destinations.around(addresses.destination) + [nil]
        return from.flatMap { source in
            to.compactMap { members[Pair(source: source, destination: $0)] }
        }
    }

    /// The side, in the packet of the request, of the port that an entry calls the service port. In an answer, the two ports
    /// have changed places.
    private static func side(_ direction: ChainDirection, _ isAnswer: Bool) -> PortSide {
        (direction == .request) != isAnswer ? .destination : .source
    }

    private func cut(_ key: Key, _ here: Waypoint, _ classes: inout FlowClasses) {
        guard let number = key.port.protocolNumber else { return }
        let side = Self.side(key.direction, here.isAnswer)
        guard let ports = here.translated.map({ $0.atStart(key.port, side) }) ?? key.port.ports else { return }
        switch side {
        case .destination: classes.protocols[number, default: FlowClasses.Ports()].destination.cut(ports)
        case .source: classes.protocols[number, default: FlowClasses.Ports()].source.cut(ports)
        }
    }
}

extension FlowClasses {
    /// One flow of every class that a service port covers.
    ///
    /// - Parameter direction: The side of the service port.
    func flows(
        from source: IPAddress, to destination: IPAddress, _ port: ServicePort, _ direction: ChainDirection
    ) -> [FlowFields] {
        let numbers = port.protocolNumber.map { [$0] } ?? [otherProtocol] + protocols.keys.sorted()
        return numbers.flatMap { number -> [FlowFields] in
            var flow = FlowFields()
            flow.source = source
            flow.destination = destination
            flow.protocolNumber = number
            guard ServicePort(protocolNumber: number).protocolHasPorts else { return [flow] }
            let pieces = protocols[number] ?? Ports()
            // In a request the client's port may be any. A port of the dynamic range is the usual one.
            let service: (pieces: PortPieces, other: PortPieces) =
                direction == .request ? (pieces.destination, pieces.source) : (pieces.source, pieces.destination)
            var flows: [FlowFields] = []
            let others = service.other.representatives(in: 0...65535, preferring: 50000)
            let preferred = port.ports == 0...65535 ? 80 : port.ports.lowerBound
            for port in service.pieces.representatives(in: port.ports, preferring: preferred) {
                for other in others {
                    var whole = flow
                    whole.hasPorts = true
                    whole.sourcePort = direction == .request ? other : port
                    whole.destinationPort = direction == .request ? port : other
                    flows.append(whole)
                }
            }
            // Fragments have no ports.
            flows.append(flow)
            return flows
        }
    }
}
