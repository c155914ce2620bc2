import Foundation
import Plan
import Reporting
import Testing
import Wire

/// What checks may say, and what becomes of it.
@Suite struct CheckTests {
    private func steps(_ checks: String) throws -> [StepPlan] {
        try plan(picture + "checks:\n" + checks).checks.flatMap(\.steps)
    }

    @Test func everyStepIsPlanned() throws {
        let check = try #require(
            try plan(
                picture + """
                    checks:
                      - name: all of it
                        steps:
                          - { start: load, on: bob, run: sleep 1, alters: yes }
                          - { capture: ids }
                          - { capture: fw, interface: inspected }
                          - { wait: 200ms }
                          - { on: alice, run: "true", expect: { status: "!= 0" }, within: 5s }
                          - { log: ids, file: eve.json, since: check, expect: { json-line: { "$.event_type": alert } } }
                          - { entry: shop.request.fw, packets: ">= 1", since: check }
                          - { interface: inspection, received: 1, sent-drops: "== 0", ring-drops: "<= 5" }
                          - { drops: no-service, frames: 0, since: start }
                          - captured: fw
                            interface: inspected
                            where: { port: tcp/80, source: [alice, 10.0.0.0/8], contains: GET, direction: out }
                            frames: "== 1"
                          - { captured: ids, bytes: "> 0" }
                          - { kill: engine }
                          - { link-down: fw, interface: inspection }
                          - { link-up: ids, timeout: 3s }
                          - { finish: load, expect: { status: any, output: done } }
                    """
            ).checks.first)
        #expect(check.listsSteps)
        #expect(check.name == "all of it")
        let ids = CapturePlace(node: "ids", interface: 1)
        let inspected = CapturePlace(node: "fw", interface: 2)
        let one = NumberExpectation(.equal, 1), none = NumberExpectation(.equal, 0)
        let alert = JSONExpectation(path: try #require(JSONPath("$.event_type")), demand: .equals(.string("alert")))
        #expect(
            check.steps.map(\.action) == [
                .start(name: "load", CommandPlan(node: "bob", command: "sleep 1", alters: true)),
                .capture(ids), .capture(inspected), .wait(200),
                .command(
                    CommandPlan(node: "alice", command: "true"),
                    CommandExpectation(status: NumberExpectation(.notEqual, 0))),
                .log(LogSource(node: "ids", file: "eve.json"), TextExpectation(jsonLines: [[alert]]), .check),
                .entry(name: "shop.request.fw", packets: NumberExpectation(.atLeast, 1), bytes: nil, .check),
                .interface(
                    index: 1, [.received: one, .sentDrops: none, .ringDrops: NumberExpectation(.atMost, 5)], .start),
                .drops(reason: "no-service", frames: none, .start),
                .captured(
                    inspected,
                    FrameFilter(
                        port: PortSpecification("tcp/80"),
                        source: [
                            try #require(InterfaceAddress("192.0.2.10")).prefix,
                            try #require(InterfaceAddress("2001:db8:2::10")).prefix,
                            try #require(InterfaceAddress("10.0.0.0/8")).prefix,
                        ], contains: ["GET"], direction: .out), frames: one, bytes: nil),
                .captured(ids, FrameFilter(), frames: nil, bytes: NumberExpectation(.more, 0)),
                .fault(FaultPlan(kind: .kill, target: .engine(1))),
                .fault(FaultPlan(kind: .linkDown, target: .node("fw"), interface: 1)),
                .fault(FaultPlan(kind: .linkUp, target: .node("ids"), interface: 1)),
                .finish(name: "load", CommandExpectation(status: nil, output: TextExpectation(contains: ["done"]))),
            ])
        #expect(check.steps[4].within == 5000)
        #expect(check.steps[13].timeout == 3000)
        #expect(check.steps[0].origin.lineNumber == 23)
        #expect(check.steps[0].summary == "start load: sleep 1")
        #expect(check.steps[4].summary == "on alice: true")
    }

    @Test func packetsAreSentFromTheNodesOwnAddress() throws {
        let steps = try steps(
            """
              - name: short
                packet: { from: alice, to: 203.0.113.80, port: tcp/80 }
                reaches: [[ids, fw], web]
              - name: long
                packet:
                  { from: fw, to: "2001:db8:cb::80", port: udp/53, source-port: 7, payload: hi, size: 100, ttl: 3, dont-fragment: yes }
                reaches: web
                answer: []
                within: 4s
              - name: echo
                packet: { from: alice, to: "2001:db8:cb::80", source: "2001:db8::9" }
                reaches: []
            """)
        #expect(
            steps[0].action
                == .packet(
                    PacketPlan(
                        from: "alice", source: IPAddress(ipv4: 0xC000_020A), destination: IPAddress(ipv4: 0xCB00_7150),
                        protocolNumber: 6, port: 80, reaches: [["ids", "fw"], ["web"]])))
        #expect(steps[0].timeout == 2000)
        let service = try #require(IPAddress("2001:db8:cb::80"))
        #expect(
            steps[1].action
                == .packet(
                    PacketPlan(
                        from: "fw", source: try #require(IPAddress("2001:db8:13::2")), destination: service,
                        protocolNumber: 17, port: 53, sourcePort: 7, payload: Array("hi".utf8), size: 100, hopLimit: 3,
                        dontFragment: true, reaches: [["web"]], answer: [])))
        #expect(
            steps[2].action
                == .packet(
                    PacketPlan(
                        from: "alice", source: try #require(IPAddress("2001:db8::9")), destination: service,
                        protocolNumber: 58, reaches: [])))
    }

    @Test func instancesAreLookedAtAndOperated() throws {
        let redundant = picture.replacingOccurrences(
            of: "  fw:  {", with: "  fw: { instances: [fw-a, fw-b], health: { heartbeat: true },")
        let steps = try plan(
            redundant + """
                engines: 2
                checks:
                  - name: all of it
                    steps:
                      - { instance: fw-a, is: active, reason: [all, pass], within: 3s }
                      - { instance: fw-b, is: taken-out }
                      - { event: check-failed, application: fw, instance: fw-a, check: heartbeat, since: check }
                      - { event: engine-ended, engine: 2, reason: signal, times: "== 1" }
                      - { drain: fw-a, for: 2s }
                      - { undrain: fw-a }
                      - { take-out: fw-b, timeout: 3s }
                      - { put-back: fw-b }
                      - { kill: engine 2 }
                      - { drain: engine 2 }
                      - { undrain: engine 2 }
                      - { replace: engine }
                """
        ).checks.flatMap(\.steps)
        #expect(
            steps.map(\.action) == [
                .instance("fw-a", InstanceExpectation(.active, reason: ["all", "pass"])),
                .instance("fw-b", InstanceExpectation(.disabled)),
                .event(
                    EventExpectation(.checkFailed, application: "fw", instance: "fw-a", check: "heartbeat"), .check),
                .event(
                    EventExpectation(
                        .engineEnded, engine: 2, reason: ["signal"], times: NumberExpectation(.equal, 1)), .start),
                .fault(FaultPlan(kind: .drain, target: .node("fw-a"), duration: 2000)),
                .fault(FaultPlan(kind: .undrain, target: .node("fw-a"))),
                .fault(FaultPlan(kind: .disable, target: .node("fw-b"))),
                .fault(FaultPlan(kind: .enable, target: .node("fw-b"))),
                .fault(FaultPlan(kind: .kill, target: .engine(2))),
                .fault(FaultPlan(kind: .drain, target: .engine(2))),
                .fault(FaultPlan(kind: .undrain, target: .engine(2))),
                .fault(FaultPlan(kind: .replace, target: .engine(1))),
            ])
        #expect(steps[0].within == 3000)
        #expect(steps[6].timeout == 3000)
    }

    @Test func whatJSONMustBeIsRead() throws {
        let steps = try steps(
            """
              - name: all
                on: alice
                run: cat
                expect:
                  json:
                    $.a: up
                    $.b: 3
                    $.c: "3"
                    $.d: ">= 2"
                    $.e: [1, true, ~]
                    $.f: { x: 1 }
                    $.g: { contains: x, matches: 'y+' }
                    $.h: { exists: no }
                    $.i: { count: 2 }
                    $.j: { equals: { count: 2 } }
            """)
        guard case .command(_, let expectation) = steps[0].action else {
            Issue.record("\(steps[0].action)")
            return
        }
        let number = { (value: Double, text: String) in JSONValue.number(value, written: text) }
        let demands: [JSONExpectation.Demand] = [
            .equals(.string("up")), .equals(number(3, "3")), .equals(.string("3")),
            .compares(NumberExpectation(.atLeast, 2)), .equals(.array([number(1, "1"), .bool(true), .null])),
            .equals(.object([.init("x", number(1, "1"))])), .contains("x"), .matches("y+"), .exists(false),
            .count(NumberExpectation(.equal, 2)), .equals(.object([.init("count", number(2, "2"))])),
        ]
        #expect(expectation.output.json.map(\.demand) == demands)
    }

    @Test(arguments: [
        ("{ name: x, steps: [] }", "the check has no step"),
        ("{ name: x, steps: [{ run: a }] }", "a step must have one of `on`"),
        ("{ name: x, steps: [{ on: alice, run: a }], run: b }", "`run` has no meaning beside `steps`"),
        ("{ name: x }", "a check must have one of"),
        ("{ name: x, wait: 1s }", "a check has no key \"wait\""),
        ("{ name: x, runs: a }", "a check has no key \"runs\""),
        ("{ name: x, steps: [{ start: load, run: a }] }", "the command has no node"),
        ("{ name: x, steps: [{ finish: load }] }", "no step before this one starts \"load\""),
        ("{ name: x, steps: [{ captured: ids, frames: 1 }] }", "no step before this one captures on \"ids\""),
        ("{ name: x, steps: [{ capture: ids }, { captured: ids }] }", "the check expects nothing from the capture"),
        ("{ name: x, steps: [{ capture: fw }] }", "\"fw\" is on inspection and inspected"),
        ("{ name: x, steps: [{ capture: fw, interface: servers }] }", "\"fw\" is not on the interface \"servers\""),
        ("{ name: x, steps: [{ capture: fw, interface: inspektion }] }", "there is no interface \"inspektion\""),
        ("{ name: x, steps: [{ kill: fw }] }", "no program runs in \"fw\": the kernel does its job"),
        ("{ name: x, steps: [{ stop: nobody }] }", "there is no node \"nobody\""),
        ("{ name: x, steps: [{ link-down: engine }] }", "the engine has no own device"),
        ("{ name: x, steps: [{ kill: engine 2 }] }", "there is no engine 2"),
        ("{ name: x, steps: [{ drain: engine }] }", "the only engine cannot be drained"),
        ("{ name: x, steps: [{ take-out: engine }] }", "an engine is drained, not disabled"),
        ("{ name: x, steps: [{ replace: web }] }", "only engines are replaced, and \"web\" is none"),
        ("{ name: x, steps: [{ drain: web }] }", "\"web\" is not an instance whose health is watched"),
        ("{ name: x, steps: [{ undrain: nobody }] }", "there is no node \"nobody\""),
        ("{ name: x, steps: [{ wait: 1s, for: 3s }] }", "`for` has no meaning beside `wait`"),
        ("{ name: x, instance: web }", "the check expects nothing from the instance"),
        ("{ name: x, instance: web, is: well }", "`is` is \"well\""),
        ("{ name: x, event: instance-dwon }", "there is no event \"instance-dwon\""),
        ("{ name: x, event: instance-down, application: fw }", "there is no application \"fw\" whose health"),
        ("{ name: x, event: check-failed, check: heartbeat }", "there is no health check \"heartbeat\""),
        ("{ name: x, event: instance-down, frames: 1 }", "`frames` has no meaning beside `event`"),
        ("{ name: x, steps: [{ wait: long }] }", "`wait` is \"long\""),
        ("{ name: x, steps: [{ on: alice, run: a, frames: 1 }] }", "`frames` has no meaning beside `on`"),
        ("{ name: x, packet: { from: alice }, reaches: [] }", "the packet has no `to`"),
        ("{ name: x, packet: { from: alice, to: 203.0.113.80 } }", "does not say which nodes the packet reaches"),
        ("{ name: x, packet: { from: alice, to: 203.0.113.80 }, reaches: [[ids, fv]] }", "there is no node \"fv\""),
        ("{ name: x, packet: { from: alice, to: 203.0.113.0/24 }, reaches: [] }", "`to` is a prefix"),
        ("{ name: x, packet: { from: alice, to: 203.0.113.80, port: tcp }, reaches: [] }", "a packet has one port"),
        ("{ name: x, packet: { from: alice, to: 203.0.113.80, port: any }, reaches: [] }", "a packet has one protocol"),
        ("{ name: x, packet: { from: alice, to: 203.0.113.80, port: sctp/9 }, reaches: [] }", "a check can send TCP"),
        (
            "{ name: x, packet: { from: alice, to: 203.0.113.80, size: 20 }, reaches: [] }",
            "has no room for the packet's"
        ),
        ("{ name: x, packet: { from: alice, to: 203.0.113.80, source: \"::1\" }, reaches: [] }", "are of two families"),
        ("{ name: x, interface: inspection }", "the check expects nothing from the interface"),
        ("{ name: x, interface: inspection, recieved: 1 }", "a check has no key \"recieved\""),
        ("{ name: x, entry: shop.request.fw, packets: 1, since: ever }", "`since` is \"ever\""),
        ("{ name: x, on: alice, run: a, expect: { status: 256 } }", "an exit status is at most 255"),
        ("{ name: x, on: alice, run: a, expect: { json: { status: up } } }", "\"status\" is not a JSON path"),
        ("{ name: x, on: alice, run: a, expect: { json: { $.a: { matches: '(' } } } }", "is not a regular expression"),
        ("{ name: x, log: ids, expect: { status: 1, output: x } }", "`expect` has no key \"status\""),
    ])
    func mistakesAreTold(_ check: String, _ message: String) {
        let found = problems(picture + "checks:\n  - \(check)")
        #expect(found.count == 1 && found.first?.message.contains(message) == true, "\(found)")
        #expect(found.first?.hint != nil)
        #expect(found.first?.line == 21)
    }
}
