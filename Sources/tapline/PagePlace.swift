import CLinux
import EventLoop
import Fabric
import Glibc
import Reporting
import Wire

/// Where the live page listens.
enum PagePlace {
    /// An address with its port.
    case address(IPAddress, port: UInt16)
    /// A Unix socket.
    case socket(String)

    static let usual = "127.0.0.1:8470"

    /// - Throws: `ApplianceError` if `listen` is no address with a port.
    init(listen: String?, socket: String?) throws(ApplianceError) {
        if let socket {
            self = .socket(socket)
            return
        }
        let text = listen ?? Self.usual
        var parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let port = UInt16(parts.removeLast())
        var host = parts.joined(separator: ":")
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if parts.count > 1 {
            host = ""
        }
        if host == "localhost" { host = "127.0.0.1" }
        guard let port, let address = IPAddress(host) else {
            throw ApplianceError(
                .usage, "--listen: '\(HarmlessText.reading(text.utf8, most: 100))' is no address with a port",
                hint: "write 127.0.0.1:8470, or [::1]:8470")
        }
        self = .address(address, port: port)
    }

    var isLoopback: Bool {
        switch self {
        case .socket: true
        case .address(let address, _): "\(address)".hasPrefix("127.") || address == IPAddress("::1")
        }
    }

    /// True if it stands for all addresses of the machine.
    var isEveryAddress: Bool {
        guard case .address(let address, _) = self else { return false }
        return address == IPAddress("0.0.0.0") || address == IPAddress("::")
    }

    /// The names by which browsers reach it.
    var hosts: [String] {
        let usual = ["localhost", "127.0.0.1", "[::1]"]
        guard case .address(let address, _) = self else { return usual }
        let own = address.family == .ipv6 ? "[\(address)]" : "\(address)"
        return isLoopback ? usual + [own] : [own]
    }

    /// - Throws: `ApplianceError` if others than this machine reach it and it has no token.
    func require(token hasToken: Bool) throws(ApplianceError) {
        guard !isLoopback, !hasToken, case .address(let address, _) = self else { return }
        throw ApplianceError(
            .usage, "\(address) can be reached from other machines, so the page needs a secret",
            hint: "write one to a file that only you can read, and add --token-file FILE; or leave --listen out")
    }

    /// Listens.
    ///
    /// - Throws: `ApplianceError` if the kernel refuses, or another program listens there.
    func open() throws(ApplianceError) -> PageListener {
        switch self {
        case .socket(let path): return try PageListener(path: path)
        case .address(let address, let port): return try PageListener(address, port: port)
        }
    }
}

/// The listening socket of the live page.
struct PageListener {
    let descriptor: Int32
    /// For a person: a URL, or the path of a socket.
    let place: String
    private var path: String?

    init(_ address: IPAddress, port: UInt16) throws(ApplianceError) {
        var storage = sockaddr_storage()
        let isIPv6 = address.family == .ipv6
        let length = socklen_t(isIPv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
        let shown = isIPv6 ? "[\(address)]" : "\(address)"
        withUnsafeMutableBytes(of: &storage) { bytes in
            if isIPv6 {
                let place = bytes.bindMemory(to: sockaddr_in6.self)
                place[0].sin6_family = sa_family_t(AF_INET6)
                place[0].sin6_port = port.bigEndian
                inet_pton(AF_INET6, "\(address)", &place[0].sin6_addr)
            } else {
                let place = bytes.bindMemory(to: sockaddr_in.self)
                place[0].sin_family = sa_family_t(AF_INET)
                place[0].sin_port = port.bigEndian
                inet_pton(AF_INET, "\(address)", &place[0].sin_addr)
            }
        }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = Glibc.socket(isIPv6 ? AF_INET6 : AF_INET, kind, 0)
        guard descriptor >= 0 else { throw .system("cannot make a socket", errno: errno) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        let bound = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard bound == 0, Glibc.listen(descriptor, 64) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            guard code == EADDRINUSE else { throw .system("cannot listen at \(shown):\(port)", errno: code) }
            throw ApplianceError(
                .failed, "another program listens at \(shown):\(port)", hint: "choose another port: --listen \(shown):0"
            )
        }
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        // The port is at the same place in both families.
        let actual = withUnsafeBytes(of: &storage) { $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self).bigEndian }
        self.descriptor = descriptor
        place = "http://\(shown):\(actual)/"
    }

    /// A Unix socket, in the place of one that nobody listens at any more.
    init(path: String) throws(ApplianceError) {
        try Self.requireVisible(path)
        var info = stat()
        if lstat(path, &info) == 0 {
            guard info.st_mode & S_IFMT == S_IFSOCK else {
                throw ApplianceError(.failed, "\(path) exists and is no socket", hint: "choose another path")
            }
            let probe = newSocket()
            defer { Glibc.close(probe) }
            let connected = withSocketAddress(path) { connect(probe, $0, $1) }
            guard connected != 0, errno == ECONNREFUSED else {
                throw ApplianceError(
                    .failed, "another program listens at \(path)", hint: "choose another path, or end that program")
            }
            unlink(path)
        }
        let descriptor = newSocket()
        guard descriptor >= 0 else { throw .system("cannot make a socket", errno: errno) }
        let mask = umask(0o177)
        let bound = withSocketAddress(path) { bind(descriptor, $0, $1) }
        let code = errno
        umask(mask)
        guard bound == 0, Glibc.listen(descriptor, 64) == 0 else {
            Glibc.close(descriptor)
            guard bound != nil else { throw ApplianceError(.usage, "\(path) is too long for a socket") }
            throw .system("cannot listen at \(path)", errno: code)
        }
        // Who called sudo uses it.
        func number(_ variable: String) -> UInt32? { getenv(variable).flatMap { UInt32(String(cString: $0)) } }
        if let user = number("SUDO_UID"), let group = number("SUDO_GID") { _ = lchown(path, user, group) }
        self.descriptor = descriptor
        self.path = path
        place = path
    }

    /// Without root, /run itself is private: a socket there would be seen by nobody.
    private static func requireVisible(_ path: String) throws(ApplianceError) {
        var (folder, run) = (stat(), stat())
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        let parent = parts.isEmpty ? "." : parts.joined(separator: "/") + "/"
        guard UserNamespace.isEntered, stat(parent, &folder) == 0, stat("/run", &run) == 0,
            folder.st_dev == run.st_dev
        else { return }
        throw ApplianceError(
            .usage, "\(path) would be in a private /run, where no other program sees it",
            hint: "choose a path in $XDG_RUNTIME_DIR, or in your home")
    }

    /// Closes it, and takes a Unix socket's path away.
    func close() {
        Glibc.close(descriptor)
        if let path { unlink(path) }
    }
}

/// The secret of the live page.
enum PageToken {
    private static let least = 16
    private static let most = 4096

    /// The secret of a file: all of it but blanks and ends of lines around it.
    ///
    /// - Throws: `ApplianceError` if the file cannot be read, others can read it, or it has no secret.
    static func read(_ path: String) throws(ApplianceError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("cannot read \(path)", errno: errno) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw ApplianceError(.usage, "\(path) is no file")
        }
        guard info.st_mode & 0o077 == 0 else {
            throw ApplianceError(.usage, "others can read the secret in \(path)", hint: "chmod 600 \(path)")
        }
        let bytes = readOnce(descriptor, limit: most + 1) ?? []
        let text = String(decoding: bytes, as: UTF8.self)
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 1, bytes.count <= most, words[0].utf8.count >= least,
            words[0].utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw ApplianceError(
                .usage, "\(path) holds no secret: one word of \(least) to \(most) ASCII characters",
                hint: "openssl rand -hex 32 > \(path)")
        }
        return String(words[0])
    }
}
