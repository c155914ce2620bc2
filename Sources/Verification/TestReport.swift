import ControlAPI
import Reporting

/// How one file of a test came out. The keys are stable.
public struct TestFileReport: Codable, Sendable {
    /// The outcome of a file's test.
    public enum Outcome: String, Codable, Sendable {
        /// It came up, and every check held.
        case passed
        /// A check did not hold.
        case failed
        /// It did not come up, or ended before all its checks had run.
        case couldNotRun = "could not run"
        /// The file has mistakes.
        case badFile = "bad file"
        /// The test was ended before this file was done.
        case interrupted
    }
    /// The name of the file in messages.
    public var label: String
    /// The topology file.
    public var file: String
    /// The name that the topology had; nil if it was not started.
    public var topology: String?
    /// Its outcome.
    public var outcome: Outcome
    /// The exit status that it has for itself.
    public var status: ExitCode
    /// When it was started, in seconds since 1970.
    public var started: Int
    /// From the start until all was taken away, or kept.
    public var time: Milliseconds
    /// The checks that ran, in order.
    public var checks: [CheckReport]
    /// The names of the checks that did not run.
    public var notReached: [String]
    /// The reason why it could not be run, or the mistakes of the file.
    public var error: ApplianceError?
    /// The notes from the run.
    public var notes: [String]
    /// The last lines that its process wrote to standard error: empty, unless something went badly wrong.
    public var errorOutput: [String]
    /// Whether it is still up.
    public var kept: Bool
    /// The nodes' names.
    public var nodes: [String]
    /// The tries before this one, which did not pass, in order.
    public var earlier: [EarlierTry] = []

    /// A try that did not pass, and after which the file was run again.
    public struct EarlierTry: Codable, Sendable {
        /// Its outcome.
        public var outcome: Outcome
        /// The checks that ran, in order.
        public var checks: [CheckReport]
        /// The reason why it could not be run.
        public var error: ApplianceError?
        /// How long it took.
        public var time: Milliseconds

        /// Memberwise.
        package init(outcome: Outcome, checks: [CheckReport], error: ApplianceError?, time: Milliseconds) {
            self.outcome = outcome
            self.checks = checks
            self.error = error
            self.time = time
        }

        private enum CodingKeys: String, CodingKey {
            case outcome, checks, error
            case time = "milliseconds"
        }
    }

    /// Memberwise.
    package init(
        label: String, file: String, topology: String? = nil, outcome: Outcome, status: ExitCode, started: Int,
        time: Duration, checks: [CheckReport], notReached: [String], error: ApplianceError? = nil, notes: [String],
        errorOutput: [String], kept: Bool, nodes: [String]
    ) {
        self.label = label
        self.file = file
        self.topology = topology
        self.outcome = outcome
        self.status = status
        self.started = started
        self.time = Milliseconds(time)
        self.checks = checks
        self.notReached = notReached
        self.error = error
        self.notes = notes
        self.errorOutput = errorOutput
        self.kept = kept
        self.nodes = nodes
    }

    private enum CodingKeys: String, CodingKey {
        case label, file, topology, outcome, status, started, checks, notReached, error, notes, errorOutput, kept,
            nodes, earlier
        case time = "milliseconds"
    }

    /// How many of the checks did not hold.
    public var failures: Int { checks.count { !$0.passed } }
}

extension TestFileReport {
    /// How often the file was run.
    public var tries: Int { earlier.count + 1 }

    /// The last failure of a check in an earlier try; nil if it held in all of them. The checks of each try are the file's, in
    /// its order.
    ///
    /// - Parameter index: The place of the check.
    package func failure(of index: Int) -> CheckReport? {
        earlier.last { $0.checks.indices.contains(index) && !$0.checks[index].passed }?.checks[index]
    }

    /// The same of a check that holds now: it is flaky. nil if it is not.
    package func flake(of index: Int) -> CheckReport? { checks[index].passed ? failure(of: index) : nil }

    /// How many of the checks hold now and did not hold before. A file that passes and could not run before counts as one more.
    public var flakes: Int {
        checks.indices.count { flake(of: $0) != nil }
            + (outcome == .passed && earlier.contains { $0.error != nil } ? 1 : 0)
    }

    /// The outcome in words: `passed on try 2`.
    public var resultWords: String {
        tries > 1 ? "\(outcome.rawValue) on try \(tries)" : outcome.rawValue
    }
}

/// How a test came out, as `tapline test --json` prints it. The keys are stable.
public struct TestReport: Codable, Sendable {
    /// The version of this format.
    public var version = 1
    /// The exit status.
    public var status: ExitCode
    /// How long the whole test took.
    public var time: Milliseconds
    /// The files, in the order of the command line.
    public var files: [TestFileReport]

    /// A report on files in their order.
    public init(files: [TestFileReport], time: Duration) {
        self.files = files
        self.time = Milliseconds(time)
        status = Self.status(of: files)
    }

    private enum CodingKeys: String, CodingKey {
        case version, status, files
        case time = "milliseconds"
    }

    /// The gravest outcome. A bad file goes before a test that could not be run, and that before a check that did not
    /// hold. If several could not be run for reasons with different statuses, it is 2.
    package static func status(of files: [TestFileReport]) -> ExitCode {
        let statuses = Set(files.map(\.status))
        if statuses.contains(.file) { return .file }
        let unable = statuses.subtracting([.success, .checkFailed])
        if let first = unable.first { return unable.count == 1 ? first : .failed }
        return statuses.contains(.checkFailed) ? .checkFailed : .success
    }
}
