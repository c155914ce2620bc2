import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// Circuits in a plan: their interfaces, devices and nodes, and what `apply` can change of them.
@Suite struct CircuitPlanTests {
    static func text(
        _ circuits: String = "red: { encapsulation: vlan 100, address: 192.0.2.1/29 }", serial: String = "dlci 100"
    ) -> String {
        """
        name: access
        interfaces:
          access: { circuits: { \(circuits) } }
          serial: { encapsulation: \(serial), address: 192.0.2.17/29 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { circuit: red, run: exec endpoint }
          carol: { circuit: \(serial), run: exec endpoint }
        applications:
          web: { type: web-server, attach: servers, run: exec nginx, ready: { tcp: 80 } }
        services:
          shop: { address: 203.0.113.80, ports: tcp/80, from: [alice, carol], sequence: web }
        """
    }

    @Test func circuitsStandBehindInterfacesWithDevices() throws {
        let plan = try plan(Self.text())
        #expect(plan.interfaces.map(\.name) == ["access", "serial device", "servers", "red", "serial"])
        #expect(plan.interfaces.map(\.carrier) == [nil, nil, nil, 0, 1])
        #expect(plan.interfaces.map(\.link) == [.ethernet, .frameRelay, nil, nil, nil])
        #expect(plan.interfaces.map(\.mtu) == [1504, 1504, 1500, 1500, 1500])
        #expect(
            plan.interfaces[1].attachment == .direct(node: "carol")
                && plan.interfaces[4].attachment == .direct(node: "carol"))
        #expect(plan.table.deviceCount == 3)
        #expect(plan.table.interfaces[3].circuit?.encapsulation.description == "vlan 100")
        let alice = try #require(plan.nodes.first { $0.name == "alice" })
        #expect(alice.legs.allSatisfy { $0.isCircuit && !$0.offload } && alice.legs[0].interface == 3)
        #expect(plan.table.interfaces[3].circuit?.peer == alice.legs[0].mac)
        #expect(alice.process.environment["TAPLINE_IN_ADDRESS"] == "192.0.2.2")
        _ = try TableCompiler.compile(plan.table, generation: 1)
    }

    @Test func aChangedTagIsAppliedAndAChangedDeviceIsNot() throws {
        let before = try plan(Self.text())
        let tag = try plan(Self.text("red: { encapsulation: vlan 101, address: 192.0.2.1/29 }"))
        let change = PlanDifference(from: before, to: tag.adopting(before))
        #expect(change.refusals.isEmpty)
        // Nothing turns a TUN into a port of a bridge.
        #expect(tag.adopting(before).interfaces.map(\.attachment) == before.interfaces.map(\.attachment))
        let device = try plan(Self.text(serial: "vlan 7"))
        #expect(PlanDifference(from: before, to: device.adopting(before)).refusals.count == 1)
    }

    /// What `apply` refuses of another file.
    private func refusals(_ text: String, where running: AppliancePlan) throws -> [String] {
        let fresh = try Planner.plan(TopologyFile.parse(text, path: "t.yaml"), keeping: running).adopting(running)
        let difference = PlanDifference(from: running, to: fresh)
        #expect(difference.refusals.isEmpty || difference.actions.isEmpty)
        return difference.refusals.map(\.what)
    }

    @Test func nothingComesOrGoesBesideCircuits() throws {
        let two = "red: { encapsulation: vlan 100, address: 192.0.2.1/29 }, blue: { encapsulation: vlan 200 }"
        let servers = "  servers: { address: 198.18.4.1/24 }"
        let spare = Self.text().replacing(servers, with: "  spare: {}\n" + servers)
        let before = try plan(Self.text())
        #expect(try refusals(Self.text(), where: before).isEmpty)
        #expect(
            try refusals(Self.text(two), where: before) == ["the circuit blue is new, and the topology has circuits"])
        #expect(
            try refusals(Self.text(), where: plan(Self.text(two))) == [
                "the circuit blue is gone, and the topology has circuits"
            ])
        #expect(
            try refusals(spare, where: before) == ["the interface spare is new, and the topology has circuits"])
        #expect(
            try refusals(Self.text(), where: plan(spare)) == [
                "the interface spare is gone, and the topology has circuits"
            ])
        // It would have its place before the circuits, which the running table does not have there.
        let placed = try Planner.plan(TopologyFile.parse(spare, path: "t.yaml"), keeping: before).adopting(before)
        #expect(placed.interfaces.map(\.name) == ["access", "serial device", "servers", "spare", "red", "serial"])
    }

    @Test func enginesChangeBesideCircuitsIfNoTUNNeedsAQueue() throws {
        let workers = "\nengine: { workers: 2 }"
        #expect(
            try refusals(Self.text() + workers, where: plan(Self.text())) == [
                "there are more engines or workers, and the device of interface serial device gets no further queues"
            ])
        #expect(try refusals(Self.text(), where: plan(Self.text() + workers)).isEmpty)
        let ethernet = Self.text(serial: "vlan 7")
        #expect(try refusals(ethernet + workers, where: plan(ethernet)).isEmpty)
    }

    @Test func aNodeWithATUNIsNotBuiltAnew() throws {
        let run = "carol: { circuit: dlci 100, run: exec endpoint }"
        let setUp = Self.text().replacing(run, with: "carol: { circuit: dlci 100, setup: ip link, run: exec endpoint }")
        #expect(
            try refusals(setUp, where: plan(Self.text())) == [
                "node carol would be built anew (its setup), and it has the device of interface serial device"
            ])
    }
}
