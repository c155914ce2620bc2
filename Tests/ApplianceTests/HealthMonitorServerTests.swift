import Glibc
import LinuxNetwork
import Plan
import Testing
import Wire

@testable import Appliance
@testable import ControlAPI
@testable import HealthMonitoring
@testable import Nodes

/// Health types that ask what a node answers itself, and commands.
extension HealthMonitorTests {
    @Test func neighboursAndEchoesAreAnswered() throws {
        let lab = try HealthLab(Self.firewall) { plan in
            let addresses = plan.nodes.first { $0.name == "web" }!.legs[0].addresses.map(\.address)
            return [
                application(
                    "web",
                    addresses.flatMap { address -> [HealthCheckPlan] in
                        [
                            .quick("neighbour \(address.family)", .neighbour(leg: 0, address: address)),
                            .quick("echo \(address.family)", .echo(leg: 0, address: address)),
                        ]
                    })
            ]
        }
        try lab.monitor.start()
        try lab.becomes("web", healthy: true)
        #expect(lab.health("web")?.checks.count == 4)
        try lab.run(
            in: "web",
            "nft -f - <<'END'\ntable inet f { chain i { type filter hook input priority 0; icmp type echo-request drop; }; }\nEND"
        )
        try lab.becomes("web", healthy: false)
        #expect(lab.health("web")?.checks.filter { !$0.isPassed }.map(\.name) == ["echo ipv4"])
        try lab.run(in: "web", "nft flush ruleset")
        try lab.becomes("web", healthy: true)
        let leg = lab.leg("web", 0)
        try lab.run(in: "web", "ip addr del \(leg.addresses[1]) dev \(leg.device)")
        try lab.becomes("web", healthy: false)
        try lab.eventually("both of IPv6 fail") {
            lab.health("web")?.checks.filter { !$0.isPassed }.map(\.name) == ["neighbour ipv6", "echo ipv6"]
        }
    }

    @Test func connectionsAndAnswersAreLookedAt() throws {
        let here = IPAddress("127.0.0.1")!
        func http(_ path: String, _ status: Int, _ body: String?) -> HealthCheckPlan.Probe {
            .http(address: here, port: 8080, path: path, host: "shop", status: status, body: body)
        }
        let lab = try HealthLab(Self.firewall) { _ in
            [
                application(
                    "web",
                    [
                        .quick("tcp", .tcp(address: here, port: 8080)),
                        .quick("http", http("/", 200, "hello")), .quick("missing", http("/missing", 404, nil)),
                    ]),
                application("fw", [.quick("body", http("/", 200, "good bye")), .quick("status", http("/", 503, nil))]),
            ]
        }
        let program = """
            import http.server
            class H(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200 if self.path == "/" else 404)
                    self.end_headers()
                    self.wfile.write(b"x" * 20000 + b" hello " + b"y" * 20000)
            http.server.ThreadingHTTPServer(("127.0.0.1", 8080), H).serve_forever()
            """
        try lab.monitor.start()
        try lab.eventually("nobody listens") { (lab.check("web", "tcp")?.failed ?? 0) > 0 }
        #expect(lab.check("web", "tcp")?.last?.contains("Connection refused") == true)
        for node in ["web", "fw"] { _ = try lab.start(in: node, "exec /usr/bin/python3 -c '\(program)'") }
        try lab.becomes("web", healthy: true)
        try lab.eventually("fw answers, and not so") {
            lab.check("fw", "status")?.last == "status 200 instead of 503"
                && lab.check("fw", "body")?.last == "status 200, and its body does not contain \"good bye\""
        }
    }

    // MARK: - Commands

    @Test func commandsThatHangAndFloodHarmNobody() throws {
        let lab = try HealthLab(Self.firewall) { _ in
            [
                application(
                    "web",
                    [
                        .quick("hangs", .command("setsid sh -c 'exec sleep 12345' & sleep 12345"), timeout: 100),
                        .quick("floods", .command("exec yes"), timeout: 100),
                    ]),
                application(
                    "fw",
                    [
                        .quick("heartbeat", .heartbeat(Self.four)),
                        .quick("much", .command("head -c 4000000 /dev/zero"), timeout: 5_000),
                        .quick("wrong", .command("echo this is why; exit 3"), timeout: 5_000),
                    ]),
            ]
        }
        try lab.monitor.start()
        try lab.eventually("they have been ended more than once") {
            (lab.check("web", "hangs")?.failed ?? 0) > 2 && (lab.check("web", "floods")?.failed ?? 0) > 2
        }
        try lab.eventually("what prints much passes, and what fails says why") {
            lab.check("fw", "much")?.isPassed == true
                && lab.check("fw", "wrong")?.last == "it ended with status 3: this is why"
        }
        #expect(lab.check("fw", "heartbeat")?.isPassed == true)
        lab.monitor.remove(node: "web")
        let (_, process) = try lab.monitor.entrance("web")
        try lab.eventually("nothing of them is left") {
            !NodeProcesses.all(of: process.pid).contains { NodeProcesses.name(of: $0) == "sleep" }
        }
    }
}
