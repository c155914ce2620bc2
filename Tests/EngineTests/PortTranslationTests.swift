import Engine
import Forwarding
import Testing
import Wire

/// Frames in → frames out, where an application has another port than its service: with a MAC or a network send address.
@Suite struct PortTranslationTests {
    typealias F = TestFrame
    static let four = FourInterfaces.self
    static let shift = PortShift(from: 80, to: 8080)
    static let none = [UInt8](repeating: 0, count: 10)

    /// A family, and a send address.
    struct Case: Sendable, CustomTestStringConvertible {
        var alice: String
        var service: String
        var server: String
        var rewrites: Bool
        var testDescription: String { "\(service) \(rewrites ? "as \(server)" : "by MAC")" }
        var own: String { rewrites ? server : service }
        var isIPv6: Bool { alice.contains(":") }
    }

    static let cases = [false, true].flatMap { rewrites in
        [
            Case(alice: "192.0.2.10", service: "203.0.113.90", server: "198.18.4.53", rewrites: rewrites),
            Case(alice: "2001:db8:2::10", service: "2001:db8:cb::90", server: "2001:db8:4::53", rewrites: rewrites),
        ]
    }

    /// Requests for ports 80 to 83 go to ports 8080 to 8083, and a detector gets copies as customers have them.
    static func table(_ shape: Case, hashing: FlowHashing? = nil) -> ForwardingTable {
        var table = four.table
        let (service, server) = (F.address(shape.service), F.address(shape.server))
        let ids = SendTarget(interface: 1, address: .mac(four.ids), system: .passiveApplication)
        let back = SendTarget(
            interface: 0, address: .neighbour(via: nil), system: .customer, portShift: shift.reversed)
        var seen = ids
        seen.portShift = shift.reversed
        for number in [IPProtocol.tcp, IPProtocol.udp] {
            let target = SendTarget(
                interface: 3, address: shape.rewrites ? .network(server) : .mac(four.dns), system: .terminalApplication,
                portShift: shift)
            table.entries.append(
                Entry(
                    name: "request", kind: .distribution, direction: .request, receivedInterface: 0,
                    destination: IPPrefix(host: service),
                    servicePort: ServicePort(protocolNumber: number, ports: 80...83),
                    targets: [ids, target], counter: table.entries.count))
            var response = Entry(
                name: "response", kind: .sequencing, direction: .response, receivedInterface: 3, sourceMAC: four.dns,
                source: IPPrefix(host: shape.rewrites ? server : service),
                servicePort: ServicePort(protocolNumber: number, ports: 8080...8083),
                rewriteSource: shape.rewrites ? service : nil, targets: [back, seen], counter: table.entries.count)
            response.outerShift = shift.reversed
            table.entries.append(response)
        }
        table.claimed.append(ClaimedAddress(interface: 0, prefix: IPPrefix(host: service)))
        return table
    }

    private func packet(_ frame: MemoryFrameIO.Frame) -> [UInt8] { Array(frame.bytes.dropFirst(24)) }

    @Test(arguments: cases, [false, true])
    func portsAreTranslatedThereAndBack(_ shape: Case, _ partial: Bool) throws {
        let pipeline = try Pipeline(Self.table(shape))
        let four = Self.four
        for (port, other) in [(80, 8080), (83, 8083)] {
            for isTCP in [true, false] {
                func make(_ source: String, _ from: Int, _ destination: String, _ to: Int) -> [UInt8] {
                    isTCP
                        ? F.tcp(source, from, destination, to, partial: partial)
                        : F.udp(source, from, destination, to, partial: partial)
                }
                let offload: [UInt8]
                switch (partial, isTCP, shape.isIPv6) {
                case (false, _, _): offload = Self.none
                case (true, true, false): offload = four.offloadTCPPartial4
                case (true, true, true): offload = four.offloadTCPPartial6
                case (true, false, false): offload = four.offloadUDPPartial4
                case (true, false, true): offload = four.offloadUDPPartial6
                }
                let request = make(shape.alice, 50_000, shape.service, port)
                let there = pipeline.send(
                    F.frame(request, from: four.alice, to: four.engine[0]), on: 0, offload: offload)
                // The detector in front of the application sees the service port.
                #expect(there.map(\.interface) == [1, 3])
                #expect(there.first.map { packet($0) } == request)
                #expect(there.last.map { packet($0) } == make(shape.alice, 50_000, shape.own, other))
                #expect(there.last.map { F.checksumsAreRight($0.bytes) } == true)
                let response = make(shape.own, other, shape.alice, 50_000)
                let back = pipeline.send(
                    F.frame(response, from: four.dns, to: four.engine[3]), on: 3, offload: offload)
                #expect(back.map(\.interface) == [0, 1])
                #expect(back.allSatisfy { packet($0) == make(shape.service, port, shape.alice, 50_000) })
            }
        }
        #expect(pipeline.allDrops == "")
    }

    /// Eight octets of the quoted packet are enough, in both directions.
    @Test(arguments: cases, [8, 20, 100])
    func errorsAreTranslatedInside(_ shape: Case, _ reach: Int) throws {
        let pipeline = try Pipeline(Self.table(shape))
        let four = Self.four
        let headers = shape.isIPv6 ? 40 : 20
        let type: UInt8 = shape.isIPv6 ? 1 : 3
        for isTCP in [true, false] {
            func make(_ source: String, _ from: Int, _ destination: String, _ to: Int) -> [UInt8] {
                isTCP ? F.tcp(source, from, destination, to) : F.udp(source, from, destination, to)
            }
            func error(_ source: String, _ destination: String, _ quoted: [UInt8]) -> [UInt8] {
                F.icmp(
                    source, destination, type: type, code: 3, word: [0, 0, 0, 0],
                    data: Array(quoted.prefix(headers + reach)))
            }
            let refused = error(shape.own, shape.alice, make(shape.alice, 50_000, shape.own, 8081))
            let back = pipeline.send(F.frame(refused, from: four.dns, to: four.engine[3]), on: 3)
            let told = error(shape.service, shape.alice, make(shape.alice, 50_000, shape.service, 81))
            #expect(back.map(\.interface) == [0, 1])
            #expect(back.allSatisfy { packet($0) == told })
            let unwanted = error(shape.alice, shape.service, make(shape.service, 82, shape.alice, 50_000))
            let there = pipeline.send(F.frame(unwanted, from: four.alice, to: four.engine[0]), on: 0)
            #expect(there.map(\.interface) == [1, 3])
            #expect(there.first.map { packet($0) } == unwanted)
            #expect(
                there.last.map { packet($0) }
                    == error(shape.alice, shape.own, make(shape.own, 8082, shape.alice, 50_000)))
        }
        #expect(pipeline.allDrops == "")
    }

    @Test(arguments: cases)
    func superframesKeepTheirSegmentSize(_ shape: Case) throws {
        let pipeline = try Pipeline(Self.table(shape))
        let four = Self.four
        let payload = [UInt8](repeating: 7, count: 12_000)
        let request = F.tcp(shape.alice, 50_000, shape.service, 80, payload: payload, partial: true)
        let headers = UInt8(shape.isIPv6 ? 74 : 54)
        let offload: [UInt8] = [1, shape.isIPv6 ? 4 : 1, headers, 0, 0xB0, 0x04, headers - 20, 0, 16, 0]
        let out = pipeline.send(F.frame(request, from: four.alice, to: four.engine[0]), on: 0, offload: offload)
        #expect(out.count == 2)
        #expect(out.allSatisfy { Array($0.bytes.prefix(10)) == offload })
        #expect(
            out.last.map { packet($0) }
                == F.tcp(shape.alice, 50_000, shape.own, 8080, payload: payload, partial: true))
        #expect(pipeline.interface(3).sent.packets == 10)
    }

    /// Frames that follow one another leave as one, with the translated port in front.
    @Test(arguments: cases)
    func whatIsCoalescedIsTranslated(_ shape: Case) throws {
        let pipeline = try Pipeline(Self.table(shape))
        let four = Self.four
        func make(_ destination: String, _ port: Int, _ number: Int) -> [UInt8] {
            F.tcp(
                shape.alice, 50_000, destination, port, payload: [UInt8](repeating: UInt8(number), count: 100),
                flags: 0x10, sequence: 1 + 100 * number, identification: 7 + number)
        }
        for number in 0..<4 {
            pipeline.worker.io.input.append(
                .init(
                    interface: 0,
                    bytes: Self.none + F.frame(make(shape.service, 81, number), from: four.alice, to: four.engine[0])))
        }
        let out = pipeline.turn().filter { $0.interface == 3 }
        #expect(out.count == 1)
        #expect(pipeline.coalesced == 3)
        let flow = try #require(out.first.flatMap { F.read($0.bytes) }).flow
        #expect(flow.destinationPort == 8081 && flow.destination == F.address(shape.own))
        // A superframe of four segments of 100 octets, whose checksum is to be completed.
        #expect(out.first.map { Array($0.bytes.prefix(6)) }?[0] == 1)
        #expect(out.first.map { Int($0.bytes[4]) | Int($0.bytes[5]) << 8 } == 100)
    }

    /// No fragment goes to a translated port, whichever comes first. The detector gets all of them.
    @Test(arguments: cases.filter { !$0.isIPv6 })
    func fragmentsAreDroppedWithAReasonOfTheirOwn(_ shape: Case) throws {
        let pipeline = try Pipeline(Self.table(shape))
        let four = Self.four
        let segment = Array(
            F.udp(shape.alice, 50_000, shape.service, 80, payload: [UInt8](repeating: 1, count: 40))[20...])
        for (word, part) in [(3, Array(segment[24...])), (0x2000, Array(segment[..<24])), (3, Array(segment[24...]))] {
            let fragment = F.packet(shape.alice, shape.service, 17, part, fragmentWord: word)
            let out = pipeline.send(F.frame(fragment, from: four.alice, to: four.engine[0]), on: 0)
            #expect(out.map(\.interface) == [1])
            #expect(out.first.map { packet($0) } == fragment)
        }
        #expect(pipeline.allDrops == "fragment-of-translated-port:3")
        let last = try #require(pipeline.lastDrop(.fragmentOfTranslatedPort))
        #expect(last.source == F.address(shape.alice) && last.destination == F.address(shape.service))
        // Nor does an error that quotes one.
        let quoted = F.packet(shape.alice, shape.own, 17, Array(segment[..<24]), fragmentWord: 0x2000)
        let error = F.icmp(shape.own, shape.alice, type: 3, code: 3, word: [0, 0, 0, 0], data: quoted)
        #expect(pipeline.send(F.frame(error, from: four.dns, to: four.engine[3]), on: 3).isEmpty)
        #expect(pipeline.drops(.fragmentOfTranslatedPort) >= 4)
    }

    /// A datagram that the engine itself fragments has been translated before.
    @Test func theEnginesOwnFragmentsHaveTheTranslatedPort() throws {
        let shape = Self.cases[0]
        let pipeline = try Pipeline(Self.table(shape))
        let four = Self.four
        let payload = (0..<1_400).map { UInt8(truncatingIfNeeded: $0) }
        let request = F.udp(shape.alice, 50_000, shape.service, 80, payload: payload, fragmentWord: 0)
        let out = pipeline.send(F.frame(request, from: four.alice, to: four.engine[0]), on: 0).filter {
            $0.interface == 3
        }
        #expect(out.count == 2)
        let whole = Array(F.udp(shape.alice, 50_000, shape.own, 8080, payload: payload, fragmentWord: 0)[20...])
        #expect(out.flatMap { Array(packet($0)[20...]) } == whole)
    }

    /// An instance is chosen by the port that the application sees, which is the same on the way back.
    @Test func bothDirectionsMeetTheSameInstance() throws {
        let shape = Self.cases[0]
        var table = Self.table(shape)
        let members = (0..<5).map { GroupMember(name: "fw\($0)") }
        table.groups = [InstanceGroup(name: "fw", hashing: .ports, seed: 9, members: members)]
        let macs = (0..<5).map { F.mac(0xC0 + UInt64($0)) }
        func hop(_ interface: Int, _ shift: PortShift) -> Hop {
            .instance(
                group: 0,
                targets: macs.map {
                    SendTarget(interface: interface, address: .mac($0), system: .inlineApplication, portShift: shift)
                }, otherwise: .drop(.silence))
        }
        // Translated at the firewall: answers come to it as the server sent them.
        for index in table.entries.indices where table.entries[index].name == "request" {
            table.entries[index].hops = [hop(1, Self.shift)]
        }
        for index in table.entries.indices where table.entries[index].name == "response" {
            table.entries[index].hops = [hop(2, .none)]
        }
        let pipeline = try Pipeline(table)
        let four = Self.four
        var met: Set<MACAddress> = []
        for client in 0..<100 {
            let request = F.tcp(shape.alice, 40_000 + client, shape.service, 80)
            let there = pipeline.send(F.frame(request, from: four.alice, to: four.engine[0]), on: 0)
            let answer = F.tcp(shape.own, 8080, shape.alice, 40_000 + client)
            let back = pipeline.send(F.frame(answer, from: four.dns, to: four.engine[3]), on: 3)
            let one = try #require(there.first.flatMap { F.read($0.bytes) })
            let other = try #require(back.first.flatMap { F.read($0.bytes) })
            #expect(one.destinationMAC == other.destinationMAC && one.flow.destinationPort == 8080)
            met.insert(one.destinationMAC)
        }
        #expect(met.count == 5)
    }

    /// Access lists judge the port that customers send to, in front of a translation and behind it.
    @Test func accessListsJudgeServicePorts() throws {
        var table = Self.four.table
        let (shift, four) = (Self.shift, Self.four)
        // The shop, translated at the firewall: behind it packets have port 8080.
        for index in table.entries.indices where table.entries[index].name.hasPrefix("shop.") {
            var entry = table.entries[index]
            if entry.name == "shop.request.customers" {
                entry.targets[1].portShift = shift
            } else {
                entry.servicePort = ServicePort(protocolNumber: IPProtocol.tcp, ports: 8080...8080)
                entry.outerShift = shift.reversed
            }
            if entry.name == "shop.response.fw" {
                for place in entry.targets.indices { entry.targets[place].portShift = shift.reversed }
            }
            table.entries[index] = entry
        }
        func rule(_ remote: UInt16, _ counter: Int) -> AccessRule {
            AccessRule(
                action: .deny(.drop), own: IPPrefix("203.0.113.80/32")!, remote: nil,
                matter: .ports(protocolNumber: IPProtocol.tcp, own: 80...80, remote: remote...remote), counter: counter)
        }
        table.access = ["fw", "web"].enumerated().map { number, node in
            let first = number * 2
            return AccessPoint(
                application: node, nodes: [node],
                lists: [
                    AccessList(
                        tenant: "t\(number)", own: [IPPrefix("203.0.113.80/32")!],
                        rules: [rule(number == 0 ? 4_000 : 5_000, first)], otherwise: .allow, counter: first + 1)
                ])
        }
        let pipeline = try Pipeline(table)
        func ways(_ packet: [UInt8], from mac: MACAddress, on interface: Int) -> [Int] {
            pipeline.send(F.frame(packet, from: mac, to: four.engine[interface]), on: interface).map(\.interface)
        }
        let (alice, shop) = ("192.0.2.10", "203.0.113.80")
        // To the firewall, which has the port translated.
        #expect(ways(F.tcp(alice, 4_000, shop, 80), from: four.alice, on: 0) == [1])
        #expect(ways(F.tcp(alice, 4_001, shop, 80), from: four.alice, on: 0) == [1, 1])
        // From the firewall to the server, and back.
        #expect(ways(F.tcp(alice, 5_000, shop, 8080), from: four.firewallOut, on: 2) == [])
        #expect(ways(F.tcp(alice, 5_001, shop, 8080), from: four.firewallOut, on: 2) == [3])
        #expect(ways(F.tcp(shop, 8080, alice, 4_000), from: four.web, on: 3) == [])
        #expect(ways(F.tcp(shop, 8080, alice, 4_001), from: four.web, on: 3) == [2])
        #expect(pipeline.drops(.accessDenied) == 3)
        #expect(pipeline.rule(0).packets == 2 && pipeline.rule(2).packets == 1)
    }
}
