import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Forwarding
import Glibc
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// One run of one check: all that its steps have started, opened and broken until now, and the state when it began.
///
/// Used by the thread that runs the check.
final class CheckSession {
    let sources: CheckSources
    /// The engine's counters when the check began.
    let counters: CounterReading
    /// The length of every log when the check began, in octets.
    let logLengths: [LogSource: Int]
    /// The length of each file that a check of the plan looks at since its beginning, when this check began, by path.
    let fileLengths: [String: Int]
    /// How every node was when the check began.
    let nodeStates: [String: NodeRuntime.State]
    /// The applications that ran when the check began.
    let applications: [String: Pidfd]
    /// How every instance stood when the check began, in the word that `status` has for it.
    let standings: [String: String]
    /// When the check began, in microseconds since 1970.
    let began = wallClockMicroseconds()

    /// The nodes that the check's steps name, in their order: whose logs may explain a failure.
    var concerned: [String] = []
    /// The nodes that the check touches, since before it did.
    var watches: [String: NodeWatch] = [:]
    /// The processes that this check started, running or ended, by node.
    var marks: [String: Set<ProcessMark>] = [:]
    var started: [String: StartedCommand] = [:]
    /// What packets have measured, and traces that explain what was not expected.
    var measured: [CheckMeasurement] = []
    var traces: [CheckReport.Evidence] = []
    /// The line of the step that is looked at; 0 for a record.
    var line = 0
    /// The answer to the newest instruction of the operator that was as expected.
    var instructed: JSONValue?
    var captures: [CapturePlace: FrameCapture] = [:]
    var faults = StandingFaults()
    /// The nodes that commands have run in which may not alter them.
    var kept: Set<String> = []
    /// Those nodes whose changes have been reported.
    var reportedNodes: Set<String> = []

    init(_ sources: CheckSources) {
        self.sources = sources
        counters = sources.counters()
        var lengths: [LogSource: Int] = [:]
        var states: [String: NodeRuntime.State] = [:]
        var applications: [String: Pidfd] = [:]
        for node in sources.plan.nodes {
            for log in node.logs {
                lengths[log] = fileLength(sources.directory.outputPath(log.node, program: log.program))
            }
            guard let runtime = try? sources.node(node.name) else { continue }
            let now = runtime.glimpse()
            states[node.name] = now.state
            applications[node.name] = now.application
        }
        logLengths = lengths
        fileLengths = Dictionary(
            sources.plan.checks.flatMap(\.steps).flatMap(\.filesSinceCheck).map { node, file in
                let path = sources.directory.filePath(node, file)
                return (path, fileLength(path))
            }, uniquingKeysWith: { first, _ in first })
        nodeStates = states
        self.applications = applications
        standings = sources.standings
    }

    /// The shortest and the longest time between two looks at an expectation that does not hold yet.
    private static let pauses = Duration.milliseconds(50)...Duration.milliseconds(500)

    /// Looks at a step until it holds or its time is over.
    func hold(_ step: StepPlan) throws(ApplianceError) -> StepOutcome {
        let deadline = monotonicTime() + .milliseconds(step.within)
        var pause = Self.pauses.lowerBound
        while true {
            try sources.cancellation.check()
            let left = deadline - monotonicTime()
            let longest = Duration.milliseconds(step.timeout)
            let timeout = step.within == 0 ? longest : min(longest, max(left, .seconds(1)))
            let finding: StepOutcome
            line = step.origin.lineNumber
            do throws(ApplianceError) {
                finding = try look(step.action, timeout)
            } catch {
                try sources.cancellation.check()
                finding = StepOutcome(holds: false, expected: ["that it can be looked at"], came: ["\(error)"])
            }
            try sources.cancellation.check()
            if finding.holds || finding.isFinal || monotonicTime() + pause >= deadline { return finding }
            sources.cancellation.sleep(pause)
            pause = min(pause * 2, Self.pauses.upperBound)
        }
    }

    /// Does a step, or compares its expectation.
    private func look(_ action: StepPlan.Action, _ timeout: Duration) throws(ApplianceError) -> StepOutcome {
        switch action {
        case .command(let command, let expectation):
            return try run(command, expectation, timeout)
        case .start(let name, let command):
            return try start(name, command)
        case .finish(let name, let expectation):
            return finish(name, expectation, timeout)
        case .log(let log, let output, let since):
            return lookAtLog(log, output, since)
        case .entry(let name, let packets, let bytes, let since):
            return lookAtEntry(name, packets, bytes, since)
        case .interface(let index, let expectations, let since):
            return lookAtInterface(index, expectations, since)
        case .drops(let reason, let frames, let since):
            return lookAtDrops(reason, frames, since)
        case .packet(let packet):
            return try send(packet, timeout)
        case .path(let path):
            return try measure(path, timeout)
        case .outage(let outage):
            return try measure(outage, timeout)
        case .wait(let milliseconds):
            sources.cancellation.sleep(.milliseconds(milliseconds))
            return .held
        case .capture(let place):
            return try capture(place)
        case .captured(let place, let filter, let frames, let bytes):
            return lookAtCapture(place, filter, frames, bytes)
        case .instance(let name, let expectation):
            return lookAtInstance(name, expectation)
        case .event(let event, let since):
            return lookForEvents(event, since)
        case .mapping(let mapping):
            return lookForMapping(mapping)
        case .impair(let step):
            return try impair(step)
        case .fault(let fault):
            return try cause(fault, timeout)
        case .instruct(let instruction, let expectation):
            return try instruct(instruction, expectation, timeout)
        }
    }

    /// Notes that a node has to do with the check.
    func concern(_ node: String) {
        if !concerned.contains(node) { concerned.append(node) }
    }

    /// Watches a node, from before the check's first touch.
    @discardableResult
    func remember(_ node: NodeRuntime) throws(ApplianceError) -> NodeWatch {
        concern(node.plan.name)
        if let watch = watches[node.plan.name] { return watch }
        let watch = try NodeWatch(node)
        watches[node.plan.name] = watch
        return watch
    }

    // MARK: - Logs and counters

    private func lookAtLog(_ log: LogSource, _ output: TextExpectation, _ since: CountingStart) -> StepOutcome {
        concern(log.node)
        let path =
            log.file.map { sources.directory.filePath(log.node, $0) }
            ?? sources.directory.outputPath(log.node, program: log.program)
        guard var bytes = readFile(path) else {
            let name = log.file.map { "$TAPLINE_DIR/\($0) of \(log.node)" } ?? "the log of \(log.name)"
            return StepOutcome(holds: false, expected: [output.summary], came: ["\(name): \(errorText(errno))"])
        }
        // A file that was started over meanwhile is shorter than it was.
        let before = log.file == nil ? logLengths[log] : fileLengths[path]
        if since == .check, let before, before <= bytes.count {
            bytes = Array(bytes[before...])
        }
        return StepOutcome(unmet: output.unmet(by: bytes), came: shownLines(bytes))
    }

    private func lookAtEntry(
        _ name: String, _ packets: NumberExpectation?, _ bytes: NumberExpectation?, _ since: CountingStart
    ) -> StepOutcome {
        guard var counted = sources.counters().entries[name] else {
            return StepOutcome(holds: false, expected: ["an entry named \(name)"], came: ["there is none"])
        }
        if since == .check, let before = counters.entries[name] {
            counted.packets -= min(before.packets, counted.packets)
            counted.bytes -= min(before.bytes, counted.bytes)
        }
        var unmet: [String] = []
        if let packets, !packets.holds(for: counted.packets) { unmet.append("packets \(packets.summary)") }
        if let bytes, !bytes.holds(for: counted.bytes) { unmet.append("bytes \(bytes.summary)") }
        return StepOutcome(
            unmet: unmet,
            came: [
                "\(name): \(Plural.counted(counted.packets, "packet")), \(Plural.counted(counted.bytes, "byte"))"
                    + since.summary
            ])
    }

    private func lookAtInterface(
        _ index: Int, _ expectations: [InterfaceCounter: NumberExpectation], _ since: CountingStart
    ) -> StepOutcome {
        let name = sources.plan.interfaces[index].name
        let now = sources.counters()
        var unmet: [String] = []
        var came: [String] = []
        for counter in InterfaceCounter.allCases {
            guard var counted = now.value(of: counter, interface: index) else {
                return StepOutcome(holds: false, expected: ["an interface named \(name)"], came: ["there is none"])
            }
            if since == .check, let before = counters.value(of: counter, interface: index) {
                counted -= min(counted, before)
            }
            if let expected = expectations[counter], !expected.holds(for: counted) {
                unmet.append("\(counter.rawValue) \(expected.summary)")
            }
            came.append("\(counter.rawValue) \(counted)")
        }
        return StepOutcome(unmet: unmet, came: ["\(name): " + came.joined(separator: ", ") + since.summary])
    }

    private func lookAtDrops(_ name: String, _ frames: NumberExpectation, _ since: CountingStart) -> StepOutcome {
        guard let reason = DropReason.allCases.first(where: { $0.name == name }) else {
            return StepOutcome(holds: false, expected: ["a drop reason named \(name)"], came: ["there is none"])
        }
        var counted = sources.counters()[reason]
        if since == .check { counted -= min(counted, counters[reason]) }
        return StepOutcome(
            holds: frames.holds(for: counted), expected: ["frames \(frames.summary)"],
            came: ["\(name): \(Plural.counted(counted, "frame"))" + since.summary])
    }
}

extension NodePlan {
    /// Its logs: its own, and those of its programs.
    var logs: [LogSource] {
        [LogSource(node: name)] + process.programs.map { LogSource(node: name, program: $0.name) }
    }
}

extension LogSource {
    /// It, as `tapline logs` is asked for it.
    var name: String { node + (program.map { " \($0)" } ?? "") }
}

extension CountingStart {
    package var summary: String { self == .check ? " since the check began" : "" }
}

/// The length of a file in octets; 0 if there is none.
func fileLength(_ path: String) -> Int {
    var info = stat()
    return stat(path, &info) == 0 ? Int(info.st_size) : 0
}

/// The last lines of a text, each cut to a readable length.
func shownLines(_ text: [UInt8], _ count: Int = 20) -> [String] {
    let lines = String(decoding: text.suffix(65536), as: UTF8.self).split(separator: "\n")
    guard !lines.isEmpty else { return ["(no output)"] }
    return lines.suffix(count).map { line in
        let printable = line.unicodeScalars.filter { $0.value >= 32 || $0 == "\t" }
        let text = String(String.UnicodeScalarView(printable))
        return text.count > 300 ? text.prefix(300) + " …" : text
    }.filter { !$0.isEmpty }
}
