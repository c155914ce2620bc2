/// What a change of a running topology did, or would do.
public struct ChangeReport: Codable, Sendable {
    /// What was changed, a line each; empty where nothing differed.
    public var changes: [String]
    /// What went wrong after the point of no return, a sentence each: something that was to go is still there.
    public var notes: [String] = []
    /// The number of entries now.
    public var entries: Int
    /// How many of them were in the table before and kept their counters.
    public var kept: Int
    /// How long it took.
    public var milliseconds: Int

    /// Memberwise.
    public init(changes: [String], entries: Int, kept: Int, milliseconds: Int) {
        self.changes = changes
        self.entries = entries
        self.kept = kept
        self.milliseconds = milliseconds
    }
}
