import Foundation
import Glibc
import LinuxNetwork
import Plan
import Testing
import Wire

@testable import Appliance
@testable import ControlAPI
@testable import HealthMonitoring
@testable import Reporting

/// Each health type against the real thing that it is made for: a kernel's firewall, a user's forwarder, real servers.
@Suite(.serialized) struct HealthMonitorTests {
    static let firewall = """
        name: NAME
        interfaces:
          customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers }
        applications:
          fw:  { type: firewall, attach: { in: inspection, out: inspected } }
          web: { type: web-server, attach: servers }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], ports: [tcp/80], sequence: [fw, web] }
        """

    static let rules = """
        flush ruleset
        table inet filter {
            chain forwarding {
                type filter hook forward priority filter; policy drop;
                ct state established,related accept
                icmp type echo-request accept
                icmpv6 type echo-request accept
                udp dport 4789 accept
            }
        }
        """

    static let four = HeartbeatPlan(
        source: IPAddress("198.18.2.1")!, destination: IPAddress("198.18.3.1")!)
    static let six = HeartbeatPlan(
        kind: .udp(source: 7, destination: 4789), source: IPAddress("2001:db8:12::1")!,
        destination: IPAddress("2001:db8:13::1")!, size: 120)
    static let negative = HeartbeatPlan(
        isNegative: true, kind: .udp(source: 7, destination: 9), source: IPAddress("198.18.2.1")!,
        destination: IPAddress("198.18.3.1")!)

    func application(
        _ node: String, _ checks: [HealthCheckPlan], damping: DampingPlan? = nil
    ) -> ApplicationPlan {
        ApplicationPlan(
            name: node, origin: .line(SourcePosition(line: 9, column: 1)), redundancy: .activeStandby,
            instances: [InstancePlan(node: node, group: 0, member: 0)], health: checks, damping: damping)
    }

    private func load(_ rules: String, in lab: HealthLab) throws {
        try lab.run(in: "fw", "nft -f - <<'END'\n\(rules)\nEND")
    }

    private func firewallLab(damping: DampingPlan? = nil) throws -> HealthLab {
        let lab = try HealthLab(Self.firewall) { _ in
            [
                application(
                    "fw",
                    [
                        .quick("heartbeat", .heartbeat(Self.four)), .quick("heartbeat 6", .heartbeat(Self.six)),
                        .quick("negative", .heartbeat(Self.negative), timeout: 40),
                    ], damping: damping)
            ]
        }
        try load(Self.rules, in: lab)
        return lab
    }

    // MARK: - Heartbeats

    /// No engine runs here: the probes find their way without one.
    @Test func theRightCheckOfAFirewallFails() throws {
        let lab = try firewallLab()
        try lab.monitor.start()
        try lab.becomes("fw", healthy: true)

        try lab.run(in: "fw", "nft flush ruleset")
        try lab.becomes("fw", healthy: false)
        #expect(lab.health("fw")?.reason == "negative: must not pass, but came out at inspected")
        #expect(lab.check("fw", "heartbeat")?.isPassed == true && lab.check("fw", "heartbeat 6")?.isPassed == true)

        try load(Self.rules, in: lab)
        try lab.becomes("fw", healthy: true)

        let dropAll =
            "flush ruleset\ntable inet filter { chain f { type filter hook forward priority filter; policy drop; }; }"
        try load(dropAll, in: lab)
        try lab.becomes("fw", healthy: false)
        try lab.eventually("both heartbeats fail") {
            lab.check("fw", "heartbeat")?.isPassed == false && lab.check("fw", "heartbeat 6")?.isPassed == false
        }
        #expect(lab.check("fw", "negative")?.isPassed == true)
        #expect(lab.check("fw", "heartbeat")?.last == "went in at inspection but did not come out at inspected")

        try load(Self.rules, in: lab)
        try lab.becomes("fw", healthy: true)
        let first = try #require(lab.events.first { $0.event == .checkFailed && $0.check == "negative" })
        #expect(first.instance == "fw" && first.reason?.contains("once") == true)
        #expect(lab.events.contains { $0.event == .checkPassed && $0.check == "heartbeat 6" })
    }

    @Test func whatAFirewallDropsOfTheAnswerIsTold() throws {
        let lab = try HealthLab(Self.firewall) { _ in
            [application("fw", [.quick("heartbeat", .heartbeat(Self.four), timeout: 50)])]
        }
        try load(
            "table inet filter { chain f { type filter hook forward priority filter; policy drop; icmp type echo-request accept; }; }",
            in: lab)
        try lab.monitor.start()
        try lab.eventually("it has been tried") { (lab.check("fw", "heartbeat")?.failed ?? 0) > 1 }
        let errors = lab.monitor.explainFailures()
        let place = lab.plan.nodes.first { $0.name == "fw" }!.origin
        #expect(
            errors.map(\.message) == [
                "fw (\(place)): its health check 'heartbeat' (line 9) never passed: the packet (ICMP echo request from "
                    + "198.18.2.1 to 198.18.3.1, 84 octets) came out at inspected; its answer went in there and did not "
                    + "come out at inspection"
            ])
        #expect(errors.first?.hint?.contains("icmp type echo-reply accept") == true)
    }

    @Test func whatAFirewallRefusesIsTold() throws {
        let lab = try HealthLab(Self.firewall) { _ in
            [application("fw", [.quick("heartbeat", .heartbeat(Self.six), timeout: 50)])]
        }
        try load(
            "table inet filter { chain f { type filter hook forward priority filter; reject with icmpx admin-prohibited; }; }",
            in: lab)
        try lab.monitor.start()
        try lab.eventually("it has been tried") { (lab.check("fw", "heartbeat")?.failed ?? 0) > 1 }
        let error = try #require(lab.monitor.explainFailures().first)
        #expect(
            error.message.contains(
                "(UDP from 2001:db8:12::1 port 7 to 2001:db8:13::1 port 4789, 120 octets) went in at inspection but did "
                    + "not come out at inspected; an ICMP error came out at inspection: prohibited"), "\(error)")
        #expect(error.hint?.contains("udp dport 4789 accept") == true)
    }

    @Test func aNegativeHeartbeatThatComesOutIsTold() throws {
        let lab = try HealthLab(Self.firewall) { _ in
            [application("fw", [.quick("negative", .heartbeat(Self.negative))])]
        }
        try lab.monitor.start()
        try lab.eventually("it has been tried") { (lab.check("fw", "negative")?.failed ?? 0) > 1 }
        let error = try #require(lab.monitor.explainFailures().first)
        #expect(error.message.hasSuffix("must not pass, but came out at inspected"), "\(error)")
    }

    /// Masquerading changes source, ports and identifiers.
    @Test func aTranslatorIsNoObstacle() throws {
        var udp = Self.four
        udp.kind = .udp(source: 7, destination: 4789)
        let lab = try HealthLab(Self.firewall) { _ in
            [application("fw", [.quick("icmp", .heartbeat(Self.four)), .quick("udp", .heartbeat(udp))])]
        }
        try load(
            """
            table ip nat {
                chain post { type nat hook postrouting priority srcnat; oifname "\(lab.leg("fw", 1).device)" masquerade; }
            }
            """, in: lab)
        try lab.monitor.start()
        try lab.becomes("fw", healthy: true)
        let translated = try lab.run(in: "fw", "cat /proc/net/nf_conntrack 2>/dev/null || true")
        #expect(translated.isEmpty || translated.contains("dst=\(lab.leg("fw", 1).addresses[0].address)"))
    }

    /// A forwarder in user space that stands still, its process alive.
    @Test func aForwarderThatStandsStillIsSeen() throws {
        let text = """
            name: NAME
            interfaces:
              customers: { address: 192.0.2.1/24 }
              outside: {}
              inside: {}
              servers: { address: 198.18.4.1/24 }
            customers: { alice: { interface: customers } }
            applications:
              bump: { type: intrusion-prevention, transparent: true, attach: { in: outside, out: inside } }
              web: { type: web-server, attach: servers }
            services:
              shop: { address: 203.0.113.80, ports: [tcp/80], sequence: [bump, web] }
            """
        let heartbeat = HeartbeatPlan(source: IPAddress("192.0.2.1")!, destination: IPAddress("203.0.113.80")!)
        let lab = try HealthLab(text) { _ in [application("bump", [.quick("heartbeat", .heartbeat(heartbeat))])] }
        let program = """
            import select, socket, struct
            names = ("\(lab.leg("bump", 0).device)", "\(lab.leg("bump", 1).device)")
            # Of no protocol until they are bound: they would hear other devices, and what is sent.
            pair = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for name in names]
            for s, name in zip(pair, names):
                s.setsockopt(263, 23, 1)
                s.bind((name, 3))
                s.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex(name), 1, 0, b""))
            while True:
                for s in select.select(pair, [], [])[0]:
                    pair[1 - pair.index(s)].send(s.recv(65536))
            """
        let forwarder = try lab.start(in: "bump", "exec /usr/bin/python3 -c '\(program)'")
        defer { try? forwarder.signal(SIGKILL) }
        try lab.monitor.start()
        try lab.becomes("bump", healthy: true)
        try forwarder.signal(SIGSTOP)
        try lab.becomes("bump", healthy: false)
        #expect(lab.health("bump")?.reason == "heartbeat: went in at outside but did not come out at inside")
        try forwarder.signal(SIGCONT)
        try lab.becomes("bump", healthy: true)
    }

    // MARK: - Links and processes

    @Test func everyWayToLoseALinkIsSeen() throws {
        let lab = try firewallLab()
        try lab.monitor.start()
        try lab.becomes("fw", healthy: true)
        for index in 0..<2 {
            let leg = lab.leg("fw", index)
            let fabricDevice = try #require(leg.fabricDevice)
            for (node, device) in [("fw", leg.device), ("fabric", fabricDevice)] {
                let addresses = leg.addresses.map { "ip addr replace \($0) dev \(leg.device)" }
                let routes = try lab.run(in: "fw", "ip -6 route show dev \(leg.device); true")
                try lab.run(in: node, "ip link set \(device) down")
                try lab.becomes("fw", healthy: false)
                #expect(
                    lab.health("fw")?.reason.contains("its link to \(lab.plan.interfaces[leg.interface].name)") == true)
                try lab.run(in: node, "ip link set \(device) up")
                // A device that was down has lost its IPv6 addresses and its routes.
                try lab.run(in: "fw", addresses.joined(separator: " && "))
                #expect(!routes.isEmpty)
                try lab.becomes("fw", healthy: true)
            }
        }
        try lab.run(in: "fabric", "ip link set \(lab.leg("fw", 0).fabricDevice ?? "") nomaster")
        try lab.becomes("fw", healthy: false)
        #expect(lab.health("fw")?.reason.contains("is not on its bridge") == true)
        try lab.run(in: "fw", "ip link delete \(lab.leg("fw", 1).device)")
        try lab.eventually("it is gone") {
            lab.monitor.guarded { lab.monitor.instances["fw"]!.legs[1].device == nil }
        }
    }

    @Test func theEndOfTheProcessIsSeenAtOnce() throws {
        let text = Self.firewall.replacingOccurrences(
            "attach: servers }", "attach: servers, run: exec sleep 1000 }")
        let lab = try HealthLab(text) { _ in [application("web", [])] }
        try lab.monitor.start()
        #expect(lab.health("web")?.isHealthy == false)
        for round in 0..<2 {
            let process = try lab.start(in: "web", "exec sleep 1000")
            lab.monitor.processBegan("web")
            #expect(lab.health("web")?.reason == "its application is starting")
            lab.monitor.processReady("web")
            try lab.becomes("web", healthy: true)
            try process.signal(SIGKILL)
            #expect(process.waitForEnd(within: .seconds(10)))
            let end = try #require(try process.statusIfEnded())
            lab.monitor.processEnded("web", summary: "its application \(end.summary)")
            #expect(lab.health("web")?.isHealthy == false, "with no turn of anything in between, round \(round)")
            #expect(lab.health("web")?.reason == "its application was ended by signal 9 (Killed)")
            try lab.becomes("web", healthy: false)
        }
    }

    @Test func whatFlapsIsKeptOut() throws {
        let lab = try firewallLab(damping: DampingPlan(suppress: 2_500, reuse: 2_000, halfLife: 1_000))
        try lab.monitor.start()
        let device = lab.leg("fw", 0).device
        var rounds = 0
        while lab.health("fw")?.isSuppressed != true, rounds < 10 {
            rounds += 1
            try lab.eventually("it is up or kept out") {
                lab.health("fw")?.isHealthy == true || lab.health("fw")?.isSuppressed == true
            }
            guard lab.health("fw")?.isHealthy == true else { break }
            try lab.run(in: "fabric", "ip link set \(lab.leg("fw", 0).fabricDevice ?? "") down")
            try lab.becomes("fw", healthy: false)
            try lab.run(in: "fabric", "ip link set \(lab.leg("fw", 0).fabricDevice ?? "") up")
            try lab.run(in: "fw", "ip addr show dev \(device) >/dev/null")
        }
        try lab.eventually("it is kept out") { lab.changes.contains { $0.health.isSuppressed } }
        let kept = try #require(lab.changes.first { $0.health.isSuppressed })
        #expect(kept.health.reason.contains("went up and down too often") && !kept.health.isHealthy)
        #expect(kept.health.checks.filter { !$0.isPassed }.isEmpty)
        try lab.becomes("fw", healthy: true)
    }

    // MARK: - Coming and going

    @Test func instancesComeAndGoWhileItRuns() throws {
        let lab = try firewallLab()
        try lab.monitor.start()
        try lab.becomes("fw", healthy: true)
        lab.monitor.remove(node: "fw")
        #expect(lab.monitor.currentHealth().isEmpty)
        let plan = lab.plan.applications[0]
        try lab.monitor.add(application: plan, instance: plan.instances[0])
        try lab.eventually("it is healthy again") { lab.health("fw")?.isHealthy == true }
        lab.monitor.stop()
        #expect(lab.monitor.currentHealth().isEmpty)
    }
}

extension String {
    fileprivate func replacingOccurrences(_ old: String, _ new: String) -> String {
        guard let range = range(of: old) else { return self }
        return replacingCharacters(in: range, with: new)
    }
}
