import CLinux
import CNetlink

/// An open network namespace, and a netlink socket in it.
///
/// While this object lives, the namespace lives, deleted or not; so do the devices in it.
public final class NetworkNamespace: Sendable {
    /// Its name under /run/netns, or what it was opened by.
    public let name: String
    /// A descriptor of the namespace, for setns and IFLA_NET_NS_FD.
    public let descriptor: Int32
    /// The number of the namespace (the inode of its nsfs file): equal for equal namespaces.
    public let identity: UInt64
    private let socket: LazySocket

    init(name: String, owning descriptor: Int32, netlink: NetlinkSocket? = nil) throws(SystemError) {
        let owned = OwnedDescriptor(owning: descriptor)
        var status = stat()
        try SystemError.checkErrno(fstat(owned.number, &status), "inspect the network namespace", name)
        self.name = name
        self.identity = UInt64(status.st_ino)
        self.socket = LazySocket(netlink)
        self.descriptor = owned.release()
    }

    deinit {
        close(descriptor)
    }

    /// The namespace's netlink socket, opened at its first use.
    public var netlink: NetlinkSocket {
        get throws(SystemError) {
            try socket.get { () throws(SystemError) in try perform { () throws(SystemError) in try NetlinkSocket() } }
        }
    }

    /// Runs `body` inside the namespace, on a thread of its own that ends with it.
    ///
    /// Sockets and TAPs opened there stay bound to the namespace and work from any thread.
    ///
    /// - Throws: The kernel's refusal of a thread or of the namespace (EPERM); the errors of `body`.
    public func perform<Value: ~Copyable>(
        _ body: () throws(SystemError) -> Value
    ) throws(SystemError) -> Value {
        try onThreadOfItsOwn { () throws(SystemError) in
            try SystemError.check(
                clinux_setns(descriptor, CLONE_NEWNET), "enter the network namespace", name)
            return try body()
        }
    }

    /// A socket that hears what the kernel tells of this namespace.
    ///
    /// - Parameter operation: The attempt, as the words after "cannot".
    func listen(
        _ groups: [rtnetlink_groups], _ operation: String
    ) throws(SystemError) -> NetlinkListener {
        try perform { () throws(SystemError) in
            do throws(NetlinkFailure) {
                return try NetlinkListener(groups)
            } catch {
                throw SystemError(operation, name, errno: error.errno)
            }
        }
    }

    /// A socket on which the kernel tells each change of the namespace's rules of nftables; the caller closes it.
    ///
    /// - Throws: The kernel's refusal, if it has no nftables.
    public func listenForRules() throws(SystemError) -> Int32 {
        try perform { () throws(SystemError) in
            try SystemError.check(clinux_listen_for_rules(), "hear of changed rules", name)
        }
    }

    /// The namespace called `name` under /run/netns.
    ///
    /// - Throws: ENOENT where there is none, EINVAL where the file is stale: no namespace is mounted on it.
    public static func open(_ name: String) throws(SystemError) -> NetworkNamespace {
        let path = try NamespaceDirectory.path(of: name)
        let file = OwnedDescriptor(
            owning: try SystemError.checkErrno(
                clinux_open(path, O_RDONLY, 0), "open the network namespace", name))
        guard NamespaceDirectory.isNamespace(file.number) else {
            throw SystemError("open the network namespace", "\(name): its file is stale", errno: EINVAL)
        }
        return try NetworkNamespace(name: name, owning: file.release())
    }

    /// The network namespace that a file anywhere is.
    ///
    /// - Throws: ENOENT where there is no file; EINVAL where it is no network namespace: a plain file, as `ip netns` leaves
    ///   them, or a namespace of another kind.
    public static func open(path: String) throws(SystemError) -> NetworkNamespace {
        // Opening a pipe waits for nobody.
        let file = OwnedDescriptor(
            owning: try SystemError.checkErrno(
                clinux_open(path, O_RDONLY | O_NONBLOCK, 0), "open the network namespace", path))
        guard NamespaceDirectory.isNamespace(file.number), clinux_namespace_type(file.number) == CLONE_NEWNET else {
            throw SystemError("open the network namespace", path, errno: EINVAL)
        }
        return try NetworkNamespace(name: path, owning: file.release())
    }

    /// A namespace that nobody else knows, with nothing in it. It goes with this object.
    ///
    /// - Throws: The kernel's refusal to make one.
    public static func empty() throws(SystemError) -> NetworkNamespace {
        try onThreadOfItsOwn { () throws(SystemError) in
            try SystemError.check(clinux_unshare(CLONE_NEWNET), "create a network namespace", "of nobody's")
            let file = try SystemError.checkErrno(
                clinux_open("/proc/thread-self/ns/net", O_RDONLY, 0), "open the network namespace", "of nobody's")
            return try NetworkNamespace(name: "of nobody's", owning: file)
        }
    }

    /// The network namespace of a process.
    ///
    /// - Throws: ENOENT if there is no such process; EACCES if this process may not look at it.
    public static func open(pid: Int32) throws(SystemError) -> NetworkNamespace {
        let name = "of process \(pid)"
        let file = try SystemError.checkErrno(
            clinux_open("/proc/\(pid)/ns/net", O_RDONLY, 0), "open the network namespace", name)
        return try NetworkNamespace(name: name, owning: file)
    }

    /// The network namespace of the calling thread.
    ///
    /// - Throws: The kernel's refusal, if /proc is not mounted or no more files can be opened.
    public static func current() throws(SystemError) -> NetworkNamespace {
        let file = try SystemError.checkErrno(
            clinux_open("/proc/thread-self/ns/net", O_RDONLY, 0), "open the network namespace", "of this thread")
        return try NetworkNamespace(name: "of this thread", owning: file)
    }
}

/// A socket that is opened at its first use.
private final class LazySocket: @unchecked Sendable {
    private var socket: NetlinkSocket?
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init(_ socket: NetlinkSocket?) {
        self.socket = socket
        pthread_mutex_init(lock, nil)
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    func get(_ open: () throws(SystemError) -> NetlinkSocket) throws(SystemError) -> NetlinkSocket {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        if let socket { return socket }
        let opened = try open()
        socket = opened
        return opened
    }
}
