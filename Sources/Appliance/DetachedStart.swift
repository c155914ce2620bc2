import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting

/// `up -d`: starts this program again as the control process, in a session of its own. This process shows its progress,
/// and waits until the topology is up, or until all of it has been taken away again.
///
/// A pair of sockets connects the two. The control process stays only after this process has confirmed that the
/// topology is up. If this process ends before that, in any way, everything is taken away.
public struct DetachedStart {
    /// The descriptor on which the control process writes its progress.
    public static let progressDescriptor: Int32 = 3

    /// Starts a control process with these arguments and follows it until it is ready.
    ///
    /// - Throws: `ApplianceError`: the error that it ended with.
    public static func follow(_ arguments: [String], progress: @escaping ProgressSink) throws(ApplianceError) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw .system("cannot make a pair of sockets", errno: errno)
        }
        defer { close(ends[0]) }
        // Signals to this process are the wish that the other one end; it then takes everything away.
        let watched = SignalDescriptor.block([SIGINT, SIGTERM, SIGHUP])
        let child: Pidfd
        do {
            defer { close(ends[1]) }
            child = try spawn(arguments, descriptors: [progressDescriptor: ends[1]])
        }
        try startThread {
            var (set, number) = (watched, Int32(0))
            while sigwait(&set, &number) == 0 { try? child.signal(SIGTERM) }
        }
        var input: [UInt8] = []
        var failure: ApplianceError?
        while let bytes = readOnce(ends[0]), !bytes.isEmpty {
            input += bytes
            while let end = input.firstIndex(of: 10) {
                let message = try JSONLine.decode(Progress.self, input[..<end])
                input.removeSubrange(...end)
                if case .failed(let error) = message {
                    failure = error
                    continue
                }
                progress(message)
                // The confirmation follows what was said: a process that ends before it has said that all is up leaves
                // nothing. If it cannot be written, the control process has ended meanwhile, and is not up.
                if case .ready = message, writeAll(ends[0], [1]) { return }
            }
        }
        if let failure { throw failure }
        let end = (try? child.wait())?.summary ?? "has ended"
        throw ApplianceError(
            .failed, "the control process \(end) before all was up", hint: "'tapline down NAME' takes away what it left"
        )
    }

    /// This program once more, with this process's variables, in a session of its own.
    ///
    /// - Parameter diesWithParent: SIGKILL when this process ends, however it ends.
    static func spawn(
        _ arguments: [String], descriptors: [Int32: Int32], diesWithParent: Bool = false
    ) throws(ApplianceError) -> Pidfd {
        let path = try Machine.ownPath()
        var variables: [String] = []
        var next = Glibc.environ
        while let text = next.pointee {
            variables.append(String(cString: text))
            next += 1
        }
        do throws(SystemError) {
            return try ProcessLauncher.spawn(
                Command(
                    path, arguments: ["tapline"] + arguments, environment: variables, descriptors: descriptors,
                    diesWithParent: diesWithParent))
        } catch {
            throw ApplianceError(.failed, "\(error)")
        }
    }

    /// The control process's end: writes the progress to the descriptor, until all is up or has failed. If `proving`,
    /// it goes on until the topology has failed or stays up after its checks. `ControlProcess.handOver` closes the
    /// descriptor of a topology that is up.
    public static func teller(proving: Bool = false) -> ProgressSink {
        let open = Box(true)
        _ = fcntl(progressDescriptor, F_SETFD, FD_CLOEXEC)
        return { report in
            guard open.value, let bytes = try? JSONLine.encode(report) else { return }
            writeAll(progressDescriptor, bytes)
            switch report {
            case .ready where proving: break
            case .ready: open.value = false
            case .failed, .kept:
                open.value = false
                close(progressDescriptor)
            case .step, .note, .check: break
            }
        }
    }
}
