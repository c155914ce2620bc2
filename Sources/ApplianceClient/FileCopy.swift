import CLinux
import EventLoop
import Glibc
import Reporting

/// A copy of a file or a folder. Contents and modes are kept; owners are those of new files, so set-user-ID is not kept.
///
/// A file that is there is written in place: a program that has it open sees the new contents. Links inside of a folder are
/// copied as links, and no link below the named paths is followed, in either direction.
struct FileCopy {
    /// What was copied.
    struct Counts {
        var files = 0
        var octets = 0
        /// What is neither a file, a folder nor a link.
        var leftOut: [String] = []
    }

    /// A file's number on its file system.
    private struct Identity: Hashable {
        var device: dev_t
        var number: ino_t

        init(_ info: stat) { (device, number) = (info.st_dev, info.st_ino) }
    }

    /// The modes that a copy keeps.
    private static let keptMode: mode_t = 0o1777
    /// The most folders in each other: each holds descriptors.
    private static let mostDepth = 200

    private(set) var counts = Counts()
    /// The folder that everything goes into.
    private var target: Identity?

    // MARK: - Files

    /// Copies from one open descriptor to another.
    ///
    /// - Parameter names: Both ends, as messages name them.
    mutating func copyContents(
        _ source: Int32, _ destination: Int32, _ names: (source: String, destination: String)
    ) throws(ApplianceError) {
        while true {
            guard let bytes = readOnce(source, limit: 1 << 18) else {
                throw .system("cannot read \(names.source)", errno: errno)
            }
            if bytes.isEmpty { break }
            guard writeAll(destination, bytes) else { throw Self.unwritable(names.destination, errno) }
            counts.octets += bytes.count
        }
        counts.files += 1
    }

    /// Copies a file into one that is open for writing, and has not been cut yet.
    mutating func copyFile(
        _ source: Int32, _ destination: Int32, _ names: (source: String, destination: String), keepsMode: Bool = true
    ) throws(ApplianceError) {
        let (from, to) = (try Self.status(source, names.source), try Self.status(destination, names.destination))
        try Self.refuseSame(from, to, names)
        guard to.st_mode & S_IFMT == S_IFREG else {
            throw ApplianceError(
                .usage, "\(names.destination) is \(Self.kind(to)), and no file", hint: "name another path")
        }
        guard ftruncate(destination, 0) == 0 else { throw Self.unwritable(names.destination, errno) }
        try copyContents(source, destination, names)
        guard !keepsMode || fchmod(destination, from.st_mode & Self.keptMode) == 0 else {
            throw .system("cannot set the mode of \(names.destination)", errno: errno)
        }
    }

    /// A node may see the machine's own file: to cut it would lose it.
    static func refuseSame(
        _ source: stat, _ destination: stat, _ names: (source: String, destination: String)
    ) throws(ApplianceError) {
        guard source.st_mode & S_IFMT == S_IFREG, Identity(source) == Identity(destination) else { return }
        throw ApplianceError(
            .usage, "\(names.source) and \(names.destination) are the same file", hint: "nothing is to be copied")
    }

    // MARK: - Folders

    /// Copies what is in a folder into another one.
    mutating func copyFolder(
        _ source: Int32, _ destination: Int32, _ names: (source: String, destination: String), depth: Int = 0
    ) throws(ApplianceError) {
        guard depth < Self.mostDepth else {
            throw ApplianceError(
                .failed, "\(names.source) is deeper than \(Self.mostDepth) folders", hint: "pack it with tar first")
        }
        let into = Identity(try Self.status(destination, names.destination))
        if target == nil { target = into }
        guard Identity(try Self.status(source, names.source)) != target else {
            throw ApplianceError(
                .usage, "\(names.destination) is in the folder that is copied, or that folder itself",
                hint: "name a destination outside of it")
        }
        for name in try Self.names(in: source, names.source) {
            let shown = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            try copyEntry(
                name, source, destination, ("\(names.source)/\(shown)", "\(names.destination)/\(shown)"), depth)
        }
    }

    private mutating func copyEntry(
        _ name: [CChar], _ source: Int32, _ destination: Int32, _ names: (source: String, destination: String),
        _ depth: Int
    ) throws(ApplianceError) {
        var info = stat()
        guard fstatat(source, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else {
            // It has gone meanwhile.
            if errno == ENOENT { return }
            throw .system("cannot read \(names.source)", errno: errno)
        }
        switch info.st_mode & S_IFMT {
        case S_IFREG:
            let from = openat(source, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            guard from >= 0 else { throw .system("cannot read \(names.source)", errno: errno) }
            defer { close(from) }
            let to = try Self.replacing(name, destination, names.destination) {
                openat($0, $1, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o600)
            }
            defer { close(to) }
            try copyFile(from, to, names)
        case S_IFDIR:
            let from = openat(source, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard from >= 0 else { throw .system("cannot read \(names.source)", errno: errno) }
            defer { close(from) }
            let isNew = mkdirat(destination, name, 0o700) == 0
            guard isNew || errno == EEXIST else { throw Self.unwritable(names.destination, errno) }
            let to = openat(destination, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard to >= 0 else { throw Self.unwritable(names.destination, errno) }
            defer { close(to) }
            try copyFolder(from, to, names, depth: depth + 1)
            if isNew { fchmod(to, info.st_mode & Self.keptMode) }
        case S_IFLNK:
            var text = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            guard readlinkat(source, name, &text, Int(PATH_MAX)) >= 0 else {
                throw .system("cannot read \(names.source)", errno: errno)
            }
            _ = try Self.replacing(name, destination, names.destination) { symlinkat(text, $0, $1) }
            counts.files += 1
        default: counts.leftOut.append("\(names.source) (\(Self.kind(info)))")
        }
    }

    /// Makes an entry; a link that is there in its place is removed first, so that it leads nowhere.
    private static func replacing(
        _ name: [CChar], _ folder: Int32, _ shown: String, _ make: (Int32, [CChar]) -> Int32
    ) throws(ApplianceError) -> Int32 {
        var made = make(folder, name)
        if made < 0, errno == ELOOP || errno == EEXIST, unlinkat(folder, name, 0) == 0 { made = make(folder, name) }
        guard made >= 0 else { throw unwritable(shown, errno) }
        return made
    }

    /// The names in an open folder, each with its final zero, sorted. All are read before anything is made.
    private static func names(in folder: Int32, _ shown: String) throws(ApplianceError) -> [[CChar]] {
        let own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0, let stream = fdopendir(own) else {
            let code = errno
            if own >= 0 { close(own) }
            throw .system("cannot read \(shown)", errno: code)
        }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                bytes.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
            }
            let dot = CChar(bitPattern: UInt8(ascii: "."))
            if name != [dot, 0], name != [dot, dot, 0] { names.append(name) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    // MARK: - Words

    /// What a descriptor is of.
    static func status(_ descriptor: Int32, _ name: String) throws(ApplianceError) -> stat {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw .system("cannot read \(name)", errno: errno) }
        return info
    }

    /// What a file is, if it is none.
    static func kind(_ info: stat) -> String {
        switch info.st_mode & S_IFMT {
        case S_IFREG: "a file"
        case S_IFDIR: "a folder"
        case S_IFSOCK: "a socket"
        case S_IFIFO: "a named pipe"
        case S_IFLNK: "a link"
        default: "a device"
        }
    }

    static func unwritable(_ name: String, _ code: Int32) -> ApplianceError {
        let hint: String? =
            switch code {
            case EROFS: "the file system is read-only there: choose a folder that can be written, for example /tmp"
            case ENOSPC, EDQUOT: "make room there"
            case EACCES, EPERM: "choose a folder that this user can write"
            case ENXIO: "it is a named pipe or a socket: name another path"
            case ETXTBSY: "it is a program that runs: end it, or copy to another name"
            case EISDIR: "it is a folder: name a file"
            default: nil
            }
        return .system("cannot write \(name)", errno: code, hint: hint)
    }
}
