import Forwarding
import Plan
import Seeds
import Testing
import Wire

/// Chains of applications that may be left out, with whatever is up and down: the engine's own decisions, followed.
@Suite struct DetourTests {
    /// A way through the chain, as far as it goes.
    private struct Way: Equatable {
        var nodes: [String] = []
        var copies: Set<String> = []
        /// Where it ends: a node, or nil where it is dropped.
        var end: String?
    }

    private struct Station: Hashable {
        var interface: Int
        var mac: MACAddress
    }

    private struct Walker {
        let plan: AppliancePlan
        let snapshot: Snapshot
        private let legs: [Station: (node: NodePlan, leg: Int)]

        init(_ plan: AppliancePlan, _ snapshot: Snapshot) {
            self.plan = plan
            self.snapshot = snapshot
            var legs: [Station: (node: NodePlan, leg: Int)] = [:]
            for node in plan.nodes {
                for (place, leg) in node.legs.enumerated() {
                    legs[Station(interface: leg.interface, mac: leg.mac)] = (node, place)
                }
            }
            self.legs = legs
        }

        func way(_ flow: FlowFields, from node: NodePlan, leg: Int) -> Way {
            var way = Way()
            var (emitter, place) = (node, leg)
            for _ in 0..<32 {
                let out = emitter.legs[place]
                guard
                    case .forward(let entry) = snapshot.decide(
                        flow, sourceMAC: out.mac, receivedInterface: out.interface),
                    let target = onward(snapshot.entry(entry).targets, flow, &way)
                else { return way }
                guard case .mac(let mac) = target.address,
                    let found = legs[Station(interface: target.interface, mac: mac)]
                else {
                    way.end = "customer"
                    return way
                }
                way.nodes.append(found.node.name)
                if found.node.legs.count == 1 {
                    way.end = found.node.name
                    return way
                }
                (emitter, place) = (found.node, 1 - found.leg)
            }
            Issue.record("a circle: \(way)")
            return way
        }

        /// Where the packet itself goes; the copies are noted.
        private func onward(_ hops: Range<Int>, _ flow: FlowFields, _ way: inout Way) -> TargetRecord? {
            var next: TargetRecord?
            for index in hops {
                switch snapshot.hop(index) {
                case .target(let target): take(target, &way, &next)
                case .hops(let hops):
                    if snapshot.downAnswer(index) == nil { next = onward(hops, flow, &way) ?? next }
                case .instance(let choice):
                    guard case .member(let member) = snapshot.decide(choice, flow) else { continue }
                    take(snapshot.target(choice, member: member), &way, &next)
                }
            }
            return next
        }

        private func take(_ target: TargetRecord, _ way: inout Way, _ next: inout TargetRecord?) {
            guard target.system == .passiveApplication, case .mac(let mac) = target.address else {
                next = target
                return
            }
            way.copies.insert(legs[Station(interface: target.interface, mac: mac)]?.node.name ?? "?")
        }
    }

    /// A chain of three inline applications with detectors between them, and servers.
    private func text(_ policies: [String]) -> String {
        var text = "name: detour\ninterfaces:\n  outside: { address: [192.0.2.1/24, \"2001:db8:2::1/64\"] }\n"
        for number in 0..<7 {
            text += "  i\(number): { address: [198.18.\(number).1/24, \"2001:db8:\(number + 10)::1/64\"] }\n"
        }
        text += "customers:\n  alice: { interface: outside }\napplications:\n"
        for number in 0..<3 {
            text += "  ids\(number): { passive: true, attach: i\(number * 2), instances: \(number + 1) }\n"
            text += "  app\(number): { attach: { in: i\(number * 2), out: i\(number * 2 + 1) }\(policies[number]) }\n"
        }
        text += "  ids3: { passive: true, attach: i6 }\n"
        text += "  web: { attach: i6, instances: 2, redundancy: balance }\n"
        text += "services:\n  shop:\n    address: [203.0.113.80, \"2001:db8:cb::80\"]\n    ports: tcp/80\n"
        text += "    sequence: [ids0, app0, ids1, app1, ids2, app2, ids3, web]\n"
        return text
    }

    @Test(arguments: 0..<12)
    func bothDirectionsLeaveOutTheSame(_ round: Int) throws {
        let seed = Seed.drawn()
        var random = SeededGenerator(seed: seed)
        let kinds = [
            "", ", instances: 2, redundancy: balance", ", instances: 2, when-down: bypass, redundancy: balance",
            ", instances: 3, when-down: skip-rest, redundancy: balance",
        ]
        let policies = (0..<3).map { _ in kinds.randomElement(using: &random) ?? "" }
        let plan = try plan(text(policies))
        let alice = plan.node("alice")
        for _ in 0..<8 {
            var table = plan.table
            for group in table.groups.indices {
                let isDown = Int.random(in: 0..<3, using: &random) == 0
                for member in table.groups[group].members.indices {
                    let fails = isDown || Int.random(in: 0..<4, using: &random) == 0
                    table.groups[group].members[member].availability = fails ? .down : .up
                }
            }
            let buffer = try SnapshotBuffer(copying: try TableCompiler.compile(table, generation: 1))
            let walker = Walker(plan, buffer.snapshot)
            var flow = FlowFields()
            let isFour = Bool.random(using: &random)
            let family: AddressFamily = isFour ? .ipv4 : .ipv6
            flow.source = try #require(alice.legs[0].addresses.first { $0.address.family == family }).address
            flow.destination = try #require(IPAddress(isFour ? "203.0.113.80" : "2001:db8:cb::80"))
            (flow.protocolNumber, flow.hasPorts) = (6, true)
            (flow.sourcePort, flow.destinationPort) = (UInt16.random(in: 1024...65535, using: &random), 80)
            let note = Comment(rawValue: "seed \(seed), \(policies), \(table.groups.map { "\($0.name) \($0.isDown)" })")

            let there = walker.way(flow, from: alice, leg: 0)
            let expected = Self.expected(policies, table)
            #expect(there.nodes.map { String($0.prefix(4)) } == expected.path, note)
            #expect((there.end != nil) == expected.arrives, note)
            guard let end = there.end else { continue }
            let back = walker.way(flow.reversed, from: plan.node(end), leg: 0)
            #expect(back.end == "customer", note)
            #expect(back.nodes == there.nodes.dropLast().reversed(), note)
            #expect(back.copies == there.copies, note)
        }
    }

    /// What the policies mean, said once more in other words.
    private static func expected(_ policies: [String], _ table: ForwardingTable) -> (path: [String], arrives: Bool) {
        var path: [String] = []
        for number in 0..<3 {
            let isDown = table.groups.contains { $0.name == "app\(number)" && $0.isDown }
            if !isDown {
                path.append("app\(number)")
            } else if policies[number].contains("skip-rest") {
                break
            } else if !policies[number].contains("bypass") {
                return (path, false)
            }
        }
        let isOver = table.groups.contains { $0.name == "web" && $0.isDown }
        return (path + (isOver ? [] : ["web-"]), !isOver)
    }
}
