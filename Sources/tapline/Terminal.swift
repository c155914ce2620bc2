import Appliance
import ArgumentParser
import Glibc
import Synchronization
import Topology

/// What is written for people: colours only on a terminal and never with NO_COLOR, one updating line only there too.
enum Terminal {
    /// True where the descriptor is a terminal that takes colours.
    static func hasColour(_ descriptor: Int32) -> Bool {
        guard isatty(descriptor) == 1 else { return false }
        if let refused = getenv("NO_COLOR"), refused.pointee != 0 { return false }
        return getenv("TERM").map { String(cString: $0) != "dumb" } ?? false
    }

    /// True where a line can be written over.
    static var updates: Bool { isatty(2) == 1 && getenv("TERM").map { String(cString: $0) != "dumb" } ?? false }

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

    private static func write(_ text: String, _ descriptor: Int32) {
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

/// Shows what a command tells while it works.
final class ProgressDisplay: Sendable {
    private let steps = Mutex<Bool>(false)
    private let showsReady: Bool

    /// - Parameter showsReady: Whether to say that all is up.
    init(showsReady: Bool) { self.showsReady = showsReady }

    /// Takes what is told.
    func take(_ told: Progress) {
        switch told {
        case .step(let text):
            if Terminal.updates {
                Terminal.error("\r\u{1B}[K" + text + " …", end: "")
                steps.withLock { $0 = true }
            } else {
                Terminal.error(text)
            }
        case .note(let text):
            clear()
            Terminal.error("note: \(text)")
        case .check(let report):
            clear()
            show(report)
        case .ready(let report):
            clear()
            guard showsReady else { return }
            Terminal.out(
                "\(report.name) is up: \(report.nodes) nodes on \(report.interfaces) interfaces, "
                    + "\(report.entries) entries, in \(report.milliseconds) ms")
        case .failed: clear()
        }
    }

    /// Takes the updating line away.
    func clear() {
        let shown = steps.withLock { shown in
            defer { shown = false }
            return shown
        }
        if shown { Terminal.error("\r\u{1B}[K", end: "") }
    }

    private func show(_ report: CheckReport) {
        let isTerminal = isatty(1) == 1
        let sign =
            report.passed
            ? Terminal.coloured(isTerminal ? "✓" : "ok", 32) : Terminal.coloured(isTerminal ? "✗" : "FAILED", 31)
        Terminal.out("\(sign) \(report.name) (\(report.milliseconds) ms)")
        guard !report.passed else { return }
        Terminal.out("    line \(report.line): expected \(report.expected ?? "something else")")
        for line in report.came { Terminal.out("    | \(line)") }
        for evidence in report.evidence {
            Terminal.out("    \(evidence.title):")
            for line in evidence.lines { Terminal.out("    | \(line)") }
        }
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
