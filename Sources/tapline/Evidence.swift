import Appliance
import ApplianceClient
import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import Observation
import PacketCapture
import Reporting
import Synchronization
import Tracing

/// What a test leaves of one run of a file: a capture of every hop, the ways of its packets, events, status, tables, and the logs
/// and files of its nodes.
///
/// What cannot be had is in `notes.txt` instead. No evidence ever makes a test fail.
final class Evidence: Sendable {
    /// The most octets of a file that is taken over from a node.
    private static let largestFile = 16 << 20
    /// The most octets of a frame, and the most frames, of the capture.
    private static let snapLength = 1_024
    private static let mostFrames: UInt64 = 100_000
    /// The most packets whose ways are written.
    private static let mostTraces = 20_000

    private let folder: String
    private let client: ApplianceClient
    private let isEnding = Atomic(false)
    private let observers = Mutex<[RaisedFlag]>([])
    private let notes = Mutex<[String]>([])

    /// - Throws: `ApplianceError` if the folder cannot be made.
    init(_ folder: String, of name: String) throws(ApplianceError) {
        self.folder = folder
        client = try ApplianceClient(name: name)
        try Self.make(folder)
        try Self.make(folder + "/nodes")
    }

    /// Makes a folder with those above it.
    static func make(_ folder: String) throws(ApplianceError) {
        var path = folder.hasPrefix("/") ? "" : "."
        for part in folder.split(separator: "/") {
            path += "/\(part)"
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
                throw .system("cannot make the folder \(path)", errno: errno, hint: "choose another one for --evidence")
            }
        }
        guard access(folder, W_OK) == 0 else {
            throw .system("cannot write to \(folder)", errno: errno, hint: "choose another folder for --evidence")
        }
    }

    /// Begins to observe a topology that is up, and returns when no further packet is missed.
    func begin() {
        observe("capture.pcapng") { [self] begun throws(ApplianceError) in try capture(begun) }
        observe("traces.txt") { [self] begun throws(ApplianceError) in try trace(begun) }
    }

    /// Ends observing, and writes down how everything is. The topology may be up, or not quite.
    func end() {
        guard !isEnding.exchange(true, ordering: .relaxed) else { return }
        for observer in observers.withLock({ $0 }) { observer.wait() }
        write("status.json") { () throws(ApplianceError) in try prettyJSON(try client.status()) }
        write("tables.json") { () throws(ApplianceError) in try prettyJSON(try client.tables()) }
        write("events.txt") { () throws(ApplianceError) in
            try client.events().map { $0.text + "\n" }.joined()
        }
    }

    /// Takes over the logs. Nothing runs in the nodes any more, so nothing is missing.
    func takeLogs() {
        copy(client.directory.logPath, "appliance.log")
        let nodes: [String]
        do throws(ApplianceError) { nodes = try client.loggedNodes() } catch { nodes = [] }
        for node in nodes {
            let place = client.directory.nodePath(node)
            let target = "nodes/\(node.replacing("/", with: "_"))"
            do throws(ApplianceError) { try Self.make("\(folder)/\(target)") } catch { note("\(error)") }
            for name in namesInFolder(place) { copy("\(place)/\(name)", "\(target)/\(name)") }
        }
        let notes = notes.withLock { $0 }
        guard !notes.isEmpty else { return }
        write("notes.txt") { () throws(ApplianceError) in notes.map { $0 + "\n" }.joined() }
    }

    // MARK: - Observers

    /// Runs an observer on a thread of its own, and returns when it has begun or failed.
    private func observe(_ name: String, _ body: @escaping @Sendable (RaisedFlag) throws(ApplianceError) -> Void) {
        let begun = RaisedFlag(), ended = RaisedFlag()
        do throws(ApplianceError) {
            try startThread { [self] in
                do throws(ApplianceError) { try body(begun) } catch { note("\(name): \(error)") }
                begun.raise()
                ended.raise()
            }
        } catch {
            return note("\(name): \(error)")
        }
        observers.withLock { $0.append(ended) }
        begun.wait()
    }

    private func capture(_ begun: RaisedFlag) throws(ApplianceError) {
        let capture = try LiveCapture(
            client,
            LiveCapture.Options(snapLength: Self.snapLength, limits: CaptureLimits(packets: Self.mostFrames)),
            to: .file(CapturePath("\(folder)/capture.pcapng")), isCancelled: { false })
        begun.raise()
        while !isEnding.load(ordering: .relaxed), try capture.turn(within: .milliseconds(20)) {}
        // What came until now belongs to it.
        for _ in 0..<10 where try !capture.turn(within: .milliseconds(10)) { break }
        try capture.close()
        if capture.packets >= Self.mostFrames {
            note("capture.pcapng: only the first \(Self.mostFrames) frames are in it")
        }
        if capture.lost > 0 { note("capture.pcapng: \(capture.lost) frames came faster than they were written") }
    }

    private func trace(_ begun: RaisedFlag) throws(ApplianceError) {
        let traces = try LiveTraces(client, LiveTraces.Options())
        begun.raise()
        let path = "\(folder)/traces.txt"
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .system("cannot write \(path)", errno: errno) }
        defer { close(file) }
        var count = 0
        func write(_ lines: [String]) { writeAll(file, Array((lines.joined(separator: "\n") + "\n").utf8)) }
        func write(_ ended: [PacketTrace]) {
            for trace in ended where count < Self.mostTraces {
                count += 1
                write(TraceText.lines(trace, width: 120) { TextColumn.width($0) } + [""])
            }
        }
        while !isEnding.load(ordering: .relaxed), !traces.isOver { write(try traces.next(within: .milliseconds(20))) }
        write(traces.finish())
        write(TraceText.lines(traces.report, width: 120) { TextColumn.width($0) })
        if count == Self.mostTraces {
            note("traces.txt: only the first \(count) packets are in it, and all in its summary")
        }
    }

    // MARK: - Files

    private func note(_ text: String) { notes.withLock { $0.append(text) } }

    private func write(_ name: String, _ text: () throws(ApplianceError) -> String) {
        do throws(ApplianceError) { try ReportFile(path: "\(folder)/\(name)").write(text()) } catch {
            note("\(name): \(error)")
        }
    }

    /// Copies a file of a node; a link, a folder or a socket is none.
    private func copy(_ path: String, _ name: String) {
        let source = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard source >= 0 else { return }
        defer { close(source) }
        var info = stat()
        guard fstat(source, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return }
        guard info.st_size <= Self.largestFile else { return note("\(name): it is larger than 16 MiB") }
        let target = open("\(folder)/\(name)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard target >= 0 else { return note("\(name): it cannot be written: \(errorText(errno))") }
        defer { close(target) }
        while let bytes = readOnce(source), !bytes.isEmpty {
            guard writeAll(target, bytes) else { return note("\(name): it cannot be written: \(errorText(errno))") }
        }
    }
}
