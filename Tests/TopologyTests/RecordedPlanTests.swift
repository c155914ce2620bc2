import Forwarding
import Reporting
import Seeds
import Testing
import Wire

@testable import Plan
@testable import Planning
@testable import TopologyFiles

/// An instruction changes a plan as planning all of it anew does.
@Suite struct RecordedPlanTests {
    private static let text = """
        name: t
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          others: { address: 198.18.9.1/24 }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected: { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          arm: { address: 198.18.5.1/24 }
          servers: { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers }
          bob: { interface: customers, prefixes: [203.0.113.120/30] }
          carol: { interface: others }
        applications:
          ids: { passive: true, attach: { in: inspection } }
          probe: { passive: true, active-responses: true, attach: { in: inspection } }
          fw: { attach: { in: inspection, out: inspected } }
          pair: { attach: { in: inspection, out: inspected }, instances: 2, when-down: bypass }
          lone: { attach: arm }
          web: { attach: servers }
          nat: { attach: servers, send: network }
          farm: { attach: servers, instances: 2 }
          proxy: { attach: { in: inspected, out: servers } }
        routers:
          isp: { attach: servers }
        services:
          shop: { address: 203.0.113.80, ports: [tcp/80], distribute: [ids, fw], sequence: [fw, web] }
          wide: { address: 203.0.113.64/26, ports: [udp/53], from: alice, sequence: [fw, isp] }
          outside: { address: 198.51.100.0/24, from: proxy, sequence: [isp] }
        tenants:
          alice:
            customers: [alice]
            addresses: [203.0.113.64/26, "2001:db8:cb:1::/64"]
            applications: [ids, probe, fw, pair, lone, web, nat, farm, isp, proxy]
            limits: { services: 9 }
          bob:
            customers: [bob, carol]
            addresses: [198.51.100.0/24, 192.0.2.128/25]
            applications: [ids, fw, pair, lone, web, nat, farm, proxy]
            limits: { services: 9 }
        records: { database: lab.db }
        """

    private static let addresses = [
        "alice": [
            "203.0.113.80", "203.0.113.81", "203.0.113.82", "203.0.113.84/30", "203.0.113.64/27", "203.0.113.121",
            "2001:db8:cb:1::80", "2001:db8:cb:1::/80", "203.0.113.96", "203.0.113.97", "203.0.113.98",
        ],
        "bob": ["198.51.100.1", "198.51.100.2", "198.51.100.4/30", "192.0.2.130", "192.0.2.192/27", "198.51.100.9"],
    ]
    private static let ports = [
        [], ["tcp/80"], ["tcp/80"], ["tcp/81"], ["udp/53"], ["tcp/70-90"], ["icmp"], ["any"], ["tcp"], ["udp/1-100"],
        ["tcp/80 -> 8080"], ["tcp/81 -> 8080"], ["tcp/80 -> 81"], ["tcp/80 -> 8080 at fw"],
        ["udp/53 -> 5353", "tcp/443"],
    ]
    private static let sequences = [
        ["fw", "web"], ["fw", "web"], ["pair", "farm"], ["lone", "web"], ["fw", "nat"], ["nat"], ["web"],
        ["fw", "pair", "web"], ["fw", "isp"], ["isp"], ["fw", "proxy"], ["lone", "fw", "farm"], ["web", "fw"],
    ]

    private static func record(_ generator: inout SeededGenerator) -> ServiceRecord {
        let tenant = ["alice", "bob"].randomElement(using: &generator) ?? "alice"
        let names = ["a", "b", "c", "d", "a.request", "e", "f", "g", "h", "i", "j"]
        let own = addresses[tenant] ?? []
        let count = [1, 1, 1, 2].randomElement(using: &generator) ?? 1
        let from: [[String]] = [
            [], [], [], ["customers"], [tenant], ["others"], tenant == "bob" ? ["carol"] : ["alice"],
        ]
        return ServiceRecord(
            tenant: tenant, name: names.randomElement(using: &generator) ?? "a",
            addresses: (0..<count).compactMap { _ in own.randomElement(using: &generator) },
            ports: ports.randomElement(using: &generator) ?? [], from: from.randomElement(using: &generator) ?? [],
            distribute: [[], [], ["ids"], ["probe"], ["ids", "fw"]].randomElement(using: &generator) ?? [],
            sequence: sequences.randomElement(using: &generator) ?? [])
    }

    /// Instructions in a random order; each is planned both ways.
    @Test func anInstructionChangesThePlanAsPlanningAllDoes() throws {
        var generator = SeededGenerator(seed: Seed.drawn())
        let file = try TopologyFile.parse(Self.text, path: "t.yaml")
        var (partly, wholly, refused) = (0, 0, 0)
        var reasons: [String: Int] = [:]
        for _ in 0..<3 {
            var plan = try Planner.plan(file)
            var recorded = try #require(RecordedPlan(file, plan))
            for _ in 0..<40 {
                let isRemoval = !plan.serviceRecords.isEmpty && Int.random(in: 0..<4, using: &generator) == 0
                let put =
                    isRemoval
                    ? [] : (0..<Int.random(in: 1...2, using: &generator)).map { _ in Self.record(&generator) }
                let remove = Set(isRemoval ? [plan.serviceRecords.randomElement(using: &generator)?.id ?? ""] : [])
                let ids = Set(put.map(\.id))
                guard ids.count == put.count else { continue }
                let what = "\(put), without \(remove), beside \(plan.serviceRecords)"
                let part = Result { () throws(RecordRefusal) in try recorded.changed(put: put, remove: remove) }
                let records = plan.serviceRecords.with(put, remove)
                let all = Result { () throws(RecordRefusal) in
                    try Planner.plan(file, records: records, name: nil, keeping: plan, changes: InstanceChanges())
                }
                switch (part, all) {
                case (.success(.unknown(let why)), .success(let fresh)):
                    reasons[why, default: 0] += 1
                    wholly += 1
                    plan = fresh
                    recorded = try #require(RecordedPlan(file, plan))
                case (.success(.unknown(let why)), .failure):
                    reasons[why, default: 0] += 1
                    wholly += 1
                case (.success(.changed(let changed, let table)), .success(let fresh)):
                    partly += 1
                    let made = changed.plan
                    expectSame(made, fresh, what)
                    #expect(Set(made.table.entries.map(\.counter)).count == made.table.entries.count)
                    #expect(PlanDifference(from: made, to: fresh).isEmpty, "\(what)")
                    #expect(
                        PlanDifference(from: plan, to: made, patch: table)
                            == PlanDifference(from: plan, to: made), "\(what)")
                    (plan, recorded) = (made, changed)
                case (.failure(let part), .failure(let all)):
                    refused += 1
                    #expect(part.stage == all.stage, "\(what): \(part.error) \(all.error)")
                    #expect(part.error.problems == all.error.problems, "\(what)")
                case (.success(.changed), .failure(let all)):
                    Issue.record("\(what): only the whole is refused: \(all.error)")
                case (.failure(let part), .success):
                    Issue.record("\(what): only the part is refused: \(part.error)")
                }
            }
        }
        // What makes an application pass packets on, or ends that, is planned as a whole.
        #expect(partly > wholly && refused > 0, "as a whole \(reasons), in part \(partly), refused \(refused)")
    }

    private func expectSame(_ part: AppliancePlan, _ all: AppliancePlan, _ what: String) {
        func entries(_ plan: AppliancePlan) -> [Entry] { plan.table.entries.map(\.uncounted) }
        #expect(entries(part) == entries(all), "\(what)")
        #expect(part.recordEntries == all.recordEntries, "\(what)")
        #expect(Set(part.table.claimed) == Set(all.table.claimed), "\(what)")
        #expect(Set(part.table.holders) == Set(all.table.holders), "\(what)")
        #expect(part.table.claimed.count == all.table.claimed.count, "\(what)")
        #expect(part.table.holders.count == all.table.holders.count, "\(what)")
        #expect(part.services == all.services, "\(what)")
        #expect(part.entryOrigins == all.entryOrigins, "\(what)")
        #expect(part.serviceRecords == all.serviceRecords, "\(what)")
        #expect(Set(part.remarks) == Set(all.remarks), "\(what)")
        #expect(part.engines == all.engines && part.checks == all.checks && part.interfaces == all.interfaces)
        for (mine, other) in zip(part.table.sources, all.table.sources) {
            var same = mine
            same.origins = other.origins
            #expect(same == other, "\(what)")
            #expect(mine.origins.map(Set.init) == other.origins.map(Set.init), "\(what)")
        }
        for (mine, other) in zip(part.nodes, all.nodes) {
            var same = mine
            (same.loopback, same.local, same.routes) = (other.loopback, other.local, other.routes)
            #expect(same == other, "\(what)")
            #expect(Set(mine.loopback) == Set(other.loopback), "\(what): \(mine.name)")
            #expect(Set(mine.local) == Set(other.local), "\(what): \(mine.name)")
            #expect(Set(mine.routes) == Set(other.routes), "\(what): \(mine.name)")
        }
    }
}
