import Forwarding
import Wire

/// Prints what a lookup costs without and with access lists, in one run: one line of JSON for each number of rules. The packets' rules are
/// all over the lists.
///
/// `ratio` is a lookup with the judgement of its packet, divided by a lookup alone.
public func measureAccess() throws {
    for (tenants, rules) in [(1, 0), (1, 10), (50, 20), (50, 200), (4, 1_000)] { try measure(tenants, rules) }
}

private func measure(_ tenants: Int, _ rules: Int) throws {
    var random = Draw(state: 0xACCE55)
    let count = 10_000
    let key = LookupCase.hosts4
    var table = key.table(count, &random)
    // Each tenant has 256 addresses, which begin with the entries' first ones.
    var counter = 0
    let lists = (0..<tenants).map { tenant in
        let own = IPPrefix(IPAddress(ipv4: 0x0A00_0000 + UInt32(tenant) << 8), length: 24)
        let rules = (0..<rules).map { number -> AccessRule in
            counter += 1
            let port = UInt16(number % 500 + 1)
            return AccessRule(
                action: number % 2 == 0 ? .allow : .deny(.drop),
                own: number % 3 == 0 ? own : IPPrefix(host: own.address.advanced(by: UInt64(number % 256))),
                remote: number % 5 == 0
                    ? IPPrefix(IPAddress(ipv4: 0xC000_0000 + UInt32(number) << 8), length: 24) : nil,
                matter: number % 7 == 0
                    ? .icmp(type: 8) : .ports(protocolNumber: 6, own: port...port + 9, remote: 0...65535),
                counter: counter)
        }
        counter += 1
        return AccessList(tenant: "t\(tenant)", own: [own], rules: rules, otherwise: .allow, counter: counter)
    }
    table.access = [AccessPoint(application: "firewall", nodes: [], lists: lists)]
    let buffer = try SnapshotBuffer(copying: TableCompiler.compile(table, generation: 1))
    let snapshot = buffer.snapshot
    let packets = (0..<4_096).map { _ in
        var packet = key.packet(of: table.entries[random.below(min(count, tenants * 256))], &random)
        packet.flow.destinationPort = 443
        packet.flow.sourcePort = UInt16(truncatingIfNeeded: random.below(65_536))
        return packet
    }
    let clock = ContinuousClock()
    var least = [Double.infinity, .infinity]
    var sum = 0
    for _ in 0..<9 {
        // In turns, so that both meet the same machine.
        for judged in [false, true] {
            let time = clock.measure {
                for _ in 0..<20 {
                    for packet in packets { sum &+= work(snapshot, packet, judged: judged) }
                }
            }
            let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
            least[judged ? 1 : 0] = min(least[judged ? 1 : 0], seconds * 1e9 / Double(20 * packets.count))
        }
    }
    withUnsafePointer(to: sum) { _ in }
    print(
        "{\"tenants\":\(tenants),\"rules\":\(rules),\"nanoseconds\":\(short(least[0]))"
            + ",\"with_lists_nanoseconds\":\(short(least[1])),\"ratio\":\(short(least[1] / least[0], 2))}")
    withExtendedLifetime(buffer) {}
}

@inline(__always)
private func work(_ snapshot: Snapshot, _ packet: LookupPacket, judged: Bool) -> Int {
    guard case .forward(let entry) = snapshot.decide(packet.flow, sourceMAC: packet.mac, receivedInterface: 0) else {
        return 1
    }
    guard judged else { return entry }
    let verdict = snapshot.judge(
        AccessPacket(
            source: packet.flow.source, destination: packet.flow.destination,
            protocolNumber: packet.flow.protocolNumber,
            upper: .ports(source: packet.flow.sourcePort, destination: packet.flow.destinationPort)), at: 1)
    return entry &+ verdict.counters.first
}
