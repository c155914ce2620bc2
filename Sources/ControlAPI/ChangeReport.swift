/// The effect of a change of a running topology, done or simulated.
public struct ChangeReport: Codable, Sendable {
    /// The changes, a line each; empty if nothing differed.
    public var changes: [String]
    /// Failures after the point of no return, a sentence each: a part that was to go is still there.
    public var notes: [String] = []
    /// The number of entries now.
    public var entries: Int
    /// How many of them were in the table before and kept their counters.
    public var kept: Int
    /// How long it took.
    public var time: Milliseconds

    /// Memberwise.
    public init(changes: [String], entries: Int, kept: Int, time: Duration) {
        self.changes = changes
        self.entries = entries
        self.kept = kept
        self.time = Milliseconds(time)
    }

    private enum CodingKeys: String, CodingKey {
        case changes, notes, entries, kept
        case time = "milliseconds"
    }
}
