import CLinux

/// What the engine, or its control side, could not do.
public struct EngineError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What was attempted: "map the table".
    public let attempt: String
    /// The kernel's error; 0 where it was not the kernel's.
    public let errno: Int32
    /// Why, where it was not the kernel's.
    public let reason: String

    /// The kernel refused.
    public init(_ attempt: String, errno: Int32) {
        self.attempt = attempt
        self.errno = errno
        reason = ""
    }

    /// We refused.
    public init(_ attempt: String, because reason: String) {
        self.attempt = attempt
        errno = 0
        self.reason = reason
    }

    /// One sentence.
    public var description: String {
        "cannot \(attempt): " + (errno == 0 ? reason : Self.text(of: errno))
    }

    /// The kernel's words for an errno.
    static func text(of errno: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let text = clinux_strerror(errno, buffer.baseAddress!, 256) else { return "error \(errno)" }
            return String(cString: text)
        }
    }
}
