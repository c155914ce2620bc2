import Appliance
import ArgumentParser
import CLinux
import Glibc
import Synchronization
import Topology

/// What is written for people: colours only on a terminal and never with NO_COLOR, one updating line only there too.
enum Terminal {
    /// True where the descriptor is a terminal that takes colours.
    static func hasColour(_ descriptor: Int32) -> Bool {
        if let refused = getenv("NO_COLOR"), refused.pointee != 0 { return false }
        return moves(descriptor)
    }

    /// True where a line can be written over.
    static var updates: Bool { moves(2) }

    private static func moves(_ descriptor: Int32) -> Bool {
        isatty(descriptor) == 1 && getenv("TERM").map { String(cString: $0) != "dumb" } ?? false
    }

    /// The width of the terminal that standard error is, in columns.
    static var columns: Int {
        var size = winsize()
        guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The text in a colour of ECMA-48's, where there are colours.
    static func coloured(_ text: String, _ code: Int, on descriptor: Int32 = 1) -> String {
        hasColour(descriptor) ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// Writes to standard error.
    static func error(_ text: String, end: String = "\n") {
        write(text + end, 2)
    }

    /// Writes to standard output.
    static func out(_ text: String, end: String = "\n") {
        write(text + end, 1)
    }

    /// Writes to a descriptor.
    static func write(_ text: String, _ descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let wrote = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if wrote < 0, errno == EINTR { continue }
            guard wrote > 0 else { return }
            bytes = bytes.dropFirst(wrote)
        }
    }
}

/// Runs a command's work: an error becomes one sentence on standard error and the exit status that goes with it.
func reporting(_ body: () throws(ApplianceError) -> Void) throws {
    do throws(ApplianceError) {
        try body()
    } catch {
        for line in error.details { Terminal.error(line) }
        Terminal.error(Terminal.coloured("tapline:", 31, on: 2) + " \(error)")
        throw ArgumentParser.ExitCode(error.status.rawValue)
    }
}

/// One line at the bottom of a terminal that is written over again and again. It needs no control sequence but the
/// carriage return, so it is there with NO_COLOR, too. Not to be used by two threads at once.
struct UpdatingLine {
    private var shown = 0

    /// Shows the text, cut to the terminal's width, in place of what was shown.
    mutating func show(_ text: String) {
        let cut = String(text.prefix(max(1, Terminal.columns - 1)))
        let padding = String(repeating: " ", count: max(0, shown - cut.count))
        Terminal.error("\r" + cut + padding + (padding.isEmpty ? "" : "\r" + cut), end: "")
        shown = cut.count
    }

    /// Takes it away.
    mutating func clear() {
        guard shown > 0 else { return }
        Terminal.error("\r" + String(repeating: " ", count: shown) + "\r", end: "")
        shown = 0
    }
}

/// Shows what a command tells while it works.
final class ProgressDisplay: Sendable {
    private let line = Mutex(UpdatingLine())
    private let showsReady: Bool

    /// - Parameter showsReady: Whether to say that all is up.
    init(showsReady: Bool) { self.showsReady = showsReady }

    /// Takes what is told.
    func take(_ told: Progress) {
        switch told {
        case .step(let text):
            if Terminal.updates {
                line.withLock { $0.show(text + " …") }
            } else {
                Terminal.error(text)
            }
        case .note(let text):
            clear()
            Terminal.error("note: \(text)")
        case .check(let report):
            clear()
            for line in report.lines(on: 1) { Terminal.out(line) }
        case .ready(let report):
            clear()
            guard showsReady else { return }
            Terminal.out("\(report.name) is up: \(report.told)")
        case .failed, .kept: clear()
        }
    }

    /// Takes the updating line away.
    func clear() { line.withLock { $0.clear() } }
}

extension ReadyReport {
    /// What is up, and how long it took.
    var told: String { "\(nodes) nodes on \(interfaces) interfaces, \(entries) entries, in \(milliseconds) ms" }
}

extension CheckReport {
    /// How the check ended; what explains it where it did not hold.
    func lines(on descriptor: Int32) -> [String] {
        let isTerminal = isatty(descriptor) == 1
        let sign =
            passed
            ? Terminal.coloured(isTerminal ? "✓" : "ok", 32, on: descriptor)
            : Terminal.coloured(isTerminal ? "✗" : "FAILED", 31, on: descriptor)
        return ["\(sign) \(name) (\(milliseconds) ms)"] + (passed ? [] : explanation.map { "    \($0)" })
    }
}

/// Columns of text, each as wide as its widest cell; a cell that is wider than half a screen moves its own row alone.
struct TextTable {
    private var rows: [[String]]
    private let rightAligned: Set<Int>
    /// In columns of a terminal.
    private static let widest = 64

    init(_ header: [String], rightAligned: Set<Int> = []) {
        rows = [header]
        self.rightAligned = rightAligned
    }

    mutating func add(_ row: [String]) { rows.append(row) }

    var lines: [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? TextWidth.columns($0[column]) : 0 }
                .filter { $0 <= Self.widest }.max() ?? 0
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: max(0, widths[column] - TextWidth.columns(cell)))
                line += (rightAligned.contains(column) ? padding + cell : cell + padding) + "  "
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
