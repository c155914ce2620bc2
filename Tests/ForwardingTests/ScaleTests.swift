import Forwarding
import Testing
import Wire

@Suite("Scale")
struct ScaleTests {
    private static let station = mac("02:00:00:00:00:0a")

    /// `count` services of one address each, half IPv4 and half IPv6, as customers' records would make them.
    private static func services(_ count: Int) -> ForwardingTable {
        let entries = (0..<count).map { number in
            Entry(
                name: "s", kind: .distribution, direction: .request, receivedInterface: 0,
                destination: IPPrefix(host: service(number)), servicePort: .tcp(443),
                targets: [
                    SendTarget(interface: 0, address: .mac(mac("02:00:00:00:00:02")), system: .inlineApplication)
                ],
                counter: number)
        }
        return ForwardingTable(
            interfaces: [TableInterface(name: "one", mac: mac("02:00:00:00:00:01"))], entries: entries)
    }

    private static func service(_ number: Int) -> IPAddress {
        number % 2 == 0
            ? IPAddress(ipv4: 0x0A00_0000 + UInt32(number / 2))
            : IPAddress(ipv6High: 0x2001_0DB8_0000_0000, low: UInt64(number / 2) << 8 | 1)
    }

    private static func packet(to destination: IPAddress) -> FlowFields {
        var packet = flow(tcp, destination.family == .ipv4 ? "192.0.2.10" : "2001:db8:2::10", 50000, to: "::1", 443)
        packet.destination = destination
        return packet
    }

    /// The mean and the greatest number of slots and records read by lookups that hit, and by lookups that miss.
    private static func cost(_ count: Int) throws -> (hit: Double, miss: Double, greatest: Int) {
        let buffer = try services(count).snapshot()
        let samples = 1_000
        var (hit, miss, greatest) = (0, 0, 0)
        for sample in 0..<samples {
            let number = sample * 7919 % count
            let known = packet(to: service(number))
            #expect(
                buffer.snapshot.decide(known, sourceMAC: station, receivedInterface: 0) == .forward(entry: number))
            let probes = buffer.snapshot.probes(for: known, sourceMAC: station, receivedInterface: 0)
            let unknown = packet(to: IPAddress(ipv4: 0xC000_0000 + UInt32(sample)))
            let missed = buffer.snapshot.probes(for: unknown, sourceMAC: station, receivedInterface: 0)
            hit += probes
            miss += missed
            greatest = max(greatest, probes, missed)
        }
        withExtendedLifetime(buffer) {}
        return (Double(hit) / Double(samples), Double(miss) / Double(samples), greatest)
    }

    @Test("a lookup costs the same with ten entries and with a million")
    func constantCost() throws {
        #if DEBUG
            let many = 50_000
        #else
            let many = 1_000_000
        #endif
        let few = try Self.cost(10)
        let lots = try Self.cost(many)
        print("probes with 10 entries: \(few), with \(many): \(lots)")
        // Slots of a half-full table collide now and then, however few they are; a search through entries, or a step
        // more for every doubling of them, would show as thirteen and more.
        #expect(lots.hit < few.hit + 3)
        #expect(lots.miss < few.miss + 3)
        #expect(lots.greatest < 40)
    }

    @Test("many prefixes of all lengths, against reading them one by one")
    func nestedPrefixes() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("Scale seed: \(seed)")
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
