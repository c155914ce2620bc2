import CLinux
import CNetlink

/// A namespace found under /run/netns.
public struct NamespaceEntry: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// The alias of its lo: Tapline's mark, where it is Tapline's.
    public let mark: String?
    /// The file is there, but no namespace is mounted on it.
    public let isStale: Bool

    /// An entry; see the properties.
    public init(name: String, mark: String?, isStale: Bool = false) {
        self.name = name
        self.mark = mark
        self.isStale = isStale
    }
}

/// Making, listing and deleting named namespaces.
extension NetworkNamespace {
    /// Makes a namespace, marks it, switches its lo on and writes the sysctls. Then it publishes the namespace as
    /// /run/netns/`name`, so no process finds it unmarked.
    ///
    /// - Parameters:
    ///   - mark: Written as the alias of the namespace's lo.
    ///   - defaults: Names with dots, below `net.`, and values; applied first, if the kernel has them and permits it.
    ///   - sysctls: The same; applied in order.
    /// - Throws: EEXIST where the name is taken, by a stale file too.
    public static func create(
        _ name: String, mark: String, defaults: [(name: String, value: String)] = [],
        sysctls: [(name: String, value: String)] = []
    ) throws(SystemError) -> NetworkNamespace {
        let path = try NamespaceDirectory.path(of: name)
        return try onThreadOfItsOwn { () throws(SystemError) in
            try SystemError.check(
                clinux_unshare(CLONE_NEWNET), "create the network namespace", name)
            let netlink = try NetlinkSocket()
            try netlink.applyLink(index: 1, LinkSettings(name: "lo", mark: mark))
            for sysctl in defaults {
                do throws(SystemError) { try Sysctl.writeHere(sysctl.name, sysctl.value) } catch { continue }
            }
            for sysctl in sysctls { try Sysctl.writeHere(sysctl.name, sysctl.value) }
            let file = try SystemError.checkErrno(
                clinux_open("/proc/thread-self/ns/net", O_RDONLY, 0), "open the network namespace", name)
            let namespace = try NetworkNamespace(name: name, owning: file, netlink: netlink)
            try NamespaceDirectory.publish(path, name)
            return namespace
        }
    }

    /// Takes the name away, whether a namespace is mounted on it or the file is stale. The namespace itself goes when
    /// no process, descriptor or socket holds it any more. It does not check the mark: look at `mark(of:)` first.
    ///
    /// - Throws: The kernel's refusal to unmount or to remove the name.
    public static func delete(_ name: String) throws(SystemError) {
        try NamespaceDirectory.withdraw(try NamespaceDirectory.path(of: name), name)
    }

    /// Unmounts the /run/netns that Tapline mounted, if another program than `delete` has removed the last name in it.
    ///
    /// - Throws: The kernel's refusal to unmount the directory.
    public static func tidyDirectory() throws(SystemError) {
        try NamespaceDirectory.tidy()
    }

    /// The mark (the alias of its lo) of the namespace called `name`; nil if it has none.
    ///
    /// - Throws: ENOENT if there is no such name; EINVAL if its file is stale.
    public static func mark(of name: String) throws(SystemError) -> String? {
        try open(name).mark
    }

    /// The mark of this namespace.
    public var mark: String? {
        get throws(SystemError) { try netlink.link(index: 1)?.alias }
    }

    /// Every name under /run/netns, with marks, in the order of the names.
    ///
    /// A namespace that goes while it is looked at is left out.
    ///
    /// - Throws: The kernel's refusal to read the directory or a namespace.
    public static func list() throws(SystemError) -> [NamespaceEntry] {
        var entries: [NamespaceEntry] = []
        for name in try NamespaceDirectory.names() {
            do throws(SystemError) {
                entries.append(NamespaceEntry(name: name, mark: try mark(of: name), isStale: false))
            } catch {
                switch error.errno {
                case ENOENT: continue
                case EINVAL: entries.append(NamespaceEntry(name: name, mark: nil, isStale: true))
                default: throw error
                }
            }
        }
        return entries
    }
}
