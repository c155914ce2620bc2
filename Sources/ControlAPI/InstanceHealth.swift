/// The health of an instance, and the reason: its process, its links and its health checks together.
public struct InstanceHealth: Codable, Sendable, Hashable {
    /// One health check of the instance.
    public struct Check: Codable, Sendable, Hashable {
        /// Its name in the file.
        public var name: String
        /// True if it counts as passed.
        public var isPassed: Bool
        /// How often it was made, and how often it failed.
        public var made: Int
        /// See `made`.
        public var failed: Int
        /// Its last result, for a person; nil before the first.
        public var last: String?
        /// How long the last answer took, in microseconds.
        public var microseconds: Int?

        /// Memberwise.
        package init(
            name: String, isPassed: Bool, made: Int, failed: Int, last: String? = nil, microseconds: Int? = nil
        ) {
            self.name = name
            self.isPassed = isPassed
            self.made = made
            self.failed = failed
            self.last = last
            self.microseconds = microseconds
        }
    }
    /// True if it may take packets.
    public var isHealthy: Bool
    /// Why it may or may not, for a person.
    public var reason: String
    /// Microseconds since 1970, when `isHealthy` changed last.
    public var since: Int
    /// True if it would be healthy, but went up and down too often.
    public var isSuppressed: Bool
    /// Its checks in the order of the file.
    public var checks: [Check]

    /// Memberwise.
    package init(isHealthy: Bool, reason: String, since: Int, isSuppressed: Bool, checks: [Check]) {
        self.isHealthy = isHealthy
        self.reason = reason
        self.since = since
        self.isSuppressed = isSuppressed
        self.checks = checks
    }
}
