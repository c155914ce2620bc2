import Engine
import Glibc
import Topology

/// How an engine's workers write frames, and why not otherwise.
struct EngineWriting: Hashable, Sendable {
    /// `ring` or `plain`; `plain` where one of the workers does.
    var way: EngineTuning.Writing
    /// The errno that io_uring was refused or failed with; 0 where it was not.
    var failure: Int32 = 0
    /// True where the engine wrote by io_uring before.
    var hasFailedLater = false

    /// The file's word for it.
    var name: String { (way == .ring ? EnginesPlan.Writing.ring : .plain).rawValue }

    /// Why frames are written one by one, as the end of a sentence; nil where that, or the other, was asked for.
    var why: String? {
        guard failure != 0 else { return nil }
        return "io_uring \(hasFailedLater ? "failed" : "was refused"): \(RingRefusal(errno: failure).told)"
    }
}

extension EngineTuning {
    /// How long a worker looks for more frames before it sleeps, where latency is to be low, in microseconds: about as
    /// long as it takes to wake a processor that sleeps.
    private static let spin: UInt32 = 50

    /// What the file says of how frames are moved.
    init(_ plan: EnginesPlan) {
        self.init()
        writing =
            switch plan.writing {
            case .automatic: .automatic
            case .ring: .ring
            case .plain: .plain
            }
        coalesces = plan.coalesces
        spinMicroseconds = plan.latency == .low ? Self.spin : 0
    }
}

/// Why the kernel does not let a program use io_uring, with the setting that says so where there is one.
struct RingRefusal {
    /// What io_uring_setup(2) failed with.
    var errno: Int32
    /// The sysctls kernel.io_uring_disabled and kernel.io_uring_group; nil where the kernel has none (before 6.6).
    var disabled: Int?
    /// See `disabled`.
    var group: Int?

    /// - Parameter proc: Where the sysctls are looked for.
    init(errno: Int32, proc: String = "/proc") {
        func number(_ name: String) -> Int? {
            guard let bytes = readFile("\(proc)/sys/kernel/\(name)", limit: 64) else { return nil }
            return Int(String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self))
        }
        self.errno = errno
        disabled = number("io_uring_disabled")
        group = number("io_uring_group")
    }

    /// The kernel's word, and the setting behind it.
    var told: String {
        let setting: String? =
            switch (errno, disabled) {
            case (EPERM, 2?): "kernel.io_uring_disabled is 2"
            case (EPERM, 1?): "kernel.io_uring_disabled is 1, and kernel.io_uring_group is \(group ?? -1)"
            case (EPERM, _), (EACCES, _): "a seccomp filter or a security module forbids it"
            case (ENOSYS, _): "the kernel has none, or a seccomp filter forbids it"
            case (EINVAL, _): "the kernel is older than 6.1"
            case (ENOMEM, _): "the limit of locked memory, ulimit -l, may be why"
            default: nil
            }
        return errorText(errno) + (setting.map { " (\($0))" } ?? "")
    }

    /// What would allow it; nil where nobody knows.
    var mend: String? {
        switch (errno, disabled) {
        case (EPERM, 1?), (EPERM, 2?): "sysctl -w kernel.io_uring_disabled=0"
        case (EPERM, _), (EACCES, _), (ENOSYS, _): "let the container's seccomp profile allow io_uring_setup and io_uring_enter"
        case (EINVAL, _): "run a kernel of at least 6.1"
        default: nil
        }
    }
}

extension EngineFleet {
    /// How a process writes: the worker that does worse decides.
    func writing(of process: EngineProcess) -> EngineWriting? {
        let workers = blocks(of: process).compactMap { reader.writing(block: $0) }
        guard let worst = workers.first(where: { $0.failure != 0 }) ?? workers.first else { return nil }
        return EngineWriting(
            way: worst.way, failure: worst.failure,
            hasFailedLater: worst.failure != 0
                && (process.writing?.hasFailedLater == true || process.writing?.way == .ring))
    }

    /// Tells where an engine does no longer write as it did, or not as it might.
    func lookAtWriting(of process: EngineProcess) {
        let now = writing(of: process)
        guard now != process.writing else { return }
        process.writing = now
        guard let why = now?.why else { return }
        logger.warning("engine process \(process.pid) writes frames one by one: \(why)")
        guard let seat = seats.firstIndex(where: { $0.process === process }) else { return }
        events(ApplianceEvent(.engineWritesPlainly, engine: seat + 1, reason: why))
    }
}
