import Glibc
import Plan
import Reporting
import Wire

/// A topology file as it was written: every key known, every value of its kind, every name with its place. `Planner`
/// finds the meaning of the names.
public struct TopologyFile: Sendable {
    /// The path that it was read from, as messages show it.
    public let path: String
    /// Its text.
    public let text: String
    /// The texts of the files that it includes, by their paths as messages show them.
    package internal(set) var included: [String: String] = [:]
    /// The values that the caller gave its variables.
    package internal(set) var settings = FileSettings()
    /// The topology's name.
    public package(set) var name: Located<String>
    package var interfaces: [RawInterface] = []
    /// Customers, applications and routers in the order of the file; for an application with instances those.
    package var nodes: [RawNode] = []
    /// The applications whose health Tapline looks after.
    package var applications: [RawApplication] = []
    package var services: [RawService] = []
    /// The customers that manage services while the topology is up.
    package var tenants: [RawTenant] = []
    /// Where their records are kept; nil: there are none.
    package var records: RawRecords?
    /// What nodes see of the machine's files, unless they say it themselves.
    package var filesystem = FilesystemPlan()
    /// `ipv6: true`: the addresses that Tapline gives are of IPv6, too.
    package var givesIPv6 = false
    /// The addresses and networks in the file's texts.
    package var namedAddresses: [IPPrefix] = []
    /// The place of `dns: true`; nil: nodes have their hosts files alone.
    package var nameService: SourceOrigin?
    /// The node that answers requests for mappings was added.
    package var hasNegotiation = false
    package var entries: [RawEntry] = []
    package var checks: [RawCheck] = []
    /// The packeting engines; which interfaces each takes, the planner finds out.
    public package(set) var engines = EnginesPlan()
    /// The reader's remarks; the planner's are with the plan.
    package var remarks: [TopologyProblem] = []

    init(path: String, text: String, name: Located<String>) {
        self.path = path
        self.text = text
        self.name = name
    }

    /// Reads a text as the file at `path`, as far as that is possible.
    ///
    /// - Returns: The file, nil if the text cannot be read at all; and the reader's mistakes and remarks.
    package static func reading(
        _ text: String, path: String, settings: FileSettings = FileSettings()
    ) -> (file: TopologyFile?, diagnostics: Diagnostics) {
        let text = withoutMark(text)
        let diagnostics = Diagnostics(path: path, text: text)
        return (FileReader(diagnostics: diagnostics).read(text, path: path, settings: settings), diagnostics)
    }

    /// The text without the byte order mark that some editors begin every file with: it is no part of the text.
    static func withoutMark(_ text: String) -> String {
        let mark: Unicode.Scalar = "\u{FEFF}"
        return text.unicodeScalars.first == mark ? String(text.unicodeScalars.dropFirst()) : text
    }

    /// The place of the first octet that is no UTF-8.
    private static func firstInvalid(_ octets: [UInt8]) -> SourcePosition {
        var position = SourcePosition(line: 1, column: 1)
        var decoder = UTF8()
        var rest = octets.makeIterator()
        while case .scalarValue(let scalar) = decoder.decode(&rest) {
            position =
                scalar == "\n"
                ? SourcePosition(line: position.line + 1, column: 1)
                : SourcePosition(line: position.line, column: position.column + 1)
        }
        return position
    }

    /// The kind of a file that is no text in UTF-8, if its first octets show it.
    private static func otherKind(_ octets: [UInt8]) -> (kind: String, hint: String)? {
        let start = Array(octets.prefix(4))
        if start.starts(with: [0xFF, 0xFE]) || start.starts(with: [0xFE, 0xFF]) || start == [0, 0, 0xFE, 0xFF] {
            return ("UTF-16 or UTF-32 text", "save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8 FILE")
        }
        // Text without a byte order mark has a zero octet beside each character of ASCII.
        guard let zero = octets.prefix(4096).firstIndex(of: 0) else { return nil }
        let isWide =
            octets.count > 3 && zero < 2 && octets[zero ^ 1] != 0 && octets[(zero ^ 1) + 2] != 0
            && octets[zero + 2] == 0
        if isWide { return ("UTF-16 text", "save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8 FILE") }
        let zeros = octets.prefix(4096).count { $0 == 0 }
        // A few stray zero octets in a text are reported later, each at its place.
        return zeros > 8 ? ("binary", "name a topology file, which is a text file") : nil
    }

    /// The hint for a file that cannot be read.
    private static func hint(_ code: Int32) -> String? {
        switch code {
        case ENOENT, ENOTDIR: "check the path"
        case EACCES, EPERM: "permit it with chmod, also for its parent folders, or use sudo"
        case ELOOP: "the links on the way to it run in a loop: name the file itself"
        case ENAMETOOLONG: "the path is too long: name the file from its own folder"
        case EMFILE, ENFILE: "raise the limit of open files: ulimit -n"
        case ENXIO, ENODEV: "write the topology into a file"
        default: "copy it to another place, or check the disk"
        }
    }

    /// The text of the file at `path`.
    ///
    /// - Throws: `TopologyError` if it cannot be read, or is no text in UTF-8.
    package static func text(of path: String, mayBePipe: Bool = true) throws(TopologyError) -> String {
        let octets = try octets(of: path, mayBePipe: mayBePipe)
        if let (kind, hint) = otherKind(octets) {
            throw unreadable(path, "the file is \(kind), not UTF-8 text", hint)
        }
        guard let text = String(validating: octets, as: UTF8.self) else {
            throw unreadable(path, "the file is not UTF-8 text", "save it as UTF-8", at: firstInvalid(octets))
        }
        return text
    }

    private static func unreadable(
        _ path: String, _ message: String, _ hint: String?,
        at position: SourcePosition = SourcePosition(line: 1, column: 1)
    ) -> TopologyError {
        TopologyError(problems: [
            TopologyProblem(file: path, origin: .line(position), message: message, hint: hint, sourceLine: "")
        ])
    }

    /// The content of the file at `path`: of a topology file, or of one that a node gets.
    ///
    /// - Parameters:
    ///   - most: The octets that it may have; nil: of a longer file the beginning is read, which its reader refuses.
    ///   - mayBePipe: True if it may be one that the shell makes for `<(…)`: it is read until its writer closes it.
    /// - Throws: `TopologyError` if it cannot be read, is no file, or is too large.
    static func octets(
        of path: String, atMost most: Int? = nil, mayBePipe: Bool = false
    ) throws(TopologyError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let number = errno
            throw unreadable(path, "the file cannot be read: \(String(cString: strerror(number)))", hint(number))
        }
        defer { close(descriptor) }
        var info = stat()
        if fstat(descriptor, &info) == 0 {
            switch info.st_mode & S_IFMT {
            case S_IFDIR:
                throw unreadable(
                    path, "this is a folder",
                    mayBePipe
                        ? "name the file in it: \(path)\(path.hasSuffix("/") ? "" : "/")topology.yaml"
                        : "name one file in it")
            case S_IFIFO:
                let isShells = path.hasPrefix("/dev/fd/") || path.hasPrefix("/proc/") || path == "/dev/stdin"
                guard mayBePipe, isShells else {
                    throw unreadable(
                        path, "this is a named pipe, not a file",
                        mayBePipe ? "write the topology into a file" : "name a file")
                }
                _ = fcntl(descriptor, F_SETFL, O_RDONLY)
            case S_IFBLK, S_IFSOCK:
                throw unreadable(
                    path, "this is not a file", mayBePipe ? "write the topology into a file" : "name a file")
            case S_IFCHR where !mayBePipe: throw unreadable(path, "this is a device, not a file", "name a file")
            default: break
            }
        }
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while octets.count <= most ?? YAMLText.maximumSize {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                let number = errno
                throw unreadable(path, "the file cannot be read: \(String(cString: strerror(number)))", hint(number))
            }
            octets += buffer[..<count]
        }
        if let most, octets.count > most {
            throw unreadable(
                path, "the file is larger than \(most >> 20) MiB", "let `setup` copy it from a place that the node sees"
            )
        }
        return octets
    }
}

/// The absolute path of a file, without links; the path itself if there is no such file.
package func canonicalPath(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
}
