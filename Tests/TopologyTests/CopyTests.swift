import Forwarding
import Plan
import Testing

/// `copies: everything`, and what else of a file decides how frames on a link are taken.
@Suite struct CopyTests {
    private func topology(
        ids: String = "copies: everything", interface: String = "", on place: String = "middle", mtu: Int = 1500,
        distribute: String = "[ids, firewall]"
    ) -> String {
        """
        name: copies
        interfaces:
          outside: { address: 192.0.2.1/24, \(interface) }
          middle:  { address: 198.18.2.1/24, mtu: \(mtu) }
          behind:  { address: 198.18.3.1/24 }
          inside:  { address: 198.18.4.1/24 }
          taps:    { address: 198.18.5.1/24, mtu: \(mtu) }
        customers:
          alice: { interface: outside }
        applications:
          ids: { passive: true, attach: \(place), \(ids) }
          firewall: { attach: { in: middle, out: behind } }
          web: { attach: inside }
        services:
          shop: { address: 203.0.113.80, ports: tcp/80, distribute: \(distribute), sequence: [firewall, web] }
        """
    }

    /// From which interface to which.
    private func mirrors(_ plan: AppliancePlan) -> [String] {
        plan.table.mirrors.map { "\(plan.interfaces[$0.received].name)>\(plan.interfaces[$0.send].name)" }
    }

    @Test func anApplicationThatSharesItsInterfaceGetsOneOfItsOwn() throws {
        let plan = try plan(topology())
        #expect(plan.interfaces.map(\.name) == ["outside", "middle", "behind", "inside", "taps", "middle of ids"])
        #expect(Set(mirrors(plan)) == ["outside>middle of ids", "middle>middle of ids"])
        let leg = try #require(plan.node("ids").legs.first)
        #expect(leg.device == "middle" && leg.takesEverything)
        #expect(leg.addresses.map { "\($0)" } == ["198.18.2.2/24"])
        #expect(plan.nodes.allSatisfy { node in node.name == "ids" || !node.legs.contains { $0.takesEverything } })
    }

    /// A device of the machine's is bound to the interface that the file gives it, and no second one.
    @Test func anInterfaceOfItsOwnHasNoDevice() throws {
        let text = topology().replacing(
            "middle:  { address: 198.18.2.1/24,",
            with: "middle:  { address: 198.18.2.1/24, device: eth1, behind: 198.18.2.128/25,")
        let plan = try plan(text)
        #expect(plan.interfaces.map { $0.device?.name } == [nil, "eth1", nil, nil, nil, nil])
        #expect(plan.interfaces[5].name == "middle of ids")
    }

    @Test func oneWithAnInterfaceOfItsOwnKeepsIt() throws {
        let plan = try plan(topology(on: "taps"))
        #expect(plan.interfaces.count == 5)
        #expect(Set(mirrors(plan)) == ["outside>taps", "middle>taps"])
    }

    @Test func anInterfaceNamesItForAllThatGetCopiesOfIt() throws {
        let plan = try plan(topology(ids: "", interface: "copies: everything", on: "taps"))
        #expect(mirrors(plan) == ["outside>taps"])
    }

    /// The rest of a table without it is as it was: no section, no bit of it.
    @Test func withoutItThereIsNothing() throws {
        let plan = try plan(topology(ids: "copies: services"))
        #expect(plan.table.mirrors.isEmpty && plan.interfaces.count == 5)
    }

    @Test func aTapThatNobodyNamesSeesItsNeighbours() throws {
        let plan = try plan(topology(distribute: "firewall"))
        #expect(mirrors(plan) == ["middle>middle of ids"])
    }

    @Test(arguments: [
        ("passive: false", "is not passive"),
        ("instances: 2, redundancy: balance, copies: everything", "share its copies"),
    ])
    func whatCannotBeIsRefused(ids: String, message: String) {
        let text = topology(ids: ids.hasPrefix("passive") ? "copies: everything" : ids)
            .replacing(ids.hasPrefix("passive") ? "passive: true" : "\u{0}", with: "passive: false")
            .replacing(ids.hasPrefix("passive") ? "distribute: [ids, firewall], " : "\u{0}", with: "")
        #expect(problems(text).contains { $0.message.contains(message) }, "\(problems(text).map(\.message))")
    }

    @Test func aSmallerMTUOrNothingToCopyIsRefused() {
        #expect(problems(topology(on: "taps", mtu: 1400)).contains { $0.message.contains("whose MTU is 1500") })
        #expect(
            problems(topology(on: "taps", distribute: "firewall")).contains {
                $0.message.contains("gets no copies")
            })
        #expect(
            problems(topology(ids: "", interface: "copies: everything", on: "taps", distribute: "firewall")).contains {
                $0.message.contains("no passive application gets copies")
            })
    }

    @Test func headersThatAreLookedBehindAreNoServicePort() {
        let text = topology(ids: "").replacing("tcp/80", with: "[tcp/80, protocol/51]")
        #expect(problems(text).contains { $0.message.contains("protocol 51 is a header") })
        #expect(problems(topology(ids: "").replacing("tcp/80", with: "[tcp/80, protocol/43]")).isEmpty)
    }

    /// A check's packet may begin with extension headers, as many as an engine passes.
    @Test(arguments: [(25, true), (26, true), (34, false), (60, false)])
    func aProbeWithTooLongHeadersIsRefused(units: Int, isFine: Bool) {
        // `:` is 58, an ICMPv6 next header; the second octet is the length in units of eight octets without the first.
        let length = String(UnicodeScalar(UInt8(units)))
        let payload = ":" + length + String(repeating: "\\x01", count: (units + 1) * 8 - 2) + "\\x80" + "0123456789"
        let text = """
            name: probe
            interfaces: { c: { address: "2001:db8:2::1/64" }, s: { address: "2001:db8:4::1/64" } }
            customers: { alice: { interface: c } }
            applications: { web: { attach: s } }
            services:
              shop: { address: "2001:db8:cb::80", sequence: [web] }
            checks:
              - name: long
                packet: { from: alice, to: "2001:db8:cb::80", port: protocol/60, payload: "\(
                    payload.replacing(length, with: "\\x" + (units < 16 ? "0" : "") + String(units, radix: 16)))" }
                reaches: [web]
            """
        let found = problems(text).filter { $0.message.contains("looks behind") || $0.message.contains("look behind") }
        #expect(found.isEmpty == isFine, "\(problems(text).map(\.message))")
        if !isFine { #expect(found.first?.hint?.contains("256 octets") == true) }
    }

    /// Who may announce which address: the ends of services, and what has networks behind it.
    @Test func theEndsOfServicesHoldTheirAddresses() throws {
        let plan = try plan(topology(ids: ""))
        #expect(plan.table.holders.map { "\(plan.owner($0.mac)) \($0.prefix)" } == ["web.inside 203.0.113.80"])
        for node in ["alice", "firewall", "web"] {
            #expect(plan.node(node).sysctls.contains(SysctlPlan("net.ipv4.conf.all.arp_announce", "2")))
        }
    }
}
