import EventLoop
import Glibc
import Reporting

/// The standard error of one engine: a line or two if it cannot start, and any amount if an attacker controls it. A
/// pipe carries it into the topology's log, limited in rate and in total. So it fills neither the disk nor this
/// process's time.
///
/// On the loop's thread. An engine that writes faster is not read. It waits, and so makes no progress.
final class EngineErrors {
    /// Octets that one engine's lines may take up in the log.
    static let bound = 32 << 10
    /// Octets read in one turn, and the time between two of them where there is more.
    private static let portion = 4 << 10
    private static let pause = Duration.milliseconds(250)
    /// The longest line, in octets; a longer one is cut into several.
    private static let longestLine = 500

    private let loop: EventLoop
    private let file: Int32
    private let readEnd: Int32
    /// Given to the engine; closed here once it has it.
    private var writeEnd: Int32
    private var pid: Int32 = 0
    private var line: [UInt8] = []
    private var written = 0
    private var isPaused = false
    private var isClosed = false

    /// Its writing end, for the engine.
    var descriptor: Int32 { writeEnd }

    init(loop: EventLoop, path: String) throws(ApplianceError) {
        self.loop = loop
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (readEnd, writeEnd) = (ends[0], ends[1])
        _ = fcntl(readEnd, F_SETFL, O_NONBLOCK)
        // Where it cannot be written, nothing is kept: no reason to have no engine.
        file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    }

    deinit { close() }

    /// The engine has its end.
    func begin(pid: Int32) {
        self.pid = pid
        Glibc.close(writeEnd)
        writeEnd = -1
        watch()
    }

    private func watch() {
        loop.watch(readEnd) { [weak self] _ in self?.hear() }
    }

    private func hear() {
        let bytes = readOnce(readEnd, limit: Self.portion)
        if bytes == nil, errno == EAGAIN { return }
        loop.unwatch(readEnd)
        guard let bytes, !bytes.isEmpty else { return }
        take(bytes)
        guard written < Self.bound else { return }
        isPaused = true
        loop.after(Self.pause) { [weak self] in
            guard let self, isPaused, !isClosed else { return }
            isPaused = false
            watch()
        }
    }

    /// The engine has ended, and its last output is useful.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        loop.unwatch(readEnd)
        if writeEnd >= 0 { Glibc.close(writeEnd) }
        if let bytes = readOnce(readEnd, limit: Self.portion) { take(bytes) }
        if !line.isEmpty { endLine() }
        Glibc.close(readEnd)
        if file >= 0 { Glibc.close(file) }
    }

    private func take(_ bytes: [UInt8]) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") || line.count >= Self.longestLine { endLine() }
            // An engine's text must not control the terminal of a person who reads the log.
            if byte != UInt8(ascii: "\n") { line.append((0x20..<0x7F).contains(byte) ? byte : UInt8(ascii: "?")) }
        }
    }

    private func endLine() {
        defer { line = [] }
        guard file >= 0, written < Self.bound else { return }
        var text = Array("engine process \(pid) says: ".utf8) + line + [UInt8(ascii: "\n")]
        written += text.count
        if written >= Self.bound { text += Array("engine process \(pid): its further output is not kept\n".utf8) }
        writeAll(file, text)
    }
}
