import Engine
import Forwarding
import Testing
import Wire

/// What the engine makes of access lists: which copies it sends, what it counts, and what it tells the sender.
@Suite struct AccessTests {
    typealias F = TestFrame
    let four = FourInterfaces.self
    static let shop4 = IPPrefix("203.0.113.80/32")!
    static let shop6 = IPPrefix("2001:db8:cb::80/128")!
    static let names4 = IPPrefix("203.0.113.53/32")!
    static let names6 = IPPrefix("2001:db8:cb::53/128")!

    /// DESIGN's picture, in which the firewall, or another application, is judged by a list of the shop's.
    static func table(
        _ node: String = "fw", _ rules: [AccessRule] = [], otherwise: AccessRule.Action = .allow,
        own: [IPPrefix] = [shop4, shop6, names4, names6]
    ) -> ForwardingTable {
        var table = FourInterfaces.table
        let rules = rules.enumerated().map { index, rule in
            var rule = rule
            rule.counter = index
            return rule
        }
        let list = AccessList(tenant: "alice", own: own, rules: rules, otherwise: otherwise, counter: rules.count)
        table.access = [AccessPoint(application: node, nodes: [node], lists: [list])]
        return table
    }

    static func rule(
        _ action: AccessRule.Action, own: IPPrefix = shop4, remote: String? = nil, _ matter: AccessRule.Matter = .any
    ) -> AccessRule {
        AccessRule(action: action, own: own, remote: remote.map { IPPrefix($0)! }, matter: matter, counter: 0)
    }

    private func fromAlice(_ packet: [UInt8]) -> [UInt8] { F.frame(packet, from: four.alice, to: four.engine[0]) }
    private func fromWeb(_ packet: [UInt8]) -> [UInt8] { F.frame(packet, from: four.web, to: four.engine[3]) }
    /// The interfaces and the last octets of where frames went.
    private func ways(_ frames: [MemoryFrameIO.Frame]) -> [[Int]] { frames.map { [$0.interface, Int($0.bytes[15])] } }

    @Test func aDeniedCopyIsNotSentAndTheDetectorStillSeesThePacket() throws {
        let pipeline = try Pipeline(Self.table("fw", [Self.rule(.deny(.drop), remote: "192.0.2.10/32")]))
        let request = fromAlice(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        #expect(ways(pipeline.send(request, on: 0)) == [[1, 0x1D]])
        #expect(pipeline.allDrops == "access-denied:1")
        // Octets of the network packet, as nftables counts them.
        #expect(pipeline.rule(0) == TrafficCount(packets: 1, bytes: UInt64(request.count - 14)))
        #expect(pipeline.rule(1).packets == 0)
        #expect(pipeline.entry(0).packets == 1)
        let last = try #require(pipeline.lastDrop(.accessDenied))
        #expect(last.source == F.address("192.0.2.10") && last.destination == F.address("203.0.113.80"))
        // Another customer is let through by the default, on the fast path.
        let other = F.frame(
            F.tcp("192.0.2.11", 4_000, "203.0.113.80", 80), from: F.mac(0xB0), to: four.engine[0])
        #expect(ways(pipeline.send(other, on: 0)) == [[1, 0x1D], [1, 0xF1]])
        #expect(pipeline.rule(1).packets == 1)
        // IPv6 is another matter.
        #expect(
            ways(pipeline.send(fromAlice(F.tcp("2001:db8:2::10", 4_000, "2001:db8:cb::80", 80)), on: 0)) == [
                [1, 0x1D], [1, 0xF1],
            ])
        #expect(pipeline.allDrops == "access-denied:1")
    }

    @Test func answersAreJudgedOnTheirWayBack() throws {
        let ports = AccessRule.Matter.ports(protocolNumber: 6, own: 80...80, remote: 4_000...4_000)
        let pipeline = try Pipeline(Self.table("fw", [Self.rule(.deny(.drop), ports)]))
        #expect(pipeline.send(fromWeb(F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000)), on: 3).isEmpty)
        #expect(ways(pipeline.send(fromWeb(F.tcp("203.0.113.80", 80, "192.0.2.10", 4_001)), on: 3)) == [[2, 0xF2]])
        #expect(pipeline.rule(0).packets == 1 && pipeline.rule(1).packets == 1)
        // What the firewall itself sends on is not sent to it.
        let onward = F.frame(
            F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000), from: four.firewallIn, to: four.engine[1])
        #expect(pipeline.send(onward, on: 1).count == 2)
        #expect(pipeline.rule(0).packets == 1)
    }

    @Test func withANetworkSendAddressTheServiceAddressIsJudged() throws {
        for (alice, own) in [("192.0.2.10", Self.names4), ("2001:db8:2::10", Self.names6)] {
            let service = "\(own.address)"
            let ports = AccessRule.Matter.ports(protocolNumber: 17, own: 53...53, remote: 0...65535)
            let pipeline = try Pipeline(Self.table("dns", [Self.rule(.deny(.icmp), own: own, ports)]))
            let out = pipeline.send(fromAlice(F.udp(alice, 4_000, service, 53)), on: 0)
            let error = try #require(out.first.flatMap { F.read($0.bytes) })
            #expect([error.icmpType, error.icmpCode] == (alice.contains(":") ? [1, 1] : [3, 13]))
            #expect(error.quoted.destination == own.address)
            #expect(pipeline.send(fromAlice(F.udp(alice, 4_000, service, 54)), on: 0).map(\.interface) == [3])
            #expect(pipeline.allDrops == "access-denied:1")
        }
        // On the way back to an application that is judged, the source has become the service address again.
        for (server, own, client) in [
            ("198.18.4.53", Self.names4, "192.0.2.10"), ("2001:db8:4::53", Self.names6, "2001:db8:2::10"),
        ] {
            var table = Self.table("fw", [Self.rule(.deny(.drop), own: own)])
            for index in table.entries.indices where table.entries[index].name == "dns.response.dns" {
                table.entries[index].targets = [
                    SendTarget(interface: 2, address: .mac(four.firewallOut), system: .inlineApplication)
                ]
            }
            let pipeline = try Pipeline(table)
            let answer = F.udp(server, 53, client, 4_000)
            #expect(pipeline.send(F.frame(answer, from: four.dns, to: four.engine[3]), on: 3).isEmpty)
            #expect(pipeline.rule(0).packets == 1)
            #expect(pipeline.allDrops == "access-denied:1")
        }
    }

    @Test func theSenderOfADeniedPacketIsToldAsTheRuleSays() throws {
        for (alice, own) in [("192.0.2.10", Self.shop4), ("2001:db8:2::10", Self.shop6)] {
            let shop = "\(own.address)"
            for denial in AccessDenial.allCases {
                let pipeline = try Pipeline(Self.table("fw", [Self.rule(.deny(denial), own: own)]))
                let request = F.tcp(alice, 4_000, shop, 80, payload: [], flags: 2, sequence: 77)
                let out = pipeline.send(fromAlice(request), on: 0).filter { $0.interface == 0 }
                #expect(pipeline.drops(.accessDenied) == 1)
                guard denial != .drop else {
                    #expect(out.isEmpty)
                    continue
                }
                let answer = try #require(out.first)
                #expect(Array(answer.bytes[10..<22]) == four.alice.octets + four.engine[0].octets)
                #expect(F.checksumsAreRight(answer.bytes))
                let fields = try #require(F.read(answer.bytes))
                let upper = 10 + fields.transportOffset
                if denial == .icmp {
                    #expect([fields.icmpType, fields.icmpCode] == (alice.contains(":") ? [1, 1] : [3, 13]))
                    #expect(fields.flow.source == F.address(alice.contains(":") ? "2001:db8:2::1" : "192.0.2.1"))
                    #expect(fields.quoted.sourcePort == 4_000)
                } else {
                    #expect(fields.flow.source == own.address && fields.flow.sourcePort == 80)
                    #expect(fields.flow.destinationPort == 4_000)
                    // Reset and acknowledgment of the SYN: sequence number 0, acknowledged 78.
                    #expect(Array(answer.bytes[upper + 4..<upper + 12]) == [0, 0, 0, 0, 0, 0, 0, 78])
                    #expect(answer.bytes[upper + 13] == 0x14)
                }
            }
            // In mid-flow, the reset has the number that the peer expects.
            let pipeline = try Pipeline(Self.table("fw", [Self.rule(.deny(.reset), own: own)]))
            let out = pipeline.send(fromAlice(F.tcp(alice, 4_000, shop, 80)), on: 0).filter { $0.interface == 0 }
            let answer = try #require(out.first)
            let upper = 10 + (F.read(answer.bytes)?.transportOffset ?? 0)
            #expect(Array(answer.bytes[upper + 4..<upper + 12]) == [0, 0, 0, 2, 0, 0, 0, 0])
            #expect(answer.bytes[upper + 13] == 4)
        }
    }

    @Test func whatMustNotBeAnsweredIsNot() throws {
        let quoted = F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000)
        let rows: [(String, AccessDenial, [UInt8], Int)] = [
            ("a reset", .reset, fromAlice(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, flags: 4)), 0),
            (
                "an ICMP error", .icmp,
                fromAlice(F.icmp("192.0.2.10", "203.0.113.80", type: 3, code: 3, word: [0, 0, 0, 0], data: quoted)), 0
            ),
            (
                "a later fragment", .icmp,
                fromAlice(
                    F.packet("192.0.2.10", "203.0.113.53", 17, [UInt8](repeating: 0, count: 64), fragmentWord: 8)), 0
            ),
        ]
        for (what, denial, frame, interface) in rows {
            var table = Self.table("fw", [Self.rule(.deny(denial)), Self.rule(.deny(denial), own: Self.names4)])
            table.access[0].nodes = ["fw", "dns"]
            let pipeline = try Pipeline(table)
            #expect(!pipeline.send(frame, on: interface).contains { $0.interface == 0 }, "\(what)")
            #expect(pipeline.drops(.accessDenied) == 1, "\(what)")
        }
        // The denied copy of a passive application is silent: the packet itself goes on.
        let pipeline = try Pipeline(Self.table("ids", [Self.rule(.deny(.icmp))]))
        let out = pipeline.send(fromAlice(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80)), on: 0)
        #expect(ways(out) == [[1, 0xF1]])
        #expect(pipeline.allDrops == "access-denied:1")
    }

    @Test func answersAreRateLimitedWithTheOtherErrors() throws {
        for denial in [AccessDenial.icmp, .reset] {
            let pipeline = try Pipeline(Self.table("fw", [Self.rule(.deny(denial))]))
            let frame = fromAlice(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
            var told = 0
            for _ in 0..<500 { told += pipeline.send(frame, on: 0).count { $0.interface == 0 } }
            #expect(told == 100)
            #expect(pipeline.drops(.errorRateLimited) == 400)
            #expect(pipeline.drops(.accessDenied) == 500)
            #expect(pipeline.rule(0).packets == 500)
        }
    }

    @Test func errorsPassAndEchoIsJudgedByItsType() throws {
        let rules = [Self.rule(.allow, own: Self.names4, .icmp(type: 8))]
        let pipeline = try Pipeline(Self.table("dns", rules, otherwise: .deny(.drop)))
        #expect(pipeline.send(fromAlice(F.icmp("192.0.2.10", "203.0.113.53", type: 8)), on: 0).count == 1)
        #expect(pipeline.send(fromAlice(F.icmp("192.0.2.10", "203.0.113.53", type: 13)), on: 0).isEmpty)
        #expect(pipeline.rule(0).packets == 1 && pipeline.rule(1).packets == 1)
        // An error about an answer reaches the server, whatever the default says; nobody counts it.
        let quoted = F.udp("203.0.113.53", 53, "192.0.2.10", 4_000)
        let error = F.icmp("192.0.2.10", "203.0.113.53", type: 3, code: 3, word: [0, 0, 0, 0], data: quoted)
        #expect(pipeline.send(fromAlice(error), on: 0).count == 1)
        #expect(pipeline.rule(0).packets == 1 && pipeline.rule(1).packets == 1)
        #expect(pipeline.allDrops == "access-denied:1")
    }

    @Test func fragmentsGoByTheModelsRule() throws {
        let web = AccessRule.Matter.ports(protocolNumber: 17, own: 53...53, remote: 0...65535)
        // The first fragment has its ports, and the others have none.
        let first = F.udp(
            "192.0.2.10", 4_000, "203.0.113.53", 53, payload: [UInt8](repeating: 1, count: 16), fragmentWord: 0x2000)
        let other = F.udp(
            "192.0.2.10", 4_000, "203.0.113.53", 54, payload: [UInt8](repeating: 1, count: 16), fragmentWord: 0x2000)
        let later = F.packet("192.0.2.10", "203.0.113.53", 17, [UInt8](repeating: 0, count: 24), fragmentWord: 3)
        for (action, otherwise, passing) in [
            (AccessRule.Action.allow, AccessRule.Action.deny(.drop), [true, false, true]),
            (.deny(.drop), .allow, [false, true, true]),
        ] {
            let pipeline = try Pipeline(
                Self.table("dns", [Self.rule(action, own: Self.names4, web)], otherwise: otherwise))
            let passed = [first, other, later].map { !pipeline.send(fromAlice($0), on: 0).isEmpty }
            #expect(passed == passing)
        }
        // In IPv6, ports behind a destination options header of a first fragment are read all the same.
        let segment = F.transport(
            "2001:db8:2::10", "2001:db8:cb::53", 17,
            F.big16(4_000) + F.big16(53) + F.big16(24) + [0, 0] + [UInt8](repeating: 1, count: 16),
            at: 6, partial: false)
        let options: [UInt8] = [17, 0, 1, 4, 0, 0, 0, 0]
        let packet = F.packet("2001:db8:2::10", "2001:db8:cb::53", 44, [60, 0, 0, 1, 0, 0, 0, 9] + options + segment)
        for (own, passes) in [(UInt16(53)...53, false), (54...54, true)] {
            let matter = AccessRule.Matter.ports(protocolNumber: 17, own: own, remote: 0...65535)
            let pipeline = try Pipeline(Self.table("dns", [Self.rule(.deny(.drop), own: Self.names6, matter)]))
            #expect(!pipeline.send(fromAlice(packet), on: 0).isEmpty == passes)
        }
    }

    @Test func superframesCountTheirSegments() throws {
        let payload = [UInt8](repeating: 7, count: 20_000)
        let frame = fromAlice(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, payload: payload, partial: true))
        let offload: [UInt8] = [1, 1, 54, 0, 0xE8, 0x03, 34, 0, 16, 0]
        for action in [AccessRule.Action.allow, .deny(.drop)] {
            let pipeline = try Pipeline(Self.table("fw", [Self.rule(action)]))
            let out = pipeline.send(frame, on: 0, offload: offload)
            #expect(out.count == (action == .allow ? 2 : 1))
            #expect(pipeline.rule(0) == TrafficCount(packets: 20, bytes: UInt64(frame.count - 14)))
            #expect(pipeline.drops(.accessDenied) == (action == .allow ? 0 : 20))
        }
        // Frames that the engine itself coalesces, in one batch.
        for action in [AccessRule.Action.allow, .deny(.drop)] {
            let pipeline = try Pipeline(Self.table("fw", [Self.rule(action)]))
            var octets = 0
            for index in 0..<8 {
                let frame = fromAlice(
                    F.tcp(
                        "192.0.2.10", 4_000, "203.0.113.80", 80, payload: [UInt8](repeating: 3, count: 1_000),
                        flags: 0x10, sequence: 1 + index * 1_000, identification: index))
                octets += frame.count
                pipeline.worker.io.input.append(.init(interface: 0, bytes: [UInt8](repeating: 0, count: 10) + frame))
            }
            _ = pipeline.turn()
            #expect(pipeline.rule(0) == TrafficCount(packets: 8, bytes: UInt64(octets - 8 * 14)))
            #expect(pipeline.entry(0) == TrafficCount(packets: 8, bytes: UInt64(octets)))
            #expect((pipeline.coalesced > 0) == (action == .allow))
            #expect(pipeline.drops(.accessDenied) == (action == .allow ? 0 : 8))
        }
    }

    @Test func aPacketThatWaitsForItsNeighbourIsCountedOnce() throws {
        for action in [AccessRule.Action.allow, .deny(.drop)] {
            var table = Self.table("dns", [Self.rule(action, own: Self.names4)])
            // The node that announces the address is not known by it yet.
            table.neighbours.removeAll { $0.interface == 3 && $0.address.family == .ipv4 }
            table.holders.append(
                AddressHolder(interface: 3, mac: four.dns, prefix: IPPrefix("198.18.4.53/32")!, moves: true))
            let pipeline = try Pipeline(table)
            let asked = pipeline.send(fromAlice(F.udp("192.0.2.10", 4_000, "203.0.113.53", 53)), on: 0)
            // A denied packet asks nobody.
            #expect(asked.count == (action == .allow ? 1 : 0))
            let reply = F.arp(2, from: four.dns, "198.18.4.53", to: four.engine[3], "198.18.4.1")
            let sent = pipeline.send(reply, on: 3) + pipeline.turn(after: 0.01)
            #expect(sent.count == (action == .allow ? 1 : 0))
            #expect(pipeline.rule(0).packets == 1)
            #expect(pipeline.drops(.accessDenied) == (action == .allow ? 0 : 1))
        }
    }

    @Test func aDeniedConnectionBeginsNoFlowInTheEyesOfInstances() throws {
        // The first firewall joins: a slot moves to it when a connection opens there.
        func moved(_ action: AccessRule.Action) throws -> Int {
            var table = InstanceTests.table([.joining, .up])
            let list = AccessList(tenant: "alice", own: [Self.shop4], rules: [], otherwise: action, counter: 0)
            table.access = [AccessPoint(application: "firewall", nodes: ["fw", "fw-1"], lists: [list])]
            let pipeline = try Pipeline(table)
            for port in 40_000..<40_064 {
                pipeline.send(fromAlice(F.tcp("192.0.2.10", port, "203.0.113.80", 80, payload: [], flags: 2)), on: 0)
            }
            #expect(pipeline.rule(0).packets == 64)
            return DrainTable(behind: pipeline.neighbours).movedSlots(0)
        }
        #expect(try moved(.allow) > 0)
        #expect(try moved(.deny(.drop)) == 0)
    }

    @Test func interleavedFlowsAreJudgedEachByItself() throws {
        let ports = AccessRule.Matter.ports(protocolNumber: 6, own: 80...80, remote: 4_001...4_001)
        let pipeline = try Pipeline(Self.table("fw", [Self.rule(.deny(.drop), ports)]))
        for index in 0..<4 {
            for port in [4_000, 4_001] {
                let frame = fromAlice(
                    F.tcp(
                        "192.0.2.10", port, "203.0.113.80", 80, payload: [UInt8](repeating: 3, count: 500),
                        flags: 0x10, sequence: 1 + index * 500, identification: index))
                pipeline.worker.io.input.append(.init(interface: 0, bytes: [UInt8](repeating: 0, count: 10) + frame))
            }
        }
        _ = pipeline.turn()
        #expect(pipeline.rule(0).packets == 4 && pipeline.rule(1).packets == 4)
        #expect(pipeline.allDrops == "access-denied:4")
        // The detector got all eight, the firewall four.
        #expect(pipeline.entry(0).packets == 8)
    }
}
