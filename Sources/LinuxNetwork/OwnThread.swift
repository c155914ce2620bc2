import CLinux

/// Runs `body` on a new thread and returns what it returned, when that thread has ended.
///
/// All that `body` does to its thread ends with the thread, entering a namespace above all. A Task cannot do this: the
/// threads of the pool are shared.
func onThreadOfItsOwn<Value: ~Copyable>(
    _ body: () throws(SystemError) -> Value
) throws(SystemError) -> Value {
    let slot = UnsafeMutablePointer<Result<Value, SystemError>>.allocate(capacity: 1)
    defer { slot.deallocate() }
    let created = withoutActuallyEscaping(body) { body in
        var work = ThreadWork {
            do throws(SystemError) {
                slot.initialize(to: .success(try body()))
            } catch {
                slot.initialize(to: .failure(error))
            }
        }
        return withUnsafeMutablePointer(to: &work) { work in
            var thread = pthread_t()
            let created = pthread_create(&thread, nil, runThreadWork, work)
            if created == 0 { pthread_join(thread, nil) }
            return created
        }
    }
    guard created == 0 else { throw SystemError("start a thread", "", errno: created) }
    return try slot.move().get()
}

private struct ThreadWork {
    let run: () -> Void
    var isDone = false

    init(_ run: @escaping () -> Void) {
        self.run = run
    }
}

@inline(never)
private func runThreadWork(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    argument?.assumingMemoryBound(to: ThreadWork.self).pointee.run()
    return nil
}

/// A thread that lives as long as the process and runs closures one after another.
///
/// Children are cloned here: PR_SET_PDEATHSIG is sent when the *thread* that cloned them ends, and this one ends only
/// with the process.
final class PermanentThread: @unchecked Sendable {
    static let shared = PermanentThread()

    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var pending: [UnsafeMutablePointer<ThreadWork>] = []
    private var started = false

    private init() {
        pthread_mutex_init(lock, nil)
        pthread_cond_init(changed, nil)
    }

    /// Runs `body` on this thread and returns what it returned.
    func run<Value>(_ body: () throws(SystemError) -> Value) throws(SystemError) -> Value {
        try start()
        var result: Result<Value, SystemError>?
        withoutActuallyEscaping(body) { body in
            var work = ThreadWork {
                do throws(SystemError) {
                    result = .success(try body())
                } catch {
                    result = .failure(error)
                }
            }
            withUnsafeMutablePointer(to: &work) { work in
                pthread_mutex_lock(lock)
                pending.append(work)
                pthread_cond_broadcast(changed)
                while !work.pointee.isDone { pthread_cond_wait(changed, lock) }
                pthread_mutex_unlock(lock)
            }
        }
        guard let result else { throw SystemError("run on the permanent thread", "", errno: ECANCELED) }
        return try result.get()
    }

    private func start() throws(SystemError) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        guard !started else { return }
        var thread = pthread_t()
        let created = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<PermanentThread>.fromOpaque(argument).takeUnretainedValue().loop()
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        guard created == 0 else { throw SystemError("start a thread", "", errno: created) }
        pthread_detach(thread)
        started = true
    }

    private func loop() {
        while true {
            pthread_mutex_lock(lock)
            while pending.isEmpty { pthread_cond_wait(changed, lock) }
            let next = pending.removeFirst()
            pthread_mutex_unlock(lock)
            // In a function of its own, so that the closure is released before the caller goes on.
            _ = runThreadWork(next)
            pthread_mutex_lock(lock)
            next.pointee.isDone = true
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(lock)
        }
    }
}
