import CRefusal
import Glibc

/// A system call that fails.
struct Refusal {
    var call: Int32
    var error: Int32

    init(_ call: Int, _ error: Int32) {
        self.call = Int32(call)
        self.error = error
    }

    /// Runs `body` on a thread of its own for which the call fails, and for what it starts.
    func during<Value>(_ body: @escaping () throws -> Value) throws -> Value {
        var result: Result<Value, any Error>?
        let work = Work {
            guard refusal_begin(self.call, self.error) == 0 else { return }
            result = Result { try body() }
        }
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Work>.fromOpaque(context!).takeUnretainedValue().run()
                return nil
            }, Unmanaged.passUnretained(work).toOpaque())
        pthread_join(thread, nil)
        withExtendedLifetime(work) {}
        guard let result else { throw POSIXFailure(attempt: "refuse a system call") }
        return try result.get()
    }

    /// Starts a program for which the call fails.
    ///
    /// - Parameter descriptors: The numbers that descriptors have there.
    func spawn(_ program: String, _ descriptors: [Int32: Int32]) throws -> Int32 {
        try during {
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            for (target, source) in descriptors { posix_spawn_file_actions_adddup2(&actions, source, target) }
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), nil]
            defer { free(arguments[0]) }
            var pid: pid_t = 0
            guard posix_spawn(&pid, program, &actions, nil, &arguments, nil) == 0 else {
                throw POSIXFailure(attempt: "start \(program)")
            }
            return pid
        }
    }

    struct POSIXFailure: Error {
        var attempt: String
    }
}

private final class Work {
    let run: () -> Void

    init(_ run: @escaping () -> Void) { self.run = run }
}
