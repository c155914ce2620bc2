import Forwarding
import Seeds
import Testing
import Wire

@Suite("Scale")
struct ScaleTests {
    private static let station = mac("02:00:00:00:00:0a")

    /// What tells the entries of a table apart.
    enum Shape: String, CaseIterable, CustomTestStringConvertible {
        case hosts = "service addresses, half IPv4 and half IPv6"
        case ranges = "ten ranges of ports for each service address"
        case prefixes = "prefixes of ten lengths"
        case stations = "Ethernet sources"
        case pairs = "pairs of sources and destinations"
        case answers = "sources, each rewritten to an address of its own and sent to one"

        var testDescription: String { rawValue }

        /// A table as customers' records would make it, and for each entry a packet that it matches.
        func table(_ count: Int) -> ForwardingTable {
            let side = Int(Double(count).squareRoot().rounded(.up))
            let entries = (0..<count).map { number in
                var entry = Entry(
                    name: "s", kind: .distribution, direction: .request, receivedInterface: 0, servicePort: .tcp(443),
                    targets: [
                        SendTarget(interface: 0, address: .mac(mac("02:00:00:00:00:02")), system: .inlineApplication)
                    ],
                    counter: number)
                switch self {
                case .hosts: entry.destination = IPPrefix(host: ScaleTests.service(number))
                case .ranges:
                    let first = UInt16(number % 10) * 1_000
                    entry.destination = IPPrefix(host: ScaleTests.service(number / 10 * 2))
                    entry.servicePort = .tcp(first...first + 499)
                case .prefixes:
                    // Nested nowhere, so that each packet matches the entry that it was made for.
                    let bits = UInt32(truncatingIfNeeded: number / 10) << 12
                    entry.destination = IPPrefix(
                        IPAddress(ipv4: bits ^ 1 << UInt32(number % 10)), length: 32 - number % 10)
                case .stations: entry.sourceMAC = MACAddress(bits: 0x0A00_0000_0000 + UInt64(number))
                case .pairs:
                    entry.source = IPPrefix(host: ScaleTests.service(number / side * 2))
                    entry.destination = IPPrefix(host: ScaleTests.service(number % side * 2 + 1 << 20))
                case .answers:
                    entry.kind = .sequencing
                    entry.direction = .response
                    entry.source = IPPrefix(host: ScaleTests.service(number * 2))
                    entry.rewriteSource = ScaleTests.service(number * 2 + 1 << 21)
                    entry.hops = [
                        .target(
                            SendTarget(
                                interface: 0, address: .neighbour(via: ScaleTests.service(number * 2 + 1 << 22)),
                                system: .router))
                    ]
                }
                return entry
            }
            return ForwardingTable(
                interfaces: [TableInterface(name: "one", mac: mac("02:00:00:00:00:01"))], entries: entries)
        }
    }

    static func service(_ number: Int) -> IPAddress {
        number % 2 == 0
            ? IPAddress(ipv4: 0x0A00_0000 + UInt32(number / 2))
            : IPAddress(ipv6High: 0x2001_0DB8_0000_0000, low: UInt64(number / 2) << 8 | 1)
    }

    private struct Packet {
        var flow: FlowFields
        var mac = ScaleTests.station

        /// One that `entry` matches.
        init(of entry: Entry) {
            let family = (entry.source ?? entry.destination)?.family ?? .ipv4
            self.init(family, destination: entry.destination?.address)
            if let source = entry.source { flow.source = source.address }
            if let mac = entry.sourceMAC { self.mac = mac }
            let port = entry.servicePort.ports.lowerBound
            if entry.direction == .request { flow.destinationPort = port } else { flow.sourcePort = port }
        }

        /// One that no entry matches.
        init(stranger number: Int) {
            self.init(.ipv4, destination: IPAddress(ipv4: 0xC000_0000 + UInt32(number)))
        }

        private init(_ family: AddressFamily, destination: IPAddress?) {
            let source = family == .ipv4 ? "192.0.2.10" : "2001:db8:2::10"
            self.flow = ForwardingTests.flow(tcp, source, 50000, to: source, 443)
            if let destination { flow.destination = destination }
        }
    }

    /// What lookups in a table of `count` entries cost: the mean number of buckets, slots and records read by lookups that
    /// hit, and by lookups that miss; the greatest; and the octets for each entry.
    private static func cost(
        _ shape: Shape, _ count: Int
    ) throws -> (hit: Double, miss: Double, greatest: Int, octets: Int) {
        let table = shape.table(count)
        let bytes = try TableCompiler.compile(table, generation: 1)
        let buffer = try SnapshotBuffer(copying: bytes)
        let samples = 1_000
        var (hit, miss, greatest) = (0, 0, 0)
        for sample in 0..<samples {
            let number = sample * 7919 % count
            let known = Packet(of: table.entries[number])
            #expect(
                buffer.snapshot.decide(known.flow, sourceMAC: known.mac, receivedInterface: 0)
                    == .forward(entry: number))
            let probes = buffer.snapshot.probes(for: known.flow, sourceMAC: known.mac, receivedInterface: 0)
            let unknown = Packet(stranger: sample)
            let missed = buffer.snapshot.probes(for: unknown.flow, sourceMAC: unknown.mac, receivedInterface: 0)
            hit += probes
            miss += missed
            greatest = max(greatest, probes, missed)
        }
        withExtendedLifetime(buffer) {}
        return (Double(hit) / Double(samples), Double(miss) / Double(samples), greatest, bytes.count / count)
    }

    @Test(
        "a lookup costs the same with fifty entries and with a million, of less than 100 octets",
        arguments: Shape.allCases)
    func constantCost(shape: Shape) throws {
        #if DEBUG
            let many = 50_000
        #else
            let many = 1_000_000
        #endif
        let few = try Self.cost(shape, 50)
        let lots = try Self.cost(shape, many)
        print("\(shape.rawValue): probes with 50 entries \(few), with \(many) \(lots)")
        // Slots of a table that is three fifths full collide now and then, however few they are; a search through entries,
        // or a step more for every doubling of them, would show as ten and more.
        #expect(lots.hit < few.hit + 3)
        #expect(lots.miss < few.miss + 3)
        #expect(lots.greatest < 64)
        #expect(lots.octets < 100)
    }

    @Test("many prefixes of all lengths, against reading them one by one")
    func nestedPrefixes() throws {
        let seed = Seed.drawn()
        var random = SeededGenerator(seed: seed)
        var prefixes: Set<IPPrefix> = []
        while prefixes.count < 3_000 {
            if Bool.random(using: &random) {
                let bits = UInt32.random(in: 0 ... .max, using: &random) & 0x0F0F_FFFF
                prefixes.insert(IPPrefix(IPAddress(ipv4: bits), length: .random(in: 0...32, using: &random)))
            } else {
                let high = UInt64.random(in: 0 ... .max, using: &random) & 0x0F00_00FF_F000_00FF
                let low = UInt64.random(in: 0 ... .max, using: &random) & 0xFF00_0000_0000_000F
                prefixes.insert(
                    IPPrefix(IPAddress(ipv6High: high, low: low), length: .random(in: 0...128, using: &random)))
            }
        }
        let sorted = prefixes.sorted { ($0.address, $0.length) < ($1.address, $1.length) }
        let table = ForwardingTable(
            interfaces: [TableInterface(name: "one", mac: mac("02:00:00:00:00:01"))],
            entries: sorted.enumerated().map { number, prefix in
                Entry(
                    name: "\(prefix)", kind: .sequencing, direction: .request, receivedInterface: 0, source: prefix,
                    targets: [SendTarget(interface: 0, address: .neighbour(via: nil), system: .router)],
                    counter: number)
            })
        let buffer = try table.snapshot()
        for _ in 0..<500 {
            let near = sorted.randomElement(using: &random)!.address
            let source = near.advanced(by: .random(in: 0...300, using: &random))
            var packet = FlowFields()
            packet.source = source
            packet.destination = IPAddress(family: source.family, high: 1, low: 1)
            let longest = sorted.indices.filter { sorted[$0].contains(source) }.max {
                sorted[$0].length < sorted[$1].length
            }
            let expected = longest.map { Decision.forward(entry: $0) } ?? .drop(.noService, answer: .networkUnreachable)
            #expect(
                buffer.snapshot.decide(packet, sourceMAC: Self.station, receivedInterface: 0) == expected,
                "seed \(seed): \(source)")
        }
        withExtendedLifetime(buffer) {}
    }
}
