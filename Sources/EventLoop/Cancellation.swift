import Glibc
import Reporting
import Synchronization

/// Raised once: by a signal, by `tapline down`, or by the first failure; everything that waits looks at it, too.
public final class Cancellation: @unchecked Sendable {
    /// Readable as soon as it has been raised, and ever after.
    package let descriptor: Int32
    private let writeEnd: Int32
    private let state = Mutex<ApplianceError?>(nil)

    /// Not raised.
    ///
    /// - Throws: `ApplianceError` if no pipe can be made.
    package init() throws(ApplianceError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (descriptor, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(descriptor)
        close(writeEnd)
    }

    /// Raises it; the first reason stays.
    package func raise(_ reason: ApplianceError = .cancelled) {
        let first = state.withLock { state in
            guard state == nil else { return false }
            state = reason
            return true
        }
        if first { writeAll(writeEnd, [1]) }
    }

    /// Why it was raised; nil before.
    package var reason: ApplianceError? { state.withLock { $0 } }

    /// True once raised.
    package var isRaised: Bool { reason != nil }

    /// - Throws: The reason, once raised.
    package func check() throws(ApplianceError) {
        if let reason { throw reason }
    }

    /// Waits until it is raised.
    package func wait() {
        while !isRaised { _ = pollOne(descriptor, POLLIN, within: .seconds(60)) }
    }

    /// Waits a time, or less where it is raised meanwhile.
    package func sleep(_ time: Duration) {
        _ = pollOne(descriptor, POLLIN, within: time)
    }
}
