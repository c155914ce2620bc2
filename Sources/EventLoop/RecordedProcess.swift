/// A process that a topology started. Its start time tells it from a later process with the same number.
public struct RecordedProcess: Codable, Sendable, Hashable {
    /// The process number in the host's namespace.
    public var pid: Int32
    /// Its start time in clock ticks since boot.
    public var started: UInt64
    /// Its role, for messages.
    public var what: String

    /// The process `pid` as it is now; nil if there is none.
    public init?(pid: Int32, what: String) {
        guard let started = processStartTime(pid) else { return nil }
        self.pid = pid
        self.started = started
        self.what = what
    }

    /// True while that very process lives.
    public var isAlive: Bool { processStartTime(pid) == started }
}
