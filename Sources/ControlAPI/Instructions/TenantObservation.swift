/// What a tenant may see of its services at one moment: what they count, and how the applications in its chains are. It names
/// no node, and no address.
package struct TenantObservation: Codable, Sendable {
    /// A service that is in force.
    package struct Service: Codable, Sendable {
        package var name: String
        /// What customers sent to it.
        package var requests: Sample.Traffic
        /// The answers that went to customers.
        package var responses: Sample.Traffic
        /// Its entries, in the order of the table.
        package var entries: [Sample.Entry]
        /// The reasons whose newest dropped packet was from or to one of its addresses. How many such packets there were is not
        /// known: engines count drops by reason, not by service.
        package var drops: [Drop]

        package init(
            name: String, requests: Sample.Traffic, responses: Sample.Traffic, entries: [Sample.Entry], drops: [Drop]
        ) {
            self.name = name
            self.requests = requests
            self.responses = responses
            self.entries = entries
            self.drops = drops
        }
    }

    /// Why packets are dropped.
    package struct Drop: Codable, Sendable {
        package var reason: String
        package var sentence: String

        package init(reason: String, sentence: String) {
            self.reason = reason
            self.sentence = sentence
        }
    }

    /// An application that the tenant may use.
    package struct Application: Codable, Sendable {
        package var name: String
        /// `up` or `down`.
        package var state: String
        /// The fate of its packets while it is down (`StatusReport.Application.whenDown`); nil if nothing looks after its health.
        package var whenDown: String?
        package var instances: [Instance]

        package init(name: String, state: String, whenDown: String?, instances: [Instance]) {
            self.name = name
            self.state = state
            self.whenDown = whenDown
            self.instances = instances
        }
    }

    /// One instance, without its name.
    package struct Instance: Codable, Sendable {
        /// See `StatusReport.Instance.state`; also `starting`.
        package var state: String
        /// Its share of its application's flows, 0…1.
        package var share: Double

        package init(state: String, share: Double) {
            self.state = state
            self.share = share
        }
    }

    /// Microseconds since 1970.
    package var time: Int
    package var services: [Service]
    package var applications: [Application]

    package init(time: Int, services: [Service], applications: [Application]) {
        self.time = time
        self.services = services
        self.applications = applications
    }
}
