import Glibc

/// The exit statuses of `tapline`; scripts depend on them.
public enum ExitCode: Int32, Sendable, Codable {
    /// The request has been done, and every check held.
    case success = 0
    /// A check of the file did not hold.
    case checkFailed = 1
    /// It could not be done: something failed while running.
    case failed = 2
    /// The topology file is wrong.
    case file = 3
    /// The machine lacks something: root, /dev/net/tun, a program.
    case machine = 4
    /// The name is taken, or there is no topology of that name.
    case name = 5
    /// The command line is wrong.
    case usage = 64
}

/// An error as one sentence for a person, with a hint and the exit status that goes with it.
public struct ApplianceError: Error, Sendable, Codable, Equatable {
    /// The exit status of the command that ends with this error.
    public var status: ExitCode
    /// One sentence, without a full stop: what was attempted, on which node, at which line, and what came back.
    public var message: String
    /// The hint that says how to fix it, if known.
    public var hint: String?
    /// Lines that explain it: the last lines of a log, the errors of a file.
    public var details: [String]

    /// The keys of the control protocol and of `--json`.
    private enum CodingKeys: String, CodingKey {
        case status, message, details
        case hint = "mend"
    }
    /// Memberwise.
    public init(_ status: ExitCode, _ message: String, hint: String? = nil, details: [String] = []) {
        self.status = status
        self.message = message
        self.hint = hint
        self.details = details
        guard status == .failed, hint == nil, let limit = Self.fileLimit(in: message) else { return }
        self.status = .machine
        self.hint = limit
    }

    /// The hint for the error that no more files can be opened. Any system call of any room may fail so. All of them
    /// use the C library's words.
    private static func fileLimit(in message: String) -> String? {
        if message.hasSuffix(errorText(EMFILE)) {
            return "raise the limit of open files: ulimit -Hn 65536 as root, or LimitNOFILE= in the unit"
        }
        return message.hasSuffix(errorText(ENFILE))
            ? "raise the machine's limit of open files: sysctl fs.file-max" : nil
    }

    /// The error of `up` and `run` if a signal or `tapline down` stops them halfway.
    public static let cancelled = ApplianceError(.failed, "interrupted; everything made so far was taken away")
}

extension ApplianceError: CustomStringConvertible {
    /// The sentence and its hint.
    public var description: String {
        if let hint { "\(message); \(hint)" } else { message }
    }
}

extension ApplianceError {
    /// The sentence for a system call that failed.
    package static func system(_ attempted: String, errno code: Int32, hint: String? = nil) -> ApplianceError {
        ApplianceError(.failed, "\(attempted): \(errorText(code))", hint: hint)
    }

    /// The sentence for a file or folder of Tapline's own that cannot be written.
    package static func storage(_ attempted: String, errno code: Int32) -> ApplianceError {
        switch code {
        case ENOSPC, EDQUOT: .system(attempted, errno: code, hint: "make room on the file system of /run")
        case EROFS: .system(attempted, errno: code, hint: "/run must be writable: mount a tmpfs on it")
        default: .system(attempted, errno: code)
        }
    }

    /// `error` as it is where it is one of ours, else its text behind what was attempted.
    package static func wrapping(_ error: any Error, _ attempted: String, hint: String? = nil) -> ApplianceError {
        if let known = error as? ApplianceError { return known }
        return ApplianceError(.failed, "\(attempted): \(error)", hint: hint)
    }
}
