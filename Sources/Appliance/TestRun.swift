import ApplianceClient
import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting
import Synchronization
import Verification
import Wire

/// Runs the files of a test side by side, each in a process of its own under a name of its own.
///
/// When `perform` returns, or when this process ends in any other way, only topologies that are to be kept stay up.
public final class TestRun: Sendable {
    /// An event of the run.
    public enum Event: Sendable {
        /// The file of that index is being started.
        case started(Int)
        /// The progress of the file's process.
        case progress(Int, Progress)
        /// A try did not pass, and the file is run again: the number of the next try.
        case again(Int, TestFileReport, next: Int)
        /// It is done.
        case ended(Int, TestFileReport)
    }

    /// The files, in their order.
    public let files: [TestFile]
    private let jobs: Int
    private let keep: Bool
    private let filter: String?
    private let retries: Int
    private let evidence: String?
    private let running = Mutex<(children: [Int: Pidfd], interrupted: Bool)>(([:], false))

    /// - Parameters:
    ///   - jobs: How many topologies may be up at once.
    ///   - keep: Leave every topology up whose checks have run.
    ///   - filter: The filter that `TestFiles.read` got.
    ///   - retries: How often a file that does not pass is run again.
    ///   - evidence: The folder for what each file's process leaves as evidence.
    public init(
        files: [TestFile], jobs: Int, keep: Bool = false, filter: String? = nil, retries: Int = 0,
        evidence: String? = nil
    ) {
        self.retries = retries
        self.evidence = evidence
        self.files = files
        self.jobs = max(1, jobs)
        self.keep = keep
        self.filter = filter
    }

    /// The number of processors that this process may use.
    public static var processors: Int {
        var allowed = cpu_set_t()
        guard sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &allowed) == 0 else { return 1 }
        return max(1, withUnsafeBytes(of: &allowed) { $0.reduce(0) { $0 + $1.nonzeroBitCount } })
    }

    /// True once SIGINT, SIGTERM or SIGHUP has come.
    public var wasInterrupted: Bool { running.withLock { $0.interrupted } }

    /// Runs every file without mistakes, and reports on all, in their order.
    ///
    /// From here on the three signals that ask this process to end make every topology be taken away first.
    ///
    /// - Parameter sink: Called from several threads.
    /// - Throws: `ApplianceError` if the signals cannot be taken, or a thread cannot be started.
    public func perform(_ sink: @escaping @Sendable (Event) -> Void) throws(ApplianceError) -> [TestFileReport] {
        try takeSignals()
        let reports = Mutex<[Int: TestFileReport]>([:])
        let good = files.indices.filter { files[$0].mistake == nil }
        try inParallel(good.count, width: jobs) { [self] position throws(ApplianceError) in
            let report = run(good[position], sink)
            reports.withLock { $0[good[position]] = report }
            sink(.ended(good[position], report))
        }
        return files.indices.map { index in reports.withLock { $0[index] } ?? report(on: files[index], nil) }
    }

    /// The reports of all files if the machine lets none of them run: nothing was started.
    public func refused(_ error: ApplianceError) -> [TestFileReport] { files.map { report(on: $0, error) } }

    /// A file that is not started, for its mistakes or else for `error`.
    private func report(on file: TestFile, _ error: ApplianceError?) -> TestFileReport {
        var report = emptyReport(file)
        report.outcome = file.mistake == nil ? .couldNotRun : .badFile
        report.error = file.mistake ?? error
        report.status = report.error?.status ?? .failed
        return report
    }

    private func takeSignals() throws(ApplianceError) {
        let watched = SignalDescriptor.block([SIGINT, SIGTERM, SIGHUP])
        try startThread { [self] in
            var (set, number) = (watched, Int32(0))
            while sigwait(&set, &number) == 0 {
                let children = running.withLock { state in
                    state.interrupted = true
                    return state.children
                }
                for child in children.values { end(child) }
            }
        }
    }

    /// Asks a child to take its topology away and end. One that has ended meanwhile is no failure.
    private func end(_ child: Pidfd) {
        do throws(SystemError) { try child.signal(SIGTERM) } catch { _ = error }
    }

    private func emptyReport(_ file: TestFile) -> TestFileReport {
        TestFileReport(
            label: file.label, file: file.path, topology: nil, outcome: .interrupted, status: .failed,
            started: wallClockSeconds(), time: .zero, checks: [], notReached: file.checks, error: nil,
            notes: file.remarks, errorOutput: [], kept: false, nodes: file.nodes)
    }

    // MARK: - One file

    private func run(_ index: Int, _ sink: @Sendable (Event) -> Void) -> TestFileReport {
        var earlier: [TestFileReport.EarlierTry] = []
        while true {
            var report = runOnce(index, sink, number: earlier.count + 1)
            guard earlier.count < retries, isWorthAnother(report), !wasInterrupted else {
                report.earlier = earlier
                return report
            }
            // Another try begins with nothing of this one.
            if report.kept {
                report.kept = false
                takeAwayLeftovers(&report)
            }
            earlier.append(
                TestFileReport.EarlierTry(
                    outcome: report.outcome, checks: report.checks, error: report.error, time: report.time))
            sink(.again(index, report, next: earlier.count + 1))
        }
    }

    /// A mistake of the file, or what the machine lacks, is the same the next time.
    private func isWorthAnother(_ report: TestFileReport) -> Bool {
        switch report.outcome {
        case .failed: true
        case .couldNotRun: report.status == .failed
        case .passed, .badFile, .interrupted: false
        }
    }

    private func runOnce(_ index: Int, _ sink: @Sendable (Event) -> Void, number: Int) -> TestFileReport {
        let file = files[index]
        var report = emptyReport(file)
        guard !wasInterrupted else {
            report.error = ApplianceError(.failed, "interrupted before it was started")
            return report
        }
        sink(.started(index))
        let start = monotonicTime()
        report.topology = file.topology
        do throws(ApplianceError) {
            let ended = try follow(index, &report, sink, number: number)
            judge(ended, &report)
        } catch {
            report.outcome = .couldNotRun
            report.status = error.status
            report.error = error
        }
        if !report.kept { takeAwayLeftovers(&report) }
        report.notReached = Array(file.checks.dropFirst(report.checks.count))
        report.time = Milliseconds(monotonicTime() - start)
        return report
    }

    /// Starts the file's process and takes its progress, until it has ended or stays up. Returns how it ended.
    private func follow(
        _ index: Int, _ report: inout TestFileReport, _ sink: @Sendable (Event) -> Void, number: Int
    ) throws(ApplianceError) -> ProcessExit? {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw .system("cannot make a pipe", errno: errno) }
        defer { close(ends[0]) }
        // The error output of a program, kept in memory, so that no thread has to read it meanwhile.
        let errors = clinux_memfd("errors", 0)
        defer { if errors >= 0 { close(errors) } }
        let child = try start(files[index], progress: ends[1], errors: errors, number: number)
        let interrupted = running.withLock { state in
            state.children[index] = child
            return state.interrupted
        }
        if interrupted { end(child) }
        defer { running.withLock { $0.children[index] = nil } }
        var input: [UInt8] = []
        while let bytes = readOnce(ends[0]), !bytes.isEmpty {
            input += bytes
            while let end = input.firstIndex(of: 10) {
                let message = try JSONLine.decode(Progress.self, input[..<end])
                input.removeSubrange(...end)
                switch message {
                case .check(let check): report.checks.append(check)
                case .note(let note): report.notes.append(note)
                case .failed(let error): report.error = error
                case .kept: report.kept = true
                case .step, .ready: break
                }
                sink(.progress(index, message))
                if report.kept { return nil }
            }
        }
        defer { report.errorOutput = errors < 0 ? [] : lastLines("/proc/self/fd/\(errors)", 50) }
        do throws(SystemError) {
            return try child.wait()
        } catch {
            throw ApplianceError(.failed, "\(error)")
        }
    }

    private func start(
        _ file: TestFile, progress: Int32, errors: Int32, number: Int
    ) throws(ApplianceError) -> Pidfd {
        defer { close(progress) }
        var arguments = ["run", "--tell-progress", "--name", file.topology]
        arguments += file.settings.words
        if keep { arguments.append("--keep") }
        if let filter, !TestFiles.isWhole(file, filter) { arguments += ["--filter=\(filter)"] }
        if let folder = evidenceFolder(file, number) { arguments += ["--evidence=\(folder)"] }
        var descriptors = [DetachedStart.progressDescriptor: progress]
        if errors >= 0 { descriptors[2] = errors }
        return try DetachedStart.spawn(arguments + ["--", file.path], descriptors: descriptors)
    }

    /// Where a try leaves its evidence: the label of a file is its own within a test.
    private func evidenceFolder(_ file: TestFile, _ number: Int) -> String? {
        evidence.map { folder in
            let name = file.label.replacing("/", with: "_")
            return "\(folder)/\(name)" + (number > 1 ? "-try-\(number)" : "")
        }
    }

    private func judge(_ end: ProcessExit?, _ report: inout TestFileReport) {
        if let error = report.error {
            report.status = error.status == .success || error.status == .checkFailed ? .failed : error.status
            report.outcome = report.status == .file ? .badFile : .couldNotRun
            if wasInterrupted, error == .cancelled { report.outcome = .interrupted }
            return
        }
        let failed = report.failures > 0
        let wasReported: Bool =
            switch end {
            case nil: true
            case .exited(let status): status == (failed ? ExitCode.checkFailed : .success).rawValue
            case .signalled: false
            }
        let file = files.first { $0.topology == report.topology }
        guard wasReported, report.checks.count == file?.checks.count else {
            report.outcome = .couldNotRun
            report.status = .failed
            report.error = ApplianceError(
                .failed, "its process \(end?.summary ?? "went on") before all its checks were done",
                details: report.errorOutput)
            return
        }
        report.outcome = failed ? .failed : .passed
        report.status = failed ? .checkFailed : .success
    }

    /// A process that was killed takes nothing away: this one does it then.
    private func takeAwayLeftovers(_ report: inout TestFileReport) {
        guard let name = report.topology else { return }
        do throws(ApplianceError) {
            let client = try ApplianceClient(name: name)
            if client.directory.exists { try client.down() }
        } catch {
            guard error.status != .name else { return }
            report.error = report.error ?? error
            report.outcome = .couldNotRun
            report.status = .failed
        }
    }
}
