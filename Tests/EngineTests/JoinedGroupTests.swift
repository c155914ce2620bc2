import EngineRig
import Forwarding
import Testing
import Wire

@testable import Engine

/// Groups that nodes join: their packets go to the nodes that have reported them, and to no other.
@Suite struct JoinedGroupTests {
    typealias F = TestFrame
    static let engine = F.mac(0xE0)
    static let sender = F.mac(0xA1)
    static let members = [F.mac(0xB1), F.mac(0xB2)]
    static let named = F.mac(0xB3)
    static let other = F.mac(0xC1)
    static let group = F.address("239.1.2.3")
    static let sixth = F.address("ff15::1:2")

    static let table: ForwardingTable = {
        var table = ForwardingTable()
        table.interfaces = [
            TableInterface(
                name: "lan", mac: engine,
                addresses: [InterfaceAddress("192.0.2.1/24")!, InterfaceAddress("2001:db8:2::1/64")!], namesAll: true)
        ]
        for (index, mac) in ([sender] + members + [named, other]).enumerated() {
            table.sources.append(
                KnownSource(
                    interface: 0, mac: mac, node: "node\(index)", system: .customer,
                    origins: [IPPrefix("192.0.2.\(10 + index)")!]))
        }
        for (number, group) in [group, sixth].enumerated() {
            var targets = members.map {
                SendTarget(interface: 0, address: .mac($0), system: .customer, whileJoined: true)
            }
            if number == 0 { targets.append(SendTarget(interface: 0, address: .mac(named), system: .customer)) }
            var entry = Entry(
                name: "group", kind: .distribution, direction: .request, receivedInterface: 0, sourceMAC: sender,
                destination: IPPrefix(host: group), targets: targets, counter: number)
            entry.isBetween = true
            table.entries.append(entry)
        }
        return table
    }()

    /// A report of IGMPv3 (or MLDv2) with one record.
    static func report(_ mac: MACAddress, _ kind: UInt8, _ group: IPAddress = group, source: String? = nil) -> [UInt8] {
        let record: [UInt8] = [kind, 0, 0, 0] + group.octets
        if group.family == .ipv6 {
            let all = F.address("ff02::16")
            let packet = F.icmp(
                source ?? "fe80::b", all.description, type: 143, word: [0, 0, 0, 1], data: record, hopLimit: 1)
            return F.frame(packet, from: mac, to: .ipv6Multicast(for: all))
        }
        var message: [UInt8] = [0x22, 0, 0, 0, 0, 0, 0, 1] + record
        let sum = message.withUnsafeBytes { ~InternetChecksum.sum($0.bytes, 0..<message.count) }
        (message[2], message[3]) = (UInt8(sum >> 8), UInt8(sum & 0xFF))
        let from = source ?? "192.0.2.\(mac == members[0] ? 11 : mac == members[1] ? 12 : mac == named ? 13 : 14)"
        var header: [UInt8] = [0x46, 0xC0, 0, 40, 0, 0, 0x40, 0, 1, 2, 0, 0]
        header += F.address(from).octets
        header += [224, 0, 0, 22, 0x94, 4, 0, 0]
        let check = header.withUnsafeBytes { ~InternetChecksum.sum($0.bytes, 0..<header.count) }
        (header[10], header[11]) = (UInt8(check >> 8), UInt8(check & 0xFF))
        var frame: [UInt8] = [0x01, 0, 0x5E, 0, 0, 22]
        frame += mac.octets
        frame += [8, 0]
        return frame + header + message
    }

    private func receivers(_ pipeline: Pipeline, _ group: IPAddress = group) -> Set<MACAddress> {
        let source = group.family == .ipv4 ? "192.0.2.10" : "fe80::a"
        let mac =
            group.family == .ipv6
            ? MACAddress.ipv6Multicast(for: group) : MACAddress(bits: 0x0100_5E00_0000 | (group.low & 0x7F_FFFF))
        let out = pipeline.send(
            F.frame(F.udp(source, 4_000, group.description, 5_000), from: Self.sender, to: mac), on: 0)
        return Set(
            out.filter { F.read($0.bytes)?.flow.destination == group }
                .map { MACAddress(bits: $0.bytes[10..<16].reduce(0) { $0 << 8 | UInt64($1) }) })
    }

    @Test func packetsGoToThoseWhoJoined() throws {
        let pipeline = try Pipeline(Self.table)
        #expect(receivers(pipeline) == [Self.named])
        #expect(pipeline.send(Self.report(Self.members[0], 4), on: 0).isEmpty)
        #expect(receivers(pipeline) == [Self.named, Self.members[0]])
        #expect(pipeline.send(Self.report(Self.members[1], 2), on: 0).isEmpty)
        #expect(receivers(pipeline) == [Self.named, Self.members[0], Self.members[1]])
        #expect(pipeline.send(Self.report(Self.members[0], 3), on: 0).isEmpty)
        #expect(receivers(pipeline) == [Self.named, Self.members[1]])
        // A report without an address is one all the same (RFC 3376, section 4.2.13).
        #expect(pipeline.send(Self.report(Self.members[0], 4, source: "0.0.0.0"), on: 0).isEmpty)
        #expect(receivers(pipeline).count == 3)
    }

    /// The time of RFC 3376, section 8.4: twice the query interval, and a response.
    @Test func aMembershipEndsUnlessItIsReportedAgain() throws {
        let pipeline = try Pipeline(Self.table)
        for member in Self.members { pipeline.send(Self.report(member, 4), on: 0) }
        pipeline.turn(after: 200)
        pipeline.send(Self.report(Self.members[1], 2), on: 0)
        pipeline.turn(after: 59)
        #expect(receivers(pipeline).isSuperset(of: Self.members))
        pipeline.turn(after: 2)
        #expect(receivers(pipeline) == [Self.named, Self.members[1]])
    }

    @Test func packetsThatNobodyWantsAreCounted() throws {
        let pipeline = try Pipeline(Self.table)
        // A member that the file names has got it.
        #expect(receivers(pipeline) == [Self.named])
        #expect(pipeline.drops(.noMember) == 0)
        #expect(receivers(pipeline, Self.sixth).isEmpty)
        #expect(pipeline.drops(.noMember) == 1)
        pipeline.send(Self.report(Self.members[0], 4, Self.sixth), on: 0)
        #expect(receivers(pipeline, Self.sixth) == [Self.members[0]])
        #expect(pipeline.drops(.noMember) == 1)
    }

    /// Nobody joins for another node, nor a group that the file does not let it join, and no false message counts.
    @Test func falseReportsAreRefused() throws {
        let pipeline = try Pipeline(Self.table)
        // A customer beside the service, and one that is a member in any case.
        pipeline.send(Self.report(Self.other, 4), on: 0)
        #expect(pipeline.drops(.groupNotOpen) == 1)
        // The member that the file names may say so, and nothing changes.
        pipeline.send(Self.report(Self.named, 4), on: 0)
        pipeline.send(Self.report(Self.named, 3), on: 0)
        #expect(pipeline.drops(.groupNotOpen) == 1)
        // Another's address, and another MAC address than any node's.
        pipeline.send(Self.report(Self.other, 4, source: "192.0.2.11"), on: 0)
        pipeline.send(Self.report(F.mac(0xDD), 4, source: "192.0.2.11"), on: 0)
        #expect(pipeline.drops(.spoofedSource) == 2)
        var broken = Self.report(Self.members[0], 4)
        broken[broken.count - 1] ^= 1
        pipeline.send(broken, on: 0)
        #expect(pipeline.drops(.badGroupMessage) == 1)
        #expect(receivers(pipeline) == [Self.named])
        // A group of no service is what every kernel reports by itself.
        pipeline.send(Self.report(Self.members[0], 4, F.address("224.0.0.251")), on: 0)
        #expect(pipeline.drops(.housekeeping) == 1)
    }

    /// The memory of the memberships: the time of the next query, and from the ninth word on a key and a time for each
    /// place.
    private func words(_ pipeline: Pipeline) -> UnsafeMutablePointer<UInt64> {
        (pipeline.neighbours.base + NeighbourTable.size + DrainTable.size).assumingMemoryBound(to: UInt64.self)
    }

    /// An engine that was taken over may write any times: they are no times of members, places or queries.
    @Test func timesThatNoReportCanGiveAreNotBelieved() throws {
        let pipeline = try Pipeline(Self.table)
        for member in Self.members { pipeline.send(Self.report(member, 4), on: 0) }
        #expect(receivers(pipeline).isSuperset(of: Self.members))
        let words = words(pipeline)
        words[0] = .max
        for slot in 0..<MembershipTable.slots { words[9 + 2 * slot] = .max }
        #expect(receivers(pipeline) == [Self.named])
        pipeline.send(Self.report(Self.members[0], 4), on: 0)
        #expect(receivers(pipeline) == [Self.named, Self.members[0]])
        // Every place is another's, for ever.
        for slot in 0..<MembershipTable.slots { (words[8 + 2 * slot], words[9 + 2 * slot]) = (1, .max) }
        #expect(receivers(pipeline) == [Self.named])
        pipeline.send(Self.report(Self.members[1], 4), on: 0)
        #expect(receivers(pipeline) == [Self.named, Self.members[1]])
        pipeline.worker.askGroups()
        #expect(!pipeline.worker.io.takeOutput().isEmpty)
        pipeline.worker.askGroups()
        #expect(pipeline.worker.io.takeOutput().isEmpty)
    }

    /// What a member that the file names says of itself is not looked up, so it needs no place.
    @Test func namedMembersTakeNoPlace() throws {
        let pipeline = try Pipeline(Self.table)
        pipeline.send(Self.report(Self.named, 4), on: 0)
        #expect(pipeline.allDrops.isEmpty)
        let words = words(pipeline)
        #expect((0..<MembershipTable.slots).allSatisfy { words[8 + 2 * $0] == 0 })
        pipeline.send(Self.report(Self.members[0], 4), on: 0)
        #expect((0..<MembershipTable.slots).count { words[8 + 2 * $0] != 0 } == 1)
    }

    /// A node that reports groups without end fills nothing: others still join.
    @Test func aFloodOfReportsTakesNoPlace() throws {
        let pipeline = try Pipeline(Self.table)
        for number in 0..<10_000 {
            let group = IPAddress(ipv4: 0xEF00_0000 | UInt32(number))
            pipeline.send(Self.report(Self.members[0], 4, group), on: 0)
        }
        pipeline.send(Self.report(Self.members[1], 4), on: 0)
        #expect(receivers(pipeline) == [Self.named, Self.members[1]])
    }
}
