import CLinux
import EventLoop
import Glibc
import LinuxNetwork
import Reporting

/// Lets an ordinary user make topologies without root. All of the user's topologies live in one user namespace, in
/// which that user is root. It has a mount namespace with a private /run.
///
/// The first command that makes a topology makes the namespaces. Later commands enter them through a process that lives
/// there (`NamespaceMembers`). When the last process ends, the kernel removes the rest. Nothing else differs: inside,
/// every command works as for root.
public enum UserNamespace {
    /// The purpose of a command.
    public enum Purpose: Sendable {
        /// Make a topology: there must be a namespace for it.
        case making
        /// Look at topologies that are there, or take them away: where there is no namespace, there is none.
        case looking
    }

    /// Enters the user's namespace where this process needs one to be root. In a process of one thread, before anything
    /// else. A second call does nothing.
    ///
    /// - Throws: `ApplianceError` that says what the machine forbids, and how to allow it.
    public static func enter(_ purpose: Purpose) throws(ApplianceError) {
        guard geteuid() != 0 || isForeign else {
            if isEntered { try NamespaceMembers.inherited()?.enter() }
            return
        }
        guard let members = try NamespaceMembers.open(creating: purpose == .making) else { return }
        defer { members.unlock() }
        for member in members.living where enter(member) {
            try members.enter()
            return
        }
        guard purpose == .making else { return members.removeIfEmpty() }
        if let obstacle = obstacle() {
            members.removeIfEmpty()
            throw obstacle
        }
        try make()
        try members.enter()
    }

    /// True if this process is root in a user namespace, and not of the machine.
    public static var isEntered: Bool {
        guard let map = readFile("/proc/self/uid_map", limit: 4096) else { return false }
        return String(decoding: map, as: UTF8.self).split(whereSeparator: \.isWhitespace) != ["0", "0", "4294967295"]
    }

    /// True in a user namespace with more users than root: programs can change their user there.
    public static var hasOtherUsers: Bool {
        guard let map = readFile("/proc/self/uid_map", limit: 4096) else { return true }
        let lines = String(decoding: map, as: UTF8.self).split(separator: "\n")
        return lines.count > 1 || lines.first?.split(separator: " ").last != "1"
    }

    /// True if the user namespace that this user's topologies get has other users than root.
    package static var hasSubordinates: Bool {
        let user = geteuid()
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        let hasPrograms = ["newuidmap", "newgidmap"].allSatisfy { name in
            path.split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
        }
        return hasPrograms && subordinate("/etc/subuid", user).count > 0 && subordinate("/etc/subgid", user).count > 0
    }

    /// Root of a user namespace that Tapline did not make, where /run is the machine's.
    private static var isForeign: Bool { isEntered && access("/run", W_OK) != 0 }

    // MARK: - Entering

    private static func enter(_ member: RecordedProcess) -> Bool {
        guard let descriptor = try? Pidfd(pid: member.pid), member.isAlive else { return false }
        let folder = currentFolder()
        guard clinux_setns(descriptor.descriptor, CLONE_NEWUSER | CLONE_NEWNS) == 0 else { return false }
        if let folder { chdir(folder) }
        return true
    }

    private static func make() throws(ApplianceError) {
        var stage = CLINUX_USER_STAGE_NONE
        var (users, groups) = (subordinate("/etc/subuid", geteuid()), subordinate("/etc/subgid", geteuid()))
        let made = clinux_become_root(&users, &groups, &stage)
        guard made >= 0 else { throw UserNamespaceObstacle(stage: stage, errno: -made).error() }
        try makeRunPrivate()
    }

    /// Mounts an empty /run. The machine's folders appear in it, except Tapline's and the network namespaces'.
    private static func makeRunPrivate() throws(ApplianceError) {
        let folder = currentFolder()
        // Later mounts of the machine appear here too. Mounts made here do not appear there.
        guard mount("none", "/", nil, UInt(MS_REC | MS_SLAVE), nil) == 0 else {
            throw .system("cannot make the mounts private", errno: errno)
        }
        let machine = open("/run", O_PATH | O_DIRECTORY | O_CLOEXEC)
        guard machine >= 0 else { throw .system("cannot open /run", errno: errno) }
        defer { close(machine) }
        let names = namesInFolder("/run").filter { $0 != "netns" && $0 != "tapline" }
        guard mount("tapline", "/run", "tmpfs", UInt(MS_NOSUID | MS_NODEV), "mode=755") == 0 else {
            throw .system("cannot mount a private /run", errno: errno)
        }
        for name in names {
            let source = "/proc/self/fd/\(machine)/\(name)"
            var info = stat()
            guard lstat(source, &info) == 0 else { continue }
            switch info.st_mode & S_IFMT {
            case S_IFDIR:
                // A folder that the kernel does not let appear here stays empty.
                if mkdir("/run/\(name)", 0o755) == 0 { mount(source, "/run/\(name)", nil, UInt(MS_BIND | MS_REC), nil) }
            case S_IFLNK:
                var target = [CChar](repeating: 0, count: Int(PATH_MAX))
                if readlink(source, &target, target.count - 1) > 0 { symlink(target, "/run/\(name)") }
            default: break
            }
        }
        if let folder { chdir(folder) }
    }

    private static func currentFolder() -> String? {
        guard let path = getcwd(nil, 0) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }

    /// The first range of /etc/subuid or /etc/subgid (subuid(5): name or number, first, count) that is the user's.
    private static func subordinate(_ file: String, _ user: uid_t) -> clinux_id_range {
        var names = ["\(user)"]
        if let entry = getpwuid(user) { names.append(String(cString: entry.pointee.pw_name)) }
        for line in String(decoding: readFile(file) ?? [], as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: ":").map(String.init)
            guard fields.count == 3, names.contains(fields[0]), let first = UInt(fields[1]),
                let count = UInt(fields[2])
            else { continue }
            return clinux_id_range(first: first, count: count)
        }
        return clinux_id_range(first: 0, count: 0)
    }

    // MARK: - Obstacles

    /// The obstacle to topologies without root for this user, with its hint; nil if there is none.
    ///
    /// It is tried in a child that leaves nothing. For root itself, what root may and others may not is not seen.
    public static func obstacle() -> ApplianceError? {
        var stage = CLINUX_USER_STAGE_NONE
        let result = clinux_try_user_namespace(&stage)
        return result == 0 ? nil : UserNamespaceObstacle(stage: stage, errno: -result).error()
    }
}
