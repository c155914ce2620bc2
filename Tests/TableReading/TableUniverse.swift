import Forwarding
import Wire

/// Random tables and packets in a small universe, so that much overlaps. The generator may be a seeded one, or the bytes
/// that a fuzzer gives.
public struct TableUniverse<Random: RandomNumberGenerator> {
    /// What decides.
    public var random: Random

    static var protocols: [UInt8] { [6, 6, 17, 1, 47] }

    /// The stations that frames come from.
    public static var stations: [MACAddress] { (1...3).map { MACAddress(bits: 0x0200_0000_0000 + $0) } }

    /// The universe that `random` makes.
    public init(_ random: Random) { self.random = random }

    /// A number of a range of at most 256.
    public mutating func pick(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    /// True as often as it says, of a hundred times.
    public mutating func chance(_ percent: Int) -> Bool { pick(0..<100) < percent }

    /// An address whose bits vary only in a few places.
    public mutating func address(_ family: AddressFamily) -> IPAddress {
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

    /// A prefix, or nil for any.
    public mutating func prefix(_ family: AddressFamily) -> IPPrefix? {
        if chance(30) { return nil }
        let lengths = family == .ipv4 ? [0, 1, 7, 8, 16, 17, 24, 31, 32, 32] : [0, 1, 32, 47, 64, 65, 96, 127, 128]
        return IPPrefix(address(family), length: lengths[pick(0..<lengths.count)])
    }

    mutating func servicePort() -> ServicePort {
        if chance(15) { return .any }
        let number = Self.protocols[pick(0..<Self.protocols.count)]
        if number == 1 || number == 47 || chance(20) { return ServicePort(protocolNumber: number) }
        let low = UInt16(pick(0..<8))
        return ServicePort(protocolNumber: number, ports: low...(chance(50) ? low : low + UInt16(pick(0..<6))))
    }

    mutating func entry(_ number: Int) -> Entry {
        let family: AddressFamily = chance(50) ? .ipv4 : .ipv6
        var entry = Entry(
            name: "e\(number)", kind: chance(50) ? .sequencing : .distribution,
            direction: chance(50) ? .request : .response, receivedInterface: pick(0..<2),
            sourceMAC: chance(40) ? Self.stations[pick(0..<Self.stations.count)] : nil, source: prefix(family),
            destination: prefix(family), servicePort: servicePort(),
            hops: chance(80) ? [.target(Self.target)] : hops(depth: 0), counter: number)
        if chance(20), entry.servicePort.canBeShifted, entry.servicePort.ports != 0...65535 {
            let shift = PortShift(UInt16(1 + pick(0..<200)))
            entry.hops = entry.hops.map { $0.shifted(by: shift) }
            if chance(50) { entry.outerShift = PortShift(UInt16(pick(0..<200))) }
        }
        return entry
    }

    private static var target: SendTarget {
        SendTarget(interface: 0, address: .neighbour(via: nil), system: .router)
    }

    /// Hops to instances of the table's groups, which may hold each other.
    mutating func hops(depth: Int) -> [Hop] {
        (0..<pick(1..<3)).map { _ in
            let group = pick(0..<Self.groupSizes.count)
            guard depth < 3, chance(70) else { return .target(Self.target) }
            if chance(30) {
                return .whether(group: group, up: hops(depth: depth + 1), down: hops(depth: depth + 1))
            }
            return .instance(
                group: group, targets: [SendTarget](repeating: Self.target, count: Self.groupSizes[group]),
                otherwise: chance(50) ? .drop(.reset) : .hops(chance(30) ? [] : hops(depth: depth + 1)))
        }
    }

    private static var groupSizes: [Int] { [1, 3] }

    /// Two groups, whatever is up of them.
    mutating func groups() -> [InstanceGroup] {
        Self.groupSizes.map { size in
            InstanceGroup(
                name: "g\(size)", hashing: FlowHashing.allCases[pick(0..<3)], seed: UInt64(pick(0..<256)),
                active: chance(70) ? 1 : nil, minimum: pick(0..<3),
                members: (0..<size).map { number in
                    GroupMember(
                        name: "m\(number)", weight: pick(0..<3), priority: pick(0..<3),
                        availability: [.up, .up, .draining, .down][pick(0..<4)])
                })
        }
    }

    /// Two interfaces and up to 39 entries.
    public mutating func table() -> ForwardingTable {
        ForwardingTable(
            interfaces: (0..<2).map {
                TableInterface(name: "\($0)", mac: MACAddress(bits: 0x0200_0000_00F0 + UInt64($0)))
            },
            entries: (0..<pick(1..<40)).map { entry($0) }, groups: groups())
    }

    /// A packet that entries of the universe may match.
    public mutating func packet() -> FlowFields {
        let family: AddressFamily = chance(50) ? .ipv4 : .ipv6
        var flow = FlowFields()
        flow.source = address(family)
        flow.destination = address(family)
        flow.protocolNumber = Self.protocols[pick(0..<Self.protocols.count)]
        if flow.protocolNumber == 6 || flow.protocolNumber == 17, chance(80) {
            flow.hasPorts = true
            flow.sourcePort = UInt16(pick(0..<14))
            flow.destinationPort = UInt16(pick(0..<14))
        }
        return flow
    }
}
