import Forwarding
import Foundation
import Plan
import Reporting
import Testing
import TopologyFiles
import Wire

/// `{{ … }}` in the texts of a file.
@Suite("Expressions") struct ExpressionTests {
    /// A firewall with two legs before a web server; `text` is the customer's environment variable X.
    private static func file(_ text: String, more: String = "", checks: String = "") -> String {
        """
        name: expressions
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          outer: { address: 198.18.2.1/24 }
          inner: { address: 198.18.3.1/24, mtu: 1400 }
          servers: { address: 198.18.4.1/24 }
          "six only": { address: "2001:db8:6::1/64" }
        customers:
          alice: { interface: customers, environment: { X: '\(text)', Y: "y {{ environment.Z }}", Z: z } }
          "web.1 far": { interface: six only, address: "2001:db8:6::10" }
        applications:
          fw: { attach: { in: outer, out: inner } }
          web: { attach: { in: { interface: servers, address: [198.18.4.10] } }\(more) }
          farm: { attach: servers, instances: [farm-a, farm-b] }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], ports: [tcp/80, tcp/8000-8100 -> 9000-9100], sequence: [fw, web] }
          wide: { address: 203.0.113.0/28, ports: udp, from: [alice], sequence: [web] }
          six: { address: "2001:db8:cb::6", from: [alice], sequence: [web] }
          balanced: { address: 203.0.113.90, from: [alice], sequence: [farm] }
        \(checks)
        """
    }

    private static func value(_ expression: String) throws -> String {
        try plan(file("{{ \(expression) }}")).node("alice").process.environment["X"] ?? ""
    }

    @Test(
        "stand for values of the topology",
        arguments: [
            ("services.shop.address", "203.0.113.80"), ("services.shop.address4", "203.0.113.80"),
            ("services.shop.address6", "2001:db8:cb::80"), ("services.shop.port", "80"),
            ("services.shop.ports", "80, 8000-8100"),
            ("services.shop.application-port", "80"), ("services.shop.application-ports", "80, 9000-9100"),
            ("services.shop.protocol", "tcp"),
            ("services.shop.network", "203.0.113.80/32"), ("services.wide.network", "203.0.113.0/28"),
            ("services.wide.protocol", "udp"), ("services.six.address", "2001:db8:cb::6"),
            ("node.in.address", "192.0.2.2"), ("node.address", "192.0.2.2"), ("node.in.address6", "2001:db8:2::2"),
            ("node.in.network", "192.0.2.0/24"), ("node.network6", "2001:db8:2::/64"),
            ("node.prefix-length", "24"), ("node.prefix-length6", "64"), ("node.gateway", "192.0.2.1"),
            ("node.gateway6", "2001:db8:2::1"), ("node.in.device", "customers"), ("node.in.mtu", "1500"),
            ("node.in.interface", "customers"), ("node.name", "alice"), ("node.host-name", "alice"),
            ("nodes.web.address", "198.18.4.10"), ("nodes.fw.out.address", "198.18.3.2"),
            ("nodes.fw.out.mtu", "1400"), ("nodes.fw.in.address", "198.18.2.2"),
            ("nodes.\"web.1 far\".address", "2001:db8:6::10"), ("nodes.farm-b.address", "198.18.4.3"),
            ("engine.in.address", "192.0.2.1"), ("engine.in.network6", "2001:db8:2::/64"), ("engine.mtu", "1500"),
            ("interfaces.inner.address", "198.18.3.1"), ("interfaces.six only.address", "2001:db8:6::1"),
            ("dir", "/run/tapline/expressions/nodes/alice"), ("share", "/run/tapline/expressions/share"),
            ("nodes.web.dir", "/run/tapline/expressions/nodes/web"), ("topology", "expressions"),
            ("environment.Z", "z"), ("environment.Y", "y z"), ("environment.TAPLINE_IN_ADDRESS", "192.0.2.2"),
            ("environment.TAPLINE_DIR", "/run/tapline/expressions/nodes/alice"), ("\"{{\"", "{{"), ("\"a}}b\"", "a}}b"),
            ("  services . shop . address  ", "203.0.113.80"),
        ])
    func values(_ expression: String, _ expected: String) throws {
        #expect(try Self.value(expression) == expected)
    }

    @Test("MAC addresses are those of the plan")
    func stations() throws {
        let planned = try plan(Self.file("{{ node.in.mac }} {{ nodes.fw.out.mac }} {{ engine.in.mac }}"))
        let expected = [
            planned.node("alice").legs[0].mac, planned.node("fw").legs[1].mac,
            planned.table.interfaces[planned.node("alice").legs[0].interface].mac,
        ]
        #expect(planned.node("alice").process.environment["X"] == expected.map(\.description).joined(separator: " "))
    }

    @Test("texts around them stay as they are")
    func texts() throws {
        let text = try plan(Self.file("a{{dir}}b {{topology}}}} $X ${HOME} {c}")).node("alice").process.environment["X"]
        #expect(text == "a/run/tapline/expressions/nodes/aliceb expressions}} $X ${HOME} {c}")
    }

    @Test("all commands may have them")
    func commands() throws {
        let planned = try plan(
            Self.file(
                "x",
                more: """
                    , setup: ["echo {{ node.name }}"], run: "exec x {{ services.shop.address }}"
                        , reload: "re {{ node.address }}", ready: { run: "curl {{ services.shop.address }}" }
                        , health: { run: "test {{ node.name }} = web" }
                    """,
                checks: """
                    checks:
                      - { name: c, on: alice, run: "ping {{ services.shop.address }} from {{ node.in.address }}" }
                      - name: s
                        steps:
                          - { start: load, on: fw, run: "x {{ node.out.address }}" }
                          - { on: web, run: "y {{ node.name }}" }
                    """))
        let process = planned.node("web").process
        #expect(process.setup == ["echo web"])
        #expect(process.run == "exec x 203.0.113.80")
        #expect(process.reload == "re 198.18.4.10")
        #expect(process.ready == .command("curl 203.0.113.80"))
        let health = try #require(planned.applications.first { $0.name == "web" }?.health.first)
        #expect(health.ownProbes == ["web": .command("test web = web")])
        let commands = planned.checks.flatMap(\.steps).compactMap { step -> String? in
            switch step.action {
            case .command(let command, _), .start(_, let command): command.command
            default: nil
            }
        }
        #expect(commands == ["ping 203.0.113.80 from 192.0.2.2", "x 198.18.3.2", "y web"])
    }

    @Test("stand in what checks expect, and in a regular expression each value for itself")
    func expectations() throws {
        let planned = try plan(
            Self.file(
                "x",
                checks: """
                    checks:
                      - { name: c, on: alice, run: x, expect: ["from {{ node.in.address }}", plain] }
                      - name: l
                        log: web
                        expect: { lacks: "{{ nodes.alice.address }}", matches: '^a.c {{ services.shop.address }}:\\d{2}$' }
                      - name: s
                        steps:
                          - { start: load, on: fw, run: x }
                          - outage: { while: [{ finish: load, expect: "{{ node.name }}" }], from: alice, to: 203.0.113.80, lost: 0 }
                      - name: j
                        on: web
                        run: x
                        expect: { json: { $.a: ["{{ node.name }}", 1], $.b: { matches: '{{ "a|b" }}' }, $.c: { contains: "{{ topology }}" } } }
                    """))
        func expectation(_ step: StepPlan) -> TextExpectation? {
            switch step.action {
            case .command(_, let expectation), .finish(_, let expectation): expectation.output
            case .log(_, let output, _): output
            case .outage(let outage): outage.steps.first.flatMap(expectation)
            default: nil
            }
        }
        let found = planned.checks.flatMap(\.steps).compactMap(expectation)
        try #require(found.count == 4)
        #expect(found[0].contains == ["from 192.0.2.2", "plain"])
        #expect(found[1].lacks == ["192.0.2.2"])
        #expect(found[1].matches == [#"^a.c 203\.0\.113\.80:\d{2}$"#])
        #expect(found[2].contains == ["fw"])
        #expect(
            found[3].json.map(\.demand) == [
                .equals(.array([.string("web"), .number(1, written: "1")])), .matches(#"a\|b"#),
                .contains("expressions"),
            ])
    }

    @Test("each instance has its own values")
    func instances() throws {
        let planned = try plan(
            """
            name: t
            interfaces: { c: { address: 192.0.2.1/24 }, s: { address: 198.18.4.1/24 } }
            customers: { alice: { interface: c } }
            applications:
              web: { attach: s, instances: 2, run: "exec x {{ node.address }}", health: { run: "test {{ node.address }}" } }
            services: { shop: { address: 203.0.113.80, sequence: web } }
            """)
        #expect(planned.node("web-1").process.run == "exec x 198.18.4.2")
        #expect(planned.node("web-2").process.run == "exec x 198.18.4.3")
        #expect(
            planned.applications[0].health[0].ownProbes
                == ["web-1": .command("test 198.18.4.2"), "web-2": .command("test 198.18.4.3")])
    }

    @Test(
        "that stand for nothing are told with the way out",
        arguments: [
            ("services.shp.address", "there is no service \"shp\"; did you mean \"shop\"?"),
            ("services.shop.adress", "\"services.shop\" has no \"adress\"; did you mean \"address\"?"),
            ("services.shop", "\"services.shop\" names no value; add a dot, and one of address"),
            ("services", "\"services\" names no service; add a dot, and one of shop, wide, six, balanced"),
            ("services.wide.address", "service \"wide\" is for 203.0.113.0/28, not for one address"),
            ("services.six.address4", "service \"six\" has no IPv4 address; it has 2001:db8:cb::6"),
            ("services.six.port", "service \"six\" is for every port"),
            ("services.shop.address.x", "\"services.shop.address\" is one value and has no \"x\""),
            ("service.shop.address", "no expression begins with \"service\"; did you mean \"services\"?"),
            ("node.out.address", "\"alice\" has one interface, and no `out`; write `in`"),
            ("node.in.adres", "\"node.in\" has no \"adres\"; did you mean \"address\"?"),
            ("nodes.wbe.address", "there is no node \"wbe\"; did you mean \"web\"?"),
            ("nodes.farm.address", "\"farm\" has 2 instances, but one is needed; name one of them"),
            ("nodes.web.address6", "\"web\" on this leg has no IPv6 address"),
            ("interfaces.iner.mac", "there is no interface \"iner\"; did you mean \"inner\"?"),
            ("interfaces.six only.address4", "has no IPv4 address; give the interface one"),
            ("environment.ZZ", "\"alice\" has no variable \"ZZ\""),
            ("environment.X", "the variable X stands for itself"),
            ("a b", "no expression begins with \"a b\""), ("", "\"\" is no expression"),
            ("services..address", "\"services..address\" is no expression"),
        ])
    func mistakes(_ expression: String, _ expected: String) {
        let found = problems(Self.file("{{ \(expression) }}"))
        #expect(found.count == 1, "\(found.map(\.summary))")
        #expect(found.first?.summary.contains(expected) == true, "\(found.map(\.summary))")
    }

    @Test("are told at their own line and column, in every style of YAML")
    func places() {
        let found = problems(
            """
            name: t
            interfaces: { c: { address: 192.0.2.1/24 }, s: { address: 198.18.4.1/24 } }
            customers:
              alice:
                interface: c
                setup:
                  - "echo \\"x\\" {{ dir }} {{ one }}"
                  - 'it''s {{ two }}'
                  - plain text {{ three }} and
                    more {{ four }}
                run: |
                  first {{ dir }}
                    second {{ five }}
            applications: { web: { attach: s, run: 'a {{ six }}' } }
            services: { shop: { address: 203.0.113.80, sequence: web } }
            """)
        let places = found.map { "\($0.line):\($0.column)" }
        #expect(places == ["7:31", "8:16", "9:20", "10:14", "13:16", "14:43"], "\(found.map(\.summary))")
    }

    @Test("without an end are refused, and so is one that a check's command has")
    func unended() {
        let found = problems(Self.file("{{ services.shop.address"))
        #expect(found.count == 1 && found[0].message == "nothing ends the expression that `{{` begins")
        let check = problems(
            Self.file("x", checks: "checks: [{ name: c, on: alice, run: \"ping {{ services.shop.adress }}\" }]"))
        #expect(check.count == 1 && check[0].message.contains("adress"), "\(check.map(\.summary))")
        for expected in ["'{{ services.shop.adress }}'", "{ matches: '^{{ services.shop.adress }}$' }"] {
            let found = problems(
                Self.file("x", checks: "checks: [{ name: c, on: alice, run: x, expect: \(expected) }]"))
            #expect(found.count == 1 && found[0].message.contains("adress"), "\(found.map(\.summary))")
        }
    }

    @Test("do not add to mistakes that are there already")
    func consequences() {
        let found = problems(
            Self.file("{{ nodes.web.out.address }}", more: "").replacingOccurrences(
                of: "attach: { in: { interface: servers, address: [198.18.4.10] } }",
                with: "attach: { in: servers, out: nowhere }"))
        #expect(found.map(\.message) == ["there is no interface \"nowhere\""], "\(found.map(\.summary))")
    }
}
