import CLinux
import EventLoop
import Glibc
import Logging
import Reporting
import Synchronization

/// Writes the control process's log: a line for each event, with the time in UTC.
struct ApplianceLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level

    private let file: LogFile

    /// Appends to the file at `path`; the level is that of TAPLINE_LOG (trace … critical), or info.
    static func logger(path: String) -> Logger {
        let level = getenv("TAPLINE_LOG").flatMap { Logger.Level(rawValue: String(cString: $0).lowercased()) } ?? .info
        let file = LogFile(path: path)
        return Logger(label: "tapline") { _ in ApplianceLog(logLevel: level, file: file) }
    }

    private init(logLevel: Logger.Level, file: LogFile) {
        self.logLevel = logLevel
        self.file = file
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        let two = { (number: Int32) in number < 10 ? "0\(number)" : "\(number)" }
        let milliseconds = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
        let time =
            "\(1900 + parts.tm_year)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
            + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)Z"
        file.write("\(time) \(event.level) \(event.message)\n")
    }
}

/// An open file that several threads append to. It has a largest size and a largest rate, so its lines never fill the
/// disk.
private final class LogFile: Sendable {
    /// The largest size of the file, in octets.
    private static let bound = 16 << 20
    /// The longest line, in octets.
    private static let longestLine = 8192

    private let descriptor: Int32
    private let rateLimit = Mutex(LogRateLimit())

    init(path: String) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    func write(_ line: String) {
        guard descriptor >= 0 else { return }
        rateLimit.withLock { rateLimit in
            guard let leftOut = rateLimit.take(at: monotonicTime()) else { return }
            var bytes = Array(line.utf8)
            if bytes.count > Self.longestLine {
                bytes = Array((String(decoding: bytes.prefix(Self.longestLine), as: UTF8.self) + " …\n").utf8)
            }
            if leftOut > 0 {
                bytes =
                    Array(
                        "(\(Plural.counted(leftOut, "line")) left out: too many at once)\n"
                            .utf8) + bytes
            }
            var info = stat()
            // Others may append to it, too.
            if fstat(descriptor, &info) == 0, Int(info.st_size) + bytes.count > Self.bound {
                ftruncate(descriptor, 0)
                writeAll(
                    descriptor, Array("(the log had reached \(Self.bound >> 20) MiB and was started over)\n".utf8))
            }
            writeAll(descriptor, bytes)
        }
    }
}
