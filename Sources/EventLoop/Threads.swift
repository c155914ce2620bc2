import Glibc
import Reporting
import Synchronization
import Wire

/// A value that several threads hand to each other, whose order of use is kept by other means.
package final class Box<Value>: @unchecked Sendable {
    package var value: Value

    package init(_ value: Value) { self.value = value }
}

/// A flag that is raised once. Any number of threads may wait for it. Its clock never steps back: setting the machine's
/// clock neither ends a wait nor prolongs it.
package final class RaisedFlag: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var isRaised = false

    package init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // sem_timedwait(3) knows the wall clock alone.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    package func raise() {
        pthread_mutex_lock(mutex)
        isRaised = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    package func wait() {
        pthread_mutex_lock(mutex)
        while !isRaised { pthread_cond_wait(condition, mutex) }
        pthread_mutex_unlock(mutex)
    }

    /// Waits a time at most; true once raised.
    package func wait(atMost time: Duration) -> Bool {
        let end = (monotonicTime() + min(max(.zero, time), Self.longest)).nanoseconds
        var until = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !isRaised {
            if pthread_cond_timedwait(condition, mutex, &until) == ETIMEDOUT { return isRaised }
        }
        return true
    }

    /// The longest wait: some decades, so that the kernel takes its end.
    private static let longest = Duration.seconds(1_000_000_000)
}

/// Starts a detached thread.
///
/// - Throws: `ApplianceError` if the system has no room for one more thread.
package func startThread(_ body: @escaping @Sendable () -> Void) throws(ApplianceError) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let carried = Unmanaged.passRetained(Box(body))
    var thread = pthread_t()
    let failed = pthread_create(
        &thread, &attributes,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Box<@Sendable () -> Void>>.fromOpaque(argument).takeRetainedValue().value()
            return nil
        }, carried.toOpaque())
    guard failed == 0 else {
        carried.release()
        throw .system("cannot start a thread", errno: failed)
    }
}

/// Runs `body` for every index below `count` on at most `width` threads at once, and throws the first error.
package func inParallel(
    _ count: Int, width: Int, _ body: @escaping @Sendable (Int) throws(ApplianceError) -> Void
) throws(ApplianceError) {
    guard count > 1, width > 1 else {
        for index in 0..<count { try body(index) }
        return
    }
    let state = Mutex<(next: Int, error: ApplianceError?)>((0, nil))
    let threads = min(width, count)
    let flags = (0..<threads).map { _ in RaisedFlag() }
    for flag in flags {
        let work: @Sendable () -> Void = {
            defer { flag.raise() }
            while true {
                let index = state.withLock { state -> Int? in
                    guard state.error == nil, state.next < count else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }
                guard let index else { return }
                do throws(ApplianceError) {
                    try body(index)
                } catch {
                    state.withLock { if $0.error == nil { $0.error = error } }
                }
            }
        }
        do throws(ApplianceError) { try startThread(work) } catch { work() }
    }
    for flag in flags { flag.wait() }
    if let error = state.withLock({ $0.error }) { throw error }
}
