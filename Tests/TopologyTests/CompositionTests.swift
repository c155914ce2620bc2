import Foundation
import Forwarding
import Plan
import Planning
import Reporting
import Testing
import TopologyFiles

/// A folder with files that is gone after the test.
private final class Folder {
    let path: String

    init(_ files: [String: String]) throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(
            "composition-\(UInt32.random(in: 0 ... .max))")
        path = url.path
        for (name, text) in files {
            let file = url.appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func plan(_ file: String = "t.yaml", _ values: [String: String] = [:]) throws -> AppliancePlan {
        try Planner.plan(TopologyFile.read("\(path)/\(file)", settings: FileSettings(values)))
    }

    /// What is wrong, each in one line without the folder.
    func mistakes(_ file: String = "t.yaml", _ values: [String: String] = [:]) -> [String] {
        do throws(TopologyError) {
            _ = try Planner.plan(TopologyFile.read("\(path)/\(file)", settings: FileSettings(values)))
            return []
        } catch {
            return error.problems.map { $0.summary.replacingOccurrences(of: "\(path)/", with: "") }
        }
    }
}

private func mistakes(_ text: String) -> [String] { problems(text).map(\.summary) }

private func addresses(_ plan: AppliancePlan, _ node: String) -> [String] {
    plan.node(node).legs.flatMap { $0.addresses.map { "\($0)" } }
}

/// One customer and one server, to which the tests add.
private let base = """
    interfaces:
      customers: { address: 192.0.2.1/24 }
      servers: { address: 198.18.4.1/24 }
    applications:
      web: { attach: { in: { interface: servers, address: 198.18.4.10 } } }
    """

@Suite("Files that are written out") struct CompositionTests {
    // MARK: - Variables

    @Test func variablesStandForTextsNumbersListsAndMappings() throws {
        let plan = try plan(
            """
            name: lab-${SITE}
            variables:
              SITE: north
              MTU: 1400
              NET: 192.0.2
              PORTS: [tcp/80, tcp/443]
              WEB: { attach: { in: { interface: servers, address: 198.18.4.10 } } }
              SHOP: { address: 203.0.113.80, owner: sales }
            interfaces:
              customers: { address: "${NET}.1/24", mtu: "${MTU}" }
              servers: { address: 198.18.4.1/24 }
            customers:
              alice: { interface: customers, address: "${NET}.10" }
            applications:
              web: ${WEB}
            services:
              ${SITE}-shop: { address: "${SHOP.address}", ports: ["${PORTS}", icmp], sequence: [web] }
            """)
        #expect(plan.name == "lab-north")
        #expect(plan.interfaces[0].mtu == 1400)
        #expect(addresses(plan, "alice") == ["192.0.2.10/24"])
        #expect(addresses(plan, "web") == ["198.18.4.10/24"])
        #expect(plan.services.map(\.name) == ["north-shop"])
        #expect(Set(plan.table.entries.map { "\($0.servicePort)" }).count == 3)
    }

    @Test func aVariableMayStandForAnotherAndTheCommandLineWins() throws {
        let files = try Folder([
            "t.yaml": "name: ${NAME}\nvariables: { SITE: north, NAME: 'lab-${SITE}' }\n" + base
                + "\ncustomers: { alice: { interface: customers } }\nservices: { shop: { address: 203.0.113.80, sequence: [web] } }\n"
        ])
        #expect(try files.plan().name == "lab-north")
        #expect(try files.plan("t.yaml", ["SITE": "south"]).name == "lab-south")
        #expect(try files.plan("t.yaml", ["NAME": "x"]).name == "x")
        #expect(
            files.mistakes("t.yaml", ["SIET": "south"])
                == [#"t.yaml:2:12: error: the file has no variable "SIET", which was set; did you mean "SITE"?"#])
    }

    @Test func aShellKeepsItsOwnVariables() throws {
        let plan = try plan(
            """
            name: t
            variables: { PORT: 8080 }
            """ + "\n"
                + base.replacingOccurrences(
                    of: "attach: { in: { interface: servers, address: 198.18.4.10 } } }",
                    with:
                        #"attach: servers, run: 'for i in 1; do serve ${PORT} ${i} $${PORT} $i "${TAPLINE_DIR}"; done' }"#
                )
                + "\ncustomers: { alice: { interface: customers } }\nservices: { shop: { address: 203.0.113.80, sequence: [web] } }"
        )
        #expect(
            plan.node("web").process.run == #"for i in 1; do serve 8080 ${i} ${PORT} $i "${TAPLINE_DIR}"; done"#)
    }

    @Test func aFileWithoutVariablesIsAsItWas() throws {
        let plan = try plan(
            "name: t\n"
                + base.replacingOccurrences(
                    of: "attach: { in: { interface: servers, address: 198.18.4.10 } } }",
                    with: "attach: servers, run: 'echo ${HOME} $${x}' }")
                + "\ncustomers: { alice: { interface: customers } }\nservices: { shop: { address: 203.0.113.80, sequence: [web] } }"
        )
        #expect(plan.node("web").process.run == "echo ${HOME} $${x}")
    }

    @Test(arguments: [
        ("variables: { A: '${B}', B: '${A}' }\nengine: { workers: '${A}' }", "stands for itself"),
        ("variables: { 1A: 2 }", "cannot be the name of a variable"),
        ("variables: { TAPLINE_DIR: x }", "cannot be the name of a variable"),
        ("variables: { number: x }", "cannot be the name of a variable"),
        ("variables: { SITE: }", "has no value"),
        ("variables: [a]", "must be a mapping"),
        ("variables: { SITE: a }\nengine: { io: '${SIET}' }", "no variable is called"),
        ("variables: { SITE: { a: 1 } }\nengine: { workers: '${SITE.b}' }", "has no key"),
        ("variables: { SITE: { a: 1 } }\nengine: { io: 'x${SITE}' }", "cannot be a part of a text"),
        ("variables: { N: many }\nengine: { workers: '${N}' }", "many"),
    ])
    func mistakesInVariablesAreNamed(_ text: String, _ expected: String) {
        let found = mistakes("name: t\n" + text + "\n" + base)
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    @Test func whatGrowsWithoutBoundIsRefused() {
        var text = "name: t\nvariables:\n  A0: [a, a, a, a, a, a, a, a]\n"
        for number in 1..<12 {
            let one = "\"${A\(number - 1)}\""
            text += "  A\(number): [\(Array(repeating: one, count: 8).joined(separator: ", "))]\n"
        }
        text += "engine: { io: \"${A11}\" }\n" + base
        let found = mistakes(text)
        #expect(found.contains { $0.contains("larger than 8 MiB when it is written out") }, "\(found)")
        let deep =
            "name: t\nvariables:\n  A0: a\n"
            + (1..<100).map { "  A\($0): '${A\($0 - 1)}'\n" }.joined() + "engine: { io: '${A99}' }\n" + base
        #expect(mistakes(deep).contains { $0.contains("stand for one another") })
    }

    // MARK: - Included files

    @Test func includedFilesComeFirstAndTheFileItselfWins() throws {
        let files = try Folder([
            "t.yaml": """
            name: t
            include: [parts/common.yaml, parts/web.yaml]
            variables: { SITE: south }
            customers: { alice: { address: 192.0.2.20 } }
            checks: [{ name: own, on: alice, run: "true" }]
            """,
            "parts/common.yaml": """
            include: networks.yaml
            variables: { SITE: north, OWNER: ops }
            customers: { alice: { interface: customers, address: 192.0.2.10, run: "echo ${SITE} ${OWNER}" } }
            checks: { name: theirs, on: alice, run: "true" }
            """,
            "parts/networks.yaml":
                "interfaces: { customers: { address: 192.0.2.1/24 }, servers: { address: 198.18.4.1/24 } }",
            "parts/web.yaml":
                "applications: { web: { attach: servers } }\nservices: { shop: { address: 203.0.113.80, sequence: [web] } }",
        ])
        let plan = try files.plan()
        #expect(addresses(plan, "alice") == ["192.0.2.20/24"])
        #expect(plan.node("alice").process.run == "echo south ops")
        #expect(plan.checks.map(\.name) == ["theirs", "own"])
        #expect(plan.directory == files.path)
    }

    @Test func aMistakeNamesTheFileThatItIsIn() throws {
        let files = try Folder([
            "t.yaml": "name: t\ninclude: common.yaml\n" + base + "\nengine: { io: slow }\n",
            "common.yaml":
                "# one\ncustomers:\n  alice: { interface: customers, adress: 192.0.2.10 }\n  bob: { interface: nowhere }\n",
        ])
        let found = files.mistakes()
        #expect(found.contains { $0.hasPrefix("common.yaml:3:34: error: ") && $0.contains("adress") }, "\(found)")
        #expect(found.contains { $0.hasPrefix("common.yaml:4:") && $0.contains("nowhere") }, "\(found)")
        #expect(found.contains { $0.hasPrefix("t.yaml:8:15: error: ") }, "\(found)")
        let broken = try Folder(["t.yaml": "name: t\ninclude: common.yaml\n" + base, "common.yaml": "customers: {\n"])
        #expect(
            broken.mistakes().contains { $0.hasPrefix("common.yaml:") && $0.contains("not YAML") },
            "\(broken.mistakes())")
    }

    @Test(arguments: [
        (["common.yaml": "include: t.yaml"], "there is no end"),
        (["common.yaml": "include: common.yaml"], "there is no end"),
        ([:], "cannot be read"),
        (["common.yaml": "[a, b]"], "must be a mapping"),
        (["common.yaml": ""], "empty"),
        (["common.yaml": "customers: &a\n  x: *b\n"], "common.yaml:2:"),
        (["common.yaml": "\u{1}: a"], "control characters"),
    ])
    func filesThatCannotBeIncludedAreNamed(_ files: [String: String], _ expected: String) throws {
        let folder = try Folder(files.merging(["t.yaml": "name: t\ninclude: common.yaml\n" + base]) { one, _ in one })
        #expect(folder.mistakes().contains { $0.contains(expected) }, "\(folder.mistakes())")
    }

    // MARK: - Parts that stand for several

    @Test func aCountedCustomerIsAsManyWithTheNextAddresses() throws {
        let plan = try plan(
            "name: t\n" + base + """

                customers:
                  alice: { count: 50, interface: customers, address: 192.0.2.10, run: "echo ${number}" }
                  bob: { interface: customers, address: 192.0.2.200 }
                services:
                  shop: { address: 203.0.113.80, from: [alice], sequence: [web] }
                """)
        let names = plan.nodes.map(\.name).filter { $0.hasPrefix("alice") }
        #expect(names == (1...50).map { "alice-\($0)" })
        #expect(addresses(plan, "alice-1") == ["192.0.2.10/24"])
        #expect(addresses(plan, "alice-50") == ["192.0.2.59/24"])
        #expect(plan.node("alice-50").process.run == "echo 50")
    }

    @Test(arguments: [
        (
            "a: { count: 60, interface: customers, address: 192.0.2.200/24 }",
            "\"192.0.2.200/24\" cannot be counted to 56: the network 192.0.2.0/24 ends at 192.0.2.254",
            "begin lower, use a shorter prefix, or count to 55 at most"
        ),
        (
            "a: { count: 60, interface: customers, address: 192.0.2.200 }",
            "the address 192.0.2.255/24, counted from 192.0.2.200, is the broadcast address of its network",
            "begin lower, give the interface a shorter prefix, or count to 55 at most"
        ),
        (
            "a: { count: 2, interface: customers, address: [192.0.2.254] }",
            "the address 192.0.2.255/24, counted from 192.0.2.254, is the broadcast", "or count to 1"
        ),
    ])
    func anAddressCountedTooFarNamesWhereItBegan(_ customer: String, _ message: String, _ hint: String) {
        let found = problems("name: t\n" + base + "\ncustomers:\n  \(customer)\n").first?.summary ?? "nothing"
        #expect(found.contains(message) && found.contains(hint), "\(found)")
    }

    @Test func countedServicesHaveTheNextAddressOrTheNextPort() throws {
        let text = "name: t\n" + base + "\ncustomers: { alice: { interface: customers } }\nservices:\n"
        let byAddress = try plan(text + "  shop: { count: 3, address: 203.0.113.80, ports: tcp/80, sequence: [web] }")
        #expect(byAddress.services.map(\.name) == ["shop-1", "shop-2", "shop-3"])
        #expect(
            byAddress.services.flatMap { $0.addresses.map { "\($0)" } }
                == ["203.0.113.80", "203.0.113.81", "203.0.113.82"])
        let byPort = try plan(text + "  shop: { count: 3, address: 203.0.113.80, ports: tcp/8000+, sequence: [web] }")
        #expect(
            byPort.services.flatMap { $0.addresses.map { "\($0)" } } == Array(repeating: "203.0.113.80", count: 3))
        #expect(byPort.services.flatMap(\.ports) == ["tcp/8000", "tcp/8001", "tcp/8002"])
        let networks = try plan(text + "  shop: { count: 2, address: 203.0.113.0/28, sequence: [web] }")
        #expect(networks.services.flatMap { $0.addresses.map { "\($0)" } } == ["203.0.113.0/28", "203.0.113.16/28"])
    }

    @Test func countedInterfacesHaveTheNextNetwork() throws {
        let plan = try plan(
            """
            name: t
            interfaces:
              site: { count: 3, address: [10.1.0.1/24, "2001:db8:1::1/64"] }
              servers: { address: 198.18.4.1/24 }
            customers:
              alice: { count: 3, interface: "site-${number}" }
            applications:
              web: { attach: servers }
            services:
              shop: { address: 203.0.113.80, sequence: [web] }
            """)
        #expect(plan.interfaces.map(\.name) == ["site-1", "site-2", "site-3", "servers"])
        #expect(plan.table.interfaces[2].addresses.map { "\($0)" } == ["10.1.2.1/24", "2001:db8:1:2::1/64"])
        #expect(addresses(plan, "alice-3").first?.hasPrefix("10.1.2.") ?? false)
    }

    @Test func aPartForEachValueIsNamedByIt() throws {
        let plan = try plan(
            """
            name: t
            variables: { SITES: [{ name: north, net: 1 }, { name: south, net: 2 }] }
            interfaces:
              "${SITE.name}": { for-each: { SITE: "${SITES}" }, address: "10.${SITE.net}.0.1/24" }
              servers: { address: 198.18.4.1/24 }
            customers:
              user: { for-each: { SITE: [north, south] }, count: 2, interface: "${SITE}" }
              guest: { for-each: { SITE: [north, south] }, interface: "${SITE}" }
            applications:
              web: { attach: servers }
            services:
              shop: { address: 203.0.113.80, sequence: [web] }
            checks:
              - { name: "${WHO} is there", for-each: { WHO: [guest-north, guest-south] }, on: "${WHO}", run: "true" }
              - { name: each is, count: 2, on: "user-north-${number}", run: "true" }
            """)
        #expect(plan.interfaces.map(\.name) == ["north", "south", "servers"])
        #expect(
            plan.nodes.map(\.name).filter { $0 != "web" }
                == ["user-north-1", "user-north-2", "user-south-1", "user-south-2", "guest-north", "guest-south"])
        #expect(plan.checks.map(\.name) == ["guest-north is there", "guest-south is there", "each is-1", "each is-2"])
    }

    @Test func instancesAreCountedToo() throws {
        let plan = try plan(
            """
            name: t
            interfaces: { customers: { address: 192.0.2.1/24 }, servers: { address: 198.18.4.1/24 } }
            customers: { alice: { interface: customers } }
            applications:
              web: { attach: servers, redundancy: balance, instances: { web: { count: 3, address: 198.18.4.20, weight: 2 } } }
            services: { shop: { address: 203.0.113.80, sequence: [web] } }
            """)
        #expect(plan.nodes.map(\.name).filter { $0.hasPrefix("web") } == ["web-1", "web-2", "web-3"])
        #expect(addresses(plan, "web-3") == ["198.18.4.22/24"])
    }

    @Test(arguments: [
        ("alice: { count: 0, interface: customers }", "`count`"),
        ("alice: { count: 5000, interface: customers }", "`count`"),
        ("alice: { count: many, interface: customers }", "`count`"),
        ("alice: { for-each: [a], interface: customers }", "must be a mapping of variables"),
        ("alice: { for-each: { SITE: [] }, interface: customers }", "has no values"),
        ("alice: { for-each: { 1: [a] }, interface: customers }", "cannot be the name of a variable"),
        ("alice: { count: 2, interface: customers }\n  alice-2: { interface: customers }", "is given twice"),
        ("alice: { for-each: { A: [1, 2] }, interface: '${B}' }", "no variable is called"),
        ("alice: { for-each: { A: [a] }, interface: customers, address: '${L}' }", "no variable is called"),
    ])
    func mistakesInRepeatedPartsAreNamed(_ customers: String, _ expected: String) {
        let found = mistakes("name: t\n" + base + "\ncustomers:\n  " + customers)
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    @Test func keysOfOthersAreIgnored() throws {
        let plan = try plan(
            "name: t\nx-site: { &alice alice: 1 }\nx-base: &base { interface: customers, x-note: none }\n" + base + """

                customers: { alice: { <<: *base, x-ticket: 17, address: 192.0.2.10 } }
                services: { shop: { address: 203.0.113.80, sequence: [web], x-owner: { team: "${ANY}" } } }
                """)
        #expect(addresses(plan, "alice") == ["192.0.2.10/24"])
    }

    // MARK: - Written out

    /// What is written out is the same topology when it is read again, and is written out as it is.
    @Test func theRenderedFileIsTheSameTopology() throws {
        let files = try FileManager.default.subpathsOfDirectory(atPath: "\(sourcesRoot)/Topologies")
            .filter { $0.hasSuffix(".yaml") && $0.split(separator: "/").last?.hasPrefix("topology") ?? false }
        #expect(files.count > 8)
        for name in files {
            let path = "\(sourcesRoot)/Topologies/\(name)"
            let rendered = try TopologyFile.rendered(path)
            let first = try Planner.plan(TopologyFile.read(path))
            let second = try Planner.plan(TopologyFile.parse(rendered, path: path))
            #expect(first.entryLines == second.entryLines, "\(name)")
            #expect(first.nodes.map(\.name) == second.nodes.map(\.name), "\(name)")
            #expect(first.nodes.map(\.process.run) == second.nodes.map(\.process.run), "\(name)")
            #expect(first.checks.map(\.name) == second.checks.map(\.name), "\(name)")
        }
    }

    @Test func theRenderedFileHasNothingLeftToWriteOut() throws {
        let files = try Folder([
            "t.yaml": """
            name: ${NAME}
            include: common.yaml
            variables: { NAME: lab, PORT: "80" }
            x-base: &base { interface: customers }
            customers: { alice: { <<: *base, count: 2, address: 192.0.2.10, environment: { PORT: "${PORT}" } } }
            services: { shop: { address: 203.0.113.80, from: alice, sequence: [web] } }
            """,
            "common.yaml": base,
        ])
        let rendered = try TopologyFile.rendered("\(files.path)/t.yaml", settings: FileSettings(["NAME": "other"]))
        for word in ["$", "include", "variables", "count", "<<", "x-base"] {
            #expect(!rendered.contains(word), "\(rendered)")
        }
        let plan = try Planner.plan(TopologyFile.parse(rendered, path: "t.yaml"))
        #expect(plan.name == "other")
        #expect(plan.nodes.map(\.name).sorted() == ["alice-1", "alice-2", "web"])
    }
}
