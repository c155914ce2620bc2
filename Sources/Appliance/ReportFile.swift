import CLinux
import EventLoop
import Glibc
import Reporting

/// A file that is written whole or not at all: a reader never finds half a report.
///
/// An existing target that is no regular file (a pipe, `/dev/stdout`) is written in place.
public struct ReportFile: Sendable {
    private let path: String
    private let folder: String
    private let replaces: Bool

    /// - Throws: `ApplianceError` if the file cannot be written. So the error comes before long work, not after it.
    public init(path: String) throws(ApplianceError) {
        // If the path is a link, the target of the link is replaced.
        let target = PlanReader.absolute(path)
        self.path = target
        var info = stat()
        let exists = stat(target, &info) == 0
        replaces = !exists || info.st_mode & S_IFMT == S_IFREG
        folder = target.lastIndex(of: "/").map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
        if exists, info.st_mode & S_IFMT == S_IFDIR {
            throw ApplianceError(.usage, "\(path) is a folder, but a report is a file", hint: "name a file in it")
        }
        guard access(replaces ? folder : target, W_OK) == 0 else {
            throw ApplianceError(
                .usage, "\(path) cannot be written: \(errorText(errno))", hint: "create the folder, or choose another")
        }
    }

    /// Writes it all.
    ///
    /// - Throws: `ApplianceError` with the errno of the write.
    public func write(_ text: String) throws(ApplianceError) {
        guard replaces else {
            let descriptor = open(path, O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw .system("cannot write \(path)", errno: errno) }
            defer { close(descriptor) }
            guard writeAll(descriptor, Array(text.utf8)) else { throw .system("cannot write \(path)", errno: errno) }
            return
        }
        let fresh = "\(folder)/.tapline-\(getpid())-\(UInt32.random(in: .min ... .max)).part"
        let descriptor = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .system("cannot write \(path)", errno: errno) }
        let written = writeAll(descriptor, Array(text.utf8)) && fsync(descriptor) == 0
        let code = errno
        close(descriptor)
        guard written, rename(fresh, path) == 0 else {
            let reason = written ? errno : code
            unlink(fresh)
            throw .system("cannot write \(path)", errno: reason, hint: "is the disk full?")
        }
    }
}

/// A file that others write to as well: what is appended goes to its end in one piece.
public struct AppendedFile: Sendable {
    private let path: String

    /// - Throws: `ApplianceError` if the file cannot be written. So the error comes before long work, not after it.
    public init(path: String) throws(ApplianceError) {
        self.path = path
        close(try Self.opened(path))
    }

    /// Adds a text.
    ///
    /// - Throws: `ApplianceError` with the errno of the write.
    public func append(_ text: String) throws(ApplianceError) {
        let descriptor = try Self.opened(path)
        defer { close(descriptor) }
        guard writeAll(descriptor, Array(text.utf8)) else {
            throw .system("cannot write \(path)", errno: errno, hint: "is the disk full?")
        }
    }

    private static func opened(_ path: String) throws(ApplianceError) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ApplianceError(
                .usage, "\(path) cannot be written: \(errorText(errno))", hint: "create the folder, or choose another")
        }
        return descriptor
    }
}
