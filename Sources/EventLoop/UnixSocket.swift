import Glibc

/// The address of a Unix socket.
package func withSocketAddress<Result>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
}

/// MSG_NOSIGNAL.
package let noSignal: Int32 = 0x4000

package func newSocket() -> Int32 {
    socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
}

/// The process at the other end of a Unix socket (SO_PEERCRED): the one that connected, or the one that listens. This
/// process's user namespace maps the numbers.
package struct SocketPeer: Sendable, Hashable {
    package var pid: Int32
    package var uid: UInt32

    /// nil if the kernel does not tell.
    package init?(_ descriptor: Int32) {
        // struct ucred: pid, uid, gid.
        var credentials: [UInt32] = [0, 0, 0]
        var size = socklen_t(12)
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0, size == 12 else { return nil }
        pid = Int32(bitPattern: credentials[0])
        uid = credentials[1]
    }

    /// True for root and for this process's own user. A topology without root is one of a user namespace in which its
    /// user is root.
    package var isTrusted: Bool { uid == 0 || uid == geteuid() }

    /// True if the process lives in a PID namespace below this process's own, like all processes in nodes. Such a
    /// process gets no answer, even if it has found a way to the socket.
    package var livesBelow: Bool {
        // From outside of this process's PID namespace no process has a number in it.
        guard pid > 0 else { return false }
        return Self.namespace(of: pid) != Self.namespace(of: getpid())
    }

    private static func namespace(of pid: Int32) -> [UInt8]? {
        var target = [UInt8](repeating: 0, count: 64)
        let count = readlink("/proc/\(pid)/ns/pid", &target, target.count)
        return count > 0 ? Array(target.prefix(count)) : nil
    }
}
