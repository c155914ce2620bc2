import EventLoop
import Forwarding
import Glibc
import LinuxNetwork
import Nodes
import Seeds
import Testing
import Wire

@testable import Appliance
@testable import Plan

/// nftables, with the table that applications get, judges packets as `AccessEvaluator` and the engine's compiled lists do: random
/// lists, random packets.
@Suite struct NftablesAccessTests {
    /// Packets as a TAP delivers them, and what lists ask of them.
    private struct Sample {
        var frame: [UInt8]
        var packet: AccessPacket
    }

    private static let own = [
        ["203.0.113.96/29", "2001:db8:a::/48"], ["203.0.113.104/30", "203.0.113.112", "2001:db8:b::/64"],
        ["198.51.100.7"],
    ].map { $0.map { IPPrefix($0)! } }
    private static let addresses: [AddressFamily: [IPAddress]] = [
        .ipv4: [
            "203.0.113.96", "203.0.113.97", "203.0.113.103", "203.0.113.104", "203.0.113.112", "198.51.100.7",
            "192.0.2.9",
        ]
        .map { IPAddress($0)! },
        .ipv6: ["2001:db8:a::1", "2001:db8:a:5::2", "2001:db8:b::1", "2001:db8:b::ff", "2001:db8:c::1"].map {
            IPAddress($0)!
        },
    ]
    private static let protocols: [UInt8] = [6, 17, 132, 33, 136, 47]
    /// Headers that packets of IPv6 have before their protocol's, and what rules can be about as well.
    private static let headers: [UInt8] = [0, 43, 44, 51, 59, 60, 135, 139, 140]
    private static let ports: [UInt16] = [0, 22, 80, 443, 1024, 65535]
    private static let mac = MACAddress("02:00:00:00:00:77")!

    // MARK: - Random lists

    private static func action(_ random: inout SeededGenerator) -> AccessRule.Action {
        Bool.random(using: &random) ? .allow : .deny(AccessDenial.allCases.randomElement(using: &random)!)
    }

    private static func range(_ random: inout SeededGenerator) -> ClosedRange<UInt16> {
        if Int.random(in: 0..<3, using: &random) == 0 { return 0...65535 }
        let ends = [ports.randomElement(using: &random)!, ports.randomElement(using: &random)!].sorted()
        return ends[0]...ends[1]
    }

    private static func rule(of own: [IPPrefix], _ counter: Int, _ random: inout SeededGenerator) -> AccessRule {
        let side = own.randomElement(using: &random)!
        let known = addresses[side.family]!
        let remote: IPPrefix? =
            switch Int.random(in: 0..<3, using: &random) {
            case 0: nil
            case 1: IPPrefix(host: known.randomElement(using: &random)!)
            default: IPPrefix(known.randomElement(using: &random)!, length: side.family == .ipv4 ? 24 : 47)
            }
        let inside = known.filter(side.contains)
        let part = Bool.random(using: &random) ? inside.randomElement(using: &random).map(IPPrefix.init(host:)) : nil
        let icmp: [UInt8] = side.family == .ipv4 ? [0, 3, 8, 11, 13, 14] : [1, 2, 128, 129, 133]
        let matter: AccessRule.Matter =
            switch Int.random(in: 0..<5, using: &random) {
            case 0: .any
            case 1: .protocolNumber((protocols + [1, 58] + headers).randomElement(using: &random)!)
            case 2: .icmp(type: icmp.randomElement(using: &random)!)
            default:
                .ports(
                    protocolNumber: protocols.dropLast().randomElement(using: &random)!, own: range(&random),
                    remote: range(&random))
            }
        return AccessRule(
            action: action(&random), own: part ?? side, remote: remote, matter: matter, counter: counter)
    }

    /// Lists of some tenants. Those that stay as they were keep their counters; others get new ones.
    private static func lists(after former: [AccessList], _ next: inout Int, _ random: inout SeededGenerator)
        -> [AccessList]
    {
        var lists: [AccessList] = []
        while lists.isEmpty {
            lists = own.enumerated().compactMap { index, own in
                let known = former.first { $0.tenant == "tenant-\(index)" }
                switch Int.random(in: 0..<6, using: &random) {
                case 0: return nil
                case 1...2 where known != nil: return known
                default: break
                }
                let rules = (0..<Int.random(in: 0...8, using: &random)).map { _ in
                    next += 1
                    return rule(of: own, next, &random)
                }
                next += 1
                // Another part of the addresses now and then.
                let part = Bool.random(using: &random) ? own : [own[0]]
                return AccessList(
                    tenant: "tenant-\(index)", own: part,
                    rules: rules.filter { rule in part.contains { $0.contains(rule.own) } }, otherwise: action(&random),
                    counter: next)
            }
        }
        return lists
    }

    // MARK: - Random packets

    private static func sample(_ random: inout SeededGenerator) -> Sample {
        let family = [AddressFamily.ipv4, .ipv6].randomElement(using: &random)!
        let known = addresses[family]!
        let (source, destination) = (known.randomElement(using: &random)!, known.randomElement(using: &random)!)
        let number = (protocols + [family == .ipv4 ? 1 : 58]).randomElement(using: &random)!
        // Whole, the first fragment, a later one.
        let piece = [0, 0, 0, 1, 2].randomElement(using: &random)!
        let (one, two) = (ports.randomElement(using: &random)!, ports.randomElement(using: &random)!)
        let type: UInt8 = (family == .ipv4 ? [0, 3, 8, 11, 13, 14, 17] : [1, 2, 4, 128, 129, 133]).randomElement(
            using: &random)!
        let isICMP = number == 1 || number == 58
        var payload = [UInt8](repeating: 0, count: 24)
        if isICMP { payload[0] = type } else { payload.replaceSubrange(0..<4, with: bytes(one) + bytes(two)) }
        // The length of a TCP header, in words of 32 bits.
        if number == 6 { payload[12] = 0x50 }
        if number == 17 { payload.replaceSubrange(4..<6, with: bytes(24)) }
        let upper: AccessPacket.Upper =
            piece == 2
            ? .unread
            : isICMP ? .icmp(type: type) : IPProtocol.hasPorts(number) ? .ports(source: one, destination: two) : .unread
        if Int.random(in: 0..<3, using: &random) == 0 {
            // A message that quotes no packet.
            if isICMP { payload[0] = family == .ipv4 ? 8 : 128 }
            let ether: [UInt8] = mac.octets + [2, 0, 0, 0, 0, 1] + (family == .ipv4 ? [8, 0] : [0x86, 0xDD])
            return read(
                ether
                    + (family == .ipv4
                        ? authenticated(source, destination, number, piece, payload)
                        : chained(source, destination, number, payload, &random)))
        }
        let packet =
            family == .ipv4
            ? ipv4(source, destination, number, piece, payload) : ipv6(source, destination, number, piece, payload)
        return Sample(
            frame: mac.octets + [2, 0, 0, 0, 0, 1] + (family == .ipv4 ? [8, 0] : [0x86, 0xDD]) + packet,
            packet: AccessPacket(source: source, destination: destination, protocolNumber: number, upper: upper))
    }

    /// What the engine reads of a frame.
    private static func read(_ frame: [UInt8]) -> Sample {
        var fields = PacketFields()
        #expect(fields.parse(frame.span.bytes) == .packet, "\(frame)")
        return Sample(frame: frame, packet: AccessPacket(fields))
    }

    /// An authentication header of IPv4, and the packet behind it.
    private static func authenticated(
        _ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ piece: Int, _ payload: [UInt8]
    ) -> [UInt8] {
        ipv4(source, destination, 51, piece, [number, 2] + [UInt8](repeating: 7, count: 14) + payload)
    }

    /// A packet of IPv6 behind up to three headers, in any order in which the kernel takes them.
    private static func chained(
        _ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ payload: [UInt8],
        _ random: inout SeededGenerator
    ) -> [UInt8] {
        var kinds = (0..<Int.random(in: 1...3, using: &random)).map { _ in
            [43, 44, 51, 60, 60, 135, 139, 140].randomElement(using: &random)! as UInt8
        }
        if let first = kinds.firstIndex(of: 44) {
            kinds = kinds.enumerated().filter { $0.element != 44 || $0.offset == first }.map(\.element)
        }
        if Bool.random(using: &random) { kinds.insert(0, at: 0) }
        var body = payload
        var next = number
        for kind in kinds.reversed() {
            switch kind {
            case 44:
                let place: UInt16 = [0x0000, 0x0001, 0x0018].randomElement(using: &random)!
                // What follows a later fragment's is data, whatever it looks like.
                if place == 0x0018 { body = payload }
                body = [next, 0] + bytes(place) + bytes(0) + bytes(.random(in: 0...65535)) + body
            case 51: body = [next, 2] + [UInt8](repeating: 7, count: 14) + body
            // A PadN option, or a routing header without segments left, or a message.
            default: body = [next, 0] + (kind == 43 ? [4, 0, 0, 0, 0, 0] : [1, 4, 0, 0, 0, 0]) + body
            }
            next = kind
        }
        return [0x60, 0, 0, 0] + bytes(UInt16(body.count)) + [next, 64] + source.octets + destination.octets + body
    }

    private static func bytes(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }

    private static func ipv4(
        _ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ piece: Int, _ payload: [UInt8]
    ) -> [UInt8] {
        let offset: UInt16 = [0, 0x2000, 0x0003][piece]
        var header: [UInt8] =
            [0x45, 0] + bytes(UInt16(20 + payload.count)) + bytes(.random(in: 0...65535)) + bytes(offset) + [
                64, number, 0, 0,
            ]
            + source.octets + destination.octets
        var sum: UInt32 = 0
        for index in stride(from: 0, to: 20, by: 2) { sum += UInt32(header[index]) << 8 | UInt32(header[index + 1]) }
        while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
        header.replaceSubrange(10..<12, with: bytes(~UInt16(sum)))
        return header + payload
    }

    private static func ipv6(
        _ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ piece: Int, _ payload: [UInt8]
    ) -> [UInt8] {
        let fragment: [UInt8] =
            piece == 0
            ? [] : [number, 0] + bytes(piece == 1 ? 0x0001 : 0x0018) + bytes(0) + bytes(.random(in: 0...65535))
        return [0x60, 0, 0, 0] + bytes(UInt16(fragment.count + payload.count)) + [
            piece == 0 ? number : IPProtocol.fragment, 64,
        ]
            + source.octets + destination.octets + fragment + payload
    }

    // MARK: - The judge

    private static func counts(
        _ table: String, family: String = "inet", in namespace: NetworkNamespace, _ never: Cancellation
    ) throws
        -> [String: Int]
    {
        let text = try Nft.run(["-j", "list", "counters", "table", family, table], in: namespace, never)
        guard case .array(let objects)? = try JSONReader.read(Array(text.utf8))["nftables"] else { return [:] }
        var counts: [String: Int] = [:]
        for counter in objects.compactMap({ $0["counter"] }) {
            guard case .string(let name)? = counter["name"], case .number(let packets, _)? = counter["packets"] else {
                continue
            }
            counts[name] = Int(packets)
        }
        return counts
    }

    @Test(arguments: [false, true])
    func nftablesJudgesAsTheEvaluatorDoes(_ isTransparent: Bool) throws {
        var random = SeededGenerator(seed: Seed.drawn())
        let namespace = try ForeignNamespace("access-\(UInt32.random(in: .min ... .max))")
        let network = try NetworkNamespace.open(namespace.name)
        let tap = try TapDevice(LinkSettings(name: "tap0", mac: Self.mac), in: network)
        let never = try Cancellation()
        // What the lists let pass comes to this table, which is behind theirs.
        _ = try Nft.run(
            ["-f", "-"],
            script: """
                table inet behind {
                  counter passed { }
                  chain judge { type filter hook prerouting priority -440; iifname "tap0" ether saddr 02:00:00:00:00:01 counter name "passed" drop; }
                }
                """, in: network, never)
        var (former, next): ([AccessList], Int) = ([], 0)
        let family = isTransparent ? "netdev" : "inet"
        func counts() throws -> [String: Int] {
            try Self.counts(NftablesAccess.table, family: family, in: network, never)
        }
        func listing() throws -> AccessTableText {
            AccessTableText(
                try Nft.run(["-s", "list", "table", family, NftablesAccess.table], in: network, never))
        }
        for _ in 0..<20 {
            let lists = Self.lists(after: former, &next, &random)
            let access = NftablesAccess(lists, devices: isTransparent ? ["tap0"] : [])
            if Int.random(in: 0..<4, using: &random) == 0 {
                _ = try Nft.run(["-f", "-"], script: access.removal, in: network, never)
                former = []
            }
            // Only the chains of lists that change are written, and the counts of all others stay.
            let known = former.isEmpty ? [:] : try counts()
            let (text, changes) = (access.transaction(insteadOf: former), access.changes(insteadOf: former))
            let stay = lists.filter { former.contains($0) }
            for list in stay {
                #expect(!text.contains("flush chain \(family) tapline_access of_\(list.tenant)"), "\(text)")
            }
            var followed = former.isEmpty ? nil : try listing()
            _ = try Nft.run(["-f", "-"], script: text, in: network, never)
            let base = try counts()
            for counter in stay.flatMap(\.counters).map(NftablesAccess.counter) {
                #expect(known[counter] != nil && base[counter] == known[counter], "\(counter) of \(stay)")
            }
            // What is known of the table after it, without listing it, is what is there.
            followed?.change(goneChains: changes.goneChains, counters: (changes.counters, changes.goneCounters))
            for chain in changes.chains {
                let text = try Nft.run(
                    ["-s", "list", "chain", family, NftablesAccess.table, chain], in: network, never)
                followed?.take(AccessTableText(text))
            }
            #expect(try followed == nil || followed == listing(), "\(former) to \(lists)")
            former = lists
            var table = ForwardingTable()
            table.access = [AccessPoint(application: "firewall", nodes: ["firewall"], lists: lists)]
            let engine = try SnapshotBuffer(copying: TableCompiler.compile(table, generation: 1))
            let evaluator = AccessEvaluator(lists)
            let before = try Self.counts("behind", in: network, never)["passed"] ?? 0
            var (expected, passes) = (base, 0)
            for _ in 0..<200 {
                let sample = Self.sample(&random)
                let decisions = evaluator.decisions(sample.packet)
                for counter in decisions.compactMap(\.counter) {
                    expected[NftablesAccess.counter(counter), default: 0] += 1
                }
                let verdict = engine.snapshot.judge(sample.packet, at: 1)
                #expect(
                    [verdict.counters.first, verdict.counters.second].filter { $0 >= 0 }
                        == decisions.compactMap(\.counter), "\(sample) by \(lists)")
                var isDenied = false
                if case .deny? = decisions.last?.action { isDenied = true } else { passes += 1 }
                #expect((verdict.denial != nil) == isDenied, "\(sample) by \(lists)")
                try #require(tap.deliver(sample.frame))
            }
            #expect(try counts() == expected, "\(lists)")
            #expect(try (Self.counts("behind", in: network, never)["passed"] ?? 0) - before == passes, "\(lists)")
            // The whole text leads to the same table.
            let changed = try listing()
            _ = try Nft.run(["-f", "-"], script: access.anew, in: network, never)
            #expect(try listing() == changed, "\(lists)")
            withExtendedLifetime(engine) {}
        }
    }
}
