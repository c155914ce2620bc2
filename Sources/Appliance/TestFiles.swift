import CLinux
import EventLoop
import Fabric
import Glibc
import Plan
import Reporting
import TopologyFiles

/// One file of a test, read before anything is started.
public struct TestFile: Sendable {
    /// Its name in messages: the topology's name, with a number if several files have it. For a file that could not be
    /// read, its path.
    public var label: String
    /// The topology file, as the command line leads to it.
    public var path: String
    /// The name that the topology gets for this run: no other topology on the machine has it.
    public var topology: String
    /// The names of the checks that are to be proven, in order.
    public var checks: [String]
    /// The nodes' names.
    public var nodes: [String]
    /// The mistake of the file; nothing of such a file is started.
    public var mistake: ApplianceError?
    /// The remarks on it, one line each.
    public var remarks: [String] = []
    /// Values for its variables.
    public var settings = FileSettings()
}

/// The files that a test is asked for.
public enum TestFiles {
    /// Reads every file that `paths` lead to. A path may be a file. For a folder it is its `topology.yaml`, else the
    /// `topology.yaml` of each folder in it. The same file may come several times.
    ///
    /// - Parameters:
    ///   - settings: Values for the files' variables.
    ///   - filter: A file whose path or name contains this text keeps all its checks. Another file keeps only the
    ///     checks whose names contain it, and goes if there are none. A file with mistakes stays.
    public static func read(
        _ paths: [String], settings: FileSettings = FileSettings(), filter: String? = nil
    ) -> [TestFile] {
        var files = paths.flatMap(found).map { read($0, settings) }
        if let filter {
            files = files.filter { file in
                isWhole(file, filter) || file.checks.contains { $0.contains(filter) }
            }
            for index in files.indices where !isWhole(files[index], filter) {
                files[index].checks.removeAll { !$0.contains(filter) }
            }
        }
        let counts = Dictionary(grouping: files, by: \.label).mapValues(\.count)
        var seen: [String: Int] = [:]
        for index in files.indices {
            let label = files[index].label
            guard counts[label, default: 0] > 1 else { continue }
            seen[label, default: 0] += 1
            files[index].label = "\(label)#\(seen[label, default: 0])"
        }
        return files
    }

    /// The one file that a path leads to. A file leads to itself. A folder leads to its `topology.yaml`, else to that
    /// of the only folder in it that has one. A folder without any leads to itself, and reading it fails.
    ///
    /// - Throws: `ApplianceError` with the names of the folders, if several folders in it have one.
    public static func one(_ path: String) throws(ApplianceError) -> String {
        guard isFolder(path) else { return path }
        let files = found(path)
        guard files.count < 2 else {
            throw ApplianceError(
                .usage, "\(path) has \(files.count) topologies, but only one can be used",
                hint: "name one of them: \(files.prefix(8).joined(separator: ", "))")
        }
        return access(files[0], F_OK) == 0 ? files[0] : path
    }

    /// The name of the topology that a word means: a name, else the name in a file, or in a folder's file.
    ///
    /// - Throws: `ApplianceError` if the file has mistakes and no running topology was made from it.
    public static func topology(_ word: String) throws(ApplianceError) -> String {
        guard !word.isEmpty, access(word, F_OK) == 0 || word.hasSuffix(".yaml") || word.hasSuffix(".yml"),
            !StateDirectory.allNames().contains(word)
        else { return word }
        let file = try one(word)
        guard !isFolder(file) else { return word }
        do throws(ApplianceError) {
            return try PlanReader.file(file).name.value
        } catch {
            // A running topology may be older than the mistake.
            let path = PlanReader.absolute(file)
            let made = StateDirectory.allNames().filter { name in
                ((try? StateDirectory(name: name))?.readState()?.file).map { $0 == path } ?? false
            }
            guard made.count == 1 else { throw error }
            return made[0]
        }
    }

    /// The files that paths lead to; see `read`.
    public static func paths(_ paths: [String]) -> [String] { paths.flatMap(found) }

    /// True if all of the file's checks are wanted.
    static func isWhole(_ file: TestFile, _ filter: String) -> Bool {
        file.mistake != nil || file.path.contains(filter) || file.label.contains(filter)
    }

    private static func found(_ path: String) -> [String] {
        guard isFolder(path) else { return [path] }
        let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
        let own = "\(folder)/topology.yaml"
        if access(own, F_OK) == 0 { return [own] }
        let candidates = namesInFolder(folder).map { name -> String in "\(folder)/\(name)/topology.yaml" }
        let below = candidates.filter { candidate in access(candidate, F_OK) == 0 }
        // If there is none, the reader reports that the file does not exist.
        return below.isEmpty ? [own] : below
    }

    private static func isFolder(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    private static func read(_ path: String, _ settings: FileSettings) -> TestFile {
        do throws(ApplianceError) {
            let plan = try PlanReader.plan(path, settings: settings)
            return TestFile(
                label: plan.name, path: path, topology: generatedName(plan.name), checks: plan.checks.map(\.name),
                nodes: plan.nodes.map(\.name),
                remarks: plan.remarks.map(\.note), settings: settings)
        } catch {
            return TestFile(label: path, path: path, topology: "", checks: [], nodes: [], mistake: error)
        }
    }

    /// `<name>-<random>`, at most forty octets long.
    static func generatedName(_ name: String) -> String {
        var start = Substring(name)
        while start.utf8.count > 33 { start.removeLast() }
        while start.last == "-" { start.removeLast() }
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        return "\(start)-" + String((0..<6).map { _ in letters[Int.random(in: letters.indices)] })
    }
}
