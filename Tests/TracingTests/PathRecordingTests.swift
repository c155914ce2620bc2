import EngineRig
import Foundation
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

@testable import Tracing

/// Which traces become checks, and what these say.
@Suite struct PathRecordingTests {
    private typealias F = TestFrame

    /// A request through the firewall to a server, and its answer.
    private func exchange(_ lab: Lab, port: Int = 4_000, flags: Int = 0x02, answer: Bool = true) {
        let first = lab.send(
            "alice", "customers",
            F.tcp("192.0.2.10", port, "203.0.113.80", 80, payload: [], flags: UInt8(flags), sequence: 1))
        for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        guard answer else { return }
        let back = lab.send(
            "shop", "servers", F.tcp("203.0.113.80", 80, "192.0.2.10", port, payload: [], flags: 0x12))
        for out in lab.frames(back, for: "firewall", "inspected") { lab.forward(out, "firewall", "inspection") }
    }

    private func recording(_ lab: Lab, standIns: [String: String] = [:]) throws -> PathRecording {
        var recording = PathRecording(lab.network, standIns: standIns)
        for trace in try lab.trace().traces { recording.add(trace) }
        return recording
    }

    @Test func connectionsBecomeChecksThatTheTopologyTakes() throws {
        let lab = try Lab("four-interface")
        for number in 0..<3 { exchange(lab, port: 4_000 + number) }
        lab.send("bob", "customers", F.udp("192.0.2.20", 4_000, "198.51.100.9", 53))
        let recording = try recording(lab)
        #expect(
            recording.text == """
                checks:
                  - name: "alice to 203.0.113.80 tcp/80 takes its recorded path"
                    packet: { from: alice, to: 203.0.113.80, port: tcp/80 }
                    reaches: [[ids, firewall], shop]
                    answer: [firewall, [ids, alice]]
                  - name: "bob to 198.51.100.9 udp/53 takes its recorded path"
                    packet: { from: bob, to: 198.51.100.9, port: udp/53 }
                    reaches: []

                """)
        #expect(recording.count == 2 && recording.omissions == PathRecording.Omissions())
        // The file with them is right, and has the two beside its own.
        let root = "\(#filePath)".split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        let own = try String(contentsOfFile: "\(root)/Topologies/four-interface/topology.yaml", encoding: .utf8)
        let before = try Planner.plan(TopologyFile.parse(own, path: "\(root)/Topologies/four-interface/topology.yaml"))
        let start = try #require(own.range(of: "\nchecks:\n"))
        let more = own.replacingCharacters(in: start, with: "\n" + recording.text)
        let after = try Planner.plan(TopologyFile.parse(more, path: "\(root)/Topologies/four-interface/topology.yaml"))
        #expect(after.checks.count == before.checks.count + 2)
    }

    /// A topology whose addresses are Tapline's own; `@` is where checks go.
    private static let short = """
        name: short
        ipv6: true
        interfaces: [customers, outside, inside]
        customers: { alice: customers, "b.ob": customers }
        applications:
          firewall: { attach: { in: outside, out: inside } }
          web: { attach: inside }
        services:
          "the shop": { ports: tcp/80, sequence: [firewall, web] }
          ssh: { between: [alice, "b.ob"], ports: tcp/22 }

        """

    /// An address that stands in the file is no longer given to a part of it. So checks name these parts.
    @Test func addressesThatTaplineGivesAreNotWritten() throws {
        let lab = try Lab(Self.short)
        let syn: UInt8 = 0x02
        for (source, destination, port) in [
            ("198.18.1.2", "203.0.113.1", 80), ("2001:db8:0:1::2", "2001:db8:cb::1", 80),
            ("198.18.1.2", "198.18.1.3", 22),
            ("198.18.1.3", "203.0.113.1", 80), ("198.18.1.2", "198.18.1.1", 23), ("198.18.1.2", "198.18.3.1", 80),
            ("198.18.1.2", "198.18.2.99", 80), ("198.18.1.99", "203.0.113.1", 80), ("198.18.1.2", "203.0.113.9", 80),
        ] {
            lab.send(
                "alice", "customers", F.tcp(source, 4_000, destination, port, payload: [], flags: syn, sequence: 1))
        }
        let recording = try recording(lab)
        let text = recording.text
        for line in [
            #"  - name: "alice to the shop tcp/80 takes its recorded path""#,
            #"    packet: { from: alice, to: "{{ services.\"the shop\".address }}", port: tcp/80 }"#,
            #"  - name: "alice to the shop over IPv6 tcp/80 takes its recorded path""#,
            #"    packet: { from: alice, to: "{{ services.\"the shop\".address6 }}", port: tcp/80 }"#,
            #"    packet: { from: alice, to: "{{ nodes.\"b.ob\".address }}", port: tcp/22 }"#,
            #"    packet: { from: alice, to: "{{ services.\"the shop\".address }}", port: tcp/80, "#
                + #"source: "{{ nodes.\"b.ob\".address }}" }"#,
            #"    packet: { from: alice, to: 203.0.113.9, port: tcp/80 }"#,
        ] { #expect(text.contains(line + "\n"), "\(line) in \(text)") }
        #expect(!text.contains("198.18.") && !text.contains("2001:db8:"), "\(text)")
        #expect(recording.omissions.nameless == 2)
        // The topology keeps its addresses, and the checks mean the same.
        let (before, after) = (lab.plan, try Planner.plan(TopologyFile.parse(Self.short + text, path: "t.yaml")))
        #expect(after.services.map(\.addresses) == before.services.map(\.addresses))
        #expect(after.nodes.flatMap(\.legs).map(\.addresses) == before.nodes.flatMap(\.legs).map(\.addresses))
        #expect(after.checks.count == recording.count && after.remarks.count { "\($0)".contains("called") } == 0)
    }

    @Test func aLegIsCalledByItsName() throws {
        let plan = try Planner.plan(TopologyFile.parse(Self.short, path: "t.yaml"))
        let given = plan.givenAddresses.filter { $0.owner == "firewall" }
        #expect(given.map(\.expression) == ["nodes.firewall.address", "nodes.firewall.out.address"])
        #expect(given.map { "\($0.prefix.address)" } == ["198.18.2.2", "198.18.3.2"])
        let expressions = Set(plan.givenAddresses.compactMap(\.expression))
        #expect(expressions.isSuperset(of: ["nodes.firewall.out.address6", "interfaces.inside.address"]))
        // What the file names is not given.
        let named = Self.short.replacing(
            "[customers, outside, inside]",
            with: "{ customers: [192.0.2.1/24, '2001:db8:2::1/64'], outside: , inside: }")
        let owners = Set(try Planner.plan(TopologyFile.parse(named, path: "t.yaml")).givenAddresses.map(\.owner))
        #expect(owners.contains("web") && !owners.contains("alice") && !owners.contains("customers"))
    }

    @Test func instancesAreCalledByTheirApplication() throws {
        let lab = try Lab("four-interface")
        exchange(lab)
        #expect(try recording(lab, standIns: ["shop": "web"]).text.contains("reaches: [[ids, firewall], web]"))
    }

    @Test func pathsThatDifferHaveNoCheck() throws {
        let lab = try Lab("four-interface")
        exchange(lab)
        // The firewall keeps the second one.
        lab.send(
            "alice", "customers", F.tcp("192.0.2.10", 5_000, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 9))
        let recording = try recording(lab)
        #expect(recording.count == 0 && recording.text == "checks: []\n")
        #expect(recording.ambiguous == ["alice to 203.0.113.80 tcp/80"])
    }

    @Test func whatSwallowsAPacketIsItsLastNode() throws {
        let lab = try Lab("four-interface")
        lab.send(
            "alice", "customers", F.tcp("192.0.2.10", 5_000, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 9))
        let text = try recording(lab).text
        #expect(text.hasSuffix("reaches: [[ids, firewall]]\n"), "\(text)")
    }

    @Test func connectionsThatBeganBeforeAreCountedAlone() throws {
        let lab = try Lab("four-interface")
        exchange(lab, flags: 0x18, answer: false)
        let recording = try recording(lab)
        #expect(recording.count == 0 && recording.omissions.midway == 1)
    }

    @Test func aSourceThatTheCheckWouldNotUseIsWritten() throws {
        let lab = try Lab("four-interface")
        lab.send("alice", "customers", F.udp("192.0.2.99", 4_000, "203.0.113.80", 80))
        let text = try recording(lab).text
        #expect(text.contains("source: 192.0.2.99 }\n    reaches: []"), "\(text)")
    }

    @Test(arguments: [
        ("web", "web"), ("2001:db8::1", "\"2001:db8::1\""), ("192.0.2.1", "192.0.2.1"), ("on", "\"on\""),
        ("a\"b", "\"a\\\"b\""),
        ("1e3", "\"1e3\""), ("web a", "\"web a\""),
    ])
    func words(_ word: String, _ written: String) {
        #expect(YAMLWord.text(word) == written)
    }
}
