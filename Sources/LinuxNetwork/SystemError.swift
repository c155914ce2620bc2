import CLinux

/// A refusal of the operating system: the attempt, its object, the error number, and the kernel's own message if there
/// is one. That message is netlink's extended acknowledgement (RFC 3549's NLMSG_ERROR with NLMSGERR_ATTR_MSG).
public struct SystemError: Error, Hashable, Sendable {
    /// The attempt, as the words after "cannot": "add the address".
    public let operation: String
    /// The object of the attempt: "192.0.2.1/24 on eth0".
    public let object: String
    /// The error number (positive), as errno holds it.
    public let errno: Int32
    /// The kernel's extended message, where there is one.
    public let kernelMessage: String?

    /// - Parameter errno: Positive, or negative as the shim's functions return it.
    public init(_ operation: String, _ object: String, errno: Int32, kernelMessage: String? = nil) {
        self.operation = operation
        self.object = object
        self.errno = Swift.abs(errno)
        self.kernelMessage = kernelMessage
    }

    /// The error number as a sentence's end: "File exists".
    public var reason: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            buffer.initialize(repeating: 0)
            guard let text = clinux_strerror(errno, buffer.baseAddress, buffer.count) else { return "error \(errno)" }
            return String(cString: text)
        }
    }
}

/// Errors of netlink requests are system errors that may carry the kernel's extended message.
public typealias NetlinkError = SystemError

extension SystemError: CustomStringConvertible {
    /// One sentence: "cannot add the route default on eth0: Network is unreachable (Nexthop has invalid gateway)".
    public var description: String {
        "cannot \(operation)\(object.isEmpty ? "" : " " + object): \(reason)"
            + (kernelMessage.map { " (kernel: \($0))" } ?? "")
    }
}

extension SystemError {
    /// The result of a call that returns a negative error number.
    @discardableResult
    static func check(
        _ result: Int32, _ operation: @autoclosure () -> String, _ object: @autoclosure () -> String
    ) throws(SystemError) -> Int32 {
        guard result >= 0 else { throw SystemError(operation(), object(), errno: result) }
        return result
    }

    /// The result of a call that returns -1 and sets errno.
    @discardableResult
    static func checkErrno(
        _ result: Int32, _ operation: @autoclosure () -> String, _ object: @autoclosure () -> String
    ) throws(SystemError) -> Int32 {
        guard result >= 0 else {
            let error = currentErrno()
            throw SystemError(operation(), object(), errno: error)
        }
        return result
    }
}

/// The calling thread's errno.
func currentErrno() -> Int32 { clinux_errno() }
