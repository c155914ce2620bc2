import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting

/// Files into nodes, and out of them.
extension ApplianceClient {
    /// What `copy` has copied.
    public struct CopyReport: Sendable {
        /// Files and links.
        public var files: Int
        /// Their octets.
        public var octets: Int
        /// The places in folders that are neither a file, a folder nor a link, each with what it is.
        public var leftOut: [String]
        /// Where it went.
        public var destination: String
    }

    /// Copies a file or a folder, as the nodes see their files.
    ///
    /// - Throws: `ApplianceError` if there is no such topology, node or file, or if it cannot be written.
    public func copy(_ source: FilePlace, to destination: FilePlace) throws(ApplianceError) -> CopyReport {
        guard source.node != nil || destination.node != nil else {
            throw ApplianceError(
                .usage, "neither '\(source.word)' nor '\(destination.word)' is in a node",
                hint: "write NODE:PATH for a file in a node, for example web:/etc/hosts")
        }
        try Machine.requireRoot()
        let ends = (source: try end(source), destination: try end(destination))
        var copy = FileCopy()
        var into = destination.word
        if source.path == nil {
            let file = try destinationFile(ends.destination, name: nil)
            defer { close(file.descriptor) }
            try copy.copyFile(0, file.descriptor, ("standard input", file.shown), keepsMode: false)
            into = file.shown
        } else {
            into = try copyNamed(ends, &copy)
        }
        return CopyReport(
            files: copy.counts.files, octets: copy.counts.octets, leftOut: copy.counts.leftOut, destination: into)
    }

    /// An end of a copy: what it sees, and its path there.
    private struct End {
        var place: FilePlace
        var view: FileView
        /// From the root of the view, or from this process's folder.
        var path: String
    }

    private func end(_ place: FilePlace) throws(ApplianceError) -> End {
        guard let node = place.node else { return End(place: place, view: FileView(), path: place.path ?? "") }
        let (entrance, _) = try entrance(to: node)
        do throws(SystemError) {
            let view = try FileView(pid: entrance.pid)
            // Had the node ended before, the number may be another process's.
            guard processStartTime(entrance.pid) == entrance.started else {
                throw SystemError("see the files of the node", node, errno: ESRCH)
            }
            return End(place: place, view: view, path: place.absolute(entrance.directory))
        } catch {
            throw ApplianceError(.failed, "node \(node): \(error)")
        }
    }

    /// Copies from a path. Returns where it went.
    private func copyNamed(
        _ ends: (source: End, destination: End), _ copy: inout FileCopy
    ) throws(ApplianceError) -> String {
        let (source, shown) = (ends.source, ends.source.place.word)
        // A pipe without a writer is opened, too, and refused then.
        let from = source.view.open(source.path, O_RDONLY | O_NONBLOCK)
        guard from >= 0 else { throw unreadable(source.place, -from) }
        defer { close(from) }
        let info = try FileCopy.status(from, shown)
        switch info.st_mode & S_IFMT {
        case S_IFDIR: return try copyFolder(from, info, ends, &copy)
        case S_IFREG: break
        default:
            throw ApplianceError(
                .usage, "\(shown) is \(FileCopy.kind(info)), and no file or folder", hint: "name a file or a folder")
        }
        guard ends.destination.place.path != nil else {
            try FileCopy.refuseSame(info, try FileCopy.status(1, "standard output"), (shown, "standard output"))
            try copy.copyContents(from, 1, (shown, "standard output"))
            return "standard output"
        }
        let file = try destinationFile(ends.destination, name: source.place.lastName)
        defer { close(file.descriptor) }
        try copy.copyFile(from, file.descriptor, (shown, file.shown))
        return file.shown
    }

    /// Opens the file to write to; it is made if it is not there.
    ///
    /// - Parameter name: Its name if the destination is a folder; nil: there is none.
    private func destinationFile(
        _ end: End, name: String?
    ) throws(ApplianceError) -> (descriptor: Int32, shown: String) {
        var (path, shown) = (end.path, end.place.word)
        if isFolder(end) {
            guard let name else {
                throw ApplianceError(.usage, "\(shown) is a folder", hint: "name the file that is to be written in it")
            }
            path += "/\(name)"
            shown = (end.place.node.map { "\($0):" } ?? "") + end.place.appending(name)
        } else if path.hasSuffix("/") {
            throw missingFolder(end.place, trimmed(end.place.path ?? ""))
        }
        let flags = O_WRONLY | O_CREAT | O_NONBLOCK
        let descriptor = end.view.open(path, flags, 0o644)
        guard descriptor >= 0 else {
            if descriptor == -ENOENT { throw missingFolder(end.place, parent(shown)) }
            throw FileCopy.unwritable(shown, -descriptor)
        }
        return (descriptor, shown)
    }

    private func copyFolder(
        _ from: Int32, _ info: stat, _ ends: (source: End, destination: End), _ copy: inout FileCopy
    ) throws(ApplianceError) -> String {
        let (source, end) = ends
        guard end.place.path != nil else {
            throw ApplianceError(
                .usage, "\(source.place.word) is a folder, and standard output takes one file",
                hint: "name a folder, or run tar in the node with 'tapline exec'")
        }
        var (path, shown) = (end.path, end.place.word)
        if isFolder(end), let name = source.place.lastName {
            path += "/\(name)"
            shown = (end.place.node.map { "\($0):" } ?? "") + end.place.appending(name)
        }
        let made = end.view.makeFolder(path)
        guard made == 0 || made == -EEXIST else {
            if made == -ENOENT { throw missingFolder(end.place, parent(shown)) }
            throw FileCopy.unwritable(shown, -made)
        }
        let into = end.view.open(path, O_RDONLY | O_DIRECTORY)
        guard into >= 0 else {
            guard into == -ENOTDIR else { throw FileCopy.unwritable(shown, -into) }
            throw ApplianceError(
                .usage, "\(source.place.word) is a folder, but \(shown) is a file", hint: "name a folder")
        }
        defer { close(into) }
        try copy.copyFolder(from, into, (trimmed(source.place.word), trimmed(shown)))
        if made == 0 { fchmod(into, info.st_mode & 0o1777) }
        return shown
    }

    private func isFolder(_ end: End) -> Bool {
        let descriptor = end.view.open(end.path, O_PATH | O_DIRECTORY)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }

    private func trimmed(_ path: String) -> String { path.hasSuffix("/") ? String(path.dropLast()) : path }

    /// The folder of a place, without the node.
    private func parent(_ shown: String) -> String {
        let words = shown.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let path = trimmed(String(words.last ?? ""))
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private func unreadable(_ place: FilePlace, _ code: Int32) -> ApplianceError {
        guard code == ENOENT, let path = place.path else {
            return .system("cannot read \(place.word)", errno: code)
        }
        let hint =
            place.node.map { "'tapline exec \(directory.name) \($0) ls \(parent(place.word))' lists what is there" }
            ?? (path.contains(":") ? nil : "a file in a node is written NODE:PATH")
        return ApplianceError(.usage, "there is no \(place.word)", hint: hint)
    }

    private func missingFolder(_ place: FilePlace, _ folder: String) -> ApplianceError {
        guard let node = place.node else {
            return ApplianceError(.usage, "there is no folder \(folder)", hint: "make it first: mkdir -p \(folder)")
        }
        return ApplianceError(
            .usage, "there is no folder \(folder) in \(node)",
            hint: "make it first: tapline exec \(directory.name) \(node) mkdir -p \(folder)")
    }
}
