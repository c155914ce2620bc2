import Forwarding
import Foundation
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// What a plan keeps of the plan before it.
@Suite struct KeepingTests {
    private let balanced = picture.replacing(
        "attach: servers }", with: "attach: servers, instances: 2, redundancy: balance }")

    private func file(_ text: String) throws -> TopologyFile { try TopologyFile.parse(text, path: "t.yaml") }

    /// Everything that both plans have is the same in both.
    private func expectKept(_ old: AppliancePlan, _ new: AppliancePlan) {
        for node in old.nodes {
            guard let now = new.nodes.first(where: { $0.name == node.name }) else { continue }
            #expect(now.legs == node.legs)
            #expect(now.namespace == node.namespace)
        }
        let attachments = Dictionary(uniqueKeysWithValues: new.interfaces.map { ($0.name, $0.attachment) })
        for interface in old.interfaces where attachments[interface.name] != nil {
            #expect(attachments[interface.name] == interface.attachment)
        }
        var counters: [String: Int] = [:]
        for (line, entry) in zip(old.entryLines, old.table.entries) { counters[key(line)] = entry.counter }
        var common = 0
        for (line, entry) in zip(new.entryLines, new.table.entries) {
            guard let counter = counters[key(line)] else {
                #expect(!counters.values.contains(entry.counter), "\(line) has the counter of another")
                continue
            }
            common += 1
            #expect(counter == entry.counter, "\(line)")
        }
        #expect(common > 0)
        #expect(Set(new.table.entries.map(\.counter)).count == new.table.entries.count)
    }

    /// What an entry matches, without what it sends.
    private func key(_ line: String) -> String { line.components(separatedBy: " -> ")[0] }

    @Test func whatComesInFrontChangesNothingElse() throws {
        let old = try Planner.plan(file(balanced))
        let text = balanced.replacing(
            "customers:\n  alice", with: "customers:\n  adam: { interface: customers }\n  alice"
        )
        .replacing("  ids: {", with: "  early: { passive: true, attach: inspection }\n  ids: {")
        .replacing("distribute: [ids", with: "distribute: [early, ids")
        let new = try Planner.plan(file(text), keeping: old)
        expectKept(old, new)
        #expect(new.node("adam").legs[0].addresses.map(\.description) == ["192.0.2.3/24", "2001:db8:2::3/64"])
        // Without the plan before it the first free address would have gone to the first node.
        let fresh = try Planner.plan(file(text))
        #expect(fresh.node("adam").legs[0].addresses[0].description == "192.0.2.2/24")
        #expect(fresh.node("bob").legs.map(\.fabricDevice) == old.node("bob").legs.map(\.fabricDevice))
    }

    @Test func interfacesKeepTheirPlaces() throws {
        let old = try Planner.plan(file(balanced))
        let text = balanced.replacing(
            "interfaces:\n", with: "interfaces:\n  management: { address: 198.18.9.1/24 }\n")
        let new = try Planner.plan(file(text), keeping: old)
        #expect(new.interfaces.map(\.name) == old.interfaces.map(\.name) + ["management"])
        #expect(new.table.interfaces.prefix(4) == old.table.interfaces[...])
        expectKept(old, new)
    }

    @Test func anInterfaceThatIsOnABridgeStaysThere() throws {
        let two = balanced.replacing("instances: 2, redundancy: balance", with: "depends: []").replacing(
            "web: {", with: "other: { attach: servers }\n  web: {")
        let old = try Planner.plan(file(two))
        let one = try Planner.plan(file(two.replacing("other: { attach: servers }\n  ", with: "")), keeping: old)
        #expect(one.interfaces[3].attachment == old.interfaces[3].attachment)
        expectKept(old, one)
    }

    @Test func aNodeMovesOnlyWhereTheFileSaysSo() throws {
        let old = try Planner.plan(file(balanced))
        let moved = try Planner.plan(
            file(balanced.replacing("198.18.4.1/24", with: "198.18.44.1/24")), keeping: old)
        #expect(
            moved.node("web-1").legs[0].addresses.map(\.description) == ["2001:db8:14::2/64", "198.18.44.2/24"]
                || moved.node("web-1").legs[0].addresses.map(\.description) == ["198.18.44.2/24", "2001:db8:14::2/64"])
        let taken = try Planner.plan(
            file(
                balanced.replacing(
                    "bob:   { interface: customers }",
                    with:
                        "bob: { interface: customers }\n  carol: { interface: customers, address: 192.0.2.2 }")),
            keeping: old)
        #expect(taken.node("carol").legs[0].addresses.map(\.description) == ["192.0.2.2/24"])
        #expect(taken.node("bob").legs[0].addresses.map(\.address.description).contains("192.0.2.3"))
    }

    @Test func instancesAreAddedFromTheTemplateAndRemoved() throws {
        let file = try file(balanced)
        let old = try Planner.plan(file)
        let next = file.nextInstance(of: "web", besides: [])
        #expect(next == "web-3")
        #expect(file.nextInstance(of: "web", besides: ["web-3", "web-4"]) == "web-5")
        let more = try Planner.plan(file, keeping: old, changes: InstanceChanges(added: ["web": [next]]))
        expectKept(old, more)
        #expect(more.table.groups[0].members.map(\.name) == ["web-1", "web-2", "web-3"])
        #expect(more.node("web-3").loopback == old.node("web-1").loopback)
        #expect(more.node("web-3").legs[0].addresses.map(\.description) == ["198.18.4.4/24", "2001:db8:14::4/64"])
        let fewer = try Planner.plan(
            file, keeping: more, changes: InstanceChanges(added: ["web": [next]], removed: ["web-1"]))
        expectKept(more, fewer)
        #expect(fewer.table.groups[0].members.map(\.name) == ["web-2", "web-3"])
        #expect(fewer.applications[0].instances.map(\.member) == [0, 1])
        #expect(!fewer.nodes.contains { $0.name == "web-1" })
    }

    @Test func changesThatNameNothingAreTold() throws {
        let file = try file(balanced)
        func summary(_ changes: InstanceChanges) -> [String] {
            do throws(TopologyError) {
                _ = try Planner.plan(file, changes: changes)
                return []
            } catch {
                return error.problems.map(\.message)
            }
        }
        #expect(summary(InstanceChanges(removed: ["web-7"])) == ["there is no instance \"web-7\""])
        #expect(summary(InstanceChanges(removed: ["alice"])) == ["there is no instance \"alice\""])
        #expect(summary(InstanceChanges(added: ["fw": ["fw-2"]])) == ["there is no application \"fw\" with instances"])
        #expect(summary(InstanceChanges(added: ["web": ["bob"]])) == ["there is a node \"bob\" already"])
        #expect(summary(InstanceChanges(removed: ["web-1", "web-2"])) == ["no instance of \"web\" would be left"])
    }
}
