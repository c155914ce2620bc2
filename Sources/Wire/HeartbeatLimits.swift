/// What the health checks' own packets keep to, so that an engine that has others to forward knows them at a glance.
public enum HeartbeatLimits {
    /// The most octets of one, from the Ethernet header on.
    public static let maximumFrame = 256
}
