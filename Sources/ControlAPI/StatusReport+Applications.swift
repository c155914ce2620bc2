extension StatusReport {
    /// An application whose health Tapline looks after.
    public struct Application: Codable, Sendable {
        /// Its name.
        public var name: String
        /// Its type, in the file's words.
        public var type: String?
        /// `up` or `down`.
        public var state: String
        /// `active-standby`, `balance` or `copies`.
        public var redundancy: String
        /// The fate of its packets while it is down: `spare`, `bypass`, `skip-rest` or `drop`.
        public var whenDown: String
        /// The reason why it is down, and the fate of its packets now, for a person; nil while it is up.
        public var reason: String?
        /// Fewer instances that are not down than these, and it is down.
        public var minimum: Int
        /// How many instances are active at once; the others are spares. nil for all.
        public var active: Int?
        /// Its instances in the order of the file.
        public var instances: [Instance]

        /// Memberwise.
        package init(
            name: String, type: String? = nil, state: String, redundancy: String, whenDown: String,
            reason: String? = nil, minimum: Int, active: Int? = nil, instances: [Instance]
        ) {
            self.name = name
            self.type = type
            self.state = state
            self.redundancy = redundancy
            self.whenDown = whenDown
            self.reason = reason
            self.minimum = minimum
            self.active = active
            self.instances = instances
        }
    }

    /// One instance of an application.
    public struct Instance: Codable, Sendable {
        /// Its node.
        public var name: String
        /// `active` (it has a share), `standby` (it would take one), `draining`, `drained`, `taken-out`, `suppressed`
        /// (it flaps, and is kept out), `down`.
        public var state: String
        /// Why it is as it is, for a person.
        public var reason: String
        /// Microseconds since 1970: since when that is so.
        public var since: Int
        /// Whether its process, links and checks allow it to take packets, apart from operators' requests.
        public var isHealthy: Bool
        /// Its share of its application's flows, 0…1; for copies, 1 if it gets them.
        public var share: Double
        /// Its weight now.
        public var weight: Int
        /// Its weight in the file.
        public var fileWeight: Int
        /// Its priority.
        public var priority: Int
        /// While it drains: the time until it gets nothing.
        public var drainLeft: Milliseconds?
        /// The time until it has its whole share, while it joins: it gets new flows only.
        public var joinLeft: Milliseconds?
        /// Its health checks in the order of the file.
        public var checks: [InstanceHealth.Check]

        /// Memberwise.
        package init(
            name: String, state: String, reason: String, since: Int, isHealthy: Bool, share: Double, weight: Int,
            fileWeight: Int, priority: Int, drainLeft: Duration? = nil, joinLeft: Duration? = nil,
            checks: [InstanceHealth.Check]
        ) {
            self.name = name
            self.state = state
            self.reason = reason
            self.since = since
            self.isHealthy = isHealthy
            self.share = share
            self.weight = weight
            self.fileWeight = fileWeight
            self.priority = priority
            self.drainLeft = drainLeft.map(Milliseconds.init)
            self.joinLeft = joinLeft.map(Milliseconds.init)
            self.checks = checks
        }
    }
}
