import Forwarding
import Plan
import Planning
import Reporting
import Testing
import TopologyFiles
import Wire

/// What must be done to make one file out of another, told without doing it.
@Suite struct DifferenceTests {
    /// A chain with parts that can be changed.
    private func text(
        interfaces: String = "", mtu: Int = 1500, nodes: String = "", web: String = "run: exec web",
        firewall: String = "setup: [nft -f a]", services: String = "", checks: String = "", tail: String = ""
    ) -> String {
        """
        name: t
        interfaces:
          customers: { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected: { address: 198.18.3.1/24 }
          servers: { address: 198.18.4.1/24, mtu: \(mtu) }
        \(interfaces)
        customers:
          alice: { interface: customers, address: 192.0.2.10 }
          bob: { interface: customers, address: 192.0.2.20 }
        \(nodes)
        applications:
          firewall: { attach: { in: inspection, out: inspected }, \(firewall) }
          web: { attach: { in: { interface: servers, address: 198.18.4.10 } }, \(web) }
        \(tail)
        services:
          shop:
            { address: 203.0.113.80, ports: [tcp/80], from: customers, distribute: [firewall], sequence: [firewall, web] }
        \(services)
        \(checks.isEmpty ? "" : "checks:\n" + checks)
        """
    }

    private func replanned(_ text: String, _ running: AppliancePlan) throws -> AppliancePlan {
        try Planner.plan(TopologyFile.parse(text, path: "t.yaml"), keeping: running)
    }

    private func difference(_ before: String, _ after: String) throws -> (PlanDifference, AppliancePlan) {
        let old = try plan(before)
        let new = try plan(after).adopting(old)
        return (PlanDifference(from: old, to: new), new)
    }

    private func lines(_ before: String, _ after: String) throws -> [String] {
        let (difference, plan) = try difference(before, after)
        #expect(difference.refusals.isEmpty)
        return difference.lines(plan)
    }

    @Test("the same file, and one with other comments and lines, differ in nothing")
    func nothing() throws {
        #expect(try lines(text(), text()).isEmpty)
        let (moved, new) = try difference(text(), "# moved\n\n" + text())
        #expect(moved.isEmpty)
        #expect(try new.node("web").origin.lineNumber == plan(text()).node("web").origin.lineNumber + 2)
    }

    @Test("another service changes the table and what the server answers for, and starts nothing again")
    func service() throws {
        let lines = try lines(
            text(),
            text(
                services: "  more: { address: 203.0.113.81, ports: [tcp/80], from: customers, distribute: [firewall], "
                    + "sequence: [firewall, web] }"))
        #expect(
            lines == [
                "node web changes while it runs: its service addresses, its routes",
                "table: entries: 8 new, 8 as before",
            ])
    }

    @Test("a customer more changes nobody else")
    func customer() throws {
        let lines = try lines(text(), text(nodes: "  carol: { interface: customers }"))
        #expect(lines.contains("node carol is added"))
        #expect(!lines.contains { $0.contains("firewall") || $0.contains("web") || $0.contains("interface") })
    }

    @Test("what a node's commands are given decides how deep the change goes")
    func processes() throws {
        let environment = "environment: { COLOUR: red }"
        #expect(
            try lines(text(), text(web: "run: exec web, \(environment)"))
                == ["node web is restarted: its environment (COLOUR)"])
        #expect(
            try lines(text(), text(firewall: "setup: [nft -f a], \(environment)"))
                == ["node firewall is rebuilt: its environment (COLOUR)"].withBridges)
        #expect(try lines(text(), text(web: "run: exec other")) == ["node web is restarted: its run"])
        #expect(
            try lines(text(), text(firewall: "setup: [nft -f b]"))
                == ["node firewall is rebuilt: its setup"].withBridges)
        #expect(
            try lines(text(), text(web: "run: exec web, restart: never, ready: { tcp: 80 }"))
                == ["node web changes while it runs: its readiness, its restart"])
        #expect(
            try lines(text(), text(web: "run: exec web, hosts: { shop: 203.0.113.80 }"))
                == ["node web changes while it runs: its hosts"])
        #expect(
            try lines(text(web: "run: exec web, sysctls: { net.core.somaxconn: 10 }"), text())
                == [
                    "interface servers gets a bridge",
                    "node web is rebuilt: its sysctl net.core.somaxconn, which is gone",
                ])
        #expect(
            try lines(text(), text(web: "run: exec web, sysctls: { net.core.somaxconn: 10 }"))
                == ["node web changes while it runs: its sysctls"])
    }

    @Test("a node that gets company on an interface gets a bridge in between, and keeps it when it is alone again")
    func company() throws {
        let more = text(tail: "  second: { attach: servers, run: exec web }")
        let (there, grown) = try difference(text(), more)
        #expect(there.lines(grown).starts(with: ["interface servers gets a bridge", "node second is added"]))
        #expect(grown.node("web").legs[0].fabricDevice != nil)
        #expect(grown.node("web").legs[0].fabricDevice != grown.node("second").legs[0].fabricDevice)
        let alone = try plan(text()).adopting(grown)
        let back = PlanDifference(from: grown, to: alone)
        #expect(back.actions.contains(.remove(node: "second")))
        #expect(!back.lines(alone).contains { $0.contains("interface") || $0.contains("node web") })
        #expect(alone.interfaces[3].attachment == grown.interfaces[3].attachment)
    }

    @Test("names in the fabric stay, whatever comes before in the file, and none is given twice")
    func fabricNames() throws {
        let old = try plan(text())
        let new = try plan(text(nodes: "  aaron: { interface: customers }\n  carol: { interface: customers }"))
            .adopting(old)
        for node in ["alice", "bob"] {
            #expect(new.node(node).legs[0].fabricDevice == old.node(node).legs[0].fabricDevice)
        }
        let names = new.nodes.flatMap(\.legs).compactMap(\.fabricDevice)
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { (1...15).contains($0.utf8.count) })
    }

    @Test("nodes keep the namespaces that they were given")
    func namespaces() throws {
        var old = try plan(text())
        let index = try #require(old.nodes.firstIndex { $0.name == "web" })
        old.nodes[index].namespace = "t-web_other"
        let new = try plan(text(web: "run: exec web, hosts: { a: 192.0.2.9 }")).adopting(old)
        #expect(new.node("web").namespace == "t-web_other")
    }

    @Test("an interface's queue changes in place, and nothing else with it")
    func queues() throws {
        let more = text().replacing("mtu: 1500", with: "mtu: 1500, queue: 20000")
        #expect(try lines(text(), more) == ["interface servers changes: its queues have room for 20000 frames"])
        // The default, written down, is no change.
        #expect(try lines(text(), text().replacing("mtu: 1500", with: "mtu: 1500, queue: 5000")).isEmpty)
    }

    @Test("an interface's MTU and addresses change in place")
    func interfaces() throws {
        let lines = try lines(text(), text(mtu: 1400))
        #expect(lines.contains("interface servers changes: its MTU is 1400"))
        // What runs there was told the MTU.
        #expect(lines.contains("node web is restarted: its environment (TAPLINE_IN_MTU)"))
        #expect(!lines.contains { $0.contains("alice") })
    }

    @Test("interfaces come and go, and so do engines and workers; each is told")
    func interfacesAndEngines() throws {
        let more = text(interfaces: "  more: { address: 198.18.5.1/24 }")
        #expect(try lines(text(), more).first == "interface more is added")
        #expect(try lines(more, text()).contains("interface more is removed"))
        #expect(try lines(text(), text() + "\nengine: { workers: 2 }") == ["engines: 2 workers each in place of 1"])
        #expect(try lines(text(), text() + "\nengines: { count: 2 }") == ["engines: 2 engines in place of 1"])
        #expect(try lines(text(), text() + "\nengine: { io: write }") == ["engines: io: write"])
        #expect(try lines(text(), text() + "\nengine: { coalescing: off }") == ["engines: frames are not coalesced"])
        #expect(try lines(text(), text() + "\nengine: { latency: low }") == ["engines: latency: low"])
    }

    @Test("interfaces that stay keep their places, whichever of the others come and go")
    func places() throws {
        let (first, second) = ("  a: {}\n  b: {}", "  b: {}\n  c: {}")
        let old = try plan(text(interfaces: first))
        #expect(old.interfaces.map(\.name) == ["customers", "inspection", "inspected", "servers", "a", "b"])
        let new = try replanned(text(interfaces: second), old).adopting(old)
        #expect(new.interfaces.map(\.isVacant) == [false, false, false, false, true, false, false])
        #expect(new.interfaces[5].name == "b" && new.interfaces[6].name == "c")
        let difference = PlanDifference(from: old, to: new)
        #expect(
            difference.lines(new) == ["interface c is added", "table: entries: 8 as before", "interface a is removed"])
        // While it is carried out, both are there.
        let during = new.retaining(old)
        #expect(during.interfaces.map(\.name) == old.interfaces.map(\.name) + ["c"])
        #expect(during.table.interfaces.map(\.name) == during.interfaces.map(\.name))
        // The next one takes the place that is free, and places at the end are given up.
        let again = try replanned(text(interfaces: "  b: {}\n  c: {}\n  d: {}"), new).adopting(new)
        #expect(again.interfaces.map(\.name)[4...] == ["d", "b", "c"])
        #expect(PlanDifference(from: new, to: again).lines(again).first == "interface d is added")
        let fewer = try replanned(text(), again).adopting(again)
        #expect(fewer.interfaces.count == 4)
    }

    @Test("a tunnel that goes fits its underlay, whose MTU and address change meanwhile")
    func goingTunnel() throws {
        func text(_ underlay: String, _ tunnel: String) -> String {
            """
            name: t
            interfaces: { customers: { address: 192.0.2.1/24 }, underlay: { \(underlay) } }
            customers: { alice: { interface: customers } }
            routers: { transit: { interface: underlay } }
            applications: { web: { attach: customers }\(tunnel) }
            services: { shop: { address: 203.0.113.80, \(tunnel.isEmpty ? "" : "distribute: ids, ")sequence: web } }

            """
        }
        let ids = ", ids: { passive: true, remote: { interface: underlay, vxlan: { id: 1, peer: 198.51.100.7 } } }"
        let old = try plan(text("address: 198.18.64.1/24, mtu: 1600", ids))
        let new = try replanned(text("address: 198.18.65.1/24, mtu: 1500", ""), old).adopting(old)
        let during = new.retaining(old).table
        let tunnel = try #require(during.interfaces.first { $0.tunnel != nil })
        #expect(tunnel.mtu == 1450 && tunnel.tunnel?.local.description == "198.18.65.1")
        // The underlay's family changes, too.
        let six = try replanned(text("address: \"2001:db8:64::1/64\", mtu: 1500", ""), old).adopting(old)
        #expect(PlanDifference(from: old, to: six).refusals.isEmpty)
        _ = try TableCompiler.compile(six.retaining(old).table, generation: 1)
        let small = try replanned(text("address: 198.18.64.1/24, mtu: 600", ""), old).adopting(old)
        #expect(
            PlanDifference(from: old, to: small).refusals.map(\.what) == [
                "tunnel ids goes, and interface underlay carries 600 octets before it has gone: packets in the tunnel "
                    + "would have 550, and 576 is the least"
            ])
        let again = try replanned(text("address: 198.18.64.1/24, mtu: 1600", ids), small).adopting(small)
        let coming = try #require(PlanDifference(from: small, to: again).refusals.first)
        #expect(coming.what.hasPrefix("tunnel ids comes, and interface underlay carries 600 octets until it has come"))
        #expect(coming.hint.hasPrefix("apply a file with the new MTU and without the tunnel first, or take"))
    }

    @Test("a node gets a further leg, and loses one, while it runs")
    func legs() throws {
        let nodes = { (attach: String) in "  carol: { interface: customers }\nrouters:\n  r: { attach: { \(attach) } }"
        }
        let two = text(nodes: nodes("in: customers, out: inspection"))
        let three = text(nodes: nodes("in: customers, out: inspection, log: servers"))
        #expect(
            try lines(two, three).filter { $0.hasPrefix("node r") } == [
                "node r changes while it runs: its legs (servers is added)"
            ])
        #expect(
            try lines(three, two).filter { $0.hasPrefix("node r") } == [
                "node r changes while it runs: its legs (servers is removed)"
            ])
    }

    @Test("a node in a namespace of somebody else's is built anew for another leg: what is there is looked at first")
    func attachedLegs() throws {
        let nodes = { (attach: String) in
            "  carol: { interface: customers }\nrouters:\n  r: { namespace: /run/netns/r, attach: { \(attach) } }"
        }
        let two = text(nodes: nodes("in: customers, out: inspection"))
        let three = text(nodes: nodes("in: customers, out: inspection, log: servers"))
        for told in [try lines(two, three), try lines(three, two)] {
            #expect(told.contains { $0.hasPrefix("node r is rebuilt: its interfaces") }, "\(told)")
        }
    }

    @Test("an interface with a device of the machine comes and goes; the device does not change, nor go to another")
    func devices() throws {
        let wan = "  wan: { device: eth1, address: 198.18.5.1/24, behind: 198.18.5.0/24 }"
        let (added, _) = try difference(text(), text(interfaces: wan))
        #expect(added.refusals.isEmpty)
        #expect(try lines(text(), text(interfaces: wan)).first == "interface wan is added")
        #expect(try lines(text(interfaces: wan), text()).contains("interface wan is removed"))
        let (moved, _) = try difference(
            text(interfaces: wan), text(interfaces: wan.replacing("wan:", with: "net:")))
        #expect(
            moved.refusals.map(\.what)
                == ["the interface net is new, and its device eth1 is lent to wan, which goes"])
        let (other, _) = try difference(
            text(interfaces: wan), text(interfaces: wan.replacing("eth1", with: "eth2")))
        #expect(other.refusals.map(\.what) == ["the device of interface wan, or what is behind it, is another"])
        let beside = try lines(text(interfaces: wan), text(interfaces: wan + "\n  more: {}"))
        #expect(beside.first == "interface more is added")
    }

    @Test("other checks are told, and touch nothing; checks that have moved are the same")
    func checks() throws {
        let check = "  - { name: one, on: alice, run: true }"
        let (moved, new) = try difference(text(checks: check), "# moved\n" + text(checks: check))
        #expect(moved.isEmpty)
        #expect(new.checks[0].origin != (try plan(text(checks: check)).checks[0].origin))
        #expect(try lines(text(), text(checks: check)) == ["checks: 1 in place of 0"])
        #expect(
            try lines(text(checks: check), text(checks: "  - { name: two, on: alice, run: true }"))
                == ["checks: different ones"])
    }

    @Test("what is added comes first, then what is changed, then the table, and what goes comes last")
    func order() throws {
        let (difference, _) = try difference(
            text(nodes: "  carol: { interface: customers }"),
            text(nodes: "  dave: { interface: customers }", web: "run: exec other"))
        let kinds = difference.actions.map { action in
            switch action {
            case .add: "add"
            case .restart: "restart"
            case .publish: "publish"
            case .remove: "remove"
            default: "other"
            }
        }
        #expect(kinds.filter { $0 != "other" } == ["add", "restart", "publish", "remove"])
    }

    @Test("changes of instances are kept where the file still has a place for them")
    func instances() {
        let one = InstanceChanges().adding("web-4", to: "web").removing("web-1")
        #expect(one == InstanceChanges(added: ["web": ["web-4"]], removed: ["web-1"]))
        #expect(one.removing("web-4").adding("web-1", to: "web") == InstanceChanges())
    }
}

extension [String] {
    /// With the bridges that a firewall's interfaces get before it is built anew.
    fileprivate var withBridges: [String] {
        ["interface inspection gets a bridge", "interface inspected gets a bridge"] + self
    }
}
