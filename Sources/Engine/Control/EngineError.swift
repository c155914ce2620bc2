import CLinux

/// An action that failed, in the engine or on its control side.
public struct EngineError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The action, for example "map the table".
    public let attempt: String
    /// The kernel's errno; 0 if the kernel did not refuse it.
    public let errno: Int32
    /// The reason, if the kernel did not refuse it.
    public let reason: String

    /// An action that the kernel refused.
    public init(_ attempt: String, errno: Int32) {
        self.attempt = attempt
        self.errno = errno
        reason = ""
    }

    /// An action that Tapline itself refused.
    public init(_ attempt: String, because reason: String) {
        self.attempt = attempt
        errno = 0
        self.reason = reason
    }

    /// The error as one sentence.
    public var description: String {
        "cannot \(attempt): " + (errno == 0 ? reason : Self.text(of: errno))
    }

    /// The kernel's text for an errno.
    static func text(of errno: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let text = clinux_strerror(errno, buffer.baseAddress!, 256) else { return "error \(errno)" }
            return String(cString: text)
        }
    }
}
