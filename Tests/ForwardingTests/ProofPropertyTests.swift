import Forwarding
import Seeds
import TableReading
import Testing
import Wire

/// Random tables around the same few nodes: a chain that works, with entries changed, added and taken away.
private struct ChainUniverse {
    var random: SeededGenerator

    static let customers = ["10.0.0.0", "10.0.0.1", "10.0.0.2"].map { address($0) }
    static let services = ["20.0.0.0", "20.0.0.1"].map { address($0) }
    static let server = address("30.0.0.1")
    /// Entries name the first of these; of all others, one of each kind stands for its like.
    static let named = customers + services + [server]
    static let addresses = named + ["40.0.0.1", "fe80::5", "2001:db8::5"].map { address($0) }
    /// Entries name 0 and 1; 2 stands for all others.
    static let ports: [UInt16] = [0, 1, 2]

    static func station(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 | number) }

    mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
    mutating func chance(_ percent: Int) -> Bool { pick(100) < percent }

    /// Customers on interface 0, an IDS, a two-legged and a one-legged application behind 1 and 2, servers on 3.
    mutating func nodes() -> [ProofNode] {
        func leg(_ interface: Int, _ number: UInt64, _ addresses: [IPAddress] = []) -> ProofLeg {
            ProofLeg(interface: interface, mac: Self.station(number), addresses: addresses)
        }
        return [
            ProofNode(name: "alice", system: .customer, legs: [leg(0, 1, [Self.customers[1]])]),
            ProofNode(name: "bob", system: .customer, legs: [leg(0, 2, [Self.customers[2]])]),
            ProofNode(name: "ids", system: .passiveApplication, mayEmit: chance(40), legs: [leg(1, 3)]),
            ProofNode(name: "fw", system: .inlineApplication, legs: [leg(1, 4), leg(2, 5)]),
            ProofNode(
                name: "arm", system: chance(50) ? .inlineApplication : .terminalApplication, legs: [leg(1, 6)]),
            ProofNode(name: "web", system: .terminalApplication, legs: [leg(3, 7, [Self.server])]),
        ]
    }

    static func interfaces() -> [TableInterface] {
        (0..<4).map { number in
            TableInterface(
                name: "if\(number)", mac: station(0xF0 + UInt64(number)),
                addresses: number == 0 ? [InterfaceAddress("10.0.0.3/30")!] : [])
        }
    }

    /// The entries of a service that works.
    static func chain() -> [Entry] {
        let service = IPPrefix(host: services[0])
        func entry(
            _ kind: EntryKind, _ direction: ChainDirection, _ received: Int, _ source: UInt64?, _ targets: [SendTarget]
        ) -> Entry {
            Entry(
                name: "chain", kind: kind, direction: direction, receivedInterface: received,
                sourceMAC: source.map { station($0) }, source: direction == .response ? service : nil,
                destination: direction == .request ? service : nil,
                servicePort: ServicePort(protocolNumber: tcp, ports: 0...1), targets: targets, counter: 0)
        }
        func target(_ interface: Int, _ number: UInt64, _ system: DestinationSystemType) -> SendTarget {
            SendTarget(interface: interface, address: .mac(station(number)), system: system)
        }
        let back = SendTarget(interface: 0, address: .neighbour(via: nil), system: .customer)
        return [
            entry(
                .distribution, .request, 0, nil, [target(1, 3, .passiveApplication), target(1, 4, .inlineApplication)]),
            entry(.sequencing, .request, 2, 5, [target(3, 7, .terminalApplication)]),
            entry(.sequencing, .response, 3, 7, [target(2, 5, .inlineApplication)]),
            entry(.sequencing, .response, 1, 4, [back]),
        ]
    }

    /// The same, with port 1 at the server for port 0 of the customers.
    static func translated() -> [Entry] {
        var entries = chain()
        for index in entries.indices { entries[index].servicePort = ServicePort(protocolNumber: tcp, ports: 0...0) }
        entries[1].targets[0].portShift = PortShift(from: 0, to: 1)
        entries[2].servicePort = ServicePort(protocolNumber: tcp, ports: 1...1)
        entries[2].outerShift = PortShift(from: 1, to: 0)
        entries[2].targets[0].portShift = PortShift(from: 1, to: 0)
        return entries
    }

    /// The port 0 becomes 1, or the other way round.
    mutating func translate(_ entry: inout Entry) {
        guard entry.servicePort.protocolNumber == tcp, entry.servicePort.ports.count == 1 else { return }
        let port = entry.servicePort.ports.lowerBound
        let place = pick(entry.hops.count)
        entry.targets[place].portShift = PortShift(from: port, to: 1 - min(1, port))
    }

    mutating func prefix() -> IPPrefix? {
        switch pick(6) {
        case 0, 1: nil
        case 2: IPPrefix(host: Self.named[pick(Self.named.count)])
        case 3: IPPrefix(host: Self.services[pick(2)])
        case 4: IPPrefix(Self.services[0], length: 31 - pick(2) * 31)
        default: IPPrefix(Self.customers[0], length: 30 + pick(3))
        }
    }

    mutating func servicePort() -> ServicePort {
        switch pick(5) {
        case 0: .any
        case 1: ServicePort(protocolNumber: chance(50) ? tcp : icmp)
        case 2: ServicePort(protocolNumber: tcp, ports: 0...1)
        default: ServicePort(protocolNumber: tcp, ports: chance(50) ? 0...0 : 1...1)
        }
    }

    mutating func target(_ nodes: [ProofNode], _ isHost: Bool) -> SendTarget {
        let back = SendTarget(interface: 0, address: .neighbour(via: nil), system: .customer)
        if chance(15) { return back }
        if isHost, chance(15) {
            return SendTarget(interface: 3, address: .network(Self.server), system: .terminalApplication)
        }
        let node = nodes[pick(nodes.count)]
        let leg = node.legs[pick(node.legs.count)]
        return SendTarget(interface: leg.interface, address: .mac(leg.mac), system: node.system)
    }

    mutating func entry(_ nodes: [ProofNode]) -> Entry {
        let interface = pick(4)
        let stations = nodes.flatMap(\.legs).filter { $0.interface == interface }.map(\.mac)
        let destination = prefix()
        let source = prefix()
        let kind: EntryKind = interface == 0 && chance(70) || chance(15) ? .distribution : .sequencing
        var entry = Entry(
            name: "random", kind: kind,
            direction: kind == .distribution || chance(60) ? .request : .response, receivedInterface: interface,
            sourceMAC: chance(interface == 0 ? 20 : 75) ? stations[pick(stations.count)] : nil, source: source,
            destination: destination, servicePort: servicePort(),
            rewriteSource: (source ?? destination) != nil && chance(10) ? Self.services[pick(2)] : nil,
            targets: (0..<1 + pick(2)).map { _ in target(nodes, destination?.isHost == true) }.removingDoubles(),
            counter: 0)
        if chance(25) { translate(&entry) }
        return entry
    }

    mutating func subject() -> ProofSubject {
        let nodes = nodes()
        var entries = chance(70) ? chance(40) ? Self.translated() : Self.chain() : []
        for _ in 0..<pick(3) where !entries.isEmpty {
            let victim = pick(entries.count)
            switch pick(3) {
            case 0: entries.remove(at: victim)
            case 1:
                entries[victim].servicePort = servicePort()
                if !entries[victim].servicePort.canBeShifted || entries[victim].servicePort.ports.count > 1 {
                    entries[victim].outerShift = .none
                    entries[victim].targets = entries[victim].targets.map { target in
                        var target = target
                        target.portShift = .none
                        return target
                    }
                }
            case 2 where chance(30): translate(&entries[victim])
            default:
                let isHost = entries[victim].destination?.isHost == true
                entries[victim].targets[0] = target(nodes, isHost)
            }
        }
        for _ in 0..<pick(entries.isEmpty ? 8 : 4) { entries.append(entry(nodes)) }
        var table = ForwardingTable(interfaces: Self.interfaces(), entries: entries)
        for index in table.entries.indices { table.entries[index].counter = index }
        for node in nodes {
            for leg in node.legs {
                table.sources.append(
                    KnownSource(
                        interface: leg.interface, mac: leg.mac, node: node.name, system: node.system,
                        mayEmit: node.mayEmit))
            }
        }
        return ProofSubject(table: table, nodes: nodes)
    }
}

extension [SendTarget] {
    fileprivate func removingDoubles() -> [SendTarget] {
        reduce(into: []) { targets, target in if !targets.contains(target) { targets.append(target) } }
    }
}

@Suite("Proofs of random tables")
struct ProofPropertyTests {
    @Test("a proof finds what sending every packet finds")
    func agreesWithSimulator() throws {
        let seed = Seed.drawn()
        var universe = ChainUniverse(random: SeededGenerator(seed: seed))
        #if DEBUG
            let count = 250
        #else
            let count = 4_000
        #endif
        var sound = 0
        var seen = (dead: 0, loops: 0, broken: 0, unanswered: 0)
        for number in 0..<count {
            var subject = universe.subject()
            let refused = subject.table.removeTies()
            guard refused.isEmpty else {
                Issue.record("seed \(seed): \(refused)")
                return
            }
            let simulator = ProofSimulator(subject, addresses: ChainUniverse.addresses, ports: ChainUniverse.ports)
            let expected = simulator.verdict()
            let proof = try Prover.prove(subject)
            var found = ProofSimulator.Verdict()
            for finding in proof.findings {
                switch finding {
                case .dead(let entry, _, _): found.dead.insert(entry)
                case .loop(_, let circle, _): found.circles.insert(Set(circle))
                case .brokenOff(_, _, let trace): if let last = trace.last { found.broken.insert(last) }
                case .unanswered(let entry, _, _, _): found.unanswered.insert(entry)
                case .confused, .mismatch, .mtu: break
                }
            }
            let story: String = """
                seed \(seed), table \(number):
                \(subject.table.entries.enumerated().map { "\($0.offset): \($0.element)" }.joined(separator: "\n"))
                \(subject.nodes.map { "\($0.name) \($0.system) \($0.mayEmit)" })
                """
            #expect(found.dead == expected.dead, "\(story)")
            #expect(found.circles.isEmpty == expected.circles.isEmpty, "\(story) \(found.circles) \(expected.circles)")
            #expect(found.circles.isSubset(of: expected.circles), "\(story) \(found.circles) \(expected.circles)")
            #expect(found.broken == expected.broken, "\(story)")
            #expect(found.unanswered.isEmpty == expected.unanswered.isEmpty, "\(story) \(expected.unanswered)")
            #expect(found.unanswered.isSubset(of: expected.unanswered), "\(story) \(found.unanswered)")
            if expected.circles.isEmpty, expected.broken.isEmpty, expected.unanswered.isEmpty {
                #expect(expected.answered.isSubset(of: proof.paths.map(\.entry)), "\(story)")
            }
            if proof.findings.isEmpty { sound += 1 }
            seen.dead += expected.dead.isEmpty ? 0 : 1
            seen.loops += expected.circles.isEmpty ? 0 : 1
            seen.broken += expected.broken.isEmpty ? 0 : 1
            seen.unanswered += expected.unanswered.isEmpty ? 0 : 1
            if number % 100 == 99 { print("\(number + 1) tables: \(sound) sound, \(seen)") }
        }
        // A universe in which everything worked, or nothing, would show little.
        #expect(sound > 0 && seen.dead > 0 && seen.loops > 0 && seen.broken > 0 && seen.unanswered > 0, "seed \(seed)")
    }

    @Test("an answer that another service's entry takes is found")
    func confusion() throws {
        var universe = ChainUniverse(random: SeededGenerator(seed: 1))
        var subject = ProofSubject(
            table: ForwardingTable(interfaces: ChainUniverse.interfaces(), entries: ChainUniverse.chain()),
            nodes: universe.nodes(), owners: [0, 0, 0, 0])
        for index in subject.table.entries.indices { subject.table.entries[index].counter = index }
        #expect(try Prover.prove(subject).findings.isEmpty)
        // The other service's entry goes the same way, for one customer: nothing is lost, but who may tell?
        var other = subject.table.entries[2]
        other.destination = IPPrefix(host: ChainUniverse.customers[1])
        other.counter = 4
        subject.table.entries.append(other)
        subject.owners.append(1)
        let findings = try Prover.prove(subject).findings
        #expect(findings.count == 1)
        guard case .confused(let entry, let found, let trace)? = findings.first else {
            Issue.record("\(findings)")
            return
        }
        #expect(entry == 0 && found == 4)
        #expect(trace.last?.mac == ChainUniverse.station(7))
    }
}
