import Foundation
import LinuxNetwork
import Testing

/// A network namespace that plays the machine, with a card `eth1` and a street of houses behind it; and a topology that the
/// card is an interface of.
final class PlayedMachine {
    let topology: ScratchTopology
    let machine: ForeignNamespace
    let street: ForeignNamespace
    /// In which `box` is a customer.
    let box: ForeignNamespace
    var name: String { topology.name }

    init(device: String = "eth1", behind: String = "10.0.0.0/16", wan: String? = nil) throws {
        let wan = wan ?? "{ device: \(device), address: 10.0.0.1/8, behind: \(behind) }"
        topology = try ScratchTopology(small: nil)
        machine = try ForeignNamespace("machine-\(topology.name)")
        street = try ForeignNamespace("street-\(topology.name)")
        box = try ForeignNamespace("box-\(topology.name)")
        try """
        name: \(topology.name)
        interfaces:
          wan: \(wan)
          lan: { address: 192.0.2.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers:
          box: { interface: lan, namespace: /run/netns/\(box.name) }
        applications:
          web: { type: web-server, attach: servers }
        services:
          shop: { address: 203.0.113.80, ports: [tcp/80], sequence: [web] }
        """.write(toFile: topology.file, atomically: true, encoding: .utf8)
        let (here, there) = (machine.name, street.name)
        let made = try CommandLineRun.shell(
            """
            set -e
            ip -n \(here) link add eth0 type veth peer name uplink
            ip -n \(here) addr add 172.31.0.2/24 dev eth0; ip -n \(here) link set uplink up; ip -n \(here) link set eth0 up
            ip -n \(here) route add default via 172.31.0.1
            ip -n \(here) link add eth1 address 02:00:00:00:00:e1 type veth peer name houses netns \(there)
            ip -n \(here) link set eth1 mtu 1480 txqueuelen 777 alias "the card" up
            ip -n \(here) addr add 10.0.0.99/8 dev eth1; ip -n \(here) addr add 10.0.0.98/8 dev eth1
            ip -n \(here) addr add 2001:db8:9::99/64 dev eth1 nodad
            ip -n \(here) addr add 192.168.7.7/24 dev eth1 noprefixroute valid_lft 10000 preferred_lft 9000
            ip -n \(here) route add 172.16.0.0/16 via 10.0.0.1 metric 50
            ip -n \(here) route add 172.17.0.0/16 via 10.0.0.1 proto dhcp table 100
            ip -n \(here) -6 route add 2001:db8:77::/48 via 2001:db8:9::1
            ip -n \(here) rule add iif eth1 lookup 100
            nsenter --net=/run/netns/\(here) sysctl -qw net.ipv4.conf.eth1.rp_filter=2 net.ipv6.conf.eth1.accept_ra=0
            for house in 10.0.0.7/8 10.3.3.3/8; do ip -n \(there) addr add $house dev houses; done
            ip -n \(there) link set houses up; ip -n \(there) route add 203.0.113.0/24 via 10.0.0.1
            """)
        #expect(made.status == 0, "\(made.errors)")
        // A feature that somebody has switched off stays off.
        try NetworkNamespace.open(here).netlink.setFeatures(
            ["tx-gso-partial", "tx-udp-segmentation"], of: "eth1", on: false)
        // The kernel looks for a second whether somebody else has the addresses that it makes itself.
        var former = ""
        for _ in 0..<100 {
            let now = try state()
            if now == former, !now.contains("tentative") { return }
            former = now
            usleep(200_000)
        }
    }

    /// All that the kernel tells of the machine, sorted: equal IPv6 routes of several devices stand in the order in which
    /// the kernel made them.
    func state() throws -> String {
        let (ip, inside) = ("ip -n \(machine.name)", "nsenter --net=/run/netns/\(machine.name)")
        let features = try NetworkNamespace.open(machine.name).netlink.changeableFeatures(of: "eth1")
        // Addresses that expire count down.
        return try CommandLineRun.shell(
            """
            (\(ip) -d -j link; \(ip) -j addr | sed -E 's/"(valid|preferred)_life_time":[0-9]{1,5}\\b//g'
            \(ip) -j route show table all; \(ip) -j -6 route show table all; \(ip) -j rule
            \(inside) sysctl -a 2>/dev/null | grep -E '^net\\.ipv[46]\\.(conf|neigh)\\.') |
              sed 's/[][]//g; s/},{/}\\n{/g' | sort
            """
        ).output + features.joined(separator: " ")
    }

    func start(_ words: String...) throws -> CommandLineRun.Started {
        try CommandLineRun.Started(
            ["/usr/bin/nsenter", "--net=/run/netns/\(machine.name)", CommandLineRun.tapline] + words)
    }
    func up(_ words: String...) throws -> RunResult {
        try CommandLineRun.Started(
            ["/usr/bin/nsenter", "--net=/run/netns/\(machine.name)", CommandLineRun.tapline, "up", topology.file, "-d"]
                + words
        ).finish()
    }
    func down() throws -> RunResult { try start("down", name).finish() }

    /// True if a house gets an echo from the shop.
    func echo(from house: String = "10.0.0.7") throws -> Bool {
        try CommandLineRun.shell(
            "nsenter --net=/run/netns/\(street.name) ping -n -c 1 -W 5 -I \(house) 203.0.113.80"
        ).status == 0
    }

    /// The machine is as before; the kernel takes a moment for links and for the addresses that it makes itself.
    func expect(_ before: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        for _ in 0..<300 {
            if try state() == before { return }
            usleep(20_000)
        }
        let (was, now) = (Set(before.split(separator: "\n")), Set(try state().split(separator: "\n")))
        Issue.record(
            "gone: \(was.subtracting(now).sorted()); new: \(now.subtracting(was).sorted())",
            sourceLocation: sourceLocation)
    }
}

@Suite("Devices of the machine as interfaces", .serialized, .enabled(if: isRoot))
struct DeviceTests {
    @Test("hosts behind the device are customers where `behind` says so; down gives it back as it was")
    func lent() throws {
        let played = try PlayedMachine()
        let before = try played.state()
        let up = try played.up()
        #expect(up.status == 0, "\(up.errors)")
        #expect(try CommandLineRun.shell("ip -n \(played.machine.name) link show eth1").status != 0)
        try CommandLineRun.eventually("a house reaches the shop") { try played.echo() }
        #expect(try !played.echo(from: "10.3.3.3"), "it is not behind 10.0.0.0/16")
        #expect(
            try CommandLineRun.run("exec", played.name, "box", "--", "ping", "-nc1", "-W20", "203.0.113.80").status == 0
        )
        let status = try CommandLineRun.json("status", played.name, "--json")
        let wan = try #require((status["interfaces"] as? [[String: Any]])?.first { $0["name"] as? String == "wan" })
        #expect(wan["device"] as? String == "eth1")
        #expect(wan["deviceFault"] == nil)
        let down = try played.down()
        #expect(down.status == 0, "\(down.errors)")
        try played.expect(before)
        try played.topology.expectGone()
    }

    @Test("hosts in VLANs behind the device are customers of circuits; each hears its own answers alone")
    func virtualNetworks() throws {
        func circuit(_ name: String, _ encapsulation: String, _ network: String) -> String {
            "\(name): { encapsulation: \(encapsulation), address: 10.\(network).0.1/16, behind: 10.\(network).0.0/16 }"
        }
        let circuits = [
            circuit("red", "vlan 100", "1"), circuit("blue", "qinq 100.200", "2"), circuit("grey", "vlan 7", "3"),
        ]
        let played = try PlayedMachine(wan: "{ device: eth1, circuits: { \(circuits.joined(separator: ", ")) } }")
        let before = try played.state()
        let up = try played.up()
        #expect(up.status == 0, "\(up.errors)")
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let endpoint = root.appendingPathComponent("Topologies/access-circuits/endpoint.py").path
        // Each house has its own end of a circuit, which the houses' device carries all of.
        let houses = try [("vlan 100", 1), ("qinq 100.200", 2)].map { kind, network in
            let name = "house\(network)-\(played.name)"
            let house = try ForeignNamespace(name)
            let port = try CommandLineRun.shell(
                """
                set -e; here="ip -n \(played.street.name)"
                $here link show street >/dev/null 2>&1 || {
                    $here addr flush dev houses; $here link add street type bridge
                    $here link set houses master street; $here link set street up; }
                $here link add h\(network) type veth peer name port netns \(name)
                $here link set h\(network) master street up; ip -n \(name) link set port up; ip -n \(name) link set lo up
                """)
            #expect(port.status == 0, "\(port.errors)")
            let environment = [
                "TAPLINE_IN=port", "TAPLINE_IN_MTU=1500", "TAPLINE_IN_ADDRESS=10.\(network).0.7",
                "TAPLINE_IN_GATEWAY=10.\(network).0.1",
            ]
            let end = try CommandLineRun.Started(
                ["/usr/bin/env"] + environment + ["nsenter", "--net=/run/netns/\(name)", "python3", "-B", endpoint]
                    + kind.split(separator: " ").map(String.init))
            return (house, end)
        }
        defer {
            for (_, end) in houses {
                end.signal(SIGKILL)
                _ = end.finish()
            }
        }
        for (house, _) in houses {
            try CommandLineRun.eventually("a house in a VLAN reaches the shop") {
                try CommandLineRun.shell("nsenter --net=/run/netns/\(house.name) ping -nc1 -W2 203.0.113.80").status
                    == 0
            }
        }
        let status = try CommandLineRun.json("status", played.name, "--json")
        let interfaces = try #require(status["interfaces"] as? [[String: Any]])
        func received(_ name: String) -> Int {
            interfaces.first { $0["name"] as? String == name }?["receivedPackets"] as? Int ?? -1
        }
        #expect(received("red") > 0 && received("blue") > 0 && received("grey") == 0, "\(interfaces)")
        let down = try played.down()
        #expect(down.status == 0, "\(down.errors)")
        try played.expect(before)
        try played.topology.expectGone()
    }

    @Test("after SIGKILL it is given back by down, prune, and before another up", arguments: ["down", "prune", "up"])
    func killed(_ mended: String) throws {
        let played = try PlayedMachine()
        let before = try played.state()
        #expect(try played.up().status == 0)
        kill(try played.topology.controlProcess(), SIGKILL)
        switch mended {
        case "down": #expect(try played.down().status == 0)
        case "prune": #expect(try played.start("prune", played.name).finish().status == 0)
        default:
            let again = try played.up()
            #expect(again.status == 0, "\(again.errors)")
            try CommandLineRun.eventually("a house reaches the shop") { try played.echo() }
            #expect(try played.down().status == 0)
        }
        try played.expect(before)
        try played.topology.expectGone()
    }

    @Test("a device that is absent, in use, a port, or the way out is refused, and is as it was")
    func refusals() throws {
        func refused(_ played: PlayedMachine, _ words: String...) throws {
            let before = try played.state()
            let up = try played.up()
            #expect(up.status == 4, "\(up.output)\(up.errors)")
            for word in words { #expect(up.errors.contains(word), "\(up.errors)") }
            try played.expect(before)
            try played.topology.expectGone()
        }
        try refused(PlayedMachine(device: "eth2"), "the device eth2 is not there", "did you mean 'eth")
        try refused(PlayedMachine(device: "eth0"), "carries the machine's default route", "--even-the-default-route")
        let port = try PlayedMachine()
        _ = try CommandLineRun.shell(
            "ip -n \(port.machine.name) link add br0 type bridge; ip -n \(port.machine.name) link set eth1 master br0")
        try refused(port, "belongs to the bridge br0", "nomaster")
        let renamed = try PlayedMachine(device: "card")
        _ = try CommandLineRun.shell("ip -n \(renamed.machine.name) link property add dev eth1 altname card")
        try refused(renamed, "the device card is called eth1 now", "`device: eth1`")
        let used = try PlayedMachine()
        #expect(try used.up().status == 0)
        let second = try used.start("up", used.topology.file, "-d", "--name", used.name + "b").finish()
        #expect(second.status == 4)
        #expect(second.errors.contains("in use by the topology '\(used.name)' (interface wan)"), "\(second.errors)")
        #expect(try used.down().status == 0)
    }

    @Test("the device of the default route is bound if you insist, and the route is back afterwards")
    func defaultRoute() throws {
        let played = try PlayedMachine(device: "eth0")
        let before = try played.state()
        let up = try played.up("--even-the-default-route")
        #expect(up.status == 0, "\(up.errors)")
        #expect(try played.down().status == 0)
        try played.expect(before)
    }

    @Test("a device that is switched off, renamed or gone is told in events and status")
    func faults() throws {
        let played = try PlayedMachine()
        #expect(try played.up().status == 0)
        func fault(_ words: String, _ command: String) throws {
            _ = try CommandLineRun.shell(command)
            try CommandLineRun.eventually(words) {
                try CommandLineRun.run("status", played.name).output.contains(words)
            }
            let events = try CommandLineRun.run("events", played.name, "--text").output
            #expect(events.contains(words), "\(events)")
        }
        let places = try CommandLineRun.shell(
            "for n in $(ls /run/netns); do ip -n $n link show eth1 >/dev/null 2>&1 && echo $n; done"
        ).output
        let there = try #require(places.split(separator: "\n").first { $0.hasPrefix(played.name) })
        try fault("eth1 of interface wan has no carrier", "ip -n \(played.street.name) link set houses down")
        _ = try CommandLineRun.shell("ip -n \(played.street.name) link set houses up")
        try CommandLineRun.eventually("it carries again") {
            try CommandLineRun.run("events", played.name, "--text").output.contains("carries frames again")
        }
        try fault("eth1 of interface wan is switched off", "ip -n \(there) link set eth1 down")
        try fault(
            "has been renamed to other", "ip -n \(there) link set eth1 name other; ip -n \(there) link set other up")
        // It is known by its mark, and gets its name back.
        #expect(try played.down().status == 0)
        #expect(
            try CommandLineRun.shell("ip -n \(played.machine.name) -br addr show eth1").output.contains("10.0.0.99/8"))
        #expect(try played.up().status == 0)
        try fault("eth1 of interface wan is gone", "ip -n \(played.street.name) link delete houses")
        #expect(try played.down().status == 0)
        try played.topology.expectGone()
    }

    @Test("200 times up, SIGKILL at a random moment, and down: no difference")
    func cycles() throws {
        let played = try PlayedMachine()
        let before = try played.state()
        let boxBefore = try CommandLineRun.shell("ip -n \(played.box.name) -j addr; ip -n \(played.box.name) -j route")
            .output
        for cycle in 0..<200 {
            let moment = UInt32.random(in: 0...350_000)
            let up = try played.start("up", played.topology.file)
            usleep(moment)
            up.signal(SIGKILL)
            _ = up.finish()
            let down = try played.down()
            #expect([0, 5].contains(down.status), "cycle \(cycle), \(moment) us: \(down.errors)")
            guard down.status == 0 || down.status == 5 else { return }
            if cycle % 10 == 0 { try played.expect(before) }
        }
        try played.expect(before)
        #expect(
            try CommandLineRun.shell("ip -n \(played.box.name) -j addr; ip -n \(played.box.name) -j route").output
                == boxBefore)
        try played.topology.expectGone()
    }
}
