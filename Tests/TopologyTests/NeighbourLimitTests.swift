import Forwarding
import Plan
import Testing
import TopologyFiles
import Wire

/// Neighbours that are part of another service as well, and those of which packets cannot reach each other.
@Suite struct NeighbourLimitTests {
    private let interfaces = """
        name: t
        interfaces:
          road: { address: 192.0.2.1/24 }
          core: { address: [198.18.2.1/24, "2001:db8:2::1/64"] }
          six:  { address: "2001:db8:6::1/64" }

        """

    @Test(
        "A router of everything and its neighbours tell their own packets from those behind it",
        arguments: [
            "", ", ports: tcp", ", ports: [protocol/89, udp], address: 224.0.0.5",
        ])
    func router(_ keys: String) throws {
        for customer in ["road", "core"] {
            let text =
                interfaces + """
                    customers: { ann: { interface: \(customer) }, ben: { interface: core } }
                    applications: { ids: { passive: true, attach: core } }
                    routers: { gate: { interface: core } }
                    services:
                      internet: { address: [0.0.0.0/0, "::/0"], from: [ann, ben], distribute: ids, sequence: gate }
                      near: { between: [ann, ben, gate]\(keys) }

                    """
            let plan = try plan(text)
            let gate = try #require(plan.node("gate").legs.first)
            let sent = plan.table.entries.filter {
                $0.sourceMAC == gate.mac && $0.isBetween && $0.destination?.isHost == true
                    && $0.destination?.address.isMulticast == false
            }
            // Packets from behind the router stay the internet's.
            #expect(!sent.isEmpty && sent.allSatisfy { $0.source?.isHost ?? false })
            for own in gate.addresses.map({ IPPrefix(host: $0.address) }) {
                #expect(sent.contains { $0.source == own })
            }
        }
    }

    @Test("Nodes of one family exchange no packets of the other")
    func families() throws {
        let plan = try plan(
            interfaces + """
                customers: { four: { interface: road }, both: { interface: core }, six: { interface: six } }
                services: { near: { between: [four, both, six] } }

                """)
        let pairs = Set(
            plan.table.entries.filter(\.isBetween).compactMap { entry in
                entry.destination.map { "\(plan.owner(entry.sourceMAC ?? MACAddress(bits: 0))) \($0.family)" }
            })
        #expect(
            pairs == ["four.road ipv4", "both.core ipv4", "both.core ipv6", "six.six ipv6"], "\(pairs)")
    }

    @Test(
        "A mistake among neighbours is one error",
        arguments: [
            (
                "customers: { four: { interface: road }, six: { interface: six } }\n"
                    + "services: { near: { between: [four, six] } }\n",
                "\"four\" has IPv4 addresses alone, and no other node of service \"near\" has one",
                "give interface \"road\" an address of the others' family, or remove \"four\""
            ),
            (
                "applications: { a: { attach: road }, b: { attach: six } }\n"
                    + "services: { near: { between: [a, b], address: [224.0.0.5, \"ff02::5\"] } }\n",
                "\"a\" has IPv4 addresses alone", "or remove \"a\""
            ),
            (
                "customers: { ann: { interface: core } }\nrouters: { gate: { interface: core } }\n"
                    + "services:\n  internet: { address: 0.0.0.0/0, from: ann, sequence: gate }\n"
                    + "  near: { between: [ann, gate], ports: tcp/179 }\n",
                "\"gate\" ends service \"internet\" on line 9, by which \"ann\" gets its packets of every port",
                "write `tcp`, or leave `ports` out: such neighbours exchange every port"
            ),
            (
                "customers: { ann: { interface: road } }\napplications: { web: { attach: core, send: network } }\n"
                    + "services:\n  shop: { address: 203.0.113.5, ports: tcp/80, sequence: web }\n"
                    + "  near: { between: [web, ann], ports: tcp/9000 }\n",
                "\"web\" has a network send address, and \"ann\" is a customer of service \"shop\" on line 9 and its neighbour",
                "remove `send: network`, or let \"ann\" be one of the two"
            ),
            (
                "customers: { ann: { interface: core } }\n"
                    + "applications: { web: { attach: core, send: network }, log: { attach: core } }\n"
                    + "services:\n  shop: { address: 203.0.113.5, sequence: web }\n  near: { between: [web, log] }\n",
                "\"web\" has a network send address, and \"log\" is a customer of service \"shop\" on line 9",
                "name the customers of \"shop\" in `from`, or remove `send: network`"
            ),
        ])
    func mistakes(_ text: String, _ message: String, _ hint: String) {
        let found = problems(interfaces + text)
        #expect(found.count == 1, "\(found.map(\.summary))")
        #expect(found.first?.message.hasPrefix(message) == true, "\(found.map(\.summary))")
        #expect(found.first?.hint?.hasSuffix(hint) == true, "\(found.map(\.summary))")
    }

    @Test(
        "What mends the mistake mends it",
        arguments: [
            "shop: { address: 203.0.113.5, from: ann, sequence: web }\n  near: { between: [web, log] }",
            "shop: { address: 203.0.113.5, from: ann, ports: tcp/80, sequence: web }\n  near: { between: [web, log], ports: tcp }",
        ])
    func mended(_ services: String) {
        let found = problems(
            interfaces
                + "customers: { ann: { interface: core } }\n"
                + "applications: { web: { attach: core, send: network }, log: { attach: core } }\nservices:\n  \(services)\n"
        )
        #expect(found.isEmpty, "\(found.map(\.summary))")
    }
}
