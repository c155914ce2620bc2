import Forwarding
import Glibc
import LinuxNetwork
import Topology

/// Runs the checks of a file, one after another, in the calling thread.
struct CheckRunner {
    /// What a check looks at.
    struct Sources {
        /// Enters a node.
        var enter: (String) throws(ApplianceError) -> (entrance: NodeEntrance, node: Pidfd)
        /// Packets and bytes of all entries with a name; nil where there is none.
        var entry: (String) -> (packets: UInt64, bytes: UInt64)?
        /// Frames dropped for a reason, by its name; nil where there is no such reason.
        var drops: (String) -> UInt64?
    }

    let directory: StateDirectory
    let sources: Sources
    let interruption: Interruption

    /// The time between two looks at what does not hold yet, in milliseconds: from … to.
    private static let pauses = 50...500
    /// What is shown of what came, in lines and in characters of each.
    private static let linesShown = 20
    private static let charactersShown = 300
    /// The end of a text that a regular expression is tried on, in octets.
    private static let matchedBound = 1 << 20

    /// How one look at a check came out.
    private struct Finding {
        var holds: Bool
        var expected: [String] = []
        var came: [String] = []
    }

    /// Runs one check until it holds or its time is over.
    func run(_ check: CheckPlan) throws(ApplianceError) -> CheckReport {
        let started = monotonicMilliseconds()
        let deadline = started + check.within
        var pause = Self.pauses.lowerBound
        while true {
            try interruption.check()
            let left = deadline - monotonicMilliseconds()
            let timeout = check.within == 0 ? check.timeout : min(check.timeout, max(left, 1000))
            let finding: Finding
            do throws(ApplianceError) {
                finding = try look(check, timeout)
            } catch {
                try interruption.check()
                finding = Finding(holds: false, expected: ["that it can be looked at"], came: ["\(error)"])
            }
            try interruption.check()
            let now = monotonicMilliseconds()
            if finding.holds || now + pause >= deadline {
                return CheckReport(
                    name: check.name, line: check.line, passed: finding.holds, milliseconds: now - started,
                    expected: finding.holds ? nil : finding.expected.joined(separator: "; "),
                    came: finding.holds ? [] : finding.came)
            }
            interruption.sleep(milliseconds: pause)
            pause = min(pause * 2, Self.pauses.upperBound)
        }
    }

    private func look(_ check: CheckPlan, _ timeout: Int) throws(ApplianceError) -> Finding {
        switch check.subject {
        case .command(let node, let command, let status, let output):
            return try lookAtCommand(node, command, status, output, timeout)
        case .log(let node, let file, let output):
            let path = file.map { "\(directory.nodePath(node))/\($0)" } ?? directory.outputPath(node)
            guard let bytes = readFile(path) else {
                return Finding(
                    holds: false, expected: [output.told], came: ["\(path): \(errorText(errno))"])
            }
            let unmet = Self.unmet(output, bytes)
            return Finding(holds: unmet.isEmpty, expected: unmet, came: Self.shown(bytes))
        case .entry(let name, let packets, let bytes):
            guard let counted = sources.entry(name) else {
                return Finding(holds: false, expected: ["an entry named \(name)"], came: ["there is none"])
            }
            var expected: [String] = []
            if let packets, !packets.holds(for: counted.packets) { expected.append("packets \(packets.told)") }
            if let bytes, !bytes.holds(for: counted.bytes) { expected.append("bytes \(bytes.told)") }
            return Finding(
                holds: expected.isEmpty, expected: expected,
                came: ["\(name): \(counted.packets) packets, \(counted.bytes) bytes"])
        case .drops(let reason, let frames):
            guard let counted = sources.drops(reason) else {
                return Finding(holds: false, expected: ["a drop reason named \(reason)"], came: ["there is none"])
            }
            return Finding(
                holds: frames.holds(for: counted), expected: ["frames \(frames.told)"],
                came: ["\(reason): \(counted) frames"])
        }
    }

    private func lookAtCommand(
        _ node: String, _ command: String, _ status: Int32, _ output: TextExpectation, _ timeout: Int
    ) throws(ApplianceError) -> Finding {
        let (entrance, process) = try sources.enter(node)
        let outcome = try CommandRun.captured(
            command, in: entrance, node: process, timeout: timeout, interruption: interruption)
        var expected: [String] = []
        var came: [String] = []
        if let end = outcome.end {
            if end.code != status {
                expected.append("status \(status)")
                came.append("it \(end.told)")
                if end.code == 127 { came.append("status 127: is the program installed?") }
            }
        } else {
            expected.append("that it ends within \(seconds(timeout))")
            came.append("it was ended with all that it had started")
        }
        expected += Self.unmet(output, outcome.output)
        came += Self.shown(outcome.output)
        if outcome.truncated { came.append("(output beyond \(CommandRun.outputBound >> 20) MiB was cut off)") }
        return Finding(holds: expected.isEmpty, expected: expected, came: came)
    }

    // MARK: - Texts

    /// What of the expectation the text does not meet, as sentences.
    static func unmet(_ expectation: TextExpectation, _ text: [UInt8]) -> [String] {
        var unmet: [String] = []
        for part in expectation.contains where !contains(text, Array(part.utf8)) {
            unmet.append("output with '\(part)'")
        }
        for part in expectation.lacks where contains(text, Array(part.utf8)) {
            unmet.append("output without '\(part)'")
        }
        if let pattern = expectation.matches {
            do {
                let regex = try Regex(pattern).anchorsMatchLineEndings().matchingSemantics(.unicodeScalar)
                let end = String(decoding: text.suffix(matchedBound), as: UTF8.self)
                if try regex.firstMatch(in: end) == nil { unmet.append("output that matches /\(pattern)/") }
            } catch {
                unmet.append("a regular expression, and /\(pattern)/ is none: \(error)")
            }
        }
        return unmet
    }

    private static func contains(_ text: [UInt8], _ part: [UInt8]) -> Bool {
        guard let first = part.first else { return true }
        guard part.count <= text.count else { return false }
        return text.withUnsafeBytes { text in
            part.withUnsafeBytes { part in
                var offset = 0
                let last = text.count - part.count
                while offset <= last {
                    guard let found = memchr(text.baseAddress! + offset, Int32(first), last - offset + 1) else {
                        return false
                    }
                    offset = UnsafeRawPointer(found) - text.baseAddress!
                    if memcmp(text.baseAddress! + offset, part.baseAddress!, part.count) == 0 { return true }
                    offset += 1
                }
                return false
            }
        }
    }

    /// The last lines of a text, each cut to a readable length.
    private static func shown(_ text: [UInt8]) -> [String] {
        let lines = String(decoding: text.suffix(65536), as: UTF8.self).split(separator: "\n")
        guard !lines.isEmpty else { return ["(no output)"] }
        return lines.suffix(linesShown).map { line in
            let printable = line.unicodeScalars.filter { $0.value >= 32 || $0 == "\t" }
            let text = String(String.UnicodeScalarView(printable))
            return text.count > charactersShown ? text.prefix(charactersShown) + " …" : text
        }
    }
}

extension NumberExpectation {
    /// As the file writes it.
    var told: String { "\(comparison.rawValue) \(value)" }
}

extension TextExpectation {
    /// What is expected, where there is no text to look at.
    var told: String {
        let parts =
            contains.map { "'\($0)'" } + lacks.map { "no '\($0)'" } + (matches.map { ["a match of /\($0)/"] } ?? [])
        return parts.isEmpty ? "a readable file" : parts.joined(separator: ", ")
    }
}
