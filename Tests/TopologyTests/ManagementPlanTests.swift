import Forwarding
import Reporting
import Testing
import Wire

@testable import Plan
@testable import Planning
@testable import TopologyFiles

/// The management address of the file: a node and a service of Tapline's own.
@Suite struct ManagementPlanTests {
    /// - Parameters:
    ///   - manage: What `manage` has.
    ///   - more: More of the file.
    private static func text(
        _ manage: String = "{ address: 192.0.2.254, interface: customers }", tenant: String = "", _ more: String = ""
    ) -> String {
        """
        name: lab
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:1::1/64"] }
          servers: { address: [198.18.4.1/24, "2001:db8:4::1/64"] }
        customers:
          alice: { interface: customers, address: 192.0.2.2, prefixes: 198.51.100.0/25 }
          bob: { interface: customers, address: 192.0.2.3 }
        applications:
          web: { attach: servers }
        services:
          shop: { address: 203.0.113.80, ports: [tcp/80], sequence: [web] }
        tenants:
          alice: { customers: [alice, 198.51.100.128/25], addresses: 203.0.113.96/29, applications: [web]\(tenant) }
        records: { manage: \(manage) }
        \(more)

        """
    }

    private static func problems(_ text: String) -> [TopologyProblem] {
        do throws(TopologyError) {
            _ = try Planner.plan(try TopologyFile.parse(text, path: "t.yaml"))
            return []
        } catch { return error.problems }
    }

    @Test func theAddressIsANodeAndAService() throws {
        let plan = try TopologyTests.plan(Self.text())
        let management = try #require(plan.records?.management)
        #expect(management.addresses == [IPAddress("192.0.2.254")])
        #expect(management.port == 443)
        #expect(management.certificate == nil)
        let node = try #require(plan.nodes.first { $0.name == "records" })
        #expect(node.kind == .application)
        #expect(node.type == "management")
        #expect(node.loopback == [IPAddress("192.0.2.254")])
        #expect(!node.process.hasPrograms)
        let service = try #require(plan.services.first { $0.name == "records" })
        #expect(service.addresses == ["192.0.2.254"])
        #expect(plan.table.entries.contains { $0.name == "records.request.customers" })
    }

    @Test func severalAddressesInterfacesAndAPort() throws {
        let plan = try TopologyTests.plan(
            Self.text(#"{ address: [192.0.2.254, "2001:db8:1::fe"], port: 8443, interface: [customers, servers] }"#))
        let node = try #require(plan.nodes.first { $0.name == "records" })
        #expect(node.loopback == [IPAddress("192.0.2.254"), IPAddress("2001:db8:1::fe")])
        let opened = plan.table.entries.filter { $0.name.hasPrefix("records.request") && $0.kind == .distribution }
        #expect(Set(opened.map(\.receivedInterface)) == [0, 1])
        #expect(opened.contains { $0.servicePort.ports == 8443...8443 })
    }

    @Test func tenantsHaveTheAddressesOfTheirCustomers() throws {
        let plan = try TopologyTests.plan(Self.text())
        let records = try #require(plan.records)
        let origins = records.tenants[0].origins.map(\.description)
        #expect(origins.contains("192.0.2.2"))
        #expect(origins.contains("198.51.100.0/25"))
        #expect(origins.contains("198.51.100.128/25"))
        #expect(!origins.contains("192.0.2.3"))
        let networks = try #require(records.management).networks
        #expect(networks.count == 1)
        #expect(networks[0].contains { $0.description == "198.51.100.0/25" })
    }

    /// Whatever else the file says, the packets of a customer for the management address reach its node.
    @Test(arguments: [
        // A service with the whole Internet for its address, for this customer.
        """
        services: { world: { address: 0.0.0.0/0, from: [alice], sequence: [web] } }
        """,
        """
        entries:
          distribution:
            - { name: all, received-interface: customers, source: 192.0.2.2, destination: 192.0.2.0/24, to: web }
          sequencing:
            - { name: back, received-interface: servers, source: web, direction: response, to: { interface: customers, neighbour: true } }
        """,
        """
        entries:
          distribution:
            - { name: all, received-interface: customers, source: 192.0.2.2, to: web }
          sequencing:
            - { name: back, received-interface: servers, source: web, direction: response, to: { interface: customers, neighbour: true } }
        """,
    ])
    func nothingTakesTheWayToTheManagementAddress(more: String) throws {
        var text = Self.text()
        if more.hasPrefix("services:") {
            text = text.replacing(
                "services:\n", with: "services:\n  world: { address: 0.0.0.0/0, from: [alice], sequence: [web] }\n")
        } else {
            text += more + "\n"
        }
        let proved = try Planner.prove(try TopologyFile.parse(text, path: "t.yaml"))
        let service = try #require(proved.services.first { $0.name == "records" })
        let ways = service.paths.filter { $0.servicePorts.contains("tcp/443") }
        #expect(Set(ways.flatMap(\.customers)) == ["alice", "bob"])
        for way in ways { #expect(way.request.last?.copies.last?.to == ["records"]) }
        // The engine's own choice, for a packet of alice's.
        let guards = proved.plan.table.entries.filter {
            $0.name == "records.request.customers" && $0.source?.contains(IPPrefix("192.0.2.2")!) ?? false
        }
        #expect(!guards.isEmpty)
    }

    /// The general entry of the management address stays, although a closer one takes all that the only customer sends.
    @Test func theOnlyCustomerMayBeNamedElsewhere() throws {
        let text = Self.text().replacing("  bob: { interface: customers, address: 192.0.2.3 }\n", with: "").replacing(
            "services:\n", with: "services:\n  world: { address: 0.0.0.0/0, from: [alice], sequence: [web] }\n")
        #expect(try TopologyTests.plan(text).table.entries.count { $0.name == "records.request.customers" } > 2)
    }

    @Test func anEntryOfTheSamePacketsIsAMistake() {
        let problems = Self.problems(
            Self.text(
                "{ address: 192.0.2.254, interface: customers }", tenant: "",
                """
                entries:
                  distribution:
                    - { name: steal, received-interface: customers, source: alice, destination: 192.0.2.254, service-port: tcp/443, to: web }
                  sequencing:
                    - { name: back, received-interface: servers, source: web, direction: response, to: { interface: customers, neighbour: true } }
                """))
        #expect(problems.contains { $0.message.contains("match the same packets") }, "\(problems)")
    }

    /// A file, and what its only mistake says.
    @Test(arguments: [
        ("{ address: 192.0.2.1, interface: customers }", "", "", "the service address 192.0.2.1 is that of the engine"),
        ("{ address: 192.0.2.3, interface: customers }", "", "", "the service address 192.0.2.3 is that of bob"),
        ("{ address: 203.0.113.80, interface: customers }", "", "", "is that of service \"shop\""),
        ("{ address: 203.0.113.97, interface: customers }", "", "", "is one of tenant \"alice\""),
        ("{ address: 192.0.2.0/24, interface: customers }", "", "", "the management address 192.0.2.0/24 is a network"),
        ("{ address: [192.0.2.254, 192.0.2.254], interface: customers }", "", "", "is given twice"),
        ("{ interface: customers }", "", "", "`manage` has no address"),
        ("{ address: 192.0.2.254 }", "", "", "`manage` has no interface"),
        ("{ address: 192.0.2.254, interface: custmers }", "", "", "there is no interface \"custmers\""),
        ("{ address: 192.0.2.254, interface: customers, port: 0 }", "", "", "the management port is"),
        ("{ address: 192.0.2.254, interface: customers, prt: 1 }", "", "", "has no key \"prt\""),
        (
            "{ address: 192.0.2.254, interface: customers, certificate: { chain: no.pem, key: no.key } }", "", "",
            "\"no.pem\": the file cannot be read: No such file or directory"
        ),
        (
            "{ address: 192.0.2.254, interface: customers, client-certificates: /dev/null }", "", "",
            "\"/dev/null\": this is a device, not a file"
        ),
        (
            "{ address: 192.0.2.254, interface: customers, certificate: { chain: a.pem } }", "", "",
            "`certificate` has no `key`"
        ),
        (
            "{ address: 192.0.2.254, interface: customers }", ", certificate: alice", "",
            "has a certificate, and `manage` names no authority of such"
        ),
        (
            "{ address: 192.0.2.254, interface: customers }", "",
            "routers: { records: { attach: { a: customers, b: servers } } }",
            "\"records\" is the node of the management address"
        ),
    ])
    func aMistakeIsToldAtItsPlace(manage: String, tenant: String, more: String, message: String) {
        let problems = Self.problems(Self.text(manage, tenant: tenant, more))
        #expect(problems.contains { $0.message.contains(message) }, "\(problems)")
        #expect(problems.allSatisfy { $0.origin.lineNumber > 1 && $0.hint != nil }, "\(problems)")
    }

    @Test func itsNodeServesNothingElse() {
        let text = Self.text().replacing("sequence: [web] }", with: "sequence: [records] }")
        #expect(Self.problems(text).contains { $0.message.contains("and serves nothing else") })
        let tenants = Self.text().replacing("applications: [web]", with: "applications: [web, records]")
        #expect(Self.problems(tenants).contains { $0.message.contains("and serves nothing else") })
    }

    @Test func withoutAManagementAddressTheNameIsFree() throws {
        let text = Self.text().replacing("records: { manage:", with: "x-records: { manage:")
            .replacing("tenants:", with: "x-tenants:").replacing("web: { attach", with: "records: { attach")
            .replacing("[web]", with: "[records]")
        #expect(try TopologyTests.plan(text).nodes.contains { $0.name == "records" })
    }
}
