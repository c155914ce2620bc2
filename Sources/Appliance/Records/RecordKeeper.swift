import CLinux
import ControlAPI
import Engine
import EngineControl
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Logging
import Reporting
import Synchronization
import Wire

/// Starts the process that keeps tenants' records (`tapline-records`), starts it again when it ends, and carries out what it asks
/// for. All of this is on a thread of its own; the engines go on meanwhile with the table that they have.
final class RecordKeeper: @unchecked Sendable {
    /// The longest message of the process, in octets: all records.
    private static let longestLine = 64 << 20
    /// How long the process may take to open its database.
    private static let patience = Duration.seconds(30)
    /// How long it may take to end by itself.
    private static let parting = Duration.seconds(2)

    private struct State {
        var isClosed = false
        var channel: LineChannel?
        /// The management address; nil: there is none.
        var door: ManagementDoor?
        /// True if the process that runs serves another one: it is ended, and started again at once.
        var isOutdated = false
    }

    unowned let control: ControlProcess
    private let program: String
    private let database: String
    private let listener: Int32
    private let log: Int32
    /// An eventfd: what the file says of tenants may have changed.
    let bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    private let state = Mutex(State())
    /// One change after another is looked at.
    let renewing = Mutex(())
    private let left = RaisedFlag()

    /// - Parameters:
    ///   - database: The path of the database; nil: in the topology's folder.
    ///   - credentials: What the management address proves itself with.
    /// - Throws: `ApplianceError` if the program is not there, or the operator's socket or the management address cannot be served.
    init(
        _ control: ControlProcess, database: String?, credentials: ManagementCredentials?
    ) throws(ApplianceError) {
        self.control = control
        program = try Machine.recordsPath()
        self.database = database ?? control.directory.recordsPath
        listener = try Self.listen(at: control.directory.recordsSocketPath)
        log = open(control.directory.logPath, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        if let credentials, let (plan, namespace) = Self.management(control) {
            let door = try ManagementDoor(plan, credentials, in: namespace)
            state.withLock { $0.door = door }
        }
    }

    deinit {
        close(listener)
        if bell >= 0 { close(bell) }
        if log >= 0 { close(log) }
    }

    /// The operator's socket, open to its owner alone.
    private static func listen(at path: String) throws(ApplianceError) -> Int32 {
        unlink(path)
        let listener = newSocket()
        guard listener >= 0 else { throw .system("cannot make a socket for records", errno: errno) }
        let mask = umask(0o177)
        let bound = withSocketAddress(path) { bind(listener, $0, $1) }
        let code = errno
        umask(mask)
        guard bound == 0, Glibc.listen(listener, 64) == 0 else {
            close(listener)
            throw .system("cannot listen at \(path)", errno: bound == 0 ? errno : code)
        }
        return listener
    }

    /// Starts the process, and waits until all records are in force that the file lets be.
    ///
    /// - Throws: `ApplianceError` if the process cannot be started, or its database cannot be opened.
    func start() throws(ApplianceError) {
        let began = RaisedFlag()
        let outcome = Box<Result<Void, ApplianceError>>(.success(()))
        do throws(ApplianceError) { try run(began, outcome) } catch {
            // There is no thread that `stop` could wait for.
            left.raise()
            throw error
        }
        while !began.wait(atMost: .milliseconds(100)) {
            // It reads no more from a process that opens its database, or waits for a lock.
            if control.cancellation.isRaised { hearNoMore() }
        }
        try control.cancellation.check()
        try outcome.value.get()
    }

    private func run(_ began: RaisedFlag, _ outcome: Box<Result<Void, ApplianceError>>) throws(ApplianceError) {
        try startThread { [self] in
            let instructions = RecordInstructions(control)
            do throws(ApplianceError) {
                var process = try begin(instructions, whileStarting: true)
                began.raise()
                keep(&process, instructions)
            } catch {
                outcome.value = .failure(error)
                began.raise()
            }
            left.raise()
        }
    }

    /// From now on no process is started, and the one that runs is heard no more.
    private func hearNoMore() {
        state.withLock { state in
            state.isClosed = true
            state.channel?.shutDown()
        }
    }

    /// The management address; nil: there is none.
    var door: ManagementDoor? { state.withLock(\.door) }

    /// Has another management address served: the process that runs is ended, and started again at once.
    func replace(_ door: ManagementDoor?) {
        state.withLock { state in
            state.door = door
            state.isOutdated = true
            state.channel?.shutDown()
        }
    }

    /// Ends the process, and waits for that. An instruction under way has left by then.
    func stop() {
        hearNoMore()
        left.wait()
        unlink(control.directory.recordsSocketPath)
    }

    // MARK: - On its thread

    /// A process that has opened its database.
    private struct Running {
        var process: Pidfd
        var channel: LineChannel
        var started: MonotonicTime
    }

    /// Starts a process, and lets it begin.
    private func begin(
        _ instructions: RecordInstructions, whileStarting isStarting: Bool
    ) throws(ApplianceError) -> Running {
        let started = try spawn()
        do throws(ApplianceError) {
            guard let line = started.channel.read(within: Self.patience) else {
                throw ApplianceError(
                    .failed, "the process of records ended, or did not open its database",
                    details: lastLines(control.directory.logPath, 3))
            }
            let request = try JSONLine.decode(InstructionRequest.self, line)
            if case .failed(let error) = request { throw error }
            guard case .begin = request, let answer = instructions.answer(request, whileStarting: isStarting) else {
                throw ApplianceError(.failed, "the process of records says something unexpected")
            }
            if case .error(let error) = answer { throw error }
            guard started.channel.write(try JSONLine.encode(answer)) else {
                throw ApplianceError(.failed, "the process of records ended")
            }
            return started
        } catch {
            end(started)
            throw error
        }
    }

    private func spawn() throws(ApplianceError) -> Running {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw .system("cannot make a pair of sockets", errno: errno)
        }
        let channel = LineChannel(owning: ends[0], longest: Self.longestLine)
        defer { close(ends[1]) }
        let (isClosed, door) = state.withLock { state in
            state.channel = channel
            state.isOutdated = false
            return (state.isClosed, state.door)
        }
        if isClosed { throw .cancelled }
        var command = Command(
            program, arguments: ["tapline-records"], environment: ["SWIFT_BACKTRACE=enable=no"], workingDirectory: "/",
            descriptors: [2: log, 3: listener, 4: ends[1], 5: bell], diesWithParent: true)
        for (place, listener) in (door?.listeners ?? []).enumerated() {
            command.descriptors[6 + Int32(place)] = listener
        }
        command.ownsProcesses = true
        let process: Pidfd
        do throws(SystemError) { process = try ProcessLauncher.spawn(command) } catch {
            throw ApplianceError(.failed, "the process of records cannot be started: \(error)")
        }
        if let recorded = RecordedProcess(pid: process.pid, what: "tapline-records") { control.note(recorded) }
        let settings = RecordsSettings(
            name: control.name, user: EngineIdentity.user(of: process.pid), database: database,
            management: door?.settings)
        withExtendedLifetime(door) {}
        // A process that is gone already shows as one that says nothing.
        _ = channel.write(try JSONLine.encode(settings))
        return Running(process: process, channel: channel, started: monotonicTime())
    }

    private func end(_ running: Running) {
        running.channel.shutDown()
        if !running.process.waitForEnd(within: Self.parting) { try? running.process.signal(SIGKILL) }
        _ = try? running.process.wait()
    }

    /// Answers a process until it ends, and starts the next one.
    private func keep(_ running: inout Running, _ instructions: RecordInstructions) {
        var backoff = RestartBackoff()
        while true {
            serve(running, instructions)
            end(running)
            guard !isClosed else { return }
            let isOutdated = state.withLock(\.isOutdated)
            if isOutdated {
                control.logger.info(
                    "the process of records is started again, for a management address that has changed")
            } else {
                control.logger.error("the process of records ended, and is started again")
            }
            var pause = isOutdated ? .zero : backoff.ended(now: monotonicTime(), started: running.started)
            while true {
                pauseUntilClosed(pause)
                guard !isClosed else { return }
                do throws(ApplianceError) {
                    running = try begin(instructions, whileStarting: false)
                    break
                } catch {
                    guard !isClosed else { return }
                    control.logger.error("the process of records cannot be started again: \(error)")
                    pause = backoff.failed()
                }
            }
        }
    }

    /// Waits a time, or less where the records are to end meanwhile.
    private func pauseUntilClosed(_ pause: Duration) {
        let end = monotonicTime() + pause
        while !isClosed, monotonicTime() < end { control.cancellation.sleep(min(pause, .milliseconds(100))) }
    }

    private var isClosed: Bool { state.withLock(\.isClosed) || control.cancellation.isRaised }

    private func serve(_ running: Running, _ instructions: RecordInstructions) {
        while let line = running.channel.read() {
            guard let request = try? JSONLine.decode(InstructionRequest.self, line),
                let answer = instructions.answer(request, whileStarting: false),
                let bytes = try? JSONLine.encode(answer), running.channel.write(bytes)
            else { return }
            instructions.tidy()
        }
    }
}
