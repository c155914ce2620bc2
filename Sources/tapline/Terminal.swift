import Appliance
import ArgumentParser
import CLinux
import ControlAPI
import Glibc
import Plan
import Reporting
import Synchronization
import Verification

/// Output for people. Colours and the updating line appear only on a terminal. With NO_COLOR there are no colours.
enum Terminal {
    /// True if the descriptor is a terminal that shows colours.
    static func hasColour(_ descriptor: Int32) -> Bool {
        if let refused = getenv("NO_COLOR"), refused.pointee != 0 { return false }
        return moves(descriptor)
    }

    /// True if a line can be overwritten.
    static var updates: Bool { moves(2) }

    private static func moves(_ descriptor: Int32) -> Bool {
        isatty(descriptor) == 1 && getenv("TERM").map { String(cString: $0) != "dumb" } ?? false
    }

    /// The width of the terminal at standard error, in columns.
    static var columns: Int {
        var size = winsize()
        guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The width that output for people has to fit, in columns: that of the terminal at standard output, else COLUMNS.
    /// nil if there is neither. Then programs read the lines, and each row stays one line.
    static var width: Int? {
        var size = winsize()
        if isatty(1) == 1, ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return max(20, Int(size.ws_col)) }
        return getenv("COLUMNS").flatMap { Int(String(cString: $0)) }.map { max(20, $0) }
    }

    /// The text in a colour (an SGR code of ECMA-48), if there are colours.
    static func coloured(_ text: String, _ code: Int, on descriptor: Int32 = 1) -> String {
        hasColour(descriptor) ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// The line, broken at blanks if it is wider than the output. All lines but the first are indented.
    static func wrapped(_ line: String, indent: Int = 2) -> [String] {
        guard let width else { return [line] }
        return TextColumn.wrapped(line, to: width, indent: indent)
    }

    /// A text behind its head. If the output has room, its lines begin below each other, at column `indent`.
    static func paragraph(_ head: String, _ text: String, indent: Int) -> [String] {
        guard let width, TextColumn.width(head) + 2 + TextColumn.width(text) > width else {
            return ["\(head)  \(text)"]
        }
        guard width - indent >= 32 else {
            return [head.trimmingBlanks] + TextColumn.wrapped("    \(text)", to: width, indent: 4)
        }
        let blanks = String(repeating: " ", count: indent)
        let lines = TextColumn.wrapped(text, to: width - indent, indent: 0)
        return ["\(head)  \(lines[0])"] + lines.dropFirst().map { blanks + $0 }
    }

    /// Writes to standard error.
    static func error(_ text: String, end: String = "\n") {
        write(ASCIIText.shown(text) + end, 2)
    }

    /// Writes to standard output.
    static func out(_ text: String, end: String = "\n") {
        write(ASCIIText.shown(text) + end, 1)
    }

    /// Writes data to standard output unchanged, in every locale: output of a node, a picture.
    static func data(_ text: String, end: String = "\n") {
        write(text + end, 1)
    }

    /// Writes JSON to standard output. If only ASCII may be printed, other characters are escaped (RFC 8259, 7).
    static func json(_ text: String) {
        write((ASCIIText.isWanted ? ASCIIText.json(text) : text) + "\n", 1)
    }

    /// The error number with which standard output could not be written; 0: it could.
    static let failure = Atomic<Int32>(0)

    /// Writes to a descriptor, unchanged.
    static func write(_ text: String, _ descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let wrote = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if wrote < 0, errno == EINTR { continue }
            guard wrote > 0 else {
                // Who reads from a pipe may leave; a full disk loses what was asked for.
                if descriptor == 1, wrote < 0, errno != EPIPE { failure.store(errno, ordering: .relaxed) }
                return
            }
            bytes = bytes.dropFirst(wrote)
        }
    }
}

/// Runs a command's work. An error becomes one sentence on standard error and its exit status.
func reporting(_ body: () throws(ApplianceError) -> Void) throws {
    do throws(ApplianceError) {
        try body()
    } catch {
        for line in error.details { Terminal.error(line) }
        Terminal.error(Terminal.coloured("tapline:", 31, on: 2) + " \(error)")
        throw ArgumentParser.ExitCode(error.status.rawValue)
    }
}

/// One line at the bottom of a terminal that is overwritten again and again. It needs no control sequence but the
/// carriage return, so it appears with NO_COLOR, too. Two threads must not use it at once.
struct UpdatingLine {
    private var shown = 0

    /// Shows the text, cut to the terminal's width, and overwrites the text before.
    mutating func show(_ text: String) {
        let cut = String(ASCIIText.shown(text).prefix(max(1, Terminal.columns - 1)))
        let padding = String(repeating: " ", count: max(0, shown - cut.count))
        Terminal.error("\r" + cut + padding + (padding.isEmpty ? "" : "\r" + cut), end: "")
        shown = cut.count
    }

    /// Clears the line.
    mutating func clear() {
        guard shown > 0 else { return }
        Terminal.error("\r" + String(repeating: " ", count: shown) + "\r", end: "")
        shown = 0
    }
}

/// Shows the progress of a command.
final class ProgressDisplay: Sendable {
    private let line = Mutex(UpdatingLine())
    private let showsReady: Bool
    private let showsPlaces: Bool
    private let ended = Mutex<(passed: Int, failed: Int)>((0, 0))
    private let begun = ContinuousClock.now

    /// - Parameters:
    ///   - showsReady: Whether to say when all is up.
    ///   - showsPlaces: Whether to list the addresses and the next commands then.
    init(showsReady: Bool, showsPlaces: Bool = false) {
        self.showsReady = showsReady
        self.showsPlaces = showsPlaces
    }

    /// Prints how many checks held, and how long all of it took.
    func summarize(_ plan: AppliancePlan) {
        clear()
        let (passed, failed) = ended.withLock { $0 }
        let checks = Plural.counted(passed + failed, "check")
        let came =
            passed + failed == 0
            ? "no checks; the topology came up and was taken away"
            : failed == 0 ? "\(checks) passed" : "\(passed) of \(checks) passed, \(failed) failed"
        let time = TestDisplay.seconds(ContinuousClock.now - begun)
        Terminal.out(Terminal.coloured("\(plan.name): \(came), in \(time)", failed == 0 ? 32 : 31))
    }

    /// Shows one step of the progress.
    func take(_ progressReport: Progress) {
        switch progressReport {
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
            ended.withLock { if report.passed { $0.passed += 1 } else { $0.failed += 1 } }
            for line in report.lines(on: 1) { Terminal.out(line) }
        case .ready(let report):
            clear()
            guard showsReady else { return }
            Terminal.out("\(report.name) is up: \(report.summary)")
            if showsPlaces { for line in report.next { Terminal.out(line) } }
        case .failed, .kept: clear()
        }
    }

    /// Clears the updating line.
    func clear() { line.withLock { $0.clear() } }
}

extension ReadyReport {
    /// The addresses, and the three next commands.
    var next: [String] {
        var table = TextTable([])
        for place in places ?? [] {
            table.add(["  \(place.name)", place.kind, (place.addresses + place.ports).joined(separator: " ")])
        }
        let name = ShellWord.quoted(self.name)
        let node = (places ?? []).first { $0.kind == "customer" } ?? (places ?? []).first { $0.kind != "service" }
        var commands = TextTable([])
        if let node {
            commands.add(["  tapline exec \(name) \(ShellWord.quoted(node.name))", "a shell in \(node.name)"])
        }
        commands.add(["  tapline status \(name)", "its state"])
        commands.add(["  tapline down \(name)", "take it away"])
        return (table.lines + ["next:"] + commands.lines).filter { !$0.isEmpty }
    }

    /// What is up, and how long the start took.
    var summary: String {
        "\(Plural.nodes(nodes)) on \(Plural.interfaces(interfaces)), \(Plural.entries(entries)), in \(time)"
    }
}

extension CheckReport {
    /// How the check ended, and what its packets measured. If it did not hold, also the evidence.
    func lines(on descriptor: Int32) -> [String] {
        let isTerminal = isatty(descriptor) == 1
        let sign =
            passed
            ? Terminal.coloured(isTerminal && !ASCIIText.isWanted ? "✓" : "ok", 32, on: descriptor)
            : Terminal.coloured(isTerminal && !ASCIIText.isWanted ? "✗" : "FAILED", 31, on: descriptor)
        let details = passed ? measured.map(\.summary) : explanation
        return ["\(sign) \(name) (\(time))"] + details.map { "    \($0)" }
    }
}
