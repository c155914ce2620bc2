import Forwarding
import Wire

/// Random access lists and random packets in a small world, where the two meet often.
public struct AccessUniverse<Generator: RandomNumberGenerator> {
    private var random: Generator

    /// The world that `random` makes.
    public init(_ random: Generator) {
        self.random = random
    }

    private static var bases: [IPAddress] {
        [IPAddress("203.0.113.64")!, IPAddress("2001:db8:cb:1::")!]
    }

    /// One of the values.
    public mutating func pick<T>(_ values: [T]) -> T { values[Int.random(in: values.indices, using: &random)] }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    // MARK: - Lists

    /// Lists of several tenants, each with own addresses of a family or of both.
    public mutating func lists() -> [AccessList] {
        var counter = number(0...3)
        func next() -> Int {
            counter += 1
            return counter
        }
        return (0..<number(1...4)).map { tenant in
            var own: [IPPrefix] = []
            // Sixteen addresses of each family for each tenant, so that no two lists share one.
            for base in Self.bases where number(0...4) > 0 {
                let first = base.advanced(by: UInt64(tenant * 16))
                own.append(IPPrefix(first, length: base.family.width - number(0...4)))
                if number(0...2) == 0 { own.append(IPPrefix(host: first.advanced(by: UInt64(number(0...15))))) }
            }
            let rules =
                own.isEmpty ? [] : (0..<pick([0, 1, 2, 3, 5, 8, 20, 64, 65, 130])).map { _ in rule(own, next()) }
            return AccessList(
                tenant: "tenant\(tenant)", own: own, rules: rules, otherwise: action(), counter: next())
        }
    }

    private mutating func action() -> AccessRule.Action {
        number(0...1) == 0 ? .allow : .deny(pick(AccessDenial.allCases))
    }

    private mutating func rule(_ own: [IPPrefix], _ counter: Int) -> AccessRule {
        let side = pick(own)
        let ownAddress = side.address.advanced(by: UInt64(number(0...(1 << (side.family.width - side.length)) - 1)))
        let length = number(side.length...side.family.width)
        var remote: IPPrefix?
        switch number(0...3) {
        case 0: break
        case 1: remote = .everything(side.family)
        default: remote = IPPrefix(address(side.family), length: side.family.width - pick([0, 0, 1, 2, 4, 8, 24, 32]))
        }
        return AccessRule(
            action: action(), own: IPPrefix(ownAddress, length: length), remote: remote, matter: matter(),
            counter: counter)
    }

    private mutating func matter() -> AccessRule.Matter {
        switch number(0...7) {
        case 0: .any
        case 1: .protocolNumber(pick([1, 6, 17, 47, 58, 132]))
        case 2, 3: .icmp(type: pick([0, 3, 8, 11, 13, 14, 128, 129, 1, 2, 4, 255]))
        default: .ports(protocolNumber: pick([6, 6, 17, 132]), own: ports(), remote: ports())
        }
    }

    private mutating func ports() -> ClosedRange<UInt16> {
        switch number(0...3) {
        case 0: return 0...65535
        case 1:
            let port = self.port()
            return port...port
        case 2: return 65_530...65_535
        default:
            let (first, second) = (self.port(), self.port())
            return min(first, second)...max(first, second)
        }
    }

    private mutating func port() -> UInt16 { pick([0, 1, 22, 53, 80, 81, 443, 1_024, 50_000, 65_534, 65_535]) }

    // MARK: - Packets

    /// An address of one of the tenants, beside theirs, or far away.
    private mutating func address(_ family: AddressFamily) -> IPAddress {
        let base = Self.bases[family == .ipv4 ? 0 : 1]
        switch number(0...9) {
        case 0: return IPAddress(family: family, high: 0, low: 0)
        case 1: return IPAddress(family: family, high: .max, low: .max)
        case 2, 3: return family == .ipv4 ? IPAddress("192.0.2.10")! : IPAddress("2001:db8:2::10")!
        default: return base.advanced(by: UInt64(number(0...52)))
        }
    }

    /// A packet of one of the protocols that rules are about.
    public mutating func packet() -> AccessPacket {
        let family = pick([AddressFamily.ipv4, .ipv6])
        let protocolNumber: UInt8 = pick([6, 6, 17, 17, 132, 1, 58, 47])
        var packet = AccessPacket(
            source: address(family), destination: address(family), protocolNumber: protocolNumber)
        guard number(0...5) > 0 else {
            // A later fragment; of some, nobody can tell the protocol.
            if number(0...3) == 0 { packet.protocolNumber = nil }
            return packet
        }
        if protocolNumber == (family == .ipv4 ? 1 : 58) {
            packet.upper = .icmp(type: pick([0, 3, 4, 5, 8, 11, 12, 13, 14, 1, 2, 128, 129, 130]))
        } else if [6, 17, 132].contains(protocolNumber) {
            packet.upper = .ports(source: port(), destination: port())
        }
        return packet
    }
}
