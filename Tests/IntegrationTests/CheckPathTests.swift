import Foundation
import Testing

/// Paths of numbered packets through real applications that lose, repeat, swap and hold them.
@Suite("checks: paths", .serialized)
struct CheckPathTests {
    private static let checks = """
          - { name: all arrive, path: { from: alice, to: 203.0.113.80, port: udp/7, count: 200, rate: 250Hz, paths: 1, through: [firewall, web] } }
          - { name: echo requests arrive, path: { from: alice, to: 203.0.113.80, count: 100, size: 900, rate: 250Hz } }
          - { name: over IPv6, path: { from: alice, to: "2001:db8:cb::80", port: udp/7, count: 100, rate: 250Hz, through: web } }
          - { name: connections, path: { from: alice, to: "2001:db8:cb::80", port: tcp/80, count: 100, rate: 250Hz, lost: 0 } }
          - { name: a closed port is reached, path: { from: alice, to: 203.0.113.80, port: udp/9, count: 50, rate: 250Hz } }
          - { name: nothing is lost, path: { from: alice, to: 203.0.113.80, port: udp/7, count: 50, lost: "> 0" } }
          - { name: it takes two paths, path: { from: alice, to: 203.0.113.80, port: udp/7, count: 50, paths: 2 } }
          - { name: it goes elsewhere, path: { from: alice, to: 203.0.113.80, port: udp/7, count: 50, through: [[web], [firewall, ids]] } }
          - { name: no time is left, path: { from: alice, to: 203.0.113.80, port: udp/7, count: 50, within: { firewall: { p50: 1us }, engine: { max: 60s } } } }
          - { name: nobody is inside, path: { from: alice, to: "2001:db8:cb::80", port: udp/7, count: 50, within: { firewall: { max: 60s } } } }
          - { name: nobody offers it, path: { from: alice, to: 203.0.113.81, count: 20 } }
          - name: no way leads there
            steps:
              - { on: alice, run: ip route del default, alters: true }
              - { path: { from: alice, to: 203.0.113.80, count: 20 } }
          - name: some are lost
            steps:
              - { on: firewall, run: 'echo lose > "$TAPLINE_DIR/mode"' }
              - { path: { from: alice, to: 203.0.113.80, port: udp/7, count: 100, rate: 250Hz } }
          - name: as many are lost as may be
            path: { from: alice, to: 203.0.113.80, port: udp/7, count: 100, rate: 250Hz, lost: 10, paths: 2 }
          - name: some come twice
            steps:
              - { on: firewall, run: 'echo repeat > "$TAPLINE_DIR/mode"' }
              - { path: { from: alice, to: 203.0.113.80, port: udp/7, count: 100, rate: 250Hz, lost: 0 } }
          - name: some may come twice
            path: { from: alice, to: 203.0.113.80, port: udp/7, count: 100, rate: 250Hz, duplicated: ">= 5" }
          - name: some change places
            steps:
              - { on: firewall, run: 'echo swap > "$TAPLINE_DIR/mode"' }
              - { path: { from: alice, to: 203.0.113.80, port: udp/7, count: 95, rate: 250Hz, flows: 1, lost: any } }
          - name: some may change places
            path: { from: alice, to: 203.0.113.80, port: udp/7, count: 95, rate: 250Hz, flows: 1, lost: any, reordered: ">= 8" }
          - name: all are held
            steps:
              - { on: firewall, run: 'echo hold > "$TAPLINE_DIR/mode"' }
              - { path: { from: alice, to: 203.0.113.80, port: udp/7, count: 20, rate: 20Hz, within: { firewall: { p50: ">= 20ms", max: 60s } } } }
          - name: none may be held
            path: { from: alice, to: 203.0.113.80, port: udp/7, count: 20, rate: 20Hz, within: { firewall: { p50: 15ms } } }

        """

    @Test("what is measured is what the application does to the packets, and every bound can fail")
    func paths() throws {
        let run = try CheckedTopology(
            ProbedTopology.chain, checks: Self.checks, files: ProbedTopology.files)
        let failed = Set(run.checks.filter { !$0.value.passed }.keys)
        #expect(
            failed == [
                "nothing is lost", "it takes two paths", "it goes elsewhere", "no time is left", "nobody is inside",
                "nobody offers it", "no way leads there", "some are lost", "some come twice", "some change places",
                "none may be held",
            ], "\(run.output)")
        func expect(_ name: String, _ parts: String...) {
            let details = run.checks[name]?.details ?? ""
            for part in parts { #expect(details.contains(part), "\(name): no '\(part)' in \(details)") }
        }
        expect("all arrive", "200 packets sent, 0 lost, 0 reordered, 0 duplicated, 1 path; firewall p50 ")
        expect("connections", "order not judged")
        expect("nothing is lost", "expected lost > 0", "50  alice → ids, firewall → web")
        expect("it takes two paths", "expected paths == 2", "trace of a packet of each path")
        expect("it goes elsewhere", "through web or firewall → ids", "50 packets went through firewall → web")
        expect("no time is left", "expected firewall p50 <= 1us", "trace of the slowest packet in firewall", "inside")
        expect("nobody is inside", "no packet came out of firewall")
        expect("nobody offers it", "expected lost == 0", "20  alice → dropped: no-service", "No service")
        expect("no way leads there", "that alice can send them", "Network is unreachable")
        expect(
            "some are lost", "expected in the step", "lost == 0", "100 packets sent, 10 lost",
            "10  alice → ids, firewall → did not come out", "trace of a packet that did not arrive",
            "vanished: It entered firewall")
        expect(
            "some come twice", "duplicated == 0", "0 lost, 0 reordered, 10 duplicated",
            "trace of a packet that came again")
        expect("some change places", "reordered == 0")
        expect("none may be held", "expected firewall p50 <= 15ms", "firewall p50: ")
    }

    /// The firewall gives packets an address that no node has, and another port.
    private static let translating = """
        name: natpath
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          outside:   { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inside:    { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:   { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers }
        applications:
          firewall:
            attach: { in: outside, out: inside }
            setup:
              - nft add table inet nat
              - "nft add chain inet nat post '{ type nat hook postrouting priority 100; }'"
              - nft add rule inet nat post ip saddr 192.0.2.0/24 snat ip to 198.18.3.200
              - "nft add rule inet nat post ip6 saddr 2001:db8:2::/64 snat ip6 to 2001:db8:13::200"
              - "nft add chain inet nat pre '{ type nat hook prerouting priority -100; }'"
              - nft add rule inet nat pre udp dport 7 dnat ip to 203.0.113.80:8
              - "nft add rule inet nat pre meta nfproto ipv6 udp dport 7 dnat ip6 to '[2001:db8:cb::80]:8'"
              - nft add rule inet nat pre tcp dport 80 dnat ip to 203.0.113.80:81
          web: { attach: servers }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], ports: any, sequence: [firewall, web] }

        """

    private static let translated = """
          - { name: udp, path: { from: alice, to: 203.0.113.80, port: udp/7, count: 100, rate: 500Hz, paths: 1, through: [firewall, web] } }
          - { name: udp6, path: { from: alice, to: "2001:db8:cb::80", port: udp/7, count: 100, rate: 500Hz, paths: 1, through: [firewall, web] } }
          - { name: icmp, path: { from: alice, to: 203.0.113.80, count: 100, rate: 500Hz, paths: 1, through: [firewall, web] } }
          - { name: icmp6, path: { from: alice, to: "2001:db8:cb::80", count: 100, rate: 500Hz, paths: 1, through: [firewall, web] } }
          - { name: tcp, path: { from: alice, to: 203.0.113.80, port: tcp/80, count: 100, rate: 500Hz, paths: 1, through: [firewall, web] } }

        """

    @Test("packets are followed through addresses and ports that an application changes")
    func translation() throws {
        let run = try CheckedTopology(Self.translating, checks: Self.translated, files: [:])
        #expect(run.checks.count == 5 && run.checks.values.allSatisfy(\.passed), "\(run.output)")
    }

    @Test("the report and JUnit XML carry the figures and the trace")
    func reports() throws {
        let suffix = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-paths-\(suffix)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("topology.yaml").path
        let checks = """
            checks:
              - { name: all <arrive>, path: { from: alice, to: 203.0.113.80, port: udp/7, count: 50 } }
              - { name: none comes, path: { from: alice, to: 203.0.113.81, count: 20 } }

            """
        try (ProbedTopology.chain + checks).write(toFile: file, atomically: true, encoding: .utf8)
        for (name, text) in ProbedTopology.files {
            try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }
        let xml = folder.appendingPathComponent("out.xml").path
        let tested = try run(Product.tapline, ["test", file, "--json", "--junit", xml], timeout: 300)
        #expect(tested.status != 0)
        #expect(tested.output.contains("\"measured\""), "\(tested.output)")
        let read = """
            import sys, xml.etree.ElementTree as T
            suite = T.parse(sys.argv[1]).getroot().find("testsuite")
            for p in suite.iter("property"): print(p.get("name"), "=", p.get("value"))
            print(suite.find("system-out").text)
            print(suite.find("testcase/failure").text)
            """
        let judged = try run("/usr/bin/python3", ["-c", read, xml], timeout: 30)
        for part in [
            "all <arrive>: sent = 50", "all <arrive>: lost = 0", "all <arrive>: firewall p99 (us) = ",
            "none comes: lost = 20", "trace of a packet that did not arrive:", "dropped, no-service",
            "20  alice → dropped: no-service",
        ] { #expect(judged.output.contains(part), "no '\(part)' in \(judged.output)") }
    }
}
