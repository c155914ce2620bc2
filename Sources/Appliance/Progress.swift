/// What a command tells while it works. It travels from a detached control process to the command that started it.
public enum Progress: Codable, Sendable {
    /// What is being done now.
    case step(String)
    /// Something worth keeping on the screen: a warning, or what was healed.
    case note(String)
    /// A check has ended.
    case check(CheckReport)
    /// All is up.
    case ready(ReadyReport)
    /// It ends with this error, and everything has been taken away.
    case failed(ApplianceError)
}

/// What is up.
public struct ReadyReport: Codable, Sendable {
    public var name: String
    public var nodes: Int
    public var interfaces: Int
    public var entries: Int
    public var milliseconds: Int
}

/// How a check ended.
public struct CheckReport: Codable, Sendable {
    /// In the file's words.
    public var name: String
    /// The line of the file.
    public var line: Int
    public var passed: Bool
    public var milliseconds: Int
    /// What was expected, where it did not hold.
    public var expected: String?
    /// What came instead, bounded.
    public var came: [String]
}

/// Takes what is told; called from any thread.
public typealias ProgressSink = @Sendable (Progress) -> Void
