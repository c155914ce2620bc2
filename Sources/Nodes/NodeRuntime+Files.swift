import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// The files of a node, and what it sees of the machine's.
extension NodeRuntime {
    /// What its processes see.
    var view: NodeView {
        var view = NodeView(
            hostname: DerivedNames.node(plan.name), directory: directory.nodePath(plan.name),
            topologyDirectory: folder,
            binds: [
                "/etc/hosts": directory.hostsPath(plan.name), "/etc/resolv.conf": directory.resolverPath(plan.name),
            ])
        view.shareDirectory = directory.sharePath
        for file in plan.files where file.isAbsolute {
            view.binds[file.path] = nil
            view.files[file.path] = directory.keptFilePath(plan.name, file.path)
        }
        switch plan.filesystem.base {
        case .machine: view.keepsMachine = false
        case .shared: view.keepsMachine = true
        case .root(let path): (view.keepsMachine, view.root) = (false, path)
        case .image(let image): (view.keepsMachine, view.root) = (false, directory.imagePath(image))
        }
        view.privates = plan.filesystem.layered
        view.writables = plan.filesystem.writable
        return view
    }

    /// Puts its files in their places.
    ///
    /// - Parameter paths: The paths of the files that are written; nil: all of them.
    /// - Throws: `ApplianceError` if one cannot be written, or if its owner does not exist.
    func putFiles(only paths: Set<String>? = nil) throws(ApplianceError) {
        let users = users(of: currentInit.flatMap { $0.hasEnded ? nil : "/proc/\($0.pid)/root" })
        for file in plan.files where paths?.contains(file.path) ?? true {
            do throws(ApplianceError) {
                try put(file, users)
            } catch {
                var error = error
                error.message = "\(place): cannot make its file \(file.path) (\(file.origin)): \(error.message)"
                throw error
            }
        }
    }

    /// Takes away the files of another plan that this one does not have.
    package func removeFiles(of other: NodePlan) {
        let kept = Set(plan.files.map(\.path))
        for file in other.files where !kept.contains(file.path) {
            if file.isAbsolute {
                unlink(directory.keptFilePath(plan.name, file.path))
            } else if let (folder, name) = try? NodeFolder.open(file.path, in: directory.nodePath(plan.name)) {
                unlinkat(folder, name, 0)
                Glibc.close(folder)
            }
        }
    }

    /// Writes one of its files anew, with other contents.
    ///
    /// - Throws: `ApplianceError` if it cannot be written.
    package func write(_ contents: [UInt8], to path: String) throws(ApplianceError) {
        guard var file = plan.files.first(where: { $0.path == path }) else {
            throw ApplianceError(.failed, "\(place): it has no file \(path)")
        }
        file.contents = contents
        try put(file, users(of: currentInit.flatMap { $0.hasEnded ? nil : "/proc/\($0.pid)/root" }))
    }

    /// What is in one of its files now; nil: it cannot be read.
    ///
    /// - Parameter most: A longer file is not read.
    package func contents(of path: String, most: Int = 16 << 20) -> [UInt8]? {
        guard path.hasPrefix("/") else {
            guard let (folder, name) = try? NodeFolder.open(path, in: directory.nodePath(plan.name)) else { return nil }
            defer { Glibc.close(folder) }
            return read(openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), most)
        }
        return read(open(directory.keptFilePath(plan.name, path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), most)
    }

    private func read(_ descriptor: Int32, _ most: Int) -> [UInt8]? {
        guard descriptor >= 0 else { return nil }
        defer { Glibc.close(descriptor) }
        var octets: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65_536)
        while octets.count <= most {
            let count = Glibc.read(descriptor, &part, part.count)
            if count == 0 { return octets }
            guard count > 0 else { return nil }
            octets += part[..<count]
        }
        return nil
    }

    private static let candidate = ".tapline-candidate"

    /// Writes a file beside the others, as one of them would be.
    ///
    /// - Returns: Its path in the node.
    func putCandidate(_ contents: [UInt8], for path: String) throws(ApplianceError) -> String {
        guard var file = plan.files.first(where: { $0.path == path }) else {
            throw ApplianceError(.failed, "\(place): it has no file \(path)")
        }
        (file.path, file.contents) = (Self.candidate, contents)
        try put(file, users(of: currentInit.flatMap { $0.hasEnded ? nil : "/proc/\($0.pid)/root" }))
        return "\(directory.nodePath(plan.name))/\(Self.candidate)"
    }

    func removeCandidate() { unlink("\(directory.nodePath(plan.name))/\(Self.candidate)") }

    private func put(_ file: FilePlan, _ users: UserList) throws(ApplianceError) {
        let owner = try file.owner.map { owner throws(ApplianceError) in try users.owner(owner) }
        if file.isAbsolute {
            // The node has this very file mounted: it is overwritten, not replaced.
            let folder = directory.keptFilesPath(plan.name)
            if mkdir(folder, 0o755) != 0, errno != EEXIST { throw .storage("cannot make \(folder)", errno: errno) }
            let path = directory.keptFilePath(plan.name, file.path)
            let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw .storage("cannot write it", errno: errno) }
            defer { Glibc.close(descriptor) }
            try fill(descriptor, file, owner)
            return
        }
        // The node's programs write in that folder: no link of theirs is followed.
        let (folder, name) = try NodeFolder.open(file.path, in: directory.nodePath(plan.name))
        defer { Glibc.close(folder) }
        let fresh = ".tapline-\(UInt64.random(in: .min ... .max))"
        let descriptor = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .storage("cannot write it", errno: errno) }
        defer { Glibc.close(descriptor) }
        do throws(ApplianceError) {
            try fill(descriptor, file, owner)
            guard renameat(folder, fresh, folder, name) == 0 else {
                throw .storage("cannot put it in its place", errno: errno)
            }
        } catch {
            unlinkat(folder, fresh, 0)
            throw error
        }
    }

    private func fill(
        _ descriptor: Int32, _ file: FilePlan, _ owner: Account?
    ) throws(ApplianceError) {
        guard writeAll(descriptor, file.contents) else { throw .storage("cannot write it", errno: errno) }
        guard fchown(descriptor, owner?.number ?? 0, owner?.group ?? 0) == 0 else {
            let code = errno
            throw ApplianceError(
                .failed, "cannot give it to '\(file.owner ?? "root")': \(String(cString: strerror(code)))",
                hint: UserNamespace.hasOtherUsers
                    ? nil
                    : "remove `owner`, give this user subordinate ones (lines in /etc/subuid and /etc/subgid), or run it "
                        + "with sudo")
        }
        guard fchmod(descriptor, mode_t(file.mode)) == 0 else {
            throw .storage("cannot set its permissions", errno: errno)
        }
    }

    /// Says in its log which folders it sees read-only, and how many file systems it does not see. On the loop's thread.
    func tell(refused folders: [String], unseen: Int) {
        // Its first process has not been started, so the log may not be there yet.
        guard !folders.isEmpty || unseen > 0, let log = try? openLog() else { return }
        if !folders.isEmpty {
            let names = folders.joined(separator: ", ")
            log.note("\(plan.name): the kernel refuses private layers over \(names): they are read-only")
        }
        if unseen > 0 {
            log.note("\(plan.name): too many file systems are mounted below its layers: \(unseen) of them are not seen")
        }
    }

    /// What can be done about a view that the kernel does not make.
    func viewHint(_ error: SystemError) -> String? {
        if error.errno == ENOENT {
            for path in plan.filesystem.writable + plan.filesystem.layered where access(path, F_OK) != 0 {
                return "make the folder \(path), or remove it from `filesystem`"
            }
            if case .root(let path) = plan.filesystem.base, access(path, F_OK) != 0 { return "make the folder \(path)" }
            return plan.files.contains(where: \.isAbsolute)
                ? "put its files into folders that begin with one of the machine's, such as /etc or /opt" : nil
        }
        if error.errno == EISDIR { return "one of its `files` has the path of a folder: choose another path" }
        return nil
    }
}

/// The folder in a node's own folder that a file is in.
enum NodeFolder {
    /// Opens it, and makes it where it is not there. Links are not followed.
    ///
    /// - Returns: The folder's descriptor, which the caller closes, and the file's name in it.
    static func open(_ path: String, in root: String) throws(ApplianceError) -> (folder: Int32, name: String) {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var folder = Glibc.open(root, flags)
        guard folder >= 0 else { throw .storage("cannot open \(root)", errno: errno) }
        var parts = path.split(separator: "/").map(String.init)
        let name = parts.removeLast()
        for part in parts {
            mkdirat(folder, part, 0o755)
            let inner = openat(folder, part, flags)
            let code = errno
            close(folder)
            guard inner >= 0 else { throw .storage("cannot open the folder \(part)", errno: code) }
            folder = inner
        }
        return (folder, name)
    }
}
