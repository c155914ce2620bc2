import Foundation
import Plan
import Planning
import Testing
import TopologyFiles

/// Kinds of nodes, and the nodes that are like them.
@Suite("Kinds of nodes") struct NodeKindTests {
    private let base = """
        interfaces: [customers, outside, inside]
        services: { shop: { ports: tcp/80, sequence: [firewall, web] } }
        """

    private func plan(_ kinds: String, _ web: String, customers: String = "alice: customers") throws -> AppliancePlan {
        try Planner.plan(
            TopologyFile.parse(
                """
                name: t
                kinds: \(kinds)
                \(base)
                customers: { \(customers) }
                applications:
                  firewall: { attach: { in: outside, out: inside } }
                  web: \(web)
                """, path: "t.yaml"))
    }

    private func found(_ kinds: String, _ web: String) -> [String] {
        problems(
            """
            name: t
            kinds: \(kinds)
            \(base)
            customers: { alice: customers }
            applications:
              firewall: { attach: { in: outside, out: inside } }
              web: \(web)
            """
        ).map(\.summary)
    }

    @Test func aNodeTakesTheKeysOfItsKindAndItsOwnReplaceThem() throws {
        let plan = try plan(
            "{ web: { run: exec nginx, restart: always, ready: { tcp: 80 }, setup: [a, b], sysctls: { net.ipv4.tcp_ecn: 1 } } }",
            "{ like: web, attach: inside, run: exec httpd, ready: { log: x }, setup: c, sysctls: { net.ipv4.tcp_sack: 0 } }"
        )
        let web = plan.node("web")
        #expect(web.process.run == "exec httpd")
        #expect(web.process.restart == .always)
        #expect(web.process.setup == ["c"])
        #expect(!"\(web.process.ready)".contains("tcp"))
        let names = web.sysctls.map(\.name)
        #expect(names.contains("net.ipv4.tcp_ecn") && names.contains("net.ipv4.tcp_sack"))
    }

    @Test func mappingsOfNamesJoin() throws {
        let plan = try plan(
            "{ a: { environment: { A: 1, B: 1 }, files: { x: one } }, b: { like: a, environment: { B: 2, C: 2 } } }",
            "{ like: b, attach: inside, environment: { C: 3 }, files: { y: two } }")
        let web = plan.node("web")
        #expect(["A": "1", "B": "2", "C": "3"].allSatisfy { web.process.environment[$0.key] == $0.value })
        #expect(web.files.map(\.path).sorted() == ["x", "y"])
    }

    @Test func aLaterKindGoesBeforeAnEarlierOne() throws {
        let kinds = "{ a: { run: exec a, user: nobody }, b: { run: exec b } }"
        #expect(try plan(kinds, "{ like: [a, b], attach: inside }").node("web").process.run == "exec b")
        #expect(try plan(kinds, "{ like: [b, a], attach: inside }").node("web").process.run == "exec a")
    }

    @Test func instancesCustomersAndCountedNodesAreLikeKinds() throws {
        let plan = try plan(
            "{ one: { type: web-server, run: exec one }, two: { run: exec two } }",
            "{ attach: inside, redundancy: balance, instances: { a: { like: one }, b: { like: two } } }",
            customers: "bots: { like: two, interface: customers, count: 2 }")
        #expect(plan.node("a").process.run == "exec one")
        #expect(plan.node("b").process.run == "exec two")
        #expect(plan.node("bots-2").process.run == "exec two")
    }

    @Test func kindsOfAnotherFileKeepTheirPlaces() throws {
        let folder = "/tmp/kinds-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try "kinds:\n  web: { files: conf, run: exec web,\n    restart: sometimes }\n  other: {}\n".write(
            toFile: "\(folder)/kit.yaml", atomically: true, encoding: .utf8)
        try "from the kit".write(toFile: "\(folder)/conf", atomically: true, encoding: .utf8)
        let path = "\(folder)/t.yaml"
        try """
        name: t
        include: kit.yaml
        interfaces: [customers, inside]
        customers: { alice: customers }
        applications: { web: { like: web, attach: inside } }
        services: { shop: { sequence: web } }
        """.write(toFile: path, atomically: true, encoding: .utf8)
        do throws(TopologyError) {
            _ = try TopologyFile.read(path)
            Issue.record("a wrong word was taken")
        } catch {
            let found = error.problems.map { $0.summary.replacingOccurrences(of: "\(folder)/", with: "") }
            #expect(found.count == 1 && found[0].contains("kit.yaml:3:14"), "\(found)")
        }
        try "kinds:\n  web: { files: conf, run: exec web }\n  other: {}\n".write(
            toFile: "\(folder)/kit.yaml", atomically: true, encoding: .utf8)
        let plan = try Planner.plan(TopologyFile.read(path))
        #expect(plan.node("web").files.map(\.path) == ["conf"])
        // A kit has more kinds than one topology needs.
        #expect(plan.remarks.isEmpty, "\(plan.remarks)")
        #expect(!(try TopologyFile.rendered(path)).contains("like"))
    }

    @Test func mistakesInKindsAreReported() {
        #expect(
            found("{ nginx: { run: a } }", "{ like: ngimx, attach: inside }").contains {
                $0.contains("no kind is called \"ngimx\"; did you mean \"nginx\"?")
            })
        #expect(
            found("{ a: { like: b }, b: { like: a } }", "{ like: a, attach: inside }").contains {
                $0.contains("the kind \"a\" is like itself: a, b, a")
            })
        #expect(
            found("{ a: { like: a } }", "{ like: a, attach: inside }").contains {
                $0.contains("the kind \"a\" is like itself: a, a")
            })
        #expect(
            found("{ a: { attach: inside } }", "{ attach: inside }").contains {
                $0.contains("kind \"a\" has no key \"attach\"")
            })
        #expect(
            found("{ a: { run: b } }", "{ like: { a: 1 }, attach: inside }").contains {
                $0.contains("a kind of `like` must be a text")
            })
    }

    @Test func aKindThatNoNodeIsLikeIsARemark() throws {
        let plan = try plan("{ a: { run: exec a }, b: { like: a }, c: { run: exec c } }", "{ like: b, attach: inside }")
        #expect(plan.remarks.map(\.message) == ["no node is like the kind \"c\""])
    }
}
