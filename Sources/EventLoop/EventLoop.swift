import Glibc
import Reporting
import Synchronization
import Wire

/// One thread that waits for descriptors and times, and runs their handlers.
///
/// The control process makes all its changes on this thread while a topology is up. It also starts every child from it.
/// A child asks the kernel to end it with the thread that started it. So that thread must live as long as the process.
public final class EventLoop: @unchecked Sendable {
    /// A closure that takes the events (POLLIN, POLLHUP …) of a descriptor.
    public typealias Handler = (Int32) -> Void

    private let submitted = Mutex<[@Sendable () -> Void]>([])
    private let wakeRead: Int32
    private let wakeWrite: Int32
    /// The loop's thread; 0 before it runs.
    private let thread = Atomic<pthread_t>(0)

    // Touched by the loop's own thread alone.
    private var handlers: [Int32: Watch] = [:]
    private var nextWatch: UInt64 = 1
    /// Told of each descriptor that was closed while it was watched, which is a mistake of ours. On the loop's thread.
    package var closedUnderWatch: (Int32) -> Void = { _ in }
    private var timers: [(id: Int, due: MonotonicTime, body: () -> Void)] = []
    private var nextTimer = 1

    private struct Watch {
        /// Tells this watch from others of the same descriptor number. A descriptor that was closed and opened anew in
        /// one turn is another one. Events of the old one do not count for it.
        var id: UInt64
        var events: Int32
        var handler: Handler
    }

    /// Makes the loop and starts its thread.
    ///
    /// - Throws: `ApplianceError` with the errno if epoll or a pipe cannot be made.
    public init() throws(ApplianceError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (wakeRead, wakeWrite) = (ends[0], ends[1])
        try startThread { [self] in
            thread.store(pthread_self(), ordering: .relaxed)
            run()
        }
    }

    /// Runs `body` on the loop's thread, soon.
    public func submit(_ body: @escaping @Sendable () -> Void) {
        ThreadOrder.give(self)
        submitted.withLock { $0.append(body) }
        var one: UInt8 = 1
        _ = Glibc.write(wakeWrite, &one, 1)
    }

    /// Runs `body` on the loop's thread and waits for what it returns. Called on the loop's thread it runs at once.
    ///
    /// The loop ends with the process alone, so every body runs.
    ///
    /// - Throws: The errors of `body` only.
    public func sync<Value, Failure: Error>(
        _ body: @escaping () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        if isCurrent { return try body() }
        let outcome = Box<Result<Value, Failure>?>(nil)
        let done = RaisedFlag()
        let carried = Box(body)
        submit {
            do throws(Failure) {
                outcome.value = .success(try carried.value())
            } catch {
                outcome.value = .failure(error)
            }
            done.raise()
        }
        done.wait()
        guard let result = outcome.value else { preconditionFailure("the flag is raised when the body has run") }
        return try result.get()
    }

    /// True on the loop's own thread.
    public var isCurrent: Bool { thread.load(ordering: .relaxed) == pthread_self() }

    /// Ends the program where the calling thread is not the loop's: what belongs to the loop is touched by no other.
    public func preconditionCurrent(file: StaticString = #fileID, line: UInt = #line) {
        precondition(isCurrent, "another thread calls what belongs to the control loop", file: file, line: line)
    }

    /// Calls `handler` whenever one of `events` is there. On the loop's thread only.
    public func watch(_ descriptor: Int32, _ events: Int32 = POLLIN, _ handler: @escaping Handler) {
        preconditionCurrent()
        // A watch that is only changed stays the same one.
        let id = handlers[descriptor]?.id ?? nextWatch
        if id == nextWatch { nextWatch &+= 1 }
        handlers[descriptor] = Watch(id: id, events: events, handler: handler)
    }

    /// Ends a watch; the descriptor stays open, and is closed, if at all, after this. On the loop's thread only.
    public func unwatch(_ descriptor: Int32) {
        preconditionCurrent()
        handlers[descriptor] = nil
    }

    /// Runs `body` once after a time, never earlier. On the loop's thread only.
    ///
    /// - Returns: What `cancel` takes.
    @discardableResult
    public func after(_ time: Duration, _ body: @escaping () -> Void) -> Int {
        preconditionCurrent()
        let id = nextTimer
        nextTimer += 1
        timers.append((id, monotonicTime() + time, body))
        return id
    }

    /// Takes a time back. On the loop's thread only.
    public func cancel(_ timer: Int) {
        preconditionCurrent()
        timers.removeAll { $0.id == timer }
    }

    private func run() -> Never {
        while true {
            var waiting = [pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0)]
            var watches: [UInt64] = [0]
            for (descriptor, entry) in handlers {
                waiting.append(pollfd(fd: descriptor, events: Int16(entry.events), revents: 0))
                watches.append(entry.id)
            }
            var wait: Int32 = -1
            if let due = timers.map(\.due).min() { wait = (due - monotonicTime()).waitMilliseconds }
            guard poll(&waiting, nfds_t(waiting.count), wait) >= 0 || errno == EINTR else { continue }
            if waiting[0].revents != 0 { _ = readOnce(wakeRead, limit: 4096) }
            let bodies = submitted.withLock { bodies in
                let taken = bodies
                bodies = []
                return taken
            }
            ThreadOrder.take(self)
            for body in bodies { body() }
            for (ready, id) in zip(waiting, watches).dropFirst() where ready.revents != 0 {
                guard let watch = handlers[ready.fd], watch.id == id else { continue }
                if Int32(ready.revents) & POLLNVAL != 0 {
                    // It would be told again and again.
                    handlers[ready.fd] = nil
                    closedUnderWatch(ready.fd)
                    continue
                }
                let events = Int32(ready.revents) & (watch.events | POLLHUP | POLLERR)
                if events != 0 { watch.handler(events) }
            }
            let now = monotonicTime()
            let due = timers.filter { $0.due <= now }
            timers.removeAll { $0.due <= now }
            for timer in due { timer.body() }
        }
    }
}
