import Foundation
import Testing

/// What `up` makes of health checks that cannot pass, and `status` of those that do.
@Suite(.serialized) struct HealthAtUpTests {
    private func topology(_ rules: String, health: String, timeout: String = "2s") throws -> ScratchTopology {
        let scratch = try ScratchTopology(small: nil)
        let text = """
            name: \(scratch.name)
            interfaces:
              customers:  { address: 192.0.2.1/24 }
              inspection: { address: 198.18.2.1/24 }
              inspected:  { address: 198.18.3.1/24 }
              servers:    { address: 198.18.4.1/24 }
            customers:
              alice: { interface: customers }
            applications:
              fw:
                attach: { in: inspection, out: inspected }
                setup: "nft 'table inet filter { chain forwarding { type filter hook forward priority filter; policy drop; \(rules); }; }'"
                ready-timeout: \(timeout)
                health:
                  - \(health)
              web: { attach: servers }
            services:
              shop: { address: 203.0.113.80, ports: [tcp/80], sequence: [fw, web] }
            """
        try text.write(toFile: scratch.file, atomically: true, encoding: .utf8)
        return scratch
    }

    @Test func aHeartbeatThatTheFirewallDropsIsExplained() throws {
        let scratch = try topology("tcp dport 80 accept", health: "{ heartbeat: true, interval: 20ms }")
        let result = try CommandLineRun.run("up", scratch.file, "-d")
        defer { _ = try? CommandLineRun.run("down", scratch.name) }
        #expect(result.status == 2, "\(result.output)\(result.errors)")
        #expect(
            result.errors.contains(
                "never passed: the packet (ICMP echo request from 198.18.2.1 to 198.18.3.1, 84 octets) went in at inspection "
                    + "but did not come out at inspected"), "\(result.errors)")
        #expect(result.errors.contains("icmp type echo-request accept"), "\(result.errors)")
    }

    @Test func aNegativeHeartbeatThatComesOutIsExplained() throws {
        let scratch = try topology(
            "accept", health: "{ negative-heartbeat: { protocol: udp, destination-port: 9 }, interval: 20ms }")
        let result = try CommandLineRun.run("up", scratch.file, "-d")
        defer { _ = try? CommandLineRun.run("down", scratch.name) }
        #expect(result.status == 2, "\(result.output)\(result.errors)")
        #expect(result.errors.contains("must not pass, but came out at inspected"), "\(result.errors)")
    }

    /// With an engine that runs: no heartbeat reaches it as traffic, and none reaches the server.
    @Test func whatPassesIsUpAndItsHeartbeatsReachNobody() throws {
        let scratch = try topology(
            "ct state established accept; tcp dport 80 accept; icmp type echo-request accept",
            health: "{ heartbeat: true, interval: 10ms }", timeout: "20s")
        let result = try CommandLineRun.run("up", scratch.file, "-d")
        defer { _ = try? CommandLineRun.run("down", scratch.name) }
        try #require(result.status == 0, "\(result.output)\(result.errors)")
        func counted() throws -> String {
            try CommandLineRun.run(
                "exec", scratch.name, "web", "--", "sh", "-c", "cat /sys/class/net/servers/statistics/rx_packets"
            ).output
        }
        let before = try counted()
        usleep(500_000)
        #expect(try counted() == before, "something reaches the server")
    }
}
