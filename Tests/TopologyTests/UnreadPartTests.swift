import Plan
import Reporting
import Testing
import TopologyFiles
import Wire

/// `{{ … }}` where a part of the file is read when its expressions have values.
@Suite("Expressions in checks and questions") struct UnreadPartTests {
    private static func file(_ web: String = "", checks: [String] = [], more: String = "") -> String {
        """
        name: unread
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          servers: { address: [198.18.4.1/24, "2001:db8:4::1/64"] }
        customers:
          alice: { interface: customers, environment: { DIGITS: "[0-9]" } }
        applications:
          web: { attach: servers, instances: 2\(web) }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], ports: tcp/80, sequence: web }
        \(checks.isEmpty ? "" : "checks:\n" + checks.map { "  - \($0)" }.joined(separator: "\n"))
        \(more)
        """
    }

    private static func actions(_ checks: String...) throws -> [StepPlan.Action] {
        try plan(file(checks: checks)).checks.flatMap(\.steps).map(\.action)
    }

    @Test func packetsGoToAndComeFromValues() throws {
        let planned = try plan(
            Self.file(
                checks: [
                    "{ name: a, packet: { from: alice, to: '{{ services.shop.address }}', port: '{{ services.shop.protocol }}/{{ services.shop.port }}' }, reaches: [web] }",
                    "{ name: b, packet: { from: '{{ node.name }}', to: '{{ services.shop.address6 }}', source: 2001:db8:2::2, port: tcp/80 }, reaches: [web] }",
                ].map {
                    $0.replacing("'{{ node.name }}'", with: "alice").replacing(
                        "2001:db8:2::2", with: "'{{ node.address6 }}'")
                }))
        let packets = planned.checks.flatMap(\.steps).compactMap { step -> PacketPlan? in
            if case .packet(let packet) = step.action { packet } else { nil }
        }
        #expect(packets.map(\.destination.description) == ["203.0.113.80", "2001:db8:cb::80"])
        #expect(packets.map(\.source.description) == ["192.0.2.2", "2001:db8:2::2"])
        #expect(packets.map(\.port) == [80, 80])
        #expect(planned.checks.map(\.name) == ["a", "b"])
        #expect(planned.checks[0].steps[0].summary == "packet to 203.0.113.80")
    }

    @Test func pathsAndOutagesToo() throws {
        let actions = try Self.actions(
            "{ name: a, path: { from: alice, to: '{{ services.shop.address }}', port: tcp/80, through: [[web-1]] } }",
            """
            name: b
                outage:
                  from: alice
                  to: "{{ services.shop.address }}"
                  port: tcp/80
                  lost: any
                  longest-gap: "<= 1s"
                  while:
                    - { on: web-1, run: "echo {{ node.name }}", expect: "{{ node.address }}" }
            """)
        guard case .path(let path) = actions[0], case .outage(let outage) = actions[1] else {
            Issue.record("\(actions)")
            return
        }
        #expect(path.train.packet.destination.description == "203.0.113.80")
        #expect(outage.train.packet.destination.description == "203.0.113.80")
        guard case .command(let command, let expected) = outage.steps[0].action else {
            Issue.record("\(outage.steps)")
            return
        }
        #expect(command.command == "echo web-1" && expected.output.contains == ["198.18.4.2"])
    }

    @Test func expectationsAndFilters() throws {
        let actions = try Self.actions(
            """
            name: a
                steps:
                  - { start: load, on: alice, run: "x" }
                  - { finish: load, expect: { output: "{{ node.address }}", lacks: "{{ services.shop.address }}" } }
                  - { on: alice, run: "echo {{ '{{' }}", expect: { matches: '^{{ environment.DIGITS }} {{ node.address }}$', json: { $.a.b: "{{ nodes.web-2.address }}" } } }
                  - { capture: alice }
                  - { captured: alice, where: { source: "{{ services.shop.address }}", port: "tcp/{{ services.shop.port }}" }, frames: 1 }
                  - { log: web-1, expect: "{{ node.name }} serves" }
                  - { instance: web-1, is: up, reason: "{{ node.address }}" }
            """)
        guard case .finish(_, let finished) = actions[1], case .command(let command, let expected) = actions[2],
            case .captured(_, let filter, _, _) = actions[4], case .log(_, let log, _) = actions[5],
            case .instance(_, let standing) = actions[6]
        else {
            Issue.record("\(actions)")
            return
        }
        #expect(finished.output.contains == ["192.0.2.2"] && finished.output.lacks == ["203.0.113.80"])
        #expect(command.command == "echo {{")
        // A value stands for itself in a regular expression.
        #expect(expected.output.matches == ["^\\[0-9\\] 192\\.0\\.2\\.2$"])
        #expect(expected.output.json.map(\.demand) == [.equals(.string("198.18.4.3"))])
        #expect(filter.source.map(\.description) == ["203.0.113.80"] && filter.port?.ports == 80...80)
        #expect(log.contains == ["web-1 serves"])
        #expect(standing.reason == ["198.18.4.2"])
    }

    @Test func questionsOfHealthAndReadiness() throws {
        let planned = try plan(
            Self.file(
                """
                , run: x, ready: { dns: { name: "{{ node.name }}.example.test", expect: "{{ node.address }}", address: "{{ node.address }}" } }
                    , programs: { p: { run: y, ready: { log: "{{ node.name }} is up" }, health: { log: { matches: "at {{ node.address }}" } } } }
                    , health: [ { udp: { port: 5, send: "{{ node.name }}", expect: "{{ node.address }}", address: "{{ services.shop.address }}" } }
                    , { http: 80, host: "{{ services.shop.address }}", body: same }, { file: "{{ dir }}/x" } ]
                """))
        for (name, address) in [("web-1", "198.18.4.2"), ("web-2", "198.18.4.3")] {
            let process = planned.node(name).process
            guard case .question(.dns(let server, _, let question, let expected)) = process.ready else {
                Issue.record("\(process.ready)")
                return
            }
            #expect(server.description == address && expected == address && question.name == "\(name).example.test")
            #expect(process.programs[0].ready == .question(.log(.contains("\(name) is up"), program: nil)))
        }
        let health = planned.applications[0].health.map { $0.of(instance: "web-2").probe }
        guard case .question(.datagram(let server, _, let sent, let pattern)) = health[0] else {
            Issue.record("\(health)")
            return
        }
        #expect(server.description == "203.0.113.80" && sent == Array("web-2".utf8))
        #expect(pattern == .contains("198.18.4.3"))
        // What is the same for all of them is shared.
        #expect(planned.applications[0].health[1].ownProbes.isEmpty)
        guard case .http(_, _, _, let host, _, _) = health[1] else {
            Issue.record("\(health)")
            return
        }
        #expect(host == "203.0.113.80")
        #expect(health[2] == .question(.file("/run/tapline/unread/nodes/web-2/x")))
        #expect(health[3] == .question(.log(.matches("at 198\\.18\\.4\\.3"), program: "p")))
        #expect(
            planned.applications[0].health.map(\.name) == [
                "udp 5", "http 80/", "file /run/tapline/unread/nodes/web-1/x", "p: log",
            ])
    }

    /// A value that has `{{` is no expression again: the check has its step, and the probe is asked.
    @Test func valuesWithBracesAreTexts() throws {
        for (written, text) in [("{{ '{{' }}", "{{"), ("a {{ '{{ x }}' }}", "a {{ x }}")] {
            let planned = try plan(
                Self.file(
                    ", health: { http: 80, body: \"\(written)\" }",
                    checks: [
                        "{ name: a, on: alice, run: x, expect: \"\(written)\" }",
                        "{ name: b, steps: { on: alice, run: x, expect: \"\(written)\" } }",
                    ]))
            #expect(planned.checks.map(\.steps.count) == [1, 1])
            for step in planned.checks.flatMap(\.steps) {
                guard case .command(_, let expected) = step.action else {
                    Issue.record("\(step)")
                    return
                }
                #expect(expected.output.contains == [text])
            }
            guard planned.applications[0].health.count == 1,
                case .http(_, _, _, _, _, let body) = planned.applications[0].health[0].probe
            else {
                Issue.record("\(planned.applications[0].health)")
                return
            }
            #expect(body == text)
        }
    }

    /// The value of a variable of the environment too.
    @Test func theEnvironmentMayHaveBraces() throws {
        let text = Self.file(checks: ["{ name: a, on: alice, run: x, expect: '{{ environment.BRACES }}' }"])
            .replacing("DIGITS: \"[0-9]\"", with: "BRACES: \"{{ '{{' }}\"")
        #expect(try plan(text).checks.map(\.steps.count) == [1])
    }

    @Test(
        arguments: [
            (
                "{ name: a, packet: { from: alice, to: '{{ services.shp.address }}' }, reaches: [web] }",
                "there is no service \"shp\"", 12
            ),
            (
                "{ name: a, packet: { from: alice, to: '{{ services.shop.port }}' }, reaches: [web] }",
                "`to`: \"80\" is not an address", 12
            ),
            (
                "{ name: a, on: alice, run: x, expect: 'y {{ node.out.address }}' }", "has one interface, and no `out`",
                12
            ),
            ("{ name: a, entry: x, packets: '{{ node.address }}' }", "\"node\" is about the node of a command", 12),
            ("{ name: a, on: alice, run: x, expect: '{{ node.address' }", "nothing ends the expression", 12),
        ])
    func mistakesHaveTheirLine(_ check: String, _ message: String, _ line: Int) {
        let found = problems(Self.file(checks: [check]))
        #expect(found.count == 1 && found[0].message.contains(message), "\(found.map(\.message))")
        #expect(found.first?.origin.lineNumber == line)
    }

    @Test(
        arguments: [
            ("", "program: x", "\"web-1\" has no program \"x\""),
            (", programs: { pages: { run: y } }", "program: page", "\"web-1\" has no program \"page\""),
            (", programs: { pages: { run: y } }", "program: pages, file: x", "has a `file` and a `program`"),
        ])
    func theProgramOfALogIsOneOfTheNode(_ web: String, _ key: String, _ message: String) throws {
        let found = problems(Self.file(web, checks: ["{ name: a, log: web-1, \(key), expect: z }"]))
        #expect(found.count == 1 && found[0].message.contains(message), "\(found.map(\.message))")
        guard !web.isEmpty else { return }
        let action = try plan(Self.file(web, checks: ["{ name: a, log: web-1, program: pages, expect: z }"]))
            .checks[0].steps[0].action
        #expect(action == .log(LogSource(node: "web-1", program: "pages"), TextExpectation(contains: ["z"]), .start))
    }

    @Test func questionsWithMistakesToo() {
        for (web, message) in [
            (", run: x, ready: { dns: '{{ node.adress }}' }", "has no \"adress\""),
            (", run: x, ready: { tcp: 80, address: '{{ node.name }}' }", "\"web-1\" is not an address"),
            (", run: x, health: { dns: '{{ services.shp.address }}' }", "there is no service \"shp\""),
        ] {
            let found = problems(Self.file(web))
            #expect(found.count == 1 && found[0].message.contains(message), "\(found.map(\.message))")
            #expect(found.first?.origin.lineNumber == 8)
        }
    }

    /// Where addresses are made, none has a value.
    @Test(arguments: [
        "hosts: { x: '{{ services.shop.address }}' }", "routes: { to: default, via: '{{ node.gateway }}' }",
    ])
    func elsewhereTheyAreRefused(_ key: String) {
        let found = problems(Self.file(", \(key)"))
        #expect(found.count == 1 && found[0].hint?.hasPrefix("{{ … }} has no value here") == true, "\(found)")
    }
}
