import CLinux
import Glibc

/// Tells the service manager that started this process how it is, as sd_notify(3) does: by datagrams to the socket that
/// NOTIFY_SOCKET names. Without the variable nothing is told.
public final class ServiceNotice: Sendable {
    private let socket: Int32

    /// Takes the socket from the environment, so that no child takes it for its own.
    ///
    /// The socket is connected at once: later this process may be in a mount namespace that does not have its path.
    public init() {
        socket = getenv("NOTIFY_SOCKET").map { Self.connected(String(cString: $0)) } ?? -1
        unsetenv("NOTIFY_SOCKET")
    }

    deinit { if socket >= 0 { close(socket) } }

    /// True if there is a service manager that listens.
    public var isHeard: Bool { socket >= 0 }

    /// All is up.
    public func ready(_ status: String) { send("READY=1\nSTATUS=\(Self.line(status))") }

    /// It goes on, with this status for people.
    public func status(_ text: String) { send("STATUS=\(Self.line(text))") }

    /// Everything is being taken away.
    public func stopping(_ status: String) { send("STOPPING=1\nSTATUS=\(Self.line(status))") }

    private static func line(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    private func send(_ text: String) {
        guard socket >= 0 else { return }
        let bytes = Array(text.utf8)
        // A manager that has gone, or does not read, holds nothing up.
        Glibc.send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }

    /// A datagram socket that is connected to a path, or to an abstract name that begins with `@`; -1 if it cannot be.
    private static func connected(_ name: String) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var octets = Array(name.utf8)
        let isAbstract = octets.first == UInt8(ascii: "@")
        guard isAbstract || octets.first == UInt8(ascii: "/"),
            octets.count < MemoryLayout.size(ofValue: address.sun_path)
        else { return -1 }
        if isAbstract { octets[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: octets) }
        // The length of an abstract name counts: zeros behind it would be a part of it.
        let length = MemoryLayout<sa_family_t>.size + octets.count + (isAbstract ? 0 : 1)
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return -1 }
        let failed = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(length)) != 0
            }
        }
        guard failed else { return descriptor }
        close(descriptor)
        return -1
    }
}
