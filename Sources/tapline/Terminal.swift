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

    /// The width that output for people has to fit, in columns: of the terminal that standard output is, else what
    /// COLUMNS says. nil where there is neither: programs read lines, and each row stays one.
    static var width: Int? {
        var size = winsize()
        if isatty(1) == 1, ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return max(20, Int(size.ws_col)) }
        return getenv("COLUMNS").flatMap { Int(String(cString: $0)) }.map { max(20, $0) }
    }

    /// The text in a colour of ECMA-48's, where there are colours.
    static func coloured(_ text: String, _ code: Int, on descriptor: Int32 = 1) -> String {
        hasColour(descriptor) ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// The line broken at blanks where it is wider than the output; what follows is indented.
    static func wrapped(_ line: String, indent: Int = 2) -> [String] {
        guard let width else { return [line] }
        return TextColumn.wrapped(line, to: width, indent: indent)
    }

    /// A text behind its head; its lines begin below each other, at `indent`, where the output has room for that.
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
        write(PlainText.shown(text) + end, 2)
    }

    /// Writes to standard output.
    static func out(_ text: String, end: String = "\n") {
        write(PlainText.shown(text) + end, 1)
    }

    /// Writes data to standard output as they are, whatever the locale: what a node has written, a picture.
    static func data(_ text: String, end: String = "\n") {
        write(text + end, 1)
    }

    /// Writes JSON to standard output; where only ASCII may be printed, other characters are escaped (RFC 8259, 7).
    static func json(_ text: String) {
        write((PlainText.isWanted ? PlainText.json(text) : text) + "\n", 1)
    }

    /// Writes to a descriptor, as it is.
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
        let cut = String(PlainText.shown(text).prefix(max(1, Terminal.columns - 1)))
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
    private let showsPlaces: Bool
    private let ended = Mutex<(passed: Int, failed: Int)>((0, 0))
    private let begun = TestDisplay.now()

    /// - Parameters:
    ///   - showsReady: Whether to say that all is up.
    ///   - showsPlaces: Whether to say then what has which address, and which commands are next.
    init(showsReady: Bool, showsPlaces: Bool = false) {
        self.showsReady = showsReady
        self.showsPlaces = showsPlaces
    }

    /// Says how many checks held, and how long all of it took.
    func summarize(_ plan: AppliancePlan) {
        clear()
        let (passed, failed) = ended.withLock { $0 }
        let checks = Plural.told(passed + failed, "check")
        let came =
            passed + failed == 0
            ? "no checks; the topology came up and was taken away"
            : failed == 0 ? "\(checks) passed" : "\(passed) of \(checks) passed, \(failed) failed"
        let time = TestDisplay.seconds(TestDisplay.now() - begun)
        Terminal.out(Terminal.coloured("\(plan.name): \(came), in \(time)", failed == 0 ? 32 : 31))
    }

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
            ended.withLock { if report.passed { $0.passed += 1 } else { $0.failed += 1 } }
            for line in report.lines(on: 1) { Terminal.out(line) }
        case .ready(let report):
            clear()
            guard showsReady else { return }
            Terminal.out("\(report.name) is up: \(report.told)")
            if showsPlaces { for line in report.next { Terminal.out(line) } }
        case .failed, .kept: clear()
        }
    }

    /// Takes the updating line away.
    func clear() { line.withLock { $0.clear() } }
}

extension ReadyReport {
    /// What has which address, and the three commands that are next.
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

    /// What is up, and how long it took.
    var told: String {
        "\(Plural.nodes(nodes)) on \(Plural.interfaces(interfaces)), \(Plural.entries(entries)), in \(milliseconds) ms"
    }
}

extension CheckReport {
    /// How the check ended; what explains it where it did not hold.
    func lines(on descriptor: Int32) -> [String] {
        let isTerminal = isatty(descriptor) == 1
        let sign =
            passed
            ? Terminal.coloured(isTerminal && !PlainText.isWanted ? "✓" : "ok", 32, on: descriptor)
            : Terminal.coloured(isTerminal && !PlainText.isWanted ? "✗" : "FAILED", 31, on: descriptor)
        return ["\(sign) \(name) (\(milliseconds) ms)"] + (passed ? [] : explanation.map { "    \($0)" })
    }
}
