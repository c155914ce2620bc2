import CLinux
import Synchronization
import Wire

/// How a process ended.
public enum ProcessExit: Hashable, Sendable, CustomStringConvertible {
    /// It exited with this status.
    case exited(Int32)
    /// This signal ended it.
    case signalled(Int32)

    /// 0, or what a shell shows: the status, or 128 and the signal.
    public var code: Int32 {
        switch self {
        case .exited(let status): status
        case .signalled(let signal): 128 + signal
        }
    }

    /// "exited with status 1", "was ended by signal 9".
    public var description: String {
        switch self {
        case .exited(let status): "exited with status \(status)"
        case .signalled(let signal): "was ended by signal \(signal)"
        }
    }
}

/// A process that no other can be mistaken for, however process numbers are reused.
public final class Pidfd: Sendable {
    /// The process's number, as this process's PID namespace counts.
    public let pid: Int32
    /// A descriptor that becomes readable (POLLIN) when the process ends; valid as long as this object lives.
    public let descriptor: Int32
    /// How it ended, after the first question to the kernel, which answers only once.
    private let end = Mutex<ProcessExit?>(nil)

    /// Opens a process that is there now.
    ///
    /// - Throws: ESRCH where it is not.
    public init(pid: Int32) throws(SystemError) {
        descriptor = try SystemError.check(clinux_pidfd_open(pid), "open the process", "\(pid)")
        self.pid = pid
    }

    deinit {
        close(descriptor)
    }

    /// A descriptor of the process's that is a route netlink socket of the namespace that `notes` are of; nil if it is
    /// something else, or cannot be looked at.
    public func routeSocket(_ descriptor: Int32, of notes: NetworkNotes) -> RouteSocket? {
        let held = clinux_take_route_socket(self.descriptor, descriptor, notes.descriptor)
        return held < 0 ? nil : RouteSocket(owning: held)
    }

    /// Sends a signal. A process that has ended ignores it, without an error.
    ///
    /// - Throws: EPERM if this process may not send it; EINVAL if there is no such signal.
    public func signal(_ number: Int32) throws(SystemError) {
        let result = clinux_pidfd_send_signal(descriptor, number)
        if result == -ESRCH { return }
        try SystemError.check(result, "send signal \(number) to the process", "\(pid)")
    }

    /// Sends a signal to the whole process group that the process leads. A process that was started in its own session
    /// leads one.
    ///
    /// - Throws: EPERM if this process may not send it; EINVAL if there is no such signal.
    public func signalGroup(_ number: Int32) throws(SystemError) {
        guard !hasEnded else { return }
        if kill(-pid, number) != 0 {
            let error = currentErrno()
            if error == ESRCH { return }
            throw SystemError("send signal \(number) to the process group", "\(pid)", errno: error)
        }
    }

    /// Whether the process has ended.
    public var hasEnded: Bool { waitForEnd(within: .zero) }

    /// Waits until the process has ended, at most for `time` (nil: for ever). True if it has ended.
    public func waitForEnd(within time: Duration?) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            let count = poll(&entry, 1, time?.waitMilliseconds ?? -1)
            if count < 0 && currentErrno() == EINTR { continue }
            return count > 0
        }
    }

    /// Waits for a child of this process and returns how it ended.
    ///
    /// - Throws: ECHILD where it is no child, or something else than this object has waited for it.
    public func wait() throws(SystemError) -> ProcessExit {
        while true {
            _ = waitForEnd(within: nil)
            if let end = try statusIfEnded() { return end }
        }
    }

    /// How a child of this process ended, or nil while it runs. Every caller of this object gets the same answer.
    ///
    /// - Throws: As `wait`.
    public func statusIfEnded() throws(SystemError) -> ProcessExit? {
        let outcome = end.withLock { end -> Result<ProcessExit?, SystemError> in
            do throws(SystemError) {
                if end == nil { end = try reap() }
                return .success(end)
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    /// Whether a signal has stopped a child of this process (SIGSTOP and the like). Looking changes nothing for threads
    /// that wait for its end.
    public var isStopped: Bool { clinux_pidfd_is_stopped(descriptor) == 1 }

    private func reap() throws(SystemError) -> ProcessExit? {
        var code: Int32 = 0, status: Int32 = 0
        let result = clinux_pidfd_wait(descriptor, Int32(WNOHANG), &code, &status)
        guard try SystemError.check(result, "wait for the process", "\(pid)") == 1 else { return nil }
        return code == Int32(CLD_EXITED) ? .exited(status) : .signalled(status)
    }
}

/// A route netlink socket of another process, held open. Meanwhile no other socket of its namespace has its port
/// number. So every change that the kernel names by that number came by this socket.
public final class RouteSocket: Sendable {
    private let descriptor: Int32

    init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit {
        close(descriptor)
    }

    /// Its port number; 0 as long as it has none.
    public var port: NetworkNotes.Port { clinux_netlink_port(descriptor) }
}
