import Forwarding
import Plan
import Planning
import Reporting
import Testing
import TopologyFiles
import Wire

@Suite struct HealthPlanTests {
    /// The checks of the firewall, or of the servers, where the picture's has these.
    private func checks(_ health: String, of application: String = "fw", in text: String = picture) throws
        -> [HealthCheckPlan]
    {
        let written = text.replacing(
            application == "fw" ? "out: inspected } }" : "attach: servers }",
            with: application == "fw"
                ? "out: inspected }, health: \(health) }" : "attach: servers, health: \(health) }")
        return try #require(try plan(written).applications.first).health
    }

    private func heartbeat(_ check: HealthCheckPlan) throws -> HeartbeatPlan {
        guard case .heartbeat(let plan) = check.probe else { throw Unexpected(check: check) }
        return plan
    }

    private struct Unexpected: Error { var check: HealthCheckPlan }

    @Test func heartbeatsRunBetweenTheEnginesOwnAddresses() throws {
        let check = try checks("{ heartbeat: true }")[0]
        #expect(
            try heartbeat(check)
                == HeartbeatPlan(
                    source: #require(IPAddress("198.18.2.1")), destination: #require(IPAddress("198.18.3.1"))))
        #expect([check.interval, check.fastInterval, check.timeout, check.rise, check.fall] == [100, 20, 100, 2, 3])
        #expect(check.name == "heartbeat" && check.origin.lineNumber == 12)
        let six = try checks(
            "{ heartbeat: true }",
            in: picture.replacing("198.18.3.1/24, ", with: "").replacing("203.0.113.80, ", with: ""))[0]
        #expect(
            try heartbeat(six)
                == HeartbeatPlan(
                    source: #require(IPAddress("2001:db8:12::1")), destination: #require(IPAddress("2001:db8:13::1"))))
    }

    @Test func heartbeatsAreShapedByTheFile() throws {
        let check = try checks(
            "{ heartbeat: { source: 192.0.2.66, destination-port: 53, size: 100, hop-limit: 255, traffic-class: 184 }, "
                + "interval: 10ms, rise: 1, fall: 2 }")[0]
        #expect(
            try heartbeat(check)
                == HeartbeatPlan(
                    kind: .udp(source: 49_152, destination: 53), source: #require(IPAddress("192.0.2.66")),
                    destination: #require(IPAddress("198.18.3.1")), size: 100, hopLimit: 255, trafficClass: 184))
        #expect([check.interval, check.fastInterval, check.timeout, check.rise, check.fall] == [10, 2, 10, 1, 2])
        let slow = try checks("{ heartbeat: true, interval: 5s }")[0]
        #expect([slow.interval, slow.fastInterval, slow.timeout] == [5_000, 1_000, 1_000])
    }

    @Test func whatMustNotPassIsProofAtOnce() throws {
        let check = try checks("{ negative-heartbeat: true }")[0]
        let packet = try heartbeat(check)
        #expect(packet.isNegative && packet.kind == .udp(source: 49_152, destination: 9))
        #expect([check.interval, check.timeout, check.rise, check.fall] == [1_000, 100, 3, 1])
        #expect(check.name == "negative heartbeat")
        let both = try checks("[{ heartbeat: { protocol: udp } }, { negative-heartbeat: true }, { heartbeat: true }]")
        #expect(both.map(\.name) == ["heartbeat", "negative heartbeat", "heartbeat 2"])
    }

    @Test func bumpsInTheWireTakeAnyAddresses() throws {
        let transparent = picture.replacing("fw:  {", with: "fw:  { transparent: true,")
        #expect(try heartbeat(checks("{ heartbeat: true }", in: transparent)[0]).source.description == "198.18.2.1")
        let bare = transparent.replacing(
            "{ address: [198.18.3.1/24, \"2001:db8:13::1/64\"] }", with: "{}")
        let packet = try heartbeat(checks("{ heartbeat: true }", in: bare)[0])
        #expect(packet.source.description == "192.0.2.1" && packet.destination.description == "198.51.100.1")
        let six = try heartbeat(checks("{ heartbeat: { source: \"2001:db8::7\" } }", in: bare)[0])
        #expect(six.source.description == "2001:db8::7" && six.destination.description == "2001:db8:0:2::1")
    }

    @Test func eachLegIsAskedForItsOwnAddress() throws {
        let checks = try checks("[{ neighbour: true }, { echo: true }]")
        #expect(
            checks.map(\.name) == ["neighbour inspection", "neighbour inspected", "echo inspection", "echo inspected"])
        #expect(
            checks.map(\.probe) == [
                .neighbour(leg: 0, address: nil), .neighbour(leg: 1, address: nil), .echo(leg: 0, address: nil),
                .echo(leg: 1, address: nil),
            ])
        let plan = try plan(redundant)
        #expect(plan.node("fw-b").probedAddress(leg: 1) == plan.node("fw-b").legs[1].addresses[0].address)
        let bare = try Planner.plan(
            TopologyFile.parse(
                picture.replacing(
                    "bob:   { interface: customers }", with: "bob: { interface: customers, address: [] }"),
                path: "t.yaml"))
        #expect(bare.node("bob").probedAddress(leg: 0).isLinkLocal)
    }

    @Test func programsAreAskedInsideTheNode() throws {
        let checks = try checks(
            "[{ tcp: 80, address: 203.0.113.80 }, { http: 8080, path: /ready, host: shop, status: 204, body: yes, timeout: 250ms }, "
                + "{ http: 80 }, { run: test -e /tmp/up, interval: 1s }]", of: "web")
        let own = IPAddress(ipv4: 0x7F00_0001)
        #expect(checks.map(\.name) == ["tcp 80", "http 8080/ready", "http 80/", "command"])
        #expect(
            try checks.map(\.probe) == [
                .tcp(address: #require(IPAddress("203.0.113.80")), port: 80),
                .http(address: own, port: 8080, path: "/ready", host: "shop", status: 204, body: "yes"),
                .http(address: own, port: 80, path: "/", host: "127.0.0.1", status: 200, body: nil),
                .command("test -e /tmp/up"),
            ])
        #expect(checks.map(\.timeout) == [1_000, 250, 2_000, 5_000])
        #expect(checks.map(\.interval) == [2_000, 2_000, 2_000, 1_000])
        #expect(checks.map(\.fall) == [3, 3, 3, 2])
    }

    @Test func dampingAndScalingAreTheFiles() throws {
        let written = picture.replacing(
            "attach: servers }",
            with: "attach: servers, redundancy: balance, instances: 2, damping: { suppress: 2000, half-life: 4s }, "
                + "scale: { rate: 5000, processor: 80%, for: 10s, most: 6 } }")
        let application = try #require(try plan(written).applications.first)
        #expect(application.damping == DampingPlan(suppress: 2_000, reuse: 1_000, halfLife: 4_000))
        #expect(application.scale == ScalePlan(rate: 5_000, processor: 80, patience: 10_000, most: 6))
        let least = try #require(
            try plan(picture.replacing("attach: servers }", with: "attach: servers, damping: { suppress: 500 } }"))
                .applications.first)
        #expect(least.damping == DampingPlan(suppress: 500, reuse: 499, halfLife: 8_000))
    }
}
