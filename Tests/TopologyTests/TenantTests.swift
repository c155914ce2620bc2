import Forwarding
import Reporting
import Testing
import Wire

@testable import Plan
@testable import Planning
@testable import TopologyFiles

/// Tenants of the file, and the services that they keep beside it.
@Suite struct TenantTests {
    private static let tenants =
        picture + """
            tenants:
              alice:
                customers: [alice]
                addresses: [203.0.113.96/29, "2001:db8:cb:1::/64"]
                applications: [ids, fw, web]
                must: [fw]
                limits: { services: 2, instructions: 30/min }
              bob: { customers: bob, addresses: 203.0.113.104/29, applications: [fw, web] }
            records: { database: kept/lab.db }

            """

    private static func record(
        _ name: String = "shop", tenant: String = "alice", addresses: [String] = ["203.0.113.97"],
        ports: [String] = ["tcp/80"], from: [String] = [], distribute: [String] = ["ids"],
        sequence: [String] = ["fw", "web"]
    ) -> ServiceRecord {
        ServiceRecord(
            tenant: tenant, name: name, addresses: addresses, ports: ports, from: from, distribute: distribute,
            sequence: sequence)
    }

    /// The stage that refuses records, and what is wrong with them.
    private static func refusal(_ records: ServiceRecord...) throws -> (stage: RecordRefusal.Stage, [TopologyProblem])?
    {
        let file = try TopologyFile.parse(tenants, path: "t.yaml")
        do throws(RecordRefusal) {
            _ = try Planner.plan(file, records: records, name: nil, keeping: nil, changes: InstanceChanges())
            return nil
        } catch {
            return (error.stage, error.error.problems)
        }
    }

    @Test func theFileSaysWhatTenantsMayDo() throws {
        let plan = try #require(try TopologyTests.plan(Self.tenants).records)
        #expect(plan.database == "kept/lab.db")
        #expect(plan.tenants.map(\.name) == ["alice", "bob"])
        #expect(plan.tenants[0].applications.map(\.isPassive) == [true, false, false])
        #expect(plan.tenants[0].must == ["fw"])
        #expect(plan.tenants.map(\.services) == [2, 20])
        #expect(plan.tenants.map(\.instructions) == [30, 600])
    }

    @Test func aRecordIsPlannedBesideTheFile() throws {
        let file = try TopologyFile.parse(Self.tenants, path: "t.yaml")
        let plan = try Planner.plan(
            file, records: [Self.record(), Self.record("six", addresses: ["2001:db8:cb:1::9"])], name: nil,
            keeping: nil,
            changes: InstanceChanges())
        #expect(plan.table.entries.contains { $0.name == "alice/shop.request.customers" })
        #expect(plan.serviceRecords.map(\.id) == ["alice/shop", "alice/six"])
        let without = try Planner.plan(file)
        let difference = PlanDifference(from: without, to: plan)
        #expect(
            difference.actions.allSatisfy { action in
                switch action {
                case .publish, .alter: true
                default: false
                }
            }, "\(difference.lines(plan))")
    }

    @Test(
        arguments: [
            (record("-x"), "invalid", "/name", "\"-x\" cannot be the name of a service: it is part of a path"),
            (record(addresses: ["shop"]), "invalid", "/addresses/0", "\"shop\" is no address"),
            (
                record(addresses: ["203.0.113.97/29"]), "invalid", "/addresses/0",
                "203.0.113.97/29 has bits set beyond its length"
            ),
            (record(addresses: []), "invalid", "/addresses", "the service has no address"),
            (record(ports: ["tcp/80", "80"]), "invalid", "/ports/1", "\"80\" is not a service port"),
            (record(sequence: []), "invalid", "/sequence", "the service has no sequence"),
            (
                record(addresses: ["203.0.113.80"]), "forbidden", "/addresses/0",
                "203.0.113.80 is none of your addresses"
            ),
            (
                record(addresses: ["203.0.113.104"]), "forbidden", "/addresses/0",
                "203.0.113.104 is none of your addresses"
            ),
            (
                record(addresses: ["203.0.113.0/24"]), "forbidden", "/addresses/0",
                "203.0.113.0/24 is none of your addresses"
            ),
            (record(distribute: ["idz"]), "forbidden", "/distribute/0", "there is no application \"idz\" for you"),
            (
                record(sequence: ["web"]), "forbidden", "/sequence",
                "the chain leaves out \"fw\", which every chain of yours has"
            ),
            (record(from: ["bob"]), "forbidden", "/from/0", "there is no interface, and no customer of yours, \"bob\""),
            (record(tenant: "eve"), "forbidden", nil, "the file has no tenant \"eve\""),
            (
                record(
                    addresses: ["203.0.113.97", "203.0.113.98", "203.0.113.99"], ports: (1...64).map { "tcp/\($0)" }),
                "forbidden", nil,
                "there is room for 128 combinations of an address, a service port and customers, and this makes 192"
            ),
            (record(sequence: ["fw", "fw"]), "conflict", "/sequence/1", nil),
        ] as [(ServiceRecord, String, String?, String?)])
    func whatIsWrongIsToldWithItsPlace(_ record: ServiceRecord, _ stage: String, _ pointer: String?, _ message: String?)
        throws
    {
        let refusal = try #require(try Self.refusal(record), "it was not refused")
        #expect(refusal.stage.rawValue == stage, "\(refusal)")
        let first = try #require(refusal.1.first)
        if let message { #expect(first.message == message) }
        if stage != "conflict" || pointer != nil { #expect(first.origin == record.origin(pointer), "\(first)") }
    }

    @Test func thereIsRoomForSoManyServices() throws {
        let records = (1...3).map { Self.record("s\($0)", addresses: ["203.0.113.9\($0 + 6)"]) }
        #expect(try Self.refusal(records[0], records[1]) == nil)
        let refusal = try #require(try Self.refusal(records[0], records[1], records[2]))
        #expect(refusal.stage == .forbidden && refusal.1.map(\.origin) == [records[2].origin()])
    }

    @Test func twoRecordsOfOneTenantThatCollideAreAConflict() throws {
        let refusal = try #require(try Self.refusal(Self.record(), Self.record("other")))
        #expect(refusal.stage == .conflict)
        #expect(refusal.1.first?.message.contains("have the same address 203.0.113.97") == true, "\(refusal.1)")
    }

    @Test func theFileGoesFirstAndRecordsInTheirOrder() throws {
        let file = try TopologyFile.parse(Self.tenants.replacing("services: 2", with: "services: 3"), path: "t.yaml")
        let wanted = [
            Self.record(), Self.record("other"), Self.record("gone", tenant: "eve"),
            Self.record("six", addresses: ["2001:db8:cb:1::9"]),
        ]
        let plan = try Planner.plan(file, fitting: wanted, name: nil, keeping: nil, changes: InstanceChanges())
        #expect(plan.serviceRecords.map(\.id) == ["alice/shop", "alice/six"])
        #expect(Set(plan.recordsSetAside.map(\.record.id)) == ["eve/gone", "alice/other"])
        #expect(plan.recordsSetAside.allSatisfy { !$0.reasons.isEmpty })
        #expect(Set(plan.wantedRecords) == Set(wanted))
    }

    @Test func anotherDatabaseCannotBeTakenWhileTheTopologyIsUp() throws {
        let old = try TopologyTests.plan(Self.tenants)
        let moved = try TopologyTests.plan(Self.tenants.replacing("kept/lab.db", with: "other.db"))
        #expect(PlanDifference(from: old, to: moved).refusals.map(\.what) == ["the database of the records is another"])
        let less = try TopologyTests.plan(Self.tenants.replacing("must: [fw]", with: "must: []"))
        #expect(PlanDifference(from: old, to: less).lines(less) == ["tenant alice may do other things"])
    }
}
