import Appliance
import ControlAPI
import Glibc
import Reporting
import Synchronization
import Verification

/// Shows the progress of a test. Each check is shown as it ends, behind the name of its topology. Lines of one topology
/// stay together, however many topologies run at once.
final class TestDisplay: Sendable {
    private struct State {
        var line = UpdatingLine()
        /// What each running topology is doing.
        var doing: [Int: String] = [:]
        var done = 0
        var checks = 0
        var failures = 0
    }

    private let files: [TestFile]
    private let descriptor: Int32
    private let width: Int
    private let begun = ContinuousClock.now
    private let state = Mutex(State())

    /// - Parameter descriptor: Where the checks are shown. The updating line is on standard error.
    init(_ files: [TestFile], on descriptor: Int32) {
        self.files = files
        self.descriptor = descriptor
        width = min(32, files.filter { $0.mistake == nil }.map(\.label.count).max() ?? 0)
    }

    /// The time since this display was made.
    var elapsed: Duration { ContinuousClock.now - begun }

    /// Shows every mistake of every file, and the remarks on the other files.
    func tellMistakes() {
        for file in files {
            for remark in file.remarks { Terminal.error("note: \(remark)") }
            guard let mistake = file.mistake else { continue }
            for line in mistake.details { Terminal.error(line) }
            Terminal.error(Terminal.coloured("tapline:", 31, on: 2) + " \(mistake)")
        }
    }

    /// Shows one event. Any thread may call it.
    func take(_ event: TestRun.Event) {
        state.withLock { state in
            switch event {
            case .started(let index): state.doing[index] = "starting"
            case .progress(let index, .step(let text)): state.doing[index] = text
            case .progress(let index, .note(let text)): tell(["note: \(text)"], index, &state)
            case .progress(let index, .ready(let report)):
                tell(["up as \(files[index].topology): \(report.summary)"], index, &state)
            case .progress(let index, .check(let report)):
                state.checks += 1
                if !report.passed { state.failures += 1 }
                tell(report.lines(on: descriptor), index, &state)
            case .progress(_, .failed), .progress(_, .kept): break
            case .again(let index, let report, let next):
                // Of a file the last try counts.
                state.failures -= report.failures
                state.checks -= report.checks.count
                let reason = report.error.map { ": \($0)" } ?? ""
                tell(["\(report.outcome.rawValue)\(reason); try \(next) begins"], index, &state)
            case .ended(let index, let report):
                state.doing[index] = nil
                state.done += 1
                if let error = report.error {
                    let outcome = report.outcome == .interrupted ? "" : "\(report.outcome.rawValue): "
                    let head = Terminal.coloured(outcome + "\(error)", 31, on: descriptor)
                    tell([head] + error.details.map { "    \($0)" }, index, &state)
                }
            }
            guard Terminal.updates else { return }
            if state.doing.isEmpty { state.line.clear() } else { state.line.show(summary(state)) }
        }
    }

    /// Writes the lines of one topology in one piece.
    private func tell(_ lines: [String], _ index: Int, _ state: inout State) {
        if Terminal.updates { state.line.clear() }
        let label = files[index].label
        let prefix = label + String(repeating: " ", count: max(0, width - label.count)) + " | "
        Terminal.write(ASCIIText.shown(lines.map { prefix + $0 + "\n" }.joined()), descriptor)
    }

    private func summary(_ state: State) -> String {
        let total = files.count { $0.mistake == nil }
        let failures = state.failures == 0 ? "" : ", \(state.failures) failed"
        let doing = state.doing.sorted { $0.key < $1.key }.map { "\(files[$0.key].label): \($0.value)" }
        return
            "\(state.done) of \(total) done, \(Plural.counted(state.checks, "check"))\(failures); \(doing.joined(separator: "; "))"
    }

    /// Shows the table of all files, the topologies that are still up, and one sentence.
    func finish(_ report: TestReport) {
        state.withLock { $0.line.clear() }
        var table = TextTable(["TOPOLOGY", "RESULT", "CHECKS", "FAILED", "TIME", "FILE"], rightAligned: [2, 3, 4])
        for file in report.files {
            let ran = file.topology != nil
            let all = file.checks.count + file.notReached.count
            let checks = file.notReached.isEmpty ? "\(all)" : "\(file.checks.count) of \(all)"
            table.add([
                file.outcome == .badFile ? "-" : file.label, file.resultWords, ran ? checks : "-",
                ran ? "\(file.failures)" : "-", ran ? Self.seconds(file.time.duration) : "-", file.file,
            ])
        }
        var lines = [""] + table.lines + [""]
        for file in report.files {
            for (index, check) in file.checks.enumerated() where file.flake(of: index) != nil {
                lines.append("flaky: \(file.label): \(check.name) (\(check.place)) passed on try \(file.tries)")
            }
            if file.flakes > 0, file.outcome == .passed, file.earlier.contains(where: { $0.error != nil }) {
                lines.append("flaky: \(file.label) could not run before, and passed on try \(file.tries)")
            }
        }
        for file in report.files where file.kept {
            guard let topology = file.topology else { continue }
            lines.append("'\(topology)' is still up:")
            lines += file.nodes.prefix(1).map { "  tapline exec \(ShellWord.quoted(topology)) \(ShellWord.quoted($0))" }
            lines.append("  tapline down \(ShellWord.quoted(topology))")
        }
        lines.append(sentence(report))
        Terminal.write(ASCIIText.shown(lines.joined(separator: "\n") + "\n"), descriptor)
    }

    private func sentence(_ report: TestReport) -> String {
        let checks = report.files.reduce(0) { $0 + $1.checks.count }
        let failures = report.files.reduce(0) { $0 + $1.failures }
        let flakes = report.files.reduce(0) { $0 + $1.flakes }
        let outcomes: [TestFileReport.Outcome] = [.passed, .failed, .couldNotRun, .badFile, .interrupted]
        let summary = outcomes.compactMap { outcome -> String? in
            let count = report.files.count { $0.outcome == outcome }
            guard count > 0 else { return nil }
            return "\(count) \(outcome.rawValue)" + (outcome == .badFile && count > 1 ? "s" : "")
        }.joined(separator: ", ")
        let text =
            "\(Plural.counted(report.files.count, "file")): \(summary); "
            + "\(Plural.counted(checks, "check")), \(failures) failed\(flakes > 0 ? ", \(flakes) flaky" : ""), in \(Self.seconds(report.time.duration))"
        return Terminal.coloured(text, report.status != .success ? 31 : flakes > 0 ? 33 : 32, on: descriptor)
    }

    /// `12.3 s`: cut to tenths.
    static func seconds(_ time: Duration) -> String {
        let (whole, attoseconds) = time.components
        return "\(whole).\(attoseconds / 100_000_000_000_000_000) s"
    }
}
