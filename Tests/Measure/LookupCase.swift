import Forwarding
import Glibc
import Wire

/// What a lookup is made for.
struct LookupPacket {
    var flow: FlowFields
    var mac: MACAddress
}

/// Repeatable random numbers (SplitMix64).
struct Draw: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// A number below `limit`.
    mutating func below(_ limit: Int) -> Int { Int(truncatingIfNeeded: next() % UInt64(limit)) }
}

/// Kinds of entries, by what tells them apart. Packets that none of them matches differ in that alone.
enum LookupCase: String, CaseIterable {
    /// Service addresses, one port each.
    case hosts4 = "IPv4 hosts, exact port"
    case hosts6 = "IPv6 hosts, exact port"
    /// Service addresses, any port.
    case anyPort = "IPv4 hosts, any port"
    /// Ten ranges of ports for each service address.
    case ranges = "IPv4 hosts, ten port ranges each"
    /// Random prefixes of 17 lengths.
    case prefixes4 = "IPv4 prefixes of /16 to /32"
    case prefixes6 = "IPv6 prefixes of /32, /40, /48, /56 and /64"
    /// One entry for each Ethernet source.
    case stations = "Ethernet sources"
    /// A hundred Ethernet sources with service addresses of their own.
    case stationHosts = "100 Ethernet sources and IPv4 hosts"
    /// Customers' addresses times service addresses, as many of these as of those.
    case pairs = "pairs of IPv4 sources and destinations"
    /// What applications answer, by source, with the network address that it is rewritten to.
    case answers = "IPv4 sources, rewritten, network send address"

    /// Whether the entries are of IPv6.
    private var isSix: Bool { self == .hosts6 || self == .prefixes6 }

    /// The table of `count` entries.
    func table(_ count: Int, _ random: inout Draw) -> ForwardingTable {
        let common = [Self.target(.mac(MACAddress(bits: 0x0200_0000_0002)))]
        var seen: Set<IPPrefix> = []
        let side = Int(Double(count).squareRoot())
        let entries = (0..<count).map { number in
            var entry = Entry(
                name: "shop", kind: .distribution, direction: .request, receivedInterface: 0,
                servicePort: ServicePort(protocolNumber: 6, ports: 443...443), targets: [], counter: number)
            entry.hops = common
            switch self {
            case .hosts4, .hosts6: entry.destination = IPPrefix(host: host(number))
            case .anyPort:
                entry.destination = IPPrefix(host: host(number))
                entry.servicePort = .any
            case .ranges:
                entry.destination = IPPrefix(host: host(number / 10))
                let first = UInt16(number % 10 * 1_000 + 1)
                entry.servicePort = ServicePort(protocolNumber: 6, ports: first...first + 499)
            case .prefixes4, .prefixes6:
                entry.destination = prefix(&random, &seen)
                entry.servicePort = .any
            case .stations:
                entry.sourceMAC = Self.station(number)
                entry.servicePort = .any
            case .stationHosts:
                entry.sourceMAC = Self.station(number % 100)
                entry.destination = IPPrefix(host: host(number))
            case .pairs:
                entry.source = IPPrefix(host: Self.customer(number / side))
                entry.destination = IPPrefix(host: host(number % side))
            case .answers:
                entry.kind = .sequencing
                entry.direction = .response
                entry.source = IPPrefix(host: host(number))
                entry.rewriteSource = host(number + 1 << 22)
                entry.hops = [Self.target(.neighbour(via: host(number + 1 << 23)))]
            }
            return entry
        }
        return ForwardingTable(
            interfaces: [TableInterface(name: "one", mac: MACAddress(bits: 0x0200_0000_0001))], entries: entries)
    }

    private static func target(_ address: SendAddress) -> Hop {
        .target(SendTarget(interface: 0, address: address, system: .inlineApplication))
    }

    private static func station(_ number: Int) -> MACAddress {
        MACAddress(bits: 0x0A00_0000_0000 + UInt64(number) << 8)
    }

    private static func customer(_ number: Int) -> IPAddress { IPAddress(ipv4: 0xC612_0000 + UInt32(number)) }

    private func host(_ number: Int) -> IPAddress {
        isSix
            ? IPAddress(ipv6High: 0x2001_0DB8_0000_0000 + UInt64(number >> 8), low: UInt64(number) << 8 | 1)
            : IPAddress(ipv4: 0x0A00_0000 + UInt32(number))
    }

    private func prefix(_ random: inout Draw, _ seen: inout Set<IPPrefix>) -> IPPrefix {
        while true {
            // The half of each family's addresses that strangers are not of.
            let bits = random.next() >> 1
            let prefix =
                isSix
                ? IPPrefix(IPAddress(ipv6High: bits, low: 0), length: 32 + 8 * random.below(5))
                : IPPrefix(IPAddress(ipv4: UInt32(bits >> 32)), length: 16 + random.below(17))
            if seen.insert(prefix).inserted { return prefix }
        }
    }

    /// A packet that `entry` matches, if perhaps a more specific one does, too.
    func packet(of entry: Entry, _ random: inout Draw) -> LookupPacket {
        var packet = stranger(&random)
        if let source = entry.source { packet.flow.source = source.address }
        if let destination = entry.destination { packet.flow.destination = destination.address }
        if let mac = entry.sourceMAC { packet.mac = mac }
        if self == .ranges { packet.flow.destinationPort = entry.servicePort.ports.lowerBound + 7 }
        return packet
    }

    /// A packet that no entry matches.
    func stranger(_ random: inout Draw) -> LookupPacket {
        var flow = FlowFields()
        flow.protocolNumber = 6
        flow.hasPorts = true
        (flow.sourcePort, flow.destinationPort) = self == .answers ? (443, 50_000) : (50_000, 443)
        let bits = random.next() | 1 << 63
        flow.source = isSix ? IPAddress(ipv6High: 0x2001_0DB9 << 32, low: 9) : IPAddress(ipv4: 0xC000_0201)
        flow.destination =
            isSix ? IPAddress(ipv6High: bits, low: 1) : IPAddress(ipv4: UInt32(bits >> 32))
        let station = self == .stationHosts ? random.below(100) : (1 << 22) + random.below(1 << 20)
        return LookupPacket(flow: flow, mac: Self.station(station))
    }
}
