import Forwarding
import Foundation
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// Short forms of a file, and the addresses that it leaves to Tapline.
@Suite("Short forms and given addresses") struct ShortFormTests {
    private let short = """
        name: short
        interfaces: [customers, outside, inside]
        customers: { alice: customers, bob: customers }
        applications:
          firewall: { type: firewall, attach: { in: outside, out: inside } }
          web: { attach: inside, run: exec web }
        services:
          shop: { ports: tcp/80, sequence: [firewall, web] }
          store: { ports: tcp/81, sequence: [firewall, web] }
        """

    private func file(_ text: String) throws -> TopologyFile { try TopologyFile.parse(text, path: "t.yaml") }

    /// The engine's addresses on each interface.
    private func engine(_ plan: AppliancePlan) -> [[String]] {
        plan.table.interfaces.map { $0.addresses.map { "\($0)" } }
    }

    private func services(_ plan: AppliancePlan) -> [[String]] { plan.services.map(\.addresses) }

    private func rendered(_ text: String) throws -> String {
        let path = "/tmp/short-\(UInt32.random(in: 0 ... .max)).yaml"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try TopologyFile.rendered(path)
    }

    /// The interface has the network of the one, which Tapline does not know, so it gives the other no address of it.
    @Test func aNodeWithoutAddressBesideOneWithAddressIsTold() throws {
        let text = """
            name: t
            interfaces: { a: , b: 198.18.4.1/24 }
            customers: { alice: { interface: a, address: 192.0.2.10/24 }, bob: a }
            applications: { web: { attach: b } }
            services: { shop: { address: 203.0.113.80, from: alice, sequence: web } }
            """
        let told = try plan(text).remarks.map(\.message)
        #expect(told.contains { $0.contains("\"bob\" gets no address on interface \"a\"") }, "\(told)")
    }

    // MARK: - Short forms

    @Test func aTextOrAListStandsForTheAddressOfAnInterface() throws {
        let plan = try plan(
            """
            name: t
            variables: { OWN: { address: 198.18.7.1/24, mtu: 1400 }, NET: 198.18.8.1/24 }
            interfaces: { a: 192.0.2.1/24, b: [198.18.4.1/24, "2001:db8:14::1/64"], c: "${OWN}", d: "${NET}" }
            customers: { alice: a }
            applications: { web: { attach: b } }
            services: { shop: { address: 203.0.113.80, sequence: web } }
            """)
        #expect(
            engine(plan) == [
                ["192.0.2.1/24"], ["198.18.4.1/24", "2001:db8:14::1/64"], ["198.18.7.1/24"], ["198.18.8.1/24"],
            ])
        #expect(plan.interfaces[2].mtu == 1400)
        #expect(plan.node("alice").legs[0].interface == 0)
    }

    @Test func aListOfInterfacesIsTheirNames() throws {
        let plan = try plan(short)
        #expect(plan.interfaces.map(\.name) == ["customers", "outside", "inside"])
        #expect(plan.node("bob").legs[0].interface == 0)
        let found = problems(short.replacing("[customers, outside, inside]", with: "[customers, outside, outside]"))
        #expect(found.first?.message.contains("\"outside\" is given twice") ?? false, "\(found)")
    }

    @Test func mistakesInShortFormsAreAtTheirPlaces() {
        let found = problems(
            """
            name: t
            interfaces: { a: 192.0.2.1, b: [198.18.4.1/24, x] }
            customers: { alice: c }
            applications: { web: { attach: b } }
            services: { shop: { address: 203.0.113.80, sequence: web } }
            """)
        #expect(found.map { "\($0.line):\($0.column)" } == ["2:18", "2:48", "3:21"], "\(found.map(\.summary))")
    }

    /// The files of one topology meet in their long forms.
    @Test func anIncludedShortFormIsPutTogetherWithALongOne() throws {
        let folder = "/tmp/short-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try "interfaces: [customers, inside]\ncustomers: { alice: customers }\n".write(
            toFile: "\(folder)/base.yaml", atomically: true, encoding: .utf8)
        try """
        name: t
        include: base.yaml
        interfaces: { inside: { mtu: 1400 } }
        customers: { alice: { address: 198.18.1.9 } }
        applications: { web: { attach: inside } }
        services: { shop: { sequence: web } }
        """.write(toFile: "\(folder)/t.yaml", atomically: true, encoding: .utf8)
        let file = try TopologyFile.read("\(folder)/t.yaml")
        #expect(file.interfaces.map(\.name.value) == ["customers", "inside"])
        #expect(file.interfaces[1].mtu.value == 1400)
        #expect(file.nodes[0].legs[0].interface.value == "customers")
    }

    @Test func aServiceOrANodeIsTheDestinationOfACheck() throws {
        let plan = try plan(
            short + """

                checks:
                  - { name: a, packet: { from: alice, to: shop, port: tcp/80 }, reaches: [firewall, web] }
                  - { name: b, path: { from: alice, to: bob, count: 2 } }
                  - { name: c, for-each: { TO: [store] }, outage: { from: alice, to: "${TO}", port: tcp/81, lost: 0, while: [{ packet: { from: bob, to: store, port: tcp/81 }, reaches: [firewall, web] }] } }
                """)
        let text = "\(plan.checks)"
        #expect(text.contains("203.0.113.1") && text.contains("203.0.113.2") && text.contains("198.18.1.3"))
        let found = problems(
            short
                + "\nchecks: [{ name: a, packet: { from: alice, to: shopp, port: tcp/80 }, reaches: [firewall, web] }]")
        #expect(
            found.count == 1
                && found[0].summary.contains(
                    "\"shopp\" is no address, and no service or node has this name; did you mean \"shop\"?"),
            "\(found)")
    }

    // MARK: - Given addresses

    @Test func addressesAreGivenInTheOrderOfTheFile() throws {
        let plan = try plan(short)
        #expect(engine(plan) == [["198.18.1.1/24"], ["198.18.2.1/24"], ["198.18.3.1/24"]])
        #expect(services(plan) == [["203.0.113.1"], ["203.0.113.2"]])
        #expect(plan.node("alice").legs[0].addresses.map(\.description) == ["198.18.1.2/24"])
        let both = try Planner.plan(file(short.replacing("name: short", with: "name: short\nipv6: yes")))
        #expect(engine(both).last == ["198.18.3.1/24", "2001:db8:0:3::1/64"])
        #expect(services(both)[1] == ["203.0.113.2", "2001:db8:cb::2"])
        #expect(
            both.node("alice").legs[0].addresses.map(\.description) == ["198.18.1.2/24", "2001:db8:0:1::2/64"])
    }

    @Test func noGivenAddressIsOneThatTheFileNames() throws {
        let plan = try plan(
            """
            name: t
            interfaces: { a: , b: 198.18.1.1/24, c: , d: }
            customers: { alice: { interface: a, prefixes: 198.18.2.64/28, hosts: { away: 198.18.3.7 } } }
            applications: { web: { attach: b, setup: "ping 203.0.113.1; curl http://203.0.113.2:80/x" }, inner: { attach: { in: c, out: d } } }
            services: { shop: { sequence: [inner, web] }, all: { address: 203.0.113.3, sequence: [inner, web] } }
            """)
        #expect(engine(plan) == [["198.18.4.1/24"], ["198.18.1.1/24"], ["198.18.5.1/24"], ["198.18.6.1/24"]])
        #expect(services(plan)[0] == ["203.0.113.4"])
    }

    @Test func whoSendsNothingNeedsNoAddress() throws {
        let plan = try plan(
            """
            name: t
            interfaces: { a: , b: , c: , d: { address: [] }, e: , f: }
            customers: { alice: a }
            applications:
              bump: { transparent: true, attach: { in: b, out: c } }
              ids: { passive: true, attach: { in: d, store: f } }
              web: { attach: e }
            services: { shop: { distribute: [bump, ids], sequence: [bump, web] } }
            """)
        #expect(engine(plan) == [["198.18.1.1/24"], [], [], [], ["198.18.2.1/24"], ["198.18.3.1/24"]])
        #expect(plan.node("ids").legs[1].addresses.map(\.description) == ["198.18.3.2/24"])
        // A node with an address of its own says which network it is in.
        let named = try Planner.plan(
            file(short.replacing("alice: customers", with: "alice: { interface: customers, address: 192.0.2.10 }")))
        #expect(engine(named)[0].isEmpty)
    }

    @Test func theRenderedFileHasTheGivenAddresses() throws {
        let text = try rendered(short.replacing("name: short", with: "name: short\nipv6: yes"))
        for part in ["198.18.2.1/24", "2001:db8:0:2::1/64", "203.0.113.2", "2001:db8:cb::2"] {
            #expect(text.contains(part), "\(text)")
        }
        let again = try plan(text)
        #expect(
            services(again) == [["203.0.113.1", "2001:db8:cb::1"], ["203.0.113.2", "2001:db8:cb::2"]])
    }

    @Test func whatIsUpKeepsItsAddresses() throws {
        let old = try Planner.plan(file(short))
        let more = short.replacing("[customers, outside, inside]", with: "[early, customers, outside, inside]")
            .replacing("{ alice: customers", with: "{ adam: early, alice: customers")
            .replacing("services:\n", with: "services:\n  first: { ports: tcp/82, sequence: [firewall, web] }\n")
        let new = try Planner.plan(file(more), keeping: old)
        #expect(new.interfaces.map(\.name) == ["customers", "outside", "inside", "early"])
        #expect(engine(new) == engine(old) + [["198.18.4.1/24"]])
        #expect(new.services.map(\.name) == ["first", "shop", "store"])
        #expect(services(new) == [["203.0.113.3"], ["203.0.113.1"], ["203.0.113.2"]])
        #expect(new.node("bob").legs == old.node("bob").legs)
        // A fresh one numbers them in the order of the file.
        #expect(try services(Planner.plan(file(more))) == [["203.0.113.1"], ["203.0.113.2"], ["203.0.113.3"]])
    }

    @Test func anAddressThatTheFileNowNamesIsGivenUp() throws {
        let old = try Planner.plan(file(short))
        let new = try Planner.plan(
            file(short.replacing("store: { ports", with: "store: { address: 203.0.113.1, ports")), keeping: old)
        #expect(services(new) == [["203.0.113.2"], ["203.0.113.1"]])
    }

    @Test func whatDoesNotFitIsReported() {
        let names = (1...512).map { "i\($0)" }.joined(separator: ", ")
        let nodes = (1...512).map { "c\($0): i\($0)" }.joined(separator: ", ")
        let found = problems("name: t\ninterfaces: [\(names)]\ncustomers: { \(nodes) }\n")
        #expect(found.count == 1 && found[0].message.contains("left for interface \"i512\""), "\(found.map(\.message))")
        let all = short.replacing("ports: tcp/81", with: "address: 203.0.113.0/24, ports: tcp/81")
        #expect(problems(all).contains { $0.message.contains("left for service \"shop\"") })
    }
}
