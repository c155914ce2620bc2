import Foundation
import Plan
import Planning
import Reporting
import Testing
import TopologyFiles
import Wire

/// `dns: true`.
@Suite("Names by DNS") struct NameServiceFileTests {
    @Test("every topology of the project can have it, and is proved with it")
    func everywhere() throws {
        let root = "\(sourcesRoot)/Topologies"
        var count = 0
        for folder in try FileManager.default.contentsOfDirectory(atPath: root) {
            let file = "\(root)/\(folder)/topology.yaml"
            guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { continue }
            count += 1
            do throws(TopologyError) {
                let plan = try Planner.plan(TopologyFile.parse("dns: true\n" + text, path: file))
                guard let resolver = plan.nodes.first(where: \.isResolver) else {
                    Issue.record("\(folder) has no resolver")
                    continue
                }
                #expect(resolver.name == "dns" && resolver.nameServers.isEmpty)
                // Every node that has an address to ask from asks an address that the resolver has.
                let asking = plan.nodes.filter { !$0.nameServers.isEmpty }
                #expect(asking.allSatisfy { $0.nameServers.allSatisfy(resolver.loopback.contains) }, "\(folder)")
                #expect(plan.nodes.filter { $0.kind == .customer }.allSatisfy { !$0.nameServers.isEmpty }, "\(folder)")
            } catch {
                Issue.record("\(folder): \(error)")
            }
        }
        #expect(count > 20)
    }

    @Test(
        "mistakes",
        arguments: [
            ("dns: 3", "", "`dns` is \"3\"; write true or false"),
            ("dns: true", "  dns: { interface: c }", "\"dns\" is the node that `dns` makes; rename this one"),
            ("dns: true", "", ""), ("dns: false", "  dns: { interface: c }", ""),
        ])
    func mistakes(_ top: String, _ customer: String, _ expected: String) {
        let text = """
            name: t
            \(top)
            interfaces: { c: { address: 192.0.2.1/24 }, s: { address: 192.0.0.1/24 } }
            customers:
              alice: { interface: c }
            \(customer)
            applications: { web: { attach: s } }
            services: { shop: { address: 203.0.113.80, ports: tcp/80, sequence: web } }
            """
        do throws(TopologyError) {
            let plan = try Planner.plan(TopologyFile.parse(text, path: "t.yaml"))
            #expect(expected.isEmpty)
            // Another network of the file is avoided.
            if let resolver = plan.nodes.first(where: \.isResolver) {
                #expect(resolver.legs[0].addresses.map(\.description) == ["198.19.255.250/29"])
            }
        } catch {
            #expect(!expected.isEmpty && error.problems.contains { $0.summary.contains(expected) }, "\(error)")
        }
    }
}
