import Forwarding
import Reporting
import Testing
import Wire

@testable import Plan
@testable import Planning
@testable import TopologyFiles

/// Access lists of tenants: what the file says, what records mean, and what nftables and templates get.
@Suite struct AccessTests {
    private static let tenants =
        picture.replacing("out: inspected } }", with: "out: inspected }, access: [engine, application] }") + """
            tenants:
              alice:
                addresses: [203.0.113.96/29, "2001:db8:cb:1::/64"]
                applications: [fw, web]
                limits: { rules: 4 }
              bob: { addresses: 203.0.113.104/29, applications: [fw, web] }
            records: {}

            """

    private static func list(
        _ rules: AccessRecord.Rule..., tenant: String = "alice", application: String = "fw",
        default verdict: String = "deny"
    ) -> AccessRecord {
        AccessRecord(
            tenant: tenant, application: application, rules: rules, otherwise: AccessRecord.Verdict(verdict))
    }

    private static func rule(
        _ action: String = "allow", answer: String? = nil, _ name: String? = nil, own: String? = nil,
        ports: [String] = [], remote: String? = nil, remotePorts: [String] = [], types: [String] = []
    ) -> AccessRecord.Rule {
        AccessRecord.Rule(
            AccessRecord.Verdict(action, answer: answer), protocolName: name, own: own, ownPorts: ports, remote: remote,
            remotePorts: remotePorts, icmpTypes: types)
    }

    private static func plan(_ lists: [AccessRecord], after kept: AppliancePlan? = nil) throws -> AppliancePlan {
        let file = try TopologyFile.parse(tenants, path: "t.yaml")
        var plan = try Planner.plan(file)
        try Planner.judge(by: lists, in: &plan, of: file, keeping: kept)
        return plan
    }

    @Test func theFileSaysWhoJudges() throws {
        let plan = try Self.plan([])
        #expect(
            plan.access == [
                AccessPlan(application: "fw", nodes: ["fw"], isByEngine: true, byApplication: .nftables)
            ])
        #expect(plan.records?.tenants.map(\.rules) == [4, 200])
        #expect(plan.records?.tenants[0].applications.map(\.access) == [["engine", "application"], []])
    }

    @Test func aRuleIsOneForEachAddressAndRange() throws {
        let plan = try Self.plan([
            Self.list(
                Self.rule("allow", "tcp", ports: ["443", "8000-8010"]),
                Self.rule("deny", answer: "reset", "udp", own: "203.0.113.97", remote: "192.0.2.0/24"),
                Self.rule("allow", "icmp", types: ["echo-request"]))
        ])
        let list = try #require(plan.access.first?.lists.first)
        let (four, six) = (try #require(IPPrefix("203.0.113.96/29")), try #require(IPPrefix("2001:db8:cb:1::/64")))
        func ports(_ range: ClosedRange<UInt16>) -> AccessRule.Matter {
            .ports(protocolNumber: 6, own: range, remote: 0...65535)
        }
        #expect(
            list.rules == [
                AccessRule(action: .allow, own: four, matter: ports(443...443), counter: 0),
                AccessRule(action: .allow, own: four, matter: ports(8000...8010), counter: 1),
                AccessRule(action: .allow, own: six, matter: ports(443...443), counter: 2),
                AccessRule(action: .allow, own: six, matter: ports(8000...8010), counter: 3),
                AccessRule(
                    action: .deny(.reset), own: try #require(IPPrefix("203.0.113.97")),
                    remote: IPPrefix("192.0.2.0/24"),
                    matter: .protocolNumber(17), counter: 4),
                AccessRule(action: .allow, own: four, matter: .icmp(type: 8), counter: 5),
                AccessRule(action: .allow, own: six, matter: .icmp(type: 128), counter: 6),
            ])
        #expect(list.otherwise == .deny(.drop) && list.counter == 7 && list.own == [four, six])
        #expect(plan.accessLists.map(\.sources) == [[0, 0, 0, 0, 1, 2, 2]])
    }

    /// A rule that stays keeps its counter, wherever it moves; a new one gets one that nothing has used.
    @Test func rulesKeepTheirCounters() throws {
        let ping = Self.rule("allow", "icmp", own: "203.0.113.97")
        let web = Self.rule("allow", "tcp", own: "203.0.113.97", ports: ["80"])
        let before = try Self.plan([Self.list(ping), Self.list(tenant: "bob")])
        #expect(throws: RecordRefusal.self) { try Self.plan([Self.list(web, tenant: "bob")]) }
        let after = try Self.plan([Self.list(web, ping)], after: before)
        #expect(before.accessLists.map(\.list.counters) == [[0, 1], [2]])
        #expect(after.accessLists[0].list.rules.map(\.counter) == [3, 0] && after.accessLists[0].list.counter == 1)
    }

    @Test(
        arguments: [
            (list(tenant: "eve"), "forbidden", nil, "the file has no tenant \"eve\""),
            (list(application: "ids"), "forbidden", nil, "there is no application \"ids\" for you"),
            (list(application: "web"), "forbidden", nil, "no access lists are kept for \"web\""),
            (
                list(rule(), rule(), rule(), rule(), rule()), "forbidden", "/rules",
                "there is room for 4 rules in all lists together, and this makes 5"
            ),
            (list(rule(own: "203.0.113.80")), "forbidden", "/rules/0/own", "203.0.113.80 is none of your addresses"),
            (list(rule(own: "203.0.113.104")), "forbidden", "/rules/0/own", "203.0.113.104 is none of your addresses"),
            (list(rule(own: "0.0.0.0/0")), "forbidden", "/rules/0/own", "0.0.0.0/0 is none of your addresses"),
            (list(rule("permit")), "invalid", "/rules/0/action", "\"permit\" is no action"),
            (
                list(rule("deny", answer: "shout")), "invalid", "/rules/0/answer",
                "\"shout\" is no answer to a denied packet"
            ),
            (list(rule(answer: "icmp")), "invalid", "/rules/0/answer", "what is allowed has no answer \"icmp\""),
            (list(rule(own: "home")), "invalid", "/rules/0/own", "\"home\" is no address"),
            (
                list(rule(remote: "192.0.2.1/24")), "invalid", "/rules/0/remote",
                "192.0.2.1/24 has bits set beyond its length"
            ),
            (
                list(rule(own: "203.0.113.97", remote: "2001:db8::/32")), "invalid", "/rules/0/remote",
                "2001:db8::/32 and 203.0.113.97 are of different families"
            ),
            (
                list(rule(), rule(ports: ["80"])), "invalid", "/rules/1/own-ports",
                "the protocol of the rule has no ports"
            ),
            (
                list(rule("allow", "tcp", ports: ["80-70"])), "invalid", "/rules/0/own-ports/0",
                "\"80-70\" is no port, and no range of ports"
            ),
            (
                list(rule("allow", "tcp", ports: ["+80"])), "invalid", "/rules/0/own-ports/0",
                "\"+80\" is no port, and no range of ports"
            ),
            (list(rule("allow", "tpc")), "invalid", "/rules/0/protocol", "\"tpc\" is no protocol"),
            (list(rule("allow", "256")), "invalid", "/rules/0/protocol", "\"256\" is no protocol"),
            (
                list(rule("allow", "tcp", types: ["8"])), "invalid", "/rules/0/icmp-types",
                "the protocol of the rule is not icmp"
            ),
            (
                list(rule("allow", "icmp", types: ["ping"])), "invalid", "/rules/0/icmp-types/0",
                "\"ping\" is no type of ICMP"
            ),
            (list(default: "maybe"), "invalid", "/default/action", "\"maybe\" is no action"),
            (
                list(rule("allow", "tcp", ports: (1...64).map { "\($0)" }, remotePorts: (1...64).map { "\($0)" })),
                "invalid",
                "/rules", "written out for each address and range, these are 8192 rules, and the most are 1000"
            ),
        ] as [(AccessRecord, String, String?, String)])
    func whatIsWrongIsToldWithItsPlace(_ record: AccessRecord, _ stage: String, _ pointer: String?, _ message: String)
        throws
    {
        let refusal = #expect(throws: RecordRefusal.self) { try Self.plan([record]) }
        #expect(refusal?.stage.rawValue == stage)
        let first = try #require(refusal?.error.problems.first)
        #expect(first.message == message && first.origin.record?.field == pointer)
        #expect(first.hint?.isEmpty == false)
    }

    @Test func listsThatTheFileNoLongerAllowsAreSetAside() throws {
        let file = try TopologyFile.parse(Self.tenants, path: "t.yaml")
        var plan = try Planner.plan(file)
        let good = Self.list(Self.rule(own: "203.0.113.97"))
        Planner.judge(
            fitting: [Self.list(tenant: "eve"), good], in: &plan, of: file, keeping: nil)
        #expect(plan.accessLists.map(\.record) == [good])
        #expect(plan.accessSetAside.map(\.reasons) == [["the file has no tenant \"eve\""]])
        #expect(plan.wantedAccess.count == 2)
    }

    /// No rule is about an address that another tenant has.
    @Test func listsAreDisjoint() throws {
        let plan = try Self.plan([Self.list(Self.rule()), Self.list(Self.rule(), tenant: "bob")])
        let lists = try #require(plan.access.first?.lists)
        #expect(lists.count == 2)
        for one in lists {
            for other in lists where other.tenant != one.tenant {
                for side in one.own + one.rules.map(\.own) {
                    #expect(!other.own.contains { $0.overlaps(side) })
                }
            }
        }
    }

    @Test func aRuleThatNeverMatchesIsTold() throws {
        let plan = try Self.plan([
            Self.list(
                Self.rule("deny", "tcp", own: "203.0.113.96/30"),
                Self.rule("allow", "tcp", own: "203.0.113.97", ports: ["443"]),
                Self.rule("allow", "tcp", own: "203.0.113.100"), Self.rule("deny", "tcp", own: "203.0.113.97"))
        ])
        #expect(
            plan.remarks(on: plan.accessLists[0]).map { "\($0.pointer) \($0.message)" } == [
                "/rules/1 rule 2 never matches: rule 1 before it takes all its packets",
                "/rules/3 rule 4 never matches: rule 1 before it takes all its packets",
            ])
    }

    @Test func aListThatStopsAHealthCheckIsTold() throws {
        let text = Self.tenants.replacing(
            "access: [engine, application] }",
            with: "access: engine, health: { heartbeat: { source: 192.0.2.66, destination: 203.0.113.97 } } }")
        let file = try TopologyFile.parse(text, path: "t.yaml")
        func remarks(_ list: AccessRecord) throws -> [AccessRemark] {
            var plan = try Planner.plan(file)
            try Planner.judge(by: [list], in: &plan, of: file, keeping: nil)
            return plan.remarks(on: plan.accessLists[0])
        }
        let end = " stops a health check of \"fw\", from 192.0.2.66 to 203.0.113.97: its instances would count as down"
        #expect(try remarks(Self.list()) == [AccessRemark("/default", "the default" + end)])
        #expect(
            try remarks(Self.list(Self.rule("deny", "icmp"), default: "allow")) == [
                AccessRemark("/rules/0", "rule 1" + end)
            ])
        #expect(try remarks(Self.list(Self.rule("allow", "icmp", types: ["echo-request"]))) == [])
        #expect(try remarks(Self.list(Self.rule("deny", own: "203.0.113.98"), default: "allow")) == [])
    }

    @Test func aDifferenceNamesTheLists() throws {
        let (none, one) = (try Self.plan([]), try Self.plan([Self.list(Self.rule())]))
        #expect(
            PlanDifference(from: none, to: one).lines(one).contains("access lists of fw: 1 rule of alice"))
        #expect(
            PlanDifference(from: one, to: none).lines(none).contains("access lists of fw: none of alice any more"))
        #expect(PlanDifference(from: one, to: one).isEmpty)
    }

    // MARK: - What applications get

    @Test func nftablesGetsOneChainOfEachTenant() throws {
        let own = try #require(IPPrefix("203.0.113.96/29"))
        let list = AccessList(
            tenant: "alice", own: [own],
            rules: [
                AccessRule(
                    action: .allow, own: own, remote: IPPrefix("192.0.2.0/24"),
                    matter: .ports(protocolNumber: 6, own: 443...443, remote: 0...65535), counter: 3)
            ], otherwise: .deny(.reset), counter: 4)
        let text = NftablesAccess([list]).transaction(insteadOf: [
            AccessList(tenant: "bob", own: [], rules: [], otherwise: .allow, counter: 9)
        ])
        #expect(
            text == """
                add table inet tapline_access
                add chain inet tapline_access judge { type filter hook prerouting priority -450; policy accept; }
                flush chain inet tapline_access judge
                add chain inet tapline_access of_alice
                flush chain inet tapline_access of_alice
                add chain inet tapline_access from_alice
                flush chain inet tapline_access from_alice
                add chain inet tapline_access of_bob
                flush chain inet tapline_access of_bob
                add chain inet tapline_access from_bob
                flush chain inet tapline_access from_bob
                add counter inet tapline_access c3
                add counter inet tapline_access c4
                add counter inet tapline_access c9
                delete counter inet tapline_access c9
                delete chain inet tapline_access from_bob
                delete chain inet tapline_access of_bob
                add rule inet tapline_access of_alice ip daddr 203.0.113.96/29 ip saddr 192.0.2.0/24 meta l4proto 6 ip frag-off & 0x1fff == 0 th dport 443 counter name "c3" return
                add rule inet tapline_access of_alice ip daddr 203.0.113.96/29 ip saddr 192.0.2.0/24 meta l4proto 6 ip frag-off & 0x1fff != 0 counter name "c3" return
                add rule inet tapline_access of_alice ip saddr 203.0.113.96/29 ip daddr 192.0.2.0/24 meta l4proto 6 ip frag-off & 0x1fff == 0 th sport 443 counter name "c3" return
                add rule inet tapline_access of_alice ip saddr 203.0.113.96/29 ip daddr 192.0.2.0/24 meta l4proto 6 ip frag-off & 0x1fff != 0 counter name "c3" return
                add rule inet tapline_access of_alice ip frag-off & 0x1fff == 0 icmp type { 3, 11, 12 } return
                add rule inet tapline_access of_alice exthdr frag missing icmpv6 type { 1, 2, 3, 4 } return
                add rule inet tapline_access of_alice frag frag-off 0 icmpv6 type { 1, 2, 3, 4 } return
                add rule inet tapline_access of_alice meta l4proto tcp counter name "c4" reject with tcp reset
                add rule inet tapline_access of_alice counter name "c4" reject with icmpx admin-prohibited
                add rule inet tapline_access from_alice ip daddr { 203.0.113.96/29 } return
                add rule inet tapline_access from_alice goto of_alice
                add rule inet tapline_access judge iifname "lo" return
                add rule inet tapline_access judge ip daddr vmap { 203.0.113.96/29 : jump of_alice }
                add rule inet tapline_access judge ip saddr vmap { 203.0.113.96/29 : jump from_alice }

                """)
        #expect(
            NftablesAccess([list], devices: ["in", "out"]).transaction().contains(
                "hook ingress devices = { \"in\", \"out\" }"))
    }

    @Test func aTemplateIsFilledWithTheLists() throws {
        let plan = try Self.plan([
            Self.list(
                Self.rule("allow", "tcp", own: "203.0.113.97", ports: ["443"], remote: "192.0.2.0/24"),
                Self.rule("deny", answer: "icmp", "icmp", own: "203.0.113.97"))
        ])
        let lists = try #require(plan.access.first?.lists)
        let template = """
            # made by tapline
            {{ each list }}
            :{{ list.tenant }} {{ list.default }}{{ if list.answer }} {{ list.answer }}{{ end }}
            {{ each own }}
            own {{ own }}
            {{ end }}
            {{ each rule }}
            -A {{ list.tenant }} -d {{ rule.own }}{{ if rule.remote }} -s {{ rule.remote }}{{ end }} -p {{ rule.protocol }}{{ if rule.own-ports }} --dport {{ rule.own-ports }}{{ end }} {{ if rule.action = allow }}ACCEPT{{ end }}{{ if rule.action = deny }}REJECT{{ end }}
            {{ end }}
            {{ end }}
            COMMIT

            """
        #expect(
            try AccessTemplateText(template).filled(lists) == """
                # made by tapline
                :alice deny drop
                own 203.0.113.96/29
                own 2001:db8:cb:1::/64
                -A alice -d 203.0.113.97 -s 192.0.2.0/24 -p tcp --dport 443 ACCEPT
                -A alice -d 203.0.113.97 -p icmp REJECT
                COMMIT

                """)
        #expect(try AccessTemplateText(template).filled([]) == "# made by tapline\nCOMMIT\n")
    }

    @Test(
        arguments: [
            ("a\n{{ each list }}\n", 2, "nothing ends {{ each list }}"),
            ("{{ list.tenant }}", 1, "there is no \"list.tenant\" here"),
            ("{{ each list }}\n\n{{ rule.own }}{{ end }}", 3, "there is no \"rule.own\" here"),
            ("{{ each rule }}{{ end }}", 1, "there is no \"rule\" here"),
            ("{{ end }}", 1, "{{ end }} has no meaning here"),
            ("x {{ y", 1, "nothing ends `{{`"),
            (
                "{{ each list }}{{ if list.tenant == a }}{{ end }}{{ end }}", 1,
                "{{ if list.tenant == a }} has no meaning here"
            ),
        ])
    func aTemplateWithoutMeaningIsToldWithItsLine(_ text: String, _ line: Int, _ message: String) {
        let fault = #expect(throws: AccessTemplateFault.self) { try AccessTemplateText(text) }
        #expect(fault?.line == line && fault?.message == message)
    }
}
