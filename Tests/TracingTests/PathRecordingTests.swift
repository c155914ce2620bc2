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
