import Forwarding
import Reporting
import Testing
import Wire

@testable import Plan
@testable import Planning
@testable import TopologyFiles

/// Access lists that were right when they were written, beside a file that no longer allows all of them.
@Suite struct AccessFailSafeTests {
    private static let tenants =
        picture.replacing("out: inspected } }", with: "out: inspected }, access: [engine, application] }") + """
            tenants:
              alice: { addresses: [203.0.113.96/29, "2001:db8:cb:1::/64"], applications: [fw, web] }
              bob: { addresses: 203.0.113.104/29, applications: [fw, web] }
            records: {}

            """

    private static func rule(_ action: String, _ name: String? = nil, own: String? = nil, ports: [String] = [])
        -> AccessRecord.Rule
    {
        AccessRecord.Rule(AccessRecord.Verdict(action), protocolName: name, own: own, ownPorts: ports)
    }

    private static func list(
        _ rules: AccessRecord.Rule..., tenant: String = "alice", default verdict: String = "allow"
    ) -> AccessRecord {
        AccessRecord(tenant: tenant, application: "fw", rules: rules, otherwise: AccessRecord.Verdict(verdict))
    }

    private static let stored = list(
        rule("deny", "tcp", own: "203.0.113.97"), rule("deny", own: "203.0.113.102"),
        rule("allow", "udp", own: "203.0.113.96/29"), rule("deny", "icmpv6"))

    /// The plan of the file with a part of its text replaced, after the file as it is with these lists.
    private static func plan(
        _ records: [AccessRecord], _ part: String = "", with other: String = ""
    ) throws -> (before: AppliancePlan, after: AppliancePlan, file: TopologyFile) {
        var before = try Planner.plan(try TopologyFile.parse(tenants, path: "t.yaml"))
        try Planner.judge(
            by: records, in: &before, of: try TopologyFile.parse(tenants, path: "t.yaml"), keeping: nil)
        let text = part.isEmpty ? tenants : tenants.replacing(part, with: other)
        #expect(part.isEmpty || text != tenants)
        let file = try TopologyFile.parse(text, path: "t.yaml")
        var after = try Planner.plan(file)
        Planner.judge(fitting: before.wantedAccess, in: &after, of: file, keeping: before)
        return (before, after, file)
    }

    @Test func rulesOutsideOfTheAddressesAreLeftOutAlone() throws {
        let (before, after, _) = try Self.plan(
            [Self.stored], #"[203.0.113.96/29, "2001:db8:cb:1::/64"]"#, with: "203.0.113.96/30")
        #expect(after.accessSetAside.isEmpty)
        let list = try #require(after.accessLists.first)
        let left = try #require(IPPrefix("203.0.113.96/30"))
        #expect(list.record == Self.stored && list.list.own == [left])
        #expect(list.list.rules.map { "\($0.own)" } == ["203.0.113.97", "203.0.113.96/30"])
        #expect(list.sources == [0, 2] && list.list.otherwise == .allow)
        #expect(
            list.omissions.map { "\($0.pointer) \($0.message)" } == [
                "/rules/1 rule 2 is not in force: 203.0.113.102 is none of the tenant's addresses any more",
                "/rules/2 rule 3 is in force for 203.0.113.96/30 alone: the tenant has no more of 203.0.113.96/29",
                "/rules/3 rule 4 is not in force: no address that the tenant has now is of the family that the rule is about",
            ])
        #expect(
            list.notes.first
                == "the access list of alice on fw: rule 2 is not in force: 203.0.113.102 is none of the tenant's "
                + "addresses any more")
        // A rule that stays as it was keeps its counter, and so does the default.
        let former = try #require(before.accessLists.first)
        #expect(list.list.rules[0].counter == former.list.rules[0].counter && list.list.counter == former.list.counter)
        // The engine and nftables get what is left.
        #expect(after.access.map(\.lists) == [[after.access[0].lists[0]]])
        #expect(after.access[0].lists[0].numbers == [1, 3] && after.table.access.first?.lists.count == 1)
    }

    /// Others' instructions are not refused for it, and the tenant's own new list is as right as ever.
    @Test func whatIsKeptRefusesNoInstruction() throws {
        var (_, after, file) = try Self.plan([Self.stored], "203.0.113.96/29", with: "203.0.113.96/30")
        let bob = Self.list(Self.rule("deny"), tenant: "bob")
        try Planner.judge(by: [Self.stored, bob], in: &after, of: file, keeping: after)
        #expect(after.accessLists.map(\.record) == [Self.stored, bob] && after.accessLists[0].omissions.count == 2)
        let wrong = Self.list(Self.rule("deny", own: "203.0.113.102"))
        let refusal = #expect(throws: RecordRefusal.self) {
            try Planner.judge(by: [wrong, bob], in: &after, of: file, keeping: after)
        }
        #expect(refusal?.stage == .forbidden)
    }

    @Test func aLowerLimitIsToldToNewListsAlone() throws {
        var (_, after, file) = try Self.plan(
            [Self.stored], "applications: [fw, web] }\n  bob",
            with: "applications: [fw, web], limits: { rules: 2 } }\n  bob")
        #expect(after.accessLists.first?.list.rules.count == 4 && after.accessLists.first?.omissions == [])
        let rules = Self.stored.rules
        func put(_ rules: [AccessRecord.Rule]) throws {
            var list = Self.stored
            list.rules = rules
            try Planner.judge(by: [list], in: &after, of: file, keeping: after)
        }
        var other = rules
        other[0].verdict.answer = "icmp"
        let refusal = #expect(throws: RecordRefusal.self) { try put(other) }
        #expect(
            refusal?.error.problems.first?.message
                == "there is room for 2 rules in all lists together, and this makes 4")
        // On the way back into the limit, each step counts.
        try put(Array(rules.dropLast()))
        try put(Array(rules.dropLast(2)))
    }

    @Test(
        arguments: [
            (", access: [engine, application]", "", "no access lists are kept for \"fw\""),
            ("alice: {", "eve: {", "the file has no tenant \"alice\""),
        ])
    func nothingJudgesWhereNothingCan(_ part: String, _ other: String, _ reason: String) throws {
        let text = part.hasPrefix("alice") ? "  \(part) addresses" : part
        let (_, after, _) = try Self.plan(
            [Self.stored], text, with: part.hasPrefix("alice") ? "  \(other) addresses" : other)
        #expect(after.accessLists.isEmpty && after.accessSetAside.map(\.reasons) == [[reason]])
    }

    /// The operator's own services may still lead the tenant's packets through it.
    @Test func aListForAnApplicationThatTheTenantMayNotUseAnyMoreStays() throws {
        let (_, after, _) = try Self.plan(
            [Self.stored], #"cb:1::/64"], applications: [fw, web]"#, with: #"cb:1::/64"], applications: [web]"#)
        #expect(after.accessLists.map(\.record) == [Self.stored] && after.accessLists[0].omissions == [])
    }

    /// More addresses make more rules of each one. What has no room denies by the default.
    @Test func aListThatHasGrownTooLongDeniesWhatHasNoRoom() throws {
        let rules = (0..<101).map { Self.rule($0 == 100 ? "deny" : "allow", "tcp", ports: ["\($0 + 1)"]) }
        var list = Self.list()
        list.rules = rules
        let more = (0..<9).map { "198.51.100.\($0)" }.joined(separator: ", ")
        let (_, after, _) = try Self.plan([list], "[203.0.113.96/29,", with: "[203.0.113.96/29, \(more),")
        let planned = try #require(after.accessLists.first)
        #expect(planned.list.rules.count == 90 * 11 && planned.list.otherwise == .deny(.drop))
        #expect(planned.omissions.map(\.pointer) == (90...100).map { "/rules/\($0)" } + ["/default"])
        #expect(planned.omissions.last?.message.hasPrefix("the default is deny while") == true)
    }

    // MARK: - Remarks

    private static func shadows(_ rules: AccessRecord.Rule...) throws -> [String] {
        var list = list(default: "deny")
        list.rules = rules
        let plan = try plan([list]).before
        return plan.remarks(on: plan.accessLists[0]).map(\.message)
    }

    @Test func rulesThatTogetherTakeAllPacketsOfAnotherAreTold() throws {
        let end = "before it take all its packets"
        #expect(
            try Self.shadows(
                Self.rule("deny", "tcp", ports: ["0-1023"]), Self.rule("allow", "udp"),
                Self.rule("allow", "tcp", ports: ["1024-65535"]), Self.rule("deny", "tcp"),
                Self.rule("deny", "tcp", ports: ["22"]))
                == [
                    "rule 4 never matches: rules 1 and 3 \(end)",
                    "rule 5 never matches: rule 1 before it takes all its packets",
                ])
        #expect(
            try Self.shadows(
                Self.rule("deny", own: "203.0.113.96/30"), Self.rule("allow", own: "203.0.113.100/31"),
                Self.rule("allow", own: "203.0.113.102/31"), Self.rule("deny", "tcp", own: "203.0.113.96/29"))
                == ["rule 4 never matches: rules 1, 2 and 3 \(end)"])
        // One port is left.
        #expect(
            try Self.shadows(
                Self.rule("deny", "tcp", ports: ["0-1022"]), Self.rule("allow", "tcp", ports: ["1024-65535"]),
                Self.rule("deny", "tcp")) == [])
        // Every protocol by itself, and every type.
        let every = (0...255).map { Self.rule("deny", "\($0)", own: "203.0.113.97") }
        var list = Self.list(default: "deny")
        list.rules = every + [Self.rule("allow", own: "203.0.113.97")]
        let plan = try Self.plan([]).before
        var planned = plan
        let file = try TopologyFile.parse(
            Self.tenants.replacing(
                "applications: [fw, web] }", with: "applications: [fw, web], limits: { rules: 400 } }"),
            path: "t.yaml")
        try Planner.judge(by: [list], in: &planned, of: file, keeping: nil)
        #expect(
            planned.accessLists[0].shadows.map(\.message) == [
                "rule 257 never matches: rules 1, 2, 3, 4, 5, 6, 7 and 249 more \(end)"
            ])
    }

    /// Exactly the rules are told that no packet reaches: the judge looks at a packet in each corner that the rules make.
    @Test func exactlyTheDeadRulesAreTold() throws {
        var random = SystemRandomNumberGenerator()
        var dead = 0
        for _ in 0..<60 {
            let own = try #require(IPPrefix("203.0.113.96/30"))
            let rules = (0..<6).map { index in Self.randomRule(own, index, &random) }
            let record = Self.list(Self.rule("deny"), Self.rule("deny"), Self.rule("deny"))
            var planned = PlannedAccess(
                record: record,
                list: AccessList(tenant: "alice", own: [own], rules: rules, otherwise: .allow, counter: 9),
                sources: Array(rules.indices))
            planned.record.rules = rules.map { _ in Self.rule("deny") }
            let expected = rules.indices.filter { index in
                !Self.corners(rules[index], rules).contains { packet in
                    rules[index].matches(packet) && !rules[..<index].contains { $0.matches(packet) }
                }
            }
            dead += expected.count
            #expect(planned.shadows.map(\.pointer) == expected.map { "/rules/\($0)" }, "\(rules)")
        }
        #expect(dead > 20)
    }

    private static let ends: [UInt16] = [0, 80, 81, 443, 65535]

    private static func randomRule(
        _ own: IPPrefix, _ counter: Int, _ random: inout SystemRandomNumberGenerator
    ) -> AccessRule {
        func range() -> ClosedRange<UInt16> {
            let (one, two) = (ends.randomElement(using: &random)!, ends.randomElement(using: &random)!)
            return min(one, two)...max(one, two)
        }
        let side = IPPrefix(
            own.address.advanced(by: .random(in: 0...3, using: &random)), length: .random(in: 30...32, using: &random))
        let remote: [IPPrefix?] = [nil, nil, IPPrefix("0.0.0.0/1"), IPPrefix("128.0.0.0/1"), side]
        let matter: AccessRule.Matter =
            switch Int.random(in: 0..<6, using: &random) {
            case 0: .any
            case 1: .protocolNumber([6, 1].randomElement(using: &random)!)
            case 2: .icmp(type: [0, 8, 255].randomElement(using: &random)!)
            default: .ports(protocolNumber: 6, own: range(), remote: range())
            }
        return AccessRule(
            action: Bool.random(using: &random) ? .allow : .deny(.drop), own: side,
            remote: remote.randomElement(using: &random)!, matter: matter, counter: counter)
    }

    /// Packets to a rule's own side, at the beginning of each range that rules have, and behind its end.
    private static func corners(_ rule: AccessRule, _ rules: [AccessRule]) -> [AccessPacket] {
        let own = (0..<4).map { IPAddress("203.0.113.96")!.advanced(by: $0) }.filter(rule.own.contains)
        let remotes =
            (["10.0.0.1", "200.0.0.1", "203.0.113.1"].map { IPAddress($0)! }
            + (0..<4).map { IPAddress("203.0.113.96")!.advanced(by: $0) })
            .filter { rule.remote?.contains($0) ?? true }
        let ports: [UInt16] = [0, 1, 80, 81, 82, 443, 444, 65535]
        return own.flatMap { own in
            remotes.flatMap { remote in
                func packet(_ number: UInt8, _ upper: AccessPacket.Upper) -> AccessPacket {
                    AccessPacket(source: remote, destination: own, protocolNumber: number, upper: upper)
                }
                let tcp = ports.flatMap { one in
                    ports.map { packet(6, .ports(source: $0, destination: one)) }
                }
                return tcp + [0, 8, 13, 255].map { packet(1, .icmp(type: $0)) } + [packet(47, .unread)]
            }
        }
    }

    @Test func aListThatStopsNothingIsTold() throws {
        let message = "the list allows everything else too, so it stops nothing: set its default to deny"
        func remarks(_ list: AccessRecord) throws -> [AccessRemark] {
            let plan = try Self.plan([list]).before
            return plan.remarks(on: plan.accessLists[0])
        }
        #expect(try remarks(Self.list(Self.rule("allow", "tcp"))) == [AccessRemark("/default", message)])
        #expect(try remarks(Self.list(Self.rule("allow", "tcp"), default: "deny")) == [])
        #expect(try remarks(Self.list(Self.rule("deny", "tcp"))) == [])
    }

    /// Customers who send from the tenant's own addresses would not reach the address where they give instructions.
    @Test func aListThatShutsOutTheManagementAddressIsTold() throws {
        func remarks(_ list: AccessRecord, addresses: String) throws -> [String] {
            let text = Self.tenants.replacing(
                "records: {}", with: "records: { manage: { address: 192.0.2.254, interface: customers } }"
            )
            .replacing(
                "203.0.113.104/29,", with: "\(addresses), customers: [bob],"
            ).replacing(
                "bob:   { interface: customers }", with: "bob:   { interface: customers, prefixes: 198.51.100.0/28 }")
            let file = try TopologyFile.parse(text, path: "t.yaml")
            var plan = try Planner.plan(file)
            try Planner.judge(by: [list], in: &plan, of: file, keeping: nil)
            return plan.remarks(on: plan.accessLists[0]).map { "\($0.pointer) \($0.message)" }
        }
        let end =
            " stops packets to the management address 192.0.2.254, port 443, where they pass \"fw\": instructions would not get there"
        let deny = Self.list(Self.rule("allow", "udp"), tenant: "bob", default: "deny")
        #expect(try remarks(deny, addresses: "203.0.113.104/29") == [])
        #expect(try remarks(deny, addresses: "198.51.100.0/29") == ["/default the default\(end)"])
        var named = Self.list(Self.rule("deny", "tcp"), tenant: "bob")
        named.rules[0].remote = "192.0.2.254"
        #expect(try remarks(named, addresses: "203.0.113.104/29") == ["/rules/0 rule 1\(end)"])
        named.rules.insert(
            AccessRecord.Rule(AccessRecord.Verdict("allow"), protocolName: "tcp", remotePorts: ["443"]), at: 0)
        #expect(try remarks(named, addresses: "203.0.113.104/29") == [])
    }

    // MARK: - One tenant's chain

    @Test func nftablesGetsTheChainThatChangesAlone() throws {
        func list(_ tenant: String, _ own: String, _ counters: Int...) throws -> AccessList {
            let side = try #require(IPPrefix(own))
            return AccessList(
                tenant: tenant, own: [side],
                rules: counters.dropLast().map { AccessRule(action: .allow, own: side, counter: $0) },
                otherwise: .deny(.drop), counter: counters[counters.count - 1])
        }
        let bob = try list("bob", "203.0.113.104/29", 10, 11)
        let former = [try list("alice", "203.0.113.96/29", 1, 2, 3), bob]
        #expect(
            NftablesAccess([try list("alice", "203.0.113.96/29", 1, 4, 3), bob]).transaction(insteadOf: former) == """
                flush chain inet tapline_access of_alice
                flush chain inet tapline_access from_alice
                add counter inet tapline_access c1
                add counter inet tapline_access c2
                add counter inet tapline_access c3
                add counter inet tapline_access c4
                delete counter inet tapline_access c2
                add rule inet tapline_access of_alice ip daddr 203.0.113.96/29 counter name "c1" return
                add rule inet tapline_access of_alice ip saddr 203.0.113.96/29 counter name "c1" return
                add rule inet tapline_access of_alice ip daddr 203.0.113.96/29 counter name "c4" return
                add rule inet tapline_access of_alice ip saddr 203.0.113.96/29 counter name "c4" return
                add rule inet tapline_access of_alice ip frag-off & 0x1fff == 0 icmp type { 3, 11, 12 } return
                add rule inet tapline_access of_alice exthdr frag missing icmpv6 type { 1, 2, 3, 4 } return
                add rule inet tapline_access of_alice frag frag-off 0 icmpv6 type { 1, 2, 3, 4 } return
                add rule inet tapline_access of_alice counter name "c3" drop
                add rule inet tapline_access from_alice ip daddr { 203.0.113.96/29 } return
                add rule inet tapline_access from_alice goto of_alice

                """)
        // A tenant that comes, goes, or has other addresses: the map that leads to chains is another one, and no more.
        let without = NftablesAccess([bob]).transaction(insteadOf: former)
        #expect(without.contains("flush chain inet tapline_access judge\n") && !without.contains("of_bob ip"))
        #expect(NftablesAccess(former).transaction(insteadOf: former) == "\n")
    }
}
