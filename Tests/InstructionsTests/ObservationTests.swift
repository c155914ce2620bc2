import ControlAPI
import Testing

@testable import Instructions

/// What is answered of counters and health, from what a tenant may see.
@Suite struct ObservationAnswerTests {
    private func service(_ state: String = "in-force") -> ServiceView {
        ServiceView(
            RecordedService(
                tenant: "alice", name: "shop", addresses: ["203.0.113.97"], ports: [], from: [], distribute: ["ids"],
                sequence: ["firewall", "web"]), version: 3, setAside: state == "set-aside" ? ["no room"] : nil,
            isPending: state == "pending")
    }

    private func application(
        _ name: String, _ states: [String], whenDown: String? = "drop", isUp: Bool = true
    ) -> TenantObservation.Application {
        TenantObservation.Application(
            name: name, state: isUp ? "up" : "down", whenDown: whenDown,
            instances: states.map { TenantObservation.Instance(state: $0, share: $0 == "active" ? 1 : 0) })
    }

    private func health(
        ids: TenantObservation.Application? = nil, firewall: TenantObservation.Application? = nil,
        web: TenantObservation.Application? = nil, state: String = "in-force"
    ) -> String {
        let applications = [
            ids ?? application("ids", ["active"], whenDown: "bypass"),
            firewall ?? application("firewall", ["active", "standby"]), web ?? application("web", ["active"]),
        ]
        return ServiceHealth(
            service(state), TenantObservation(time: 1, services: [], applications: applications)
        ).state
    }

    @Test func healthFollowsTheApplicationsOfTheChain() {
        #expect(health() == "up")
        #expect(health(firewall: application("firewall", ["down", "active"])) == "degraded")
        #expect(health(firewall: application("firewall", ["drained", "active"])) == "up")
        #expect(health(firewall: application("firewall", ["down", "down"], isUp: false)) == "down")
        #expect(
            health(firewall: application("firewall", ["down"], whenDown: "bypass", isUp: false)) == "degraded")
        #expect(health(web: application("web", ["down"], whenDown: nil, isUp: false)) == "down")
        // A passive application loses nothing.
        #expect(health(ids: application("ids", ["down"], whenDown: "drop", isUp: false)) == "degraded")
        #expect(health(web: application("another", ["active"])) == "degraded")
        #expect(health(state: "pending") == "not-in-force" && health(state: "set-aside") == "not-in-force")
    }

    @Test func countersAreThoseOfTheServiceAlone() {
        let traffic = Sample.Traffic(packets: 3, bytes: 294)
        func seen(_ name: String) -> TenantObservation.Service {
            TenantObservation.Service(
                name: name, requests: traffic, responses: traffic,
                entries: [
                    Sample.Entry(
                        name: "alice/\(name).request.customers", kind: "distribution", service: "alice/\(name)",
                        traffic: traffic),
                    Sample.Entry(
                        name: "alice/\(name).response.web", kind: "sequencing", service: "alice/\(name)",
                        traffic: traffic),
                ], drops: [])
        }
        let counters = ServiceCounters(
            service(), TenantObservation(time: 7, services: [seen("other"), seen("shop")], applications: []))
        #expect(counters.entries.map(\.name) == ["alice/shop.request.customers", "alice/shop.response.web"])
        #expect(counters.entries.map(\.direction) == ["request", "response"])
        #expect(counters.requests.packets == 3 && counters.requests.octets == 294 && counters.time == 7)
        let none = ServiceCounters(service("pending"), TenantObservation(time: 7, services: [], applications: []))
        #expect(none.entries.isEmpty && none.requests.packets == 0 && none.state == "pending")
    }
}
