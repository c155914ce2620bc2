import Foundation
import Testing

/// Packets through applications with several instances, on machines that are real: both directions, translated and not,
/// past what is down.
@Suite(.serialized) struct InstanceWayTests {
    private static let topology = """
        name: ways
        interfaces:
          customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers }
        applications:
          ids: { passive: true, attach: inspection, instances: 2 }
          firewall:
            attach: { in: inspection, out: inspected }
            redundancy: balance
            instances:
              plain: {}
              translating:
                setup:
                  - nft add table inet nat
                  - "nft 'add chain inet nat post { type nat hook postrouting priority 100; }'"
                  - nft add rule inet nat post oifname inspected masquerade
            when-down: bypass
          web:
            attach: servers
            run: "exec python3 -m http.server 80 --bind ::"
            ready: { tcp: 80 }
            instances: 3
            redundancy: balance
            answer: reset
        services:
          shop:
            address: [203.0.113.80, "2001:db8:cb::80"]
            ports: tcp/80
            distribute: [ids, firewall]
            sequence: [firewall, web]
        checks:
          - name: one firewall, one server and every detector
            packet: { from: alice, to: 203.0.113.80, port: tcp/80 }
            reaches: [[ids, firewall], web]
            answer: [firewall, [ids, alice]]
          - name: the same with IPv6
            packet: { from: alice, to: "2001:db8:cb::80", port: tcp/80 }
            reaches: [[ids, firewall], web]
            answer: [firewall, [ids, alice]]
          - { name: the table knows the application, entry: shop.request.firewall, packets: ">= 2" }
        """

    /// Thirty connections of each family; the first that fails ends it.
    private static let ask = """
        for round in $(seq 30); do
            curl -fsS -m 20 -o /dev/null http://203.0.113.80/ || exit 1
            curl -gfsS -m 20 -o /dev/null 'http://[2001:db8:cb::80]/' || exit 1
        done
        """

    @Test func everyWayThroughTheInstancesAnswers() throws {
        try Lab.with(Self.topology, files: ["ask.sh": Self.ask]) { lab in
            func answers(_ what: String) throws {
                let asked = try lab.exec("alice", "sh ask.sh")
                #expect(asked.status == 0, "\(what): \(asked.output)")
            }
            /// The nodes that the servers have been asked by.
            func askers() throws -> Set<Substring> {
                let logs = try lab.tapline("logs", lab.name).output.split(separator: "\n")
                return Set(
                    logs.filter { $0.contains("GET / ") }.compactMap { $0.split(separator: " ").dropFirst(2).first })
            }
            try answers("both firewalls")
            let both = try askers()
            #expect(
                both.contains { $0.hasSuffix("192.0.2.2") } && both.contains { $0.hasSuffix("198.18.3.3") }, "\(both)")
            #expect(both.contains("2001:db8:2::2") && both.contains("2001:db8:13::3"), "\(both)")
            for instance in ["plain", "translating"] {
                #expect(try lab.tapline("take-out", lab.name, instance).status == 0)
                try answers("without \(instance)")
            }
            // None is left: the way past them, and back, in both families.
            try answers("past the firewalls")
            for server in ["web-1", "web-2", "web-3"] {
                #expect(try lab.tapline("take-out", lab.name, server).status == 0)
            }
            let refused = try lab.exec("alice", "curl -sS -m 20 http://203.0.113.80/")
            #expect(refused.status == 7, "a reset, not a silence: \(refused.output)")
        }
    }

    @Test func checksNameApplicationsAndMeanTheirInstances() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "ways-\(UInt32.random(in: 0...UInt32.max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("topology.yaml").path
        try Self.topology.write(toFile: file, atomically: true, encoding: .utf8)
        let name = "ways-\(UInt32.random(in: 0...UInt32.max))"
        let finished = try run(Product.tapline, ["run", file, "--name", name])
        #expect(finished.status == 0, "\(finished.output)")
    }
}
