import CLinux
import EventLoop
import Glibc
import Reporting

/// The processes in an ordinary user's namespaces, through which later commands enter. Each has one file, named after
/// its number, with its start time in it.
///
/// The files are in the folder `tapline` of the user's runtime directory (XDG_RUNTIME_DIR or /run/user/UID). Without
/// that directory they are in /tmp/tapline-UID, which no other user can read. The folder is removed with the last file.
final class NamespaceMembers {
    private static let variable = "TAPLINE_MEMBERS"

    private let path: String
    private var descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { unlock() }

    // MARK: - The folder

    /// The user's folder, locked; nil if there is none and none is made.
    static func open(creating: Bool) throws(ApplianceError) -> NamespaceMembers? {
        try open(folder, creating: creating)
    }

    /// The folder of the process that started this one inside, locked; nil if there is none.
    static func inherited() throws(ApplianceError) -> NamespaceMembers? {
        guard let inherited = getenv(variable) else { return nil }
        return try open(String(cString: inherited), creating: false)
    }

    private static func open(_ path: String, creating: Bool) throws(ApplianceError) -> NamespaceMembers? {
        while true {
            if creating, mkdir(path, 0o700) != 0, errno != EEXIST {
                throw .storage("cannot make \(path)", errno: errno)
            }
            let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else {
                if errno == ENOENT {
                    if creating { continue }
                    return nil
                }
                throw .system("cannot open \(path)", errno: errno, hint: "remove it, or set XDG_RUNTIME_DIR")
            }
            let members = NamespaceMembers(path: path, descriptor: descriptor)
            var mine = stat()
            guard fstat(descriptor, &mine) == 0, mine.st_uid == geteuid(), mine.st_mode & 0o077 == 0 else {
                throw ApplianceError(
                    .machine, "\(path) belongs to another user, or others may write to it",
                    hint: "remove it, or set XDG_RUNTIME_DIR to a folder of your own")
            }
            while flock(descriptor, LOCK_EX) != 0 {
                guard errno == EINTR else { throw .system("cannot lock \(path)", errno: errno) }
            }
            // The locked folder must still be the one that others open.
            var there = stat()
            if lstat(path, &there) == 0, there.st_ino == mine.st_ino { return members }
        }
    }

    private static var folder: String {
        let user = geteuid()
        var candidates = ["/run/user/\(user)"]
        if let given = getenv("XDG_RUNTIME_DIR") { candidates.insert(String(cString: given), at: 0) }
        for candidate in candidates where candidate.hasPrefix("/") {
            var info = stat()
            guard stat(candidate, &info) == 0, info.st_mode & S_IFMT == S_IFDIR, info.st_uid == user else { continue }
            return "\(candidate)/tapline"
        }
        return "/tmp/tapline-\(user)"
    }

    /// Lets others at the folder.
    func unlock() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    // MARK: - The members

    /// Those that live; the files of others are taken away.
    var living: [RecordedProcess] {
        namesInFolder(path).compactMap { name in
            guard let pid = Int32(name) else { return nil }
            let text = readFile("\(path)/\(name)", limit: 64).map { String(decoding: $0, as: UTF8.self) }
            let now = RecordedProcess(pid: pid, what: "tapline")
            if let now, text == "\(now.started)" { return now }
            unlink("\(path)/\(name)")
            return nil
        }
    }

    /// Adds this process and its children, until it ends.
    func enter() throws(ApplianceError) {
        guard let mine = RecordedProcess(pid: getpid(), what: "tapline") else {
            throw ApplianceError(.failed, "cannot find this process in /proc", hint: "mount /proc")
        }
        let file = "\(path)/\(mine.pid)"
        let descriptor = Glibc.open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .storage("cannot write \(file)", errno: errno) }
        defer { close(descriptor) }
        guard writeAll(descriptor, Array("\(mine.started)".utf8)) else {
            throw .storage("cannot write \(file)", errno: errno)
        }
        guard getenv(Self.variable).map({ String(cString: $0) }) != path || !Self.leavesAtExit else { return }
        setenv(Self.variable, path, 1)
        Self.leavesAtExit = true
        atexit { NamespaceMembers.leave() }
    }

    /// Set once, in a process of one thread.
    nonisolated(unsafe) private static var leavesAtExit = false

    private static func leave() {
        guard let members = try? inherited() else { return }
        unlink("\(members.path)/\(getpid())")
        members.removeIfEmpty()
    }

    /// Removes the folder if no process lives in the namespaces any more.
    func removeIfEmpty() {
        if living.isEmpty { rmdir(path) }
    }
}
