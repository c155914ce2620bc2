import CLinux
import Wire

/// Hears what a command and its processes are about to do to the network and to other processes. The acting process
/// waits until it may go on. So a look at the network during the wait shows it without the process's change.
///
/// A seccomp filter asks (seccomp_unotify(2)); it forbids nothing. Where the kernel has no such filter, or a container
/// forbids it, there is no witness.
public final class Witness: Sendable {
    /// An act that a process is about to do.
    public enum Act: Sendable {
        /// A socket is bound by which links, addresses, routes and rules may be changed, or looked at.
        case binds(descriptor: Int32)
        /// A setting of the network is opened for writing (/proc/sys/net).
        case opensSetting
        /// Something is sent by a descriptor, which may be such a socket.
        case sends(descriptor: Int32, [NetworkRequest])
        /// A device is changed by ioctl, or asked about.
        case callsDevice(NetworkRequest)
        /// A signal is sent to a process, a group (negative), or all processes (-1), as the sender's PID namespace
        /// counts.
        case signals(Int32)
    }

    /// The thread that is about to act.
    public struct Actor: Sendable {
        /// The thread, as this process's PID namespace counts.
        public let thread: Int32
        /// The number of the system call, as /proc/THREAD/syscall has it.
        public let call: Int32
    }

    private let listener: Int32

    init(listener: Int32) { self.listener = listener }

    deinit {
        close(listener)
    }

    /// Starts a program as `ProcessLauncher.spawn` does, and its witness; nil if there is none.
    ///
    /// - Throws: The kernel's refusal, as `ProcessLauncher.spawn` throws it.
    public static func spawn(
        _ command: Command, node: Pidfd? = nil
    ) throws(SystemError) -> (program: Pidfd, witness: Witness?) {
        var ends: [Int32] = [-1, -1]
        try SystemError.checkErrno(
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends),
            "make a pair of sockets", "")
        defer { for end in ends { close(end) } }
        var heard = command
        heard.witness = ends[1]
        let program = try ProcessLauncher.spawn(heard, node: node)
        let listener = clinux_witness_take(ends[0])
        return (program, listener >= 0 ? Witness(listener: listener) : nil)
    }

    /// Waits for the next act, and lets it go on when `body` has returned.
    ///
    /// - Parameters:
    ///   - others: Descriptors that end the waiting, too, when they are readable.
    ///   - time: The longest time; nil: for ever.
    ///   - body: Gets the act and the thread that does it.
    /// - Returns: False if nothing of the command lives any more.
    public func hear(
        or others: [Int32], within time: Duration?, _ body: (Act, Actor) -> Void
    ) -> Bool {
        var waiting = ([listener] + others).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&waiting, nfds_t(waiting.count), time?.waitMilliseconds ?? -1) > 0 else { return true }
        let events = Int32(waiting[0].revents)
        guard events & POLLIN != 0 else { return events & (POLLHUP | POLLERR | POLLNVAL) == 0 }
        var seen = clinux_witnessed()
        var octets = [UInt8](repeating: 0, count: Int(CLINUX_WITNESSED_MESSAGE))
        guard clinux_witness_receive(listener, &seen, &octets) == 0 else { return true }
        octets.removeLast(octets.count - Int(seen.length))
        let actor = Actor(thread: seen.pid, call: seen.call)
        switch seen.kind {
        case CLINUX_WITNESSED_NOTHING: break
        case CLINUX_WITNESSED_BIND: body(.binds(descriptor: seen.first), actor)
        case CLINUX_WITNESSED_SETTING: body(.opensSetting, actor)
        case CLINUX_WITNESSED_SEND:
            body(.sends(descriptor: seen.first, NetworkRequest.all(in: octets)), actor)
        case CLINUX_WITNESSED_DEVICE: body(.callsDevice(NetworkRequest(call: seen.second, octets)), actor)
        default: body(.signals(seen.first), actor)
        }
        _ = clinux_witness_go_on(listener, seen.id)
        return true
    }
}
