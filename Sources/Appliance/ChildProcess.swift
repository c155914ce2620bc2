import CLinux
import Glibc

/// How a process ended.
enum ProcessEnd: Sendable, Hashable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    /// As a shell would tell it: 128 and the signal.
    var status: Int32 {
        switch self {
        case .exited(let status): status
        case .signalled(let number): 128 + number
        }
    }

    /// The end of a sentence.
    var description: String {
        switch self {
        case .exited(let status): "ended with status \(status)"
        case .signalled(let number): "was ended by signal \(number) (\(String(cString: strsignal(number))))"
        }
    }
}

/// What is to be started, and where.
struct SpawnRequest {
    var path: String
    var arguments: [String]
    var environment: [String: String]
    /// Where it starts; nil for the root.
    var directory: String?
    /// The pidfd of the node's init process; nil for the host.
    var node: Int32?
    /// Descriptors by the number they have in the child; what is not given of 0, 1 and 2 is /dev/null.
    var descriptors: [Int32: Int32]
    /// Keep the caller's session and terminal.
    var keepsSession = false

    /// A shell command in a node.
    static func shell(_ command: String, in entrance: NodeEntrance, node: Int32, output: Int32) -> SpawnRequest {
        SpawnRequest(
            path: "/bin/sh", arguments: ["sh", "-c", command], environment: entrance.environment,
            directory: entrance.directory, node: node, descriptors: [1: output, 2: output])
    }
}

/// A child and the descriptor that tells of its end. It is the leader of a session of its own, so that all it starts
/// and does not detach can be ended with it; and it ends with the thread that started it.
final class ChildProcess: @unchecked Sendable {
    /// In the host's numbers.
    let pid: Int32
    /// Readable once it has ended.
    let descriptor: Int32
    private var end: ProcessEnd?

    /// Starts it. On a thread that lives as long as the process.
    init(_ request: SpawnRequest) throws(ApplianceError) {
        var stage = CLINUX_STAGE_NONE
        let arguments = request.arguments.map { strdup($0) } + [nil]
        let environment = request.environment.sorted { $0.key < $1.key }.map { strdup("\($0)=\($1)") } + [nil]
        defer { for text in arguments + environment { free(text) } }
        let placed = request.descriptors.sorted { $0.key < $1.key }.map {
            clinux_placed_fd(source: $0.value, target: $0.key)
        }
        let pid = request.path.withCString { path in
            withOptionalCString(request.directory) { directory in
                placed.withUnsafeBufferPointer { placed in
                    arguments.withUnsafeBufferPointer { arguments in
                        environment.withUnsafeBufferPointer { environment in
                            var spawn = clinux_spawn()
                            spawn.path = path
                            spawn.arguments = arguments.baseAddress
                            spawn.environment = environment.baseAddress
                            spawn.working_directory = directory
                            spawn.node = request.node ?? -1
                            spawn.fds = placed.baseAddress
                            spawn.fd_count = placed.count
                            spawn.keep_session = request.keepsSession ? 1 : 0
                            spawn.parent_death_signal = SIGKILL
                            return clinux_spawn(&spawn, &stage)
                        }
                    }
                }
            }
        }
        guard pid > 0 else {
            throw ApplianceError(
                .failed, "cannot start \(request.path): \(stage.sentence)\(errorText(-pid))",
                mend: stage == CLINUX_STAGE_WORKING_DIRECTORY ? "the file's folder must exist" : nil)
        }
        self.pid = pid
        descriptor = clinux_pidfd_open(pid)
        guard descriptor >= 0 else {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw .system("cannot watch process \(pid)", errno: -descriptor)
        }
    }

    deinit {
        if end == nil {
            _ = clinux_pidfd_send_signal(descriptor, SIGKILL)
            _ = wait(milliseconds: 1000)
        }
        close(descriptor)
    }

    /// How it ended; nil while it runs. It is reaped with the first answer. On one thread at a time.
    func poll() -> ProcessEnd? {
        if let end { return end }
        var code: Int32 = 0
        var status: Int32 = 0
        guard clinux_pidfd_wait(descriptor, WNOHANG, &code, &status) != 0 else { return nil }
        end = code == CLD_EXITED.rawValue ? .exited(status) : .signalled(status)
        return end
    }

    /// Waits for its end, at most so long.
    func wait(milliseconds: Int) -> ProcessEnd? {
        if let end = poll() { return end }
        _ = pollOne(descriptor, POLLIN, milliseconds: milliseconds)
        return poll()
    }

    /// Sends a signal to it and all of its process group.
    func signal(_ number: Int32) {
        guard end == nil else { return }
        if kill(-pid, number) != 0 { _ = clinux_pidfd_send_signal(descriptor, number) }
    }
}

func withOptionalCString<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
    guard let text else { return body(nil) }
    return text.withCString { body($0) }
}

extension clinux_stage: @retroactive Equatable {
    /// What could not be done, as the middle of a sentence; empty where the errno says it all.
    var sentence: String {
        switch self {
        case CLINUX_STAGE_JOIN_NETWORK: "its network namespace cannot be entered: "
        case CLINUX_STAGE_PRIVATE_MOUNTS: "its mounts cannot be made private: "
        case CLINUX_STAGE_MOUNT_PROC: "/proc cannot be mounted: "
        case CLINUX_STAGE_MOUNT_SYS: "/sys cannot be mounted: "
        case CLINUX_STAGE_MOUNT_RUN: "/run cannot be mounted: "
        case CLINUX_STAGE_BIND_DIRECTORY: "its folder cannot be shown inside: "
        case CLINUX_STAGE_BIND_FILE: "hosts or resolv.conf cannot be shown inside: "
        case CLINUX_STAGE_JOIN_NODE: "the node cannot be entered: "
        case CLINUX_STAGE_WORKING_DIRECTORY: "its folder cannot be entered: "
        case CLINUX_STAGE_DIED: "it ended before it began: "
        default: ""
        }
    }
}
