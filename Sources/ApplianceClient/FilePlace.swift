import CLinux
import Glibc
import LinuxNetwork
import Reporting

/// One end of `tapline cp`, as it is written: `web:/etc/x`, `./x`, or `-`.
public struct FilePlace: Hashable, Sendable {
    /// The node; nil: this machine.
    public let node: String?
    /// The path; nil for `-`: standard input or output.
    public let path: String?
    /// As it was written.
    public let word: String

    /// A colon before the first slash makes what is before it a node: `./a:b` is a file of this machine.
    ///
    /// - Throws: `ApplianceError` if the word has no path.
    public init(_ word: String) throws(ApplianceError) {
        self.word = word
        let head = word.prefix { $0 != "/" }
        if let colon = head.firstIndex(of: ":") {
            node = String(word[..<colon])
            path = String(word[word.index(after: colon)...])
        } else {
            node = nil
            path = word == "-" ? nil : word
        }
        guard node != "", path != "" else {
            throw ApplianceError(
                .usage, "'\(word)' is no place of a file",
                hint: "write NODE:PATH for a file in a node, PATH for one of this machine, or -")
        }
    }

    /// The last name of the path; nil if it has none, as `/`, `.` and `web:/etc/.`.
    var lastName: String? {
        guard let last = path?.split(separator: "/").last, last != ".", last != ".." else { return nil }
        return String(last)
    }

    /// The place below this one; the path is not nil.
    func appending(_ name: String) -> String { (path ?? "") + ((path ?? "").hasSuffix("/") ? "" : "/") + name }

    /// The path as one that begins at a folder: a relative path of a node begins in the folder of its commands.
    func absolute(_ folder: String) -> String {
        guard let path, !path.hasPrefix("/") else { return path ?? "" }
        return "\(folder)/\(path)"
    }
}

/// The files that one end of a copy sees: those of this process, or those of a node. No path and no link of a node leads
/// out of the node's root.
final class FileView {
    /// The node's root; nil: this process's own files.
    private let root: Int32?

    /// This process's own files.
    init() { root = nil }

    /// The files that a process sees.
    init(pid: Int32) throws(SystemError) {
        let descriptor = Glibc.open("/proc/\(pid)/root", O_PATH | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("see the files of the node", "", errno: errno) }
        root = descriptor
    }

    deinit { if let root { close(root) } }

    /// Opens a path; -errno on failure.
    func open(_ path: String, _ flags: Int32, _ mode: mode_t = 0) -> Int32 {
        if let root { return clinux_open_within(root, path, flags | O_CLOEXEC, mode) }
        let descriptor = Glibc.open(path, flags | O_CLOEXEC, mode)
        return descriptor < 0 ? -errno : descriptor
    }

    /// Makes a folder; -errno on failure.
    func makeFolder(_ path: String) -> Int32 {
        guard let root else { return mkdir(path, 0o700) == 0 ? 0 : -errno }
        let trimmed = path.split(separator: "/", omittingEmptySubsequences: true)
        guard let name = trimmed.last else { return -EEXIST }
        let parent = clinux_open_within(
            root, "/" + trimmed.dropLast().joined(separator: "/"), O_PATH | O_DIRECTORY | O_CLOEXEC, 0)
        guard parent >= 0 else { return parent }
        defer { close(parent) }
        return mkdirat(parent, String(name), 0o700) == 0 ? 0 : -errno
    }
}
