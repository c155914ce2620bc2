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
        #expect(plan.table.queuedPlaces == 3)
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

    /// The plan of a file where another one runs.
    private func planned(_ text: String, where running: AppliancePlan) throws -> AppliancePlan {
        try Planner.plan(TopologyFile.parse(text, path: "t.yaml"), keeping: running).adopting(running)
    }

    @Test func interfacesAndCircuitsComeAndGoBesideCircuitsAndKeepTheirPlaces() throws {
        let two = "red: { encapsulation: vlan 100, address: 192.0.2.1/29 }, blue: { encapsulation: vlan 200 }"
        let servers = "  servers: { address: 198.18.4.1/24 }"
        let spare = Self.text(two).replacing(servers, with: "  spare: {}\n" + servers)
        let before = try plan(Self.text())
        #expect(try refusals(Self.text(), where: before).isEmpty)
        #expect(try refusals(spare, where: before).isEmpty)
        // A new interface stands behind the circuits that are there, and before it a place that has no queues of its own.
        let grown = try planned(spare, where: before)
        let names = ["access", "serial device", "servers", "red", "serial", "spare", "blue"]
        #expect(grown.interfaces.map(\.name).sorted() == names.sorted())
        #expect(grown.interfaces.prefix(5).map(\.name) == names.prefix(5).map { $0 })
        #expect(grown.interfaces.map(\.carrier).prefix(5) == [nil, nil, nil, 0, 1])
        let blue = try #require(grown.interfaces.firstIndex { $0.name == "blue" })
        let fresh = try #require(grown.interfaces.firstIndex { $0.name == "spare" })
        #expect(
            grown.interfaces[blue].carrier == 0 && grown.interfaces[blue].attachment == grown.interfaces[0].attachment)
        #expect(grown.table.queuedPlaces == fresh + 1)
        _ = try TableCompiler.compile(grown.table, generation: 1)
        let actions = PlanDifference(from: before, to: grown).actions.map { $0.line(grown) }
        #expect(actions.contains("circuit blue is added") && actions.contains("interface spare is added"))
        // The bridge of the device leads the circuit's address to the engine.
        #expect(actions.contains { $0.contains("interface access") && $0.contains("MAC addresses") }, "\(actions)")
        // All of it goes again, and the places with it.
        #expect(try refusals(Self.text(), where: grown).isEmpty)
        let back = try planned(Self.text(), where: grown)
        #expect(back.interfaces.map(\.name) == before.interfaces.map(\.name))
        // A place in the middle stays free, and the next new one gets it, whatever its kind.
        let middle = try plan(middleText(spare: true))
        let without = try planned(middleText(spare: false), where: middle)
        #expect(without.interfaces.filter(\.isVacant).count <= 1)
        let again = try planned(middleText(spare: true), where: without)
        #expect(again.interfaces.filter(\.isVacant).isEmpty)
        _ = try TableCompiler.compile(again.table, generation: 1)
    }

    private func middleText(spare: Bool) -> String {
        let two = "red: { encapsulation: vlan 100, address: 192.0.2.1/29 }, blue: { encapsulation: vlan 200 }"
        return Self.text(two).replacing("  servers: {", with: (spare ? "  spare: {}\n" : "") + "  servers: {")
            .replacing("  serial: { encapsulation: dlci 100, address: 192.0.2.17/29 }\n", with: "")
            .replacing("  carol: { circuit: dlci 100, run: exec endpoint }\n", with: "").replacing(
                ", carol]", with: "]")
    }

    @Test func aDeviceWithoutItsLastCircuitStaysAndATUNNeitherComesNorGoes() throws {
        let none = Self.text().replacing(
            "  access: { circuits: { red: { encapsulation: vlan 100, address: 192.0.2.1/29 } } }", with: "  access: {}"
        )
        .replacing("  alice: { circuit: red, run: exec endpoint }\n", with: "").replacing(
            "[alice, carol]", with: "[carol]")
        let before = try plan(Self.text())
        #expect(try refusals(none, where: before).isEmpty)
        let without = try planned(none, where: before)
        #expect(
            without.interfaces[0].link == .ethernet
                && without.interfaces[0].attachment == before.interfaces[0].attachment)
        #expect(try refusals(Self.text(), where: without).isEmpty)
        // One that never had a circuit leaves to the kernel what circuits cannot.
        #expect(
            try refusals(Self.text(), where: plan(none)) == [
                "interface access has no circuits yet, and its device leaves checksums and segmentation to the kernel, which "
                    + "devices with circuits do not"
            ])
        let lone = Self.text(serial: "vlan 7").replacing(
            "  serial: { encapsulation: vlan 7, address: 192.0.2.17/29 }\n", with: ""
        )
        .replacing("  carol: { circuit: vlan 7, run: exec endpoint }\n", with: "").replacing(
            "[alice, carol]", with: "[alice]")
        #expect(
            try refusals(Self.text(), where: plan(lone)) == [
                "serial device is new, and its device would be in a node that is there or starts with it"
            ])
        #expect(try refusals(lone, where: before) == ["serial device is gone, and its device is in a node"])
        #expect(try refusals(Self.text(serial: "vlan 7"), where: plan(lone)).isEmpty)
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
