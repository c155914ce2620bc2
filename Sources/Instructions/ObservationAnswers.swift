import ControlAPI

/// What a service counts, as it is answered.
package struct ServiceCounters: Codable, Sendable {
    /// Packets, and octets of their frames from the Ethernet header on.
    package struct Traffic: Codable, Sendable, Equatable {
        package var packets: UInt64
        package var octets: UInt64

        init(_ traffic: Sample.Traffic) { (packets, octets) = (traffic.packets, traffic.bytes) }
    }

    /// The entries of one name.
    package struct Entry: Codable, Sendable {
        /// As in the table of the topology: `alice/shop.request.firewall`.
        package var name: String
        /// `distribution` or `sequencing`.
        package var kind: String
        /// `request` or `response`.
        package var direction: String
        package var packets: UInt64
        package var octets: UInt64
    }

    /// A reason whose newest dropped packet was from or to the service's addresses.
    package struct Drop: Codable, Sendable {
        package var reason: String
        package var sentence: String
    }

    package var tenant: String
    package var service: String
    /// `in-force`, `pending` or `set-aside`.
    package var state: String
    /// When they were read, in microseconds since 1970.
    package var time: Int
    /// What customers sent to it.
    package var requests: Traffic
    /// The answers that went to customers.
    package var responses: Traffic
    package var entries: [Entry]
    package var drops: [Drop]

    /// - Parameter seen: What the tenant may see; a service that is not in force counts nothing.
    package init(_ service: ServiceView, _ seen: TenantObservation) {
        let own = seen.services.first { $0.name == service.name }
        tenant = service.tenant
        self.service = service.name
        state = service.state
        time = seen.time
        requests = Traffic(own?.requests ?? Sample.Traffic())
        responses = Traffic(own?.responses ?? Sample.Traffic())
        let request = "\(service.tenant)/\(service.name).request."
        entries = (own?.entries ?? []).map { entry in
            Entry(
                name: entry.name, kind: entry.kind,
                direction: entry.name.hasPrefix(request) ? "request" : "response", packets: entry.traffic.packets,
                octets: entry.traffic.bytes)
        }
        drops = (own?.drops ?? []).map { Drop(reason: $0.reason, sentence: $0.sentence) }
    }
}

/// How the applications in a service's chain are, as it is answered.
package struct ServiceHealth: Codable, Sendable {
    /// One instance. Instances have no names here: they are counted in the order of the topology.
    package struct Instance: Codable, Sendable {
        /// `active`, `standby`, `starting`, `draining`, `drained`, `taken-out`, `suppressed` or `down`.
        package var state: String
        /// Its share of its application's flows, 0…1.
        package var share: Double
    }

    /// An application of the chain.
    package struct Application: Codable, Sendable {
        package var name: String
        /// True if it gets copies.
        package var passive: Bool
        /// `up`, `down`, or `unknown`: the tenant may use it no longer.
        package var state: String
        /// The fate of its packets while it is down: `spare`, `bypass`, `skip-rest` or `drop`. Absent: nothing looks after its
        /// health.
        package var whenDown: String?
        package var instances: [Instance]

        private enum CodingKeys: String, CodingKey {
            case name, passive, state, instances
            case whenDown = "when-down"
        }

        init(_ name: String, isPassive: Bool, _ seen: TenantObservation) {
            let known = seen.applications.first { $0.name == name }
            (self.name, passive, state, whenDown) = (name, isPassive, known?.state ?? "unknown", known?.whenDown)
            instances = (known?.instances ?? []).map { Instance(state: $0.state, share: $0.share) }
        }

        /// True if packets of the service are lost while it is as it is.
        var loses: Bool { !passive && state == "down" && whenDown != "bypass" && whenDown != "skip-rest" }
        /// True if all of it works.
        var isWhole: Bool {
            state == "up" && instances.allSatisfy { ["active", "standby", "draining", "drained"].contains($0.state) }
        }
    }

    package var tenant: String
    package var service: String
    /// `up`; `degraded`: an application, or an instance, does not work, and packets go on; `down`: they do not; `not-in-force`.
    package var state: String
    /// When it was seen, in microseconds since 1970.
    package var time: Int
    /// In the order of the chain, those that get copies first.
    package var applications: [Application]

    package init(_ service: ServiceView, _ seen: TenantObservation) {
        (tenant, self.service, time) = (service.tenant, service.name, seen.time)
        applications =
            service.distribute.filter { !service.sequence.contains($0) }.map {
                Application($0, isPassive: true, seen)
            } + service.sequence.map { Application($0, isPassive: false, seen) }
        state =
            if service.state != "in-force" { "not-in-force" } else if applications.contains(where: \.loses) {
                "down"
            } else { applications.allSatisfy(\.isWhole) ? "up" : "degraded" }
    }
}
