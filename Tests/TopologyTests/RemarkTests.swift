import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// What works and is hardly meant is told, with its place, and refuses nothing.
@Suite struct RemarkTests {
    /// One remark: the picture with a text changed, where it is told, and what is said.
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var text: String
        var place: String
        var message: String

        init(_ description: String, _ swap: String, _ other: String, _ place: String, _ message: String) {
            testDescription = description
            text = picture.replacing(swap, with: other)
            self.place = place
            self.message = message
        }
    }

    static let cases = [
        Case(
            "an idle application", "  web: {", "  idle: { attach: servers }\n  web: {", "13:3",
            "no packet reaches application \"idle\""),
        Case(
            "an idle detector", "distribute: [ids, fw]", "distribute: fw", "11:3",
            "no packet reaches application \"ids\""),
        Case(
            "an idle router", "services:", "routers: { gate: { interface: servers } }\nservices:", "14:12",
            "no packet reaches router \"gate\""),
        Case(
            "instances that are idle", "  web: {", "  idle: { attach: servers, instances: 2 }\n  web: {", "13:3",
            "no packet reaches application \"idle\""),
        Case(
            "a customer without a service", "distribute: [ids, fw]", "from: alice\n    distribute: [ids, fw]", "9:3",
            "customer \"bob\" has no service"),
        Case(
            "an empty interface", "customers:\n  alice", "  spare: {}\ncustomers:\n  alice", "7:3",
            "no node is on interface \"spare\""),
        Case(
            "a bump without a program", "type: firewall,", "transparent: true,", "12:3",
            "has neither `run` nor `setup`"),
        Case(
            "a firewall that a service passes by", "services:",
            "  late: { attach: inspected }\nservices:\n"
                + "  other: { address: 203.0.113.81, distribute: ids, sequence: [late] }",
            "16:3", "packets of \"other\" are on inspection and inspected and bypass \"fw\""),
        Case(
            "two checks of one name", "services:",
            "checks:\n  - { name: same, drops: no-service, frames: 0 }\n  - { name: same, drops: no-service, frames: 0 }\nservices:",
            "16:5", "the check on line 15 is called \"same\", too"),
        Case(
            "a customer twice", "distribute: [ids, fw]", "from: [alice, bob, alice]\n    distribute: [ids, fw]",
            "18:24",
            "\"alice\" is in `from` twice"),
        Case(
            "a dependency twice", "attach: servers }", "attach: servers, depends: [fw, fw] }", "13:59",
            "\"fw\" is in `depends` twice"),
        Case(
            "services that ports alone tell apart",
            "services:",
            "services:\n  one: { address: 203.0.113.9, ports: udp/1, sequence: [web] }\n"
                + "  two: { address: 203.0.113.9, ports: [tcp/2, udp/2], sequence: [fw, web] }",
            "16:47", "only the ports tell UDP to \"two\" from UDP to \"one\""),
        Case(
            "a port within another", "ports: [tcp/80]", "ports: [tcp/80, tcp/70-90]", "17:13",
            "tcp/80 is within tcp/70-90, which the service has, too"),
        Case(
            "a port within any", "ports: [tcp/80]", "ports: [any, udp/53]", "17:18", "udp/53 is within any"),
        Case(
            "a network around that of a server", "alice: { interface: customers,",
            "alice: { prefixes: 198.18.4.0/23, interface: customers,", "8:22",
            "198.18.4.0/23 behind \"alice\" includes 198.18.4.0/24, the network of interface \"servers\" on line 6: "
                + "answers to 198.18.4.0/24 stay on the link of \"web\""),
        Case(
            "a link-local network", "[198.18.4.1/24,", "[169.254.4.1/16,", "6:27", "is link-local"),
        Case(
            "a sysctl that this kernel lacks", "attach: servers }",
            "attach: servers, sysctls: { net.ipv4.tcp_ecm: 1 } }", "13:56", "this machine's kernel has no sysctl"),
        Case(
            "a sysctl that can only be read", "attach: servers }",
            "attach: servers, sysctls: { net.ipv4.tcp_available_congestion_control: reno } }", "13:56",
            "can only be read"),
        Case(
            "a counter that is at least 0", "services:",
            "checks:\n  - { name: c, drops: no-service, frames: \">= 0\" }\nservices:",
            "15:43", "which every count satisfies"),
        Case(
            "nothing expected, as a list", "services:",
            "checks:\n  - { name: c, on: alice, run: ls, expect: [] }\nservices:",
            "15:44", "`expect` is empty"),
        Case(
            "nothing expected, as a mapping", "services:",
            "checks:\n  - { name: c, on: alice, run: ls, expect: {} }\nservices:",
            "15:44", "`expect` is empty"),
        Case(
            "nothing to be contained", "services:",
            "checks:\n  - { name: c, on: alice, run: ls, expect: { contains: [] } }\nservices:", "15:56",
            "`contains` is empty"),
        Case(
            "a packet from an address that its sender cannot have", "services:",
            "checks:\n  - { name: c, packet: { from: alice, to: 203.0.113.80, port: tcp/80, source: 192.0.2.99 }, reaches: ids }\nservices:",
            "15:79",
            "192.0.2.99 is not an address of customer \"alice\": the engine drops the packet as spoofed-source"),
        Case(
            "a sysctl of the whole machine", "attach: servers }",
            "attach: servers, sysctls: { net.core.netdev_max_backlog: 9 } }", "13:56",
            "is a setting of the whole machine"),
    ]

    @Test(arguments: cases)
    func isReported(_ remark: Case) throws {
        let remarks = try plan(remark.text).remarks
        let first = try #require(remarks.first, "nothing was remarked on")
        #expect(remarks.count == 1, "\(remarks.map(\.summary))")
        #expect("\(first.line):\(first.column)" == remark.place, "\(first.summary)")
        #expect(first.message.contains(remark.message), "\(first.summary)")
        #expect(first.severity == .remark && first.hint != nil)
        #expect(first.summary.contains(": remark: ") && !first.note.contains("remark"))
    }

    @Test func whatIsMeantIsNotRemarkedOn() throws {
        #expect(try plan(picture).remarks.isEmpty)
        let used = [
            // Something waits for it.
            picture.replacing(
                "  web: { type: web-server,", with: "  helper: { attach: servers }\n  web: { depends: helper,"),
            // Datagrams that go one way, and segments, which are not fragmented.
            picture.replacing(
                "services:",
                with: "services:\n  one: { address: 203.0.113.9, ports: [udp/1, tcp/1], sequence: [web] }\n"
                    + "  two: { address: 203.0.113.9, ports: udp/2, sequence: [web] }\n"
                    + "  three: { address: 203.0.113.9, ports: tcp/2, sequence: [fw, web] }"),
            // A leg for management is no way through, and copies for one leg are not on another.
            """
            name: a
            interfaces: [lan, inspection, dmz, core, management]
            customers: { alice: lan, admin: management }
            applications:
              ids: { passive: true, attach: { in: inspection, management: management } }
              fw: { attach: { lan: lan, dmz: dmz, core: core } }
              web: { attach: dmz }
              db: { attach: { in: core, management: management } }
            services:
              shop: { ports: tcp/80, from: alice, distribute: ids, sequence: [{ fw: { in: lan, out: dmz } }, web] }
              data: { ports: tcp/81, from: web, distribute: ids, sequence: [{ fw: { in: dmz, out: core } }, db] }
              console: { ports: tcp/82, from: admin, sequence: { ids: management } }
              log: { ports: udp/514, from: ids, sequence: { db: management } }
            """,
            // What is only there for `apply` to say more to.
            "name: a\ninterfaces: { i: { address: 192.0.2.1/24 } }\ncustomers: { c: { interface: i } }\n",
        ]
        for text in used { #expect(try plan(text).remarks.isEmpty, "\(text)") }
    }

    /// Who is open beside somebody that a service is for.
    @Test func whoCanPoseAsAnotherIsTold() throws {
        let open = picture.replacing(
            "alice: { interface: customers,", with: "alice: { anti-spoofing: off, interface: customers,")
        #expect(try plan(open).remarks.isEmpty)
        let summary = try plan(
            open.replacing("distribute: [ids, fw]", with: "from: [alice, bob]\n    distribute: [ids, fw]")
        ).remarks
        #expect(
            summary.count == 1 && summary.first?.message.contains("\"alice\" can pose as \"bob\"") == true,
            "\(summary.map(\.summary))")
        let checked =
            "checks:\n  - { name: c, packet: { from: alice, to: 203.0.113.80, source: 192.0.2.99 }, reaches: ids }\nservices:"
        #expect(try plan(open.replacing("services:", with: checked)).remarks.isEmpty)
    }

    /// What the engine is told of who may send what.
    @Test func theTableSaysWhoMaySendFromWhere() throws {
        func origins(_ text: String) throws -> (alice: [IPPrefix]?, bob: [IPPrefix]?, namesAll: [Bool], locked: [Bool])
        {
            let plan = try plan(text)
            func of(_ name: String) -> [IPPrefix]? { plan.table.sources.first { $0.node == name }?.origins }
            return (
                of("alice"), of("bob"), plan.table.interfaces.map(\.namesAll),
                plan.nodes.flatMap(\.legs).map(\.isLocked)
            )
        }
        let alice = [IPPrefix("192.0.2.10/32")!, IPPrefix("2001:db8:2::10/128")!]
        let usual = try origins(picture)
        #expect(usual.alice == alice && usual.bob?.isEmpty == false)
        #expect(usual.namesAll == [true, false, false, false] && usual.locked.allSatisfy { $0 })
        let behind = try origins(
            picture.replacing(
                "alice: { interface: customers,", with: "alice: { prefixes: 10.1.0.0/16, interface: customers,"))
        #expect(behind.alice == alice + [IPPrefix("10.1.0.0/16")!])
        let one = try origins(
            picture.replacing(
                "alice: { interface: customers,", with: "alice: { anti-spoofing: off, interface: customers,"))
        #expect(one.alice == nil && one.bob == usual.bob && one.namesAll == [false, false, false, false])
        #expect(one.locked.count { !$0 } == 1)
        let all = picture.replacing("customers:  { address", with: "customers:  { anti-spoofing: off, address")
        #expect(try origins(all).alice == nil && origins(all).bob == nil && origins(all).locked.count { !$0 } == 2)
        let again = try origins(
            all.replacing("alice: { interface: customers,", with: "alice: { anti-spoofing: on, interface: customers,"))
        #expect(again.alice == alice && again.bob == nil && !again.namesAll[0])
    }

    @Test func theTopologiesAreFreeOfThem() throws {
        for name in BadFile.topologies {
            let plan = try Planner.plan(TopologyFile.read(name))
            #expect(plan.remarks.isEmpty, "\(plan.remarks.map(\.summary))")
        }
    }

    @Test(arguments: [
        ("name: picture", "name: !!int picture", "!!int"), ("name: picture", "name: !!float x", "!!float"),
        ("passive: true", "passive: !!bool maybe", "!!bool"), ("name: picture", "name: !!binary cGlj", "!!binary"),
        ("customers:\n  alice", "customers: !!set\n  alice", "!!set"), ("name: picture", "name: !own picture", "!own"),
        ("ports: [tcp/80]", "ports: !!map [tcp/80]", "!!map"), ("name: picture", "name: !!null picture", "!!null"),
    ])
    func aTagThatContradictsIsRefused(_ swap: String, _ other: String, _ tag: String) throws {
        let found = problems(picture.replacing(swap, with: other))
        #expect(found.count == 1, "\(found.map(\.summary))")
        #expect(found.first?.message.hasPrefix("the tag \(tag) precedes ") == true, "\(found.map(\.summary))")
        #expect(found.first?.hint != nil)
    }

    @Test func aTagThatAgreesIsRead() throws {
        let text = picture.replacing("name: picture", with: "name: !!str picture")
            .replacing("passive: true", with: "passive: !!bool true")
            .replacing("ports: [tcp/80]", with: "ports: !!seq [!!str tcp/80]")
            .replacing("interfaces:\n", with: "interfaces: !!map\n")
            .replacing("alice:", with: "2026-11-28:").replacing("bob:", with: "0x1F:")
        #expect(try plan(text).name == "picture")
        #expect(problems(picture.replacing("alice:", with: "!!int alice:")).count == 1)
    }
}
