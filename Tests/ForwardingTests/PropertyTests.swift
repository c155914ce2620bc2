import Forwarding
import Testing
import Wire

/// The rules of specificity, read off the entries one by one: slow, and plain.
private struct Simulator {
    let table: ForwardingTable

    func matchingEntry(_ flow: FlowFields, from mac: MACAddress, on interface: Int) -> Int? {
        table.entries.indices
            .filter { matches(table.entries[$0], flow, mac, interface) }
            .min { priority(table.entries[$0], flow).lexicographicallyPrecedes(priority(table.entries[$1], flow)) }
    }

    private func matches(_ entry: Entry, _ flow: FlowFields, _ mac: MACAddress, _ interface: Int) -> Bool {
        guard entry.receivedInterface == interface, entry.sourceMAC == nil || entry.sourceMAC == mac,
            entry.source?.contains(flow.source) != false, entry.destination?.contains(flow.destination) != false
        else { return false }
        guard let number = entry.servicePort.protocolNumber else { return true }
        guard number == flow.protocolNumber else { return false }
        guard flow.hasPorts else { return true }
        return entry.servicePort.ports.contains(
            entry.direction == .request ? flow.destinationPort : flow.sourcePort)
    }

    /// The lesser wins; written so that "before" is the lesser number.
    private func priority(_ entry: Entry, _ flow: FlowFields) -> [Int] {
        let addresses = [
            entry.kind == .sequencing ? 0 : 1,
            entry.sourceMAC == nil ? 1 : 0,
            entry.source.map { 128 - $0.length } ?? 129,
            entry.destination.map { 128 - $0.length } ?? 129,
        ]
        let port = entry.servicePort
        if flow.hasPorts { return addresses + [port.protocolNumber == nil ? 1 << 20 : port.ports.count] }
        if port.protocolNumber == nil { return addresses + [2] }
        if port.ports.count == 65536 { return addresses + [0] }
        return addresses + [1, Int(port.ports.lowerBound), port.ports.count]
    }

    static func tie(_ left: Entry, _ right: Entry) -> Bool {
        guard left.kind == right.kind, left.receivedInterface == right.receivedInterface,
            left.sourceMAC == right.sourceMAC, left.source == right.source, left.destination == right.destination,
            left.servicePort.protocolNumber == right.servicePort.protocolNumber
        else { return false }
        let (a, b) = (left.servicePort.ports, right.servicePort.ports)
        if left.direction != right.direction { return a.count == b.count }
        if a == b { return true }
        let aHoldsB = a.lowerBound <= b.lowerBound && b.upperBound <= a.upperBound
        let bHoldsA = b.lowerBound <= a.lowerBound && a.upperBound <= b.upperBound
        return a.overlaps(b) && !aHoldsB && !bHoldsA
    }
}

/// Random tables and packets in a small universe, so that much overlaps.
private struct Universe {
    var random: SeededGenerator

    static let macs = (1...3).map { MACAddress(bits: 0x0200_0000_0000 + $0) }
    static let protocols = [tcp, tcp, udp, icmp, gre]

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func pick(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
    mutating func chance(_ percent: Int) -> Bool { pick(0..<100) < percent }

    /// An address whose bits vary only in a few places.
    mutating func address(_ family: AddressFamily) -> IPAddress {
        switch family {
        case .ipv4:
            var bits: UInt32 = 0x0A00_0000
            for place in [0, 1, 7, 8, 15, 16, 24, 31] where chance(35) { bits ^= 1 << UInt32(place) }
            return IPAddress(ipv4: bits)
        case .ipv6:
            var (high, low): (UInt64, UInt64) = (0x2001_0DB8_0000_0000, 0)
            for place in [0, 1, 16, 31, 63] where chance(30) { high ^= 1 << UInt64(place) }
            for place in [0, 1, 32, 63] where chance(30) { low ^= 1 << UInt64(place) }
            return IPAddress(ipv6High: high, low: low)
        }
    }

    mutating func prefix(_ family: AddressFamily) -> IPPrefix? {
        if chance(30) { return nil }
        let lengths = family == .ipv4 ? [0, 1, 7, 8, 16, 17, 24, 31, 32, 32] : [0, 1, 32, 47, 64, 65, 96, 127, 128]
        return IPPrefix(address(family), length: lengths[pick(0..<lengths.count)])
    }

    mutating func servicePort() -> ServicePort {
        if chance(15) { return .any }
        let number = Self.protocols[pick(0..<Self.protocols.count)]
        if number == icmp || number == gre || chance(20) { return ServicePort(protocolNumber: number) }
        let low = UInt16(pick(0..<8))
        return ServicePort(protocolNumber: number, ports: low...(chance(50) ? low : low + UInt16(pick(0..<6))))
    }

    mutating func entry(_ number: Int) -> Entry {
        let family: AddressFamily = chance(50) ? .ipv4 : .ipv6
        return Entry(
            name: "e\(number)", kind: chance(50) ? .sequencing : .distribution,
            direction: chance(50) ? .request : .response, receivedInterface: pick(0..<2),
            sourceMAC: chance(40) ? Self.macs[pick(0..<Self.macs.count)] : nil, source: prefix(family),
            destination: prefix(family), servicePort: servicePort(),
            targets: [SendTarget(interface: 0, address: .neighbour(via: nil), system: .router)], counter: number)
    }

    mutating func table() -> ForwardingTable {
        ForwardingTable(
            interfaces: (0..<2).map {
                TableInterface(name: "\($0)", mac: MACAddress(bits: 0x0200_0000_00F0 + UInt64($0)))
            },
            entries: (0..<pick(1..<40)).map { entry($0) })
    }

    mutating func packet(from table: ForwardingTable) -> FlowFields {
        let family: AddressFamily = chance(50) ? .ipv4 : .ipv6
        var flow = FlowFields()
        flow.source = address(family)
        flow.destination = address(family)
        flow.protocolNumber = Self.protocols[pick(0..<Self.protocols.count)]
        if flow.protocolNumber == tcp || flow.protocolNumber == udp, chance(80) {
            flow.hasPorts = true
            flow.sourcePort = UInt16(pick(0..<14))
            flow.destinationPort = UInt16(pick(0..<14))
        }
        return flow
    }
}

@Suite("Properties")
struct PropertyTests {
    @Test("the snapshot decides as reading the entries one by one does, and refuses exactly the ties")
    func agreesWithSimulator() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("Forwarding property seed: \(seed)")
        var universe = Universe(seed: seed)
        var forwarded = 0
        var packets = 0
        #if DEBUG
            let tables = 150
        #else
            let tables = 2_000
        #endif
        for _ in 0..<tables {
            var table = universe.table()
            var refused = table.problems
            while !refused.isEmpty {
                var dropped: Set<Int> = []
                for problem in refused {
                    guard case .tie(let first, let second) = problem else {
                        Issue.record("seed \(seed): \(problem)")
                        return
                    }
                    #expect(
                        Simulator.tie(table.entries[first.index], table.entries[second.index]),
                        "seed \(seed): \(problem)")
                    dropped.insert(max(first.index, second.index))
                }
                table.entries = table.entries.enumerated().filter { !dropped.contains($0.offset) }.map(\.element)
                refused = table.problems
            }
            for (index, left) in table.entries.enumerated() {
                for right in table.entries[(index + 1)...] {
                    #expect(!Simulator.tie(left, right), "seed \(seed): \(left.name) and \(right.name) tie")
                }
            }
            let simulator = Simulator(table: table)
            let buffer = try table.snapshot()
            for _ in 0..<100 {
                let packet = universe.packet(from: table)
                let mac = Universe.macs[universe.pick(0..<Universe.macs.count)]
                let interface = universe.pick(0..<2)
                let expected = simulator.matchingEntry(packet, from: mac, on: interface)
                let decision = buffer.snapshot.decide(packet, sourceMAC: mac, receivedInterface: interface)
                packets += 1
                if let expected {
                    forwarded += 1
                    #expect(decision == .forward(entry: expected), "seed \(seed): \(packet)")
                } else {
                    #expect(decision == .drop(.noService, answer: .networkUnreachable), "seed \(seed): \(packet)")
                }
            }
            withExtendedLifetime(buffer) {}
        }
        // A universe in which nothing matched, or everything, would show little.
        #expect(forwarded > packets / 10 && forwarded < packets, "seed \(seed): \(forwarded) of \(packets)")
    }
}
