import Attachments
import EventLoop
import FoundationEssentials
import Glibc
import Plan
import Reporting

/// The plan of a run, written before anything is made. `down` needs only this and the marks.
public struct ApplianceState: Codable, Sendable, Equatable {
    /// How far a topology has come.
    public enum Phase: String, Codable, Sendable {
        case starting
        case up
        case stopping
    }
    /// The version of this format.
    public var version = 1
    /// The topology's name.
    public var name: String
    /// This run of it; part of the mark on everything made.
    public var run: String
    /// The topology file's absolute path.
    public var file: String
    /// Seconds since 1970.
    public var created: Int
    /// How far it has come.
    public var phase: Phase
    /// The control process.
    public var control: RecordedProcess?
    /// The names of the namespaces that are made.
    public var namespaces: [String]
    /// The names of the nodes.
    public var nodes: [String]?
    /// The processes started so far: engines and the nodes' init processes.
    public var processes: [RecordedProcess]
    /// The control groups that are made, one in each hierarchy; nil if there are none.
    public var controlGroups: [String]?
    /// Which start of the machine the processes belong to; nil if it could not be told.
    public var boot: String?
    /// The legs that are put into namespaces of somebody else's; nil if there are none.
    public var attachments: [AttachedLegs]?
    /// The namespace of the bridges, where these legs end, and where lent devices are; nil if there is none of either.
    public var fabric: String?
    /// The devices of the machine that are interfaces, as they were; nil if there are none.
    public var loans: [DeviceLoan]?
    /// Whether containers of images are made; nil: none.
    public var containers: OwnedContainers?

    /// Memberwise.
    public init(name: String, run: String, file: String, namespaces: [String], nodes: [String] = []) {
        self.name = name
        self.run = run
        self.file = file
        created = wallClockSeconds()
        phase = .starting
        control = RecordedProcess(pid: getpid(), what: "tapline")
        self.namespaces = namespaces
        self.nodes = nodes
        processes = []
        boot = Self.currentBoot
    }

    /// The format that is written and understood.
    static let currentVersion = 1

    /// The identity of the machine's current boot; nil if /proc does not tell.
    static var currentBoot: String? {
        readFile("/proc/sys/kernel/random/boot_id", limit: 64).map {
            String(decoding: $0.prefix { $0 != 10 }, as: UTF8.self)
        }
    }

    /// The ownership mark of this run: the alias of every device made, and of the loopback device of every namespace.
    public var mark: String { Self.mark(name: name, run: run) }

    /// The ownership mark of a run.
    ///
    /// The name of the topology's folder identifies it; where its own name is another, that follows, as far as an alias
    /// has room for it.
    public static func mark(name: String, run: String) -> String {
        let mark = markPrefix(name: name) + run
        guard DerivedNames.topology(name) != name else { return mark }
        let room = longestAlias - mark.utf8.count - 1
        guard name.utf8.count > room else { return "\(mark) \(name)" }
        var shown = ""
        for character in name {
            guard shown.utf8.count + character.utf8.count + "…".utf8.count <= room else { break }
            shown.append(character)
        }
        return "\(mark) \(shown)…"
    }

    /// The beginning of the marks of every run of a topology.
    public static func markPrefix(name: String) -> String { "tapline \(DerivedNames.topology(name)) " }

    /// IFALIASZ without the zero at its end (linux/if.h), in octets.
    private static let longestAlias = 255

    /// The topology and the run that a mark names; nil for what is no mark of Tapline's.
    package static func reading(mark: String) -> (topology: String, run: String)? {
        let parts = mark.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 3, parts[0] == "tapline", !parts[1].isEmpty else { return nil }
        let run = parts[2]
        guard run.utf8.count == 16, run.allSatisfy(\.isHexDigit) else { return nil }
        // If the mark had no room for the whole name, the folder's name stands for it. Commands take that as well.
        if parts.count == 4, DerivedNames.topology(parts[3]) == parts[1] { return (parts[3], run) }
        return (parts[1], run)
    }

    /// Sixteen random hexadecimal digits.
    public static func newRun() -> String {
        let text = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}

/// The folder of one topology's state, `/run/tapline/<name>` where that is a short plain name, readable by root alone.
public struct StateDirectory: Sendable, Hashable {
    /// Where the folders of all topologies are.
    public static let root = DerivedNames.root

    /// The topology's name.
    public let name: String

    /// - Throws: Where no topology can have the name.
    public init(name: String) throws(ApplianceError) {
        guard !name.isEmpty, name.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
        else { throw ApplianceError(.usage, "'\(name)' is not a valid name of a topology", hint: "see tapline status") }
        self.name = name
    }

    /// The name of the folder, and the beginning of the names of the topology's namespaces.
    public var folder: String { DerivedNames.topology(name) }

    /// The names of all topologies that have a folder.
    public static func allNames() -> [String] {
        namesInFolder(root).compactMap { folder in
            guard let directory = try? StateDirectory(name: folder), directory.folder == folder else { return nil }
            var info = stat()
            guard lstat(directory.path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR else { return nil }
            // The folder's name does for a command where the topology's own cannot be read.
            return directory.readState()?.name ?? folder
        }
    }

    /// The folder.
    public var path: String { "\(Self.root)/\(folder)" }
    /// The state file.
    public var statePath: String { "\(path)/state.json" }
    /// The control socket.
    public var socketPath: String { "\(path)/control.sock" }
    /// The database of tenants' records, unless the file names another place.
    public var recordsPath: String { "\(path)/records.db" }
    /// The operator's socket to the process of records.
    public var recordsSocketPath: String { "\(path)/records.sock" }
    /// The control process's log.
    public var logPath: String { "\(path)/appliance.log" }
    /// The folder of one node, `$TAPLINE_DIR`.
    public func nodePath(_ node: String) -> String { DerivedNames.folder(topology: name, node: node) }
    /// A file in the folder of one node.
    public func filePath(_ node: String, _ file: String) -> String { "\(nodePath(node))/\(file)" }
    /// The output of the node's commands.
    ///
    /// - Parameter program: One of the node's programs; nil: its setup and run commands.
    public func outputPath(_ node: String, program: String? = nil) -> String {
        "\(nodePath(node))/output\(program.map { "-" + DerivedNames.node($0) } ?? "").log"
    }

    /// The folder of the files that nodes see in place of the machine's.
    package var filesPath: String { "\(path)/files" }
    /// The node's /etc/hosts.
    package func hostsPath(_ node: String) -> String { "\(filesPath)/\(DerivedNames.node(node)).hosts" }
    /// A file that says which container of an image the node's application is.
    ///
    /// - Parameter what: `id`, or `pid`.
    package func containerPath(_ node: String, _ what: String) -> String {
        "\(filesPath)/\(DerivedNames.node(node)).container.\(what)"
    }
    /// The node's /etc/resolv.conf.
    package func resolverPath(_ node: String) -> String { "\(filesPath)/\(DerivedNames.node(node)).resolv.conf" }

    /// Where the contents of the node's files are that are not in its own folder.
    package func keptFilesPath(_ node: String) -> String { "\(filesPath)/\(DerivedNames.node(node)).files" }
    /// The content of one of these.
    package func keptFilePath(_ node: String, _ path: String) -> String {
        "\(keptFilesPath(node))/\(String(GeneratedNames.hash([path]), radix: 16))"
    }
    /// The folder that all nodes share, `$TAPLINE_SHARE`.
    public var sharePath: String { DerivedNames.share(topology: name) }

    /// Takes away what one node has left: its folder, and the files that it saw. Nothing may run in it any more.
    package func removeNode(_ node: String) {
        removeTree(nodePath(node))
        let containers = ["id", "pid"].map { containerPath(node, $0) }
        for file in [hostsPath(node), resolverPath(node)] + containers { unlink(file) }
        removeTree(keptFilesPath(node))
    }

    /// True if the folder is there.
    public var exists: Bool { access(path, F_OK) == 0 }

    /// Makes the folder where it is not there. Where it cannot be made whole, nothing of it stays.
    ///
    /// - Throws: `ApplianceError` with the errno of `mkdir`.
    public func create() throws(ApplianceError) {
        var attempts = 0
        var folders = [Self.root, path, "\(path)/nodes"][...]
        while let folder = folders.first {
            if mkdir(folder, 0o700) == 0 || errno == EEXIST {
                folders.removeFirst()
            } else if errno == ENOENT, attempts < 100 {
                // Another topology, the last until now, took the folder above away just then.
                attempts += 1
                folders = [Self.root, path, "\(path)/nodes"][...]
            } else {
                let code = errno
                // Only what is empty goes: another process may be at home there.
                for made in ["\(path)/nodes", path, Self.root] { rmdir(made) }
                throw .storage("cannot make \(folder)", errno: code)
            }
        }
    }

    /// Makes one node's folder, and the one that all nodes share.
    ///
    /// - Throws: `ApplianceError` with the errno of `mkdir`.
    public func createNode(_ node: String) throws(ApplianceError) {
        if mkdir(sharePath, 0o755) == 0 {
            // Programs of all nodes write there, whatever their users are.
            chmod(sharePath, 0o1777)
        } else if errno != EEXIST {
            throw .storage("cannot make \(sharePath)", errno: errno)
        }
        if mkdir(nodePath(node), 0o755) != 0, errno != EEXIST {
            throw .storage("cannot make \(nodePath(node))", errno: errno)
        }
    }

    /// Takes the folder and all in it away, and the folder of all topologies with the last of them.
    public func remove() {
        removeTree(path)
        rmdir(Self.root)
    }

    /// Takes all in the folder away but the database of tenants' records. Nothing may run there any more.
    ///
    /// - Returns: True if there is such a database.
    package func removeAllButRecords() -> Bool {
        let kept = Set(["", "-wal", "-shm", "-journal"].map { recordsPath + $0 })
        for path in namesInFolder(path).map({ "\(self.path)/\($0)" }) where !kept.contains(path) { removeTree(path) }
        if access(recordsPath, F_OK) == 0 { return true }
        for path in kept { removeTree(path) }
        return false
    }

    /// The state as it was last written; nil if there is none, or where it is cut off, garbage, or of another version.
    /// Then only the marks tell what the topology has made.
    ///
    /// It has no processes from before the machine's last start: other processes may have their numbers by now.
    public func readState() -> ApplianceState? {
        guard let bytes = readFile(statePath),
            var state = try? JSONDecoder().decode(ApplianceState.self, from: Data(bytes)),
            state.version == ApplianceState.currentVersion, DerivedNames.topology(state.name) == folder
        else { return nil }
        if state.boot != ApplianceState.currentBoot {
            state.control = nil
            state.processes = []
        }
        return state
    }

    /// Writes the state atomically: after a crash the file holds the whole old state or the whole new one.
    ///
    /// - Throws: `ApplianceError` with the errno of the write.
    public func write(_ state: ApplianceState) throws(ApplianceError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let data: Data
        do { data = try encoder.encode(state) } catch { throw .wrapping(error, "cannot encode the state") }
        let fresh = "\(statePath).new"
        let descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .storage("cannot write \(fresh)", errno: errno) }
        let written = writeAll(descriptor, [UInt8](data)) && fsync(descriptor) == 0
        let code = errno
        close(descriptor)
        guard written, rename(fresh, statePath) == 0 else {
            throw .storage("cannot write \(statePath)", errno: written ? errno : code)
        }
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }
}

/// The lock of one topology's folder. Its holder may build and take away under that name.
///
/// It is a flock(2) on the folder itself, so it needs no room on a full disk and leaves nothing. The kernel releases it
/// when the process ends, in any way.
package final class TopologyLock: @unchecked Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    private static func open(_ directory: StateDirectory) -> Int32 {
        Glibc.open(directory.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }

    /// The lock, or nil if another process holds it. The folder must be there.
    ///
    /// - Throws: `ApplianceError` if the folder cannot be made, opened or locked.
    package static func take(_ directory: StateDirectory) throws(ApplianceError) -> TopologyLock? {
        while true {
            let descriptor = open(directory)
            guard descriptor >= 0 else {
                // The folder went away under us: its last owner was taking it away.
                if errno == ENOENT {
                    try directory.create()
                    continue
                }
                throw .system("cannot open \(directory.path)", errno: errno)
            }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let code = errno
                close(descriptor)
                if code == EWOULDBLOCK { return nil }
                if code == EINTR { continue }
                throw .system("cannot lock \(directory.path)", errno: code)
            }
            // The locked folder must still be the one that others open.
            var mine = stat()
            var there = stat()
            if fstat(descriptor, &mine) == 0, lstat(directory.path, &there) == 0, mine.st_ino == there.st_ino {
                return TopologyLock(descriptor: descriptor)
            }
            close(descriptor)
        }
    }

    /// True if some process holds the lock.
    package static func isHeld(_ directory: StateDirectory) -> Bool {
        let descriptor = open(directory)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    package func release() { close(descriptor) }
}
