import Forwarding
import Foundation
import Plan
import Testing
import Wire

/// What a file may say about impaired links, and what becomes of it.
@Suite struct ImpairmentFileTests {
    /// The picture with something in place of one of its texts.
    private func replacing(_ text: String, _ other: String) -> String {
        let parts = picture.split(separator: text, maxSplits: 1)
        return parts[0] + other + parts[1]
    }

    private static let inspected = "{ address: [198.18.3.1/24, \"2001:db8:13::1/64\"] }"

    /// The picture, whose interface `inspected` has these settings.
    private func impaired(_ settings: String) -> String {
        replacing(Self.inspected, "{ address: 198.18.3.1/24, impair: \(settings) }")
    }

    @Test func everySettingIsRead() throws {
        let text = """
            { delay: 20ms, jitter: 2.5ms, loss: 1%, rate: 10mbit, queue: 100, reorder: 0.5%, duplicate: 0.1%,
              corrupt: 0.0000001%, seed: 7 }
            """
        let read = try plan(impaired(text))
        var expected = Impairment()
        expected.delay = .milliseconds(20)
        expected.jitter = .microseconds(2_500)
        expected.loss = .independent(Probability(billionths: 10_000_000))
        expected.rate = 10_000_000
        expected.queue = 100
        expected.reorder = Probability(billionths: 5_000_000)
        expected.duplicate = Probability(billionths: 1_000_000)
        expected.corrupt = Probability(billionths: 1)
        expected.seed = 7
        #expect(
            read.impairments == [
                ImpairmentPlan(
                    place: .interface("inspected"), impairment: ImpairmentPair(toNodes: expected, fromNodes: expected))
            ])
        // The text of listings says the same to the reader of files.
        #expect(try plan(impaired("{ \(expected.text) }")).impairments == read.impairments)
    }

    @Test func directionsReplaceWhatStandsBesideThem() throws {
        let bursts = "{ loss: { enter: 1%, leave: 50% } }"
        let text = "{ delay: 20ms, rate: 8mbit, to-nodes: { delay: 5us }, from-nodes: \(bursts) }"
        let pair = try #require(try plan(impaired(text)).impairments.first?.impairment)
        #expect(pair.toNodes?.text == "rate: 8mbit, queue: 1000, delay: 5us")
        #expect(
            pair.fromNodes?.text
                == "loss: { enter: 1%, leave: 50%, good: 0%, bad: 100% }, rate: 8mbit, queue: 1000, delay: 20ms")
        let one = try #require(try plan(impaired("{ to-nodes: { loss: 100% } }")).impairments.first?.impairment)
        #expect(one.fromNodes == nil && one.toNodes?.loss == .independent(.always))
        #expect(try plan(impaired("{ delay: 0, loss: 0% }")).impairments == [])
    }

    /// The path of a file with this text, which is gone when the test ends.
    private func with(_ text: String, _ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString)").path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test func aTraceIsReadFromItsFile() throws {
        try with("# measured\n3ms\n\n  10.5ms\r\n250us") { path in
            let pair = try #require(
                try plan(impaired("{ delay: 1s, to-nodes: { trace: \(path) } }")).impairments.first?.impairment)
            #expect(pair.toNodes?.trace == [.milliseconds(3), .microseconds(10_500), .microseconds(250)])
            #expect(pair.toNodes?.delay == .zero && pair.fromNodes?.delay == .seconds(1))
            let both = problems(impaired("{ delay: 1s, trace: \(path) }"))
            #expect(both.first?.message.contains("has the delays") == true, "\(both)")
        }
        for (text, message) in [
            ("3ms\n4 ms", "line 2 has 2 words"), ("3ms\nlong", "line 2 is \"long\""), ("# none\n", "it has no delays"),
        ] {
            try with(text) { path in
                let found = problems(impaired("{ trace: \(path) }"))
                #expect(found.count == 1 && found.first?.message.contains(message) == true, "\(found)")
                #expect(found.first?.hint != nil)
            }
        }
        #expect(problems(impaired("{ trace: nowhere }")).first?.message.contains("cannot be read") == true)
    }

    /// The protocols of a service's frames.
    private func protocols(_ frames: [ImpairedPlace]) -> Set<UInt8> {
        var found: Set<UInt8> = []
        for frame in frames {
            if case .service(_, let number?, _) = frame.match { found.insert(number) }
        }
        return found
    }

    @Test func linksAreFoundAtNodesAndServices() throws {
        let attached = replacing(
            "attach: { in: inspection, out: inspected }",
            "attach: { in: { interface: inspection, impair: { delay: 1ms } }, out: inspected }")
        let fw = try plan(attached)
        #expect(fw.impairments.map(\.place) == [.leg(node: "fw", interface: "inspection")])
        let leg = try #require(fw.link(.leg(node: "fw", interface: "inspection")))
        #expect(leg.frames(.toNodes).map(\.match) == [.station(fw.node("fw").legs[0].mac)])
        let bob = try plan(
            replacing("bob:   { interface: customers }", "bob: { interface: customers, impair: { loss: 5% } }"))
        #expect(bob.impairments.map(\.place) == [.leg(node: "bob", interface: "customers")])
        let shop = try plan(replacing("ports: [tcp/80]", "ports: [tcp/80, udp]\n    impair: { loss: 5% }"))
        #expect(shop.impairments.map(\.place) == [.service("shop")])
        let frames = try #require(shop.link(.service("shop"))).frames(.fromNodes)
        #expect(Set(frames.map(\.interface)) == [0])
        // TCP, UDP, and ICMP that the service carries, too, for an address of each family.
        #expect(frames.count == 6)
        #expect(protocols(frames) == [1, 6, 17, 58])
        #expect(
            frames.first?.match
                == .service(
                    IPPrefix(host: try #require(IPAddress("203.0.113.80"))), protocolNumber: 6, ports: 80...80))
        #expect(shop.links(named: "customers") == [.interface("customers")])
        #expect(shop.links(named: "bob") == [.leg(node: "bob", interface: "customers")])
        #expect(shop.links(named: "fw").count == 2)
        #expect(shop.links(named: "fw/inspected") == [.leg(node: "fw", interface: "inspected")])
        #expect(shop.links(named: "shop") == [.service("shop")])
        #expect(shop.links(named: "fw/customers") == [] && shop.links(named: "nothing") == [])
    }

    @Test func servicesThatShareAnAddressDivideItsEcho() throws {
        let shared = try plan(
            replacing(
                "services:\n",
                "services:\n  first: { address: 203.0.113.80, ports: tcp/81, sequence: [web], impair: { loss: 5% } }\n")
        )
        let first = try #require(shared.link(.service("first"))).frames(.fromNodes)
        #expect(protocols(first) == [1, 6])
        let shop = try #require(shared.link(.service("shop"))).frames(.fromNodes)
        #expect(protocols(shop) == [6, 58])
    }

    @Test func neighboursHaveNoLinkOfTheirService() throws {
        let text = replacing(
            "services:\n", "services:\n  peers: { between: [alice, bob], ports: tcp/22 }\n")
        #expect(try plan(text).link(.service("peers")) == nil && plan(text).links(named: "peers") == [])
        let found = problems(
            text + """
                checks:
                  - { name: c, steps: [{ impair: { service: peers, loss: 5% } }] }
                """)
        #expect(
            found.count == 1 && found.first?.message.contains("is between neighbours, and has no link") == true,
            "\(found)")
    }

    @Test func aStepNamesItsLink() throws {
        let plan = try plan(
            picture + """
                checks:
                  - name: x
                    steps:
                      - { impair: { interface: servers, loss: 1% } }
                      - { impair: { node: alice, to-nodes: { delay: 1ms } } }
                      - { impair: { node: fw, interface: inspected } }
                      - { impair: { service: shop, duplicate: 1% } }
                """)
        let places = plan.checks[0].steps.compactMap { step -> ImpairmentPlace? in
            if case .impair(let step) = step.action { step.place } else { nil }
        }
        #expect(
            places == [
                .interface("servers"), .leg(node: "alice", interface: "customers"),
                .leg(node: "fw", interface: "inspected"), .service("shop"),
            ])
        #expect(plan.checks[0].steps[2].summary == "impair fw/inspected")
    }

    @Test func aChangedImpairmentIsADifferenceByItself() throws {
        let (old, new) = (try plan(impaired("{ delay: 20ms }")), try plan(impaired("{ delay: 10ms }")))
        #expect(PlanDifference(from: old, to: old).isEmpty)
        #expect(PlanDifference(from: old, to: new).lines(new) == ["link inspected: impaired, delay: 10ms"])
        let none = try plan(impaired("{}"))
        #expect(PlanDifference(from: old, to: none).lines(none) == ["link inspected: not impaired any more"])
    }

    @Test(arguments: [
        ("{ dely: 20ms }", "has no key \"dely\""),
        ("{ delay: 20 }", "`delay` is \"20\""),
        ("{ delay: 11s }", "`delay` is \"11s\""),
        ("{ delay: -1ms }", "`delay` is \"-1ms\""),
        ("{ delay: 1.2345ms }", "`delay` is \"1.2345ms\""),
        ("{ loss: 101% }", "`loss` is \"101%\""),
        ("{ loss: 0.00000001% }", "`loss` is \"0.00000001%\""),
        ("{ loss: much }", "`loss` is \"much\""),
        ("{ loss: { enter: 1% } }", "`loss` has no `leave`"),
        ("{ loss: { enter: 1%, leave: often } }", "`leave` is \"often\""),
        ("{ loss: { enter: 1%, leave: 5%, bat: 1% } }", "`loss` has no key \"bat\""),
        ("{ rate: 10 }", "`rate` is \"10\""),
        ("{ rate: 10bit }", "`rate` is \"10bit\""),
        ("{ rate: 2000gbit }", "`rate` is \"2000gbit\""),
        ("{ rate: 1mbit, queue: 0 }", "`queue` is \"0\""),
        ("{ queue: 10 }", "packets queue for a rate, and there is none"),
        ("{ delay: 1ms, jitter: 2ms }", "the jitter is larger than the delay"),
        ("{ reorder: 1% }", "without a delay no packet can overtake another"),
        ("{ delay: 5ms, to-nodes: { jitter: 6ms } }", "the jitter is larger than the delay"),
        ("{ to-nodes: { from-nodes: { delay: 1ms } } }", "`to-nodes` has no key \"from-nodes\""),
        ("{ seed: -1 }", "`seed` is \"-1\""),
        ("20ms", "must be a mapping"),
    ])
    func mistakesAreTold(_ settings: String, _ message: String) {
        let found = problems(impaired(settings))
        #expect(found.count == 1 && found.first?.message.contains(message) == true, "\(found)")
        #expect(found.first?.hint != nil)
        #expect(found.first?.line == 5)
    }

    @Test(arguments: [
        ("{ loss: 1% }", "`impair` names no link"),
        ("{ node: alcie, loss: 1% }", "there is no node \"alcie\""),
        ("{ node: fw, loss: 1% }", "\"fw\" is on inspection and inspected"),
        ("{ node: alice, interface: servers, loss: 1% }", "is not on the interface \"servers\""),
        ("{ interface: server, loss: 1% }", "there is no interface \"server\""),
        ("{ service: shopp, loss: 1% }", "there is no service \"shopp\""),
        ("{ service: shop, node: alice, loss: 1% }", "`node` has no meaning beside `service`"),
        ("{ interface: servers, loss: 1 of 5 }", "`loss` is \"1 of 5\""),
    ])
    func mistakesOfStepsAreTold(_ step: String, _ message: String) {
        let found = problems(picture + "checks:\n  - { name: x, steps: [{ impair: \(step) }] }")
        #expect(found.count == 1 && found.first?.message.contains(message) == true, "\(found)")
        #expect(found.first?.hint != nil)
        #expect(found.first?.line == 21)
    }
}
