import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Reporting
import Synchronization
import Wire

/// The requests of commands to an existing topology, alive or dead.
public struct ApplianceClient: Sendable {
    /// Where its state is.
    public let directory: StateDirectory
    /// Makes the connections, in a process that has no rights of its own and sees no files; nil: this process does.
    private let broker: BrokeredConnections?
    var control: ControlClient { ControlClient(directory: directory, broker: broker) }
    /// True if there may be such a topology, as far as this process sees.
    var isThere: Bool { broker != nil || directory.exists }

    /// How long a control process may take to end before it is ended.
    private static let patience = Duration.seconds(30)
    /// How often a control process is asked to end that answers something else, 20 ms apart, before it is ended.
    private static let mostRefusals = 100

    /// - Throws: `ApplianceError` if no topology can have the name.
    public init(name: String) throws(ApplianceError) {
        directory = try StateDirectory(name: name)
        broker = nil
    }

    /// A client that has the rights of the connections that it gets, and no others.
    ///
    /// - Throws: `ApplianceError` if no topology can have the name.
    package init(name: String, through broker: BrokeredConnections) throws(ApplianceError) {
        directory = try StateDirectory(name: name)
        self.broker = broker
    }

    /// Every topology that has state here, all asked at once. The report says which one does not answer. It delays the
    /// others by its timeout only.
    ///
    /// - Throws: `ApplianceError` if a control process refuses this user, or a thread cannot be started.
    public static func all() throws(ApplianceError) -> [StatusReport] {
        let names = StateDirectory.allNames()
        let reports = Mutex<[Int: StatusReport]>([:])
        try inParallel(names.count, width: names.count) { index throws(ApplianceError) in
            let client = try ApplianceClient(name: names[index])
            do throws(ApplianceError) {
                let report = try client.status()
                reports.withLock { $0[index] = report }
            } catch {
                // It went away while it was looked at.
                if error.status == .name { return }
                // One that is silent, or says what cannot be read, hides no other.
                guard error == client.control.silence || error.status == .failed else { throw error }
                let report = client.hungReport(error)
                reports.withLock { $0[index] = report }
            }
        }
        return reports.withLock { reports in names.indices.compactMap { reports[$0] } }
    }

    /// A sample of every topology that has state here, all asked at once, and the names of those that give none.
    ///
    /// - Throws: `ApplianceError` if a control process refuses this user, or a thread cannot be started.
    public static func samples(
        timesOneIn: Int? = nil
    ) throws(ApplianceError) -> (samples: [Sample], silent: [String]) {
        let names = StateDirectory.allNames()
        let results = Mutex<(samples: [Int: Sample], silent: Set<Int>)>(([:], []))
        try inParallel(names.count, width: names.count) { index throws(ApplianceError) in
            do throws(ApplianceError) {
                let sample = try ApplianceClient(name: names[index]).sample(timesOneIn: timesOneIn)
                results.withLock { $0.samples[index] = sample }
            } catch {
                // It went away while it was looked at.
                if error.status == .name { return }
                guard error.status == .failed else { throw error }
                results.withLock { _ = $0.silent.insert(index) }
            }
        }
        return results.withLock { results in
            (names.indices.compactMap { results.samples[$0] }, results.silent.sorted().map { names[$0] })
        }
    }

    /// Takes several topologies away, all at once.
    ///
    /// - Returns: The result of each, in their order; see `down`.
    public static func down(_ names: [String]) -> [Result<[ForeignProcess], ApplianceError>] {
        let results = Mutex<[Int: Result<[ForeignProcess], ApplianceError>]>([:])
        // Each topology has its own result: nothing is thrown here.
        try? inParallel(names.count, width: names.count) { index throws(ApplianceError) in
            let result: Result<[ForeignProcess], ApplianceError>
            do throws(ApplianceError) {
                result = .success(try ApplianceClient(name: names[index]).down())
            } catch { result = .failure(error) }
            results.withLock { $0[index] = result }
        }
        return results.withLock { results in names.indices.compactMap { results[$0] } }
    }

    /// The report of a topology that does not answer.
    private func hungReport(_ error: ApplianceError) -> StatusReport {
        let state = directory.readState()
        var report = state.map(StatusReport.init(dead:)) ?? StatusReport(unreadable: directory.name)
        report.state = .hung
        report.pid = state?.control?.pid
        report.problems = ["\(error)"]
        return report
    }

    var unknown: ApplianceError {
        let hint =
            geteuid() == 0
            ? "'tapline status' lists all topologies"
            : "'tapline status' lists this user's topologies; use sudo to see those of root"
        return ApplianceError(.name, "there is no topology '\(directory.name)'", hint: hint)
    }

    func asked<Command: ControlCommand>(
        _ request: Command, timeout: Duration = .seconds(30), progress: (Progress) -> Void = { _ in }
    ) throws(ApplianceError) -> Command.Answer {
        guard isThere else { throw unknown }
        // A long request does not begin if the control process does not even greet. A broker has heard it.
        if broker == nil { try greet() }
        if let answer = try control.ask(request, timeout: timeout, progress: progress) { return answer }
        throw unreachable()
    }

    /// - Throws: Where there is a control process that does not answer.
    func greet() throws(ApplianceError) {
        _ = try control.ask(EventsRequest(count: 0), timeout: ControlClient.promptness)
    }

    /// The error if no control process listens.
    private func unreachable() -> ApplianceError {
        guard broker == nil else {
            return ApplianceError(.failed, "the topology '\(directory.name)' is not up", hint: "bring it up")
        }
        guard directory.exists else { return unknown }
        if TopologyLock.isHeld(directory) {
            if directory.readState()?.phase == .up {
                return ApplianceError(
                    .failed, "the control process of '\(directory.name)' ended the connection without an answer",
                    hint: "try again; \(directory.logPath) may say why")
            }
            let what =
                switch directory.readState()?.phase {
                case .starting: "is still coming up"
                case .stopping: "is being taken away"
                default: "is just starting or ending"
                }
            return ApplianceError(.failed, "'\(directory.name)' \(what)", hint: "try again")
        }
        return ApplianceError(
            .failed, "the control process of '\(directory.name)' is gone",
            hint: "'tapline down \(directory.name)' takes away what is left")
    }

    /// How everything is; of a dead one, what its state tells.
    ///
    /// - Throws: `ApplianceError` if there is no such topology, or its control process does not answer.
    public func status() throws(ApplianceError) -> StatusReport {
        guard directory.exists else { throw unknown }
        if let report = try control.ask(StatusRequest(), timeout: ControlClient.promptness) { return report }
        let state = directory.readState()
        // It may have gone away while it was looked at.
        guard directory.exists else { throw unknown }
        var report = state.map(StatusReport.init(dead:)) ?? StatusReport(unreadable: directory.name)
        if TopologyLock.isHeld(directory) { report.state = state?.phase == .stopping ? .stopping : .starting }
        return report
    }

    /// The entries with their counters.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, or its control process does not answer.
    public func tables() throws(ApplianceError) -> TableListing {
        try asked(TablesRequest())
    }

    /// The service ports that applications asked for and got.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, or its control process does not answer.
    public func mappings() throws(ApplianceError) -> MappingListing {
        try asked(MappingsRequest())
    }

    /// Everything that is counted, and how everything is, at one moment.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, or its control process does not answer.
    ///
    /// - Parameter timesOneIn: Also have the times in applications measured, of one flow in this many, for five minutes from
    ///   now on.
    public func sample(timesOneIn: Int? = nil) throws(ApplianceError) -> Sample {
        try asked(SampleRequest(timesOneIn: timesOneIn))
    }

    /// Reads the file (or another one) again and publishes its table.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, its control process does not answer, or the file is
    ///   refused. The file must have no mistakes and change only the table.
    public func reload(file: String?, settings: [String: String]? = nil) throws(ApplianceError) -> ReloadReport {
        try asked(ReloadRequest(file: file, settings: settings))
    }

    // MARK: - Changes

    /// The longest time between two messages of a change: 24 h, the longest timeout of a node.
    private static let changePatience = DurationText.longest

    /// Makes the running topology what a file says.
    ///
    /// A signal to this process takes the change back.
    ///
    /// - Parameters:
    ///   - file: Its path; nil for that of `up`, or of the last `apply`.
    ///   - settings: Values for its variables; nil: those that the running topology has.
    ///   - isTrial: True for a report of the changes without doing them.
    ///   - drain: The drain time of removed instances; nil: the usual time.
    /// - Throws: `ApplianceError` if the topology is not up, its control process does not answer, or the change fails.
    public func apply(
        file: String?, settings: [String: String]? = nil, isTrial: Bool, drain: Duration?,
        progress: (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        try change(ApplyRequest(file: file, settings: settings, isTrial: isTrial, drain: drain), progress)
    }

    /// Adds an instance to an application; as `apply`.
    ///
    /// - Parameter instance: Its name; nil: the application's with the next number.
    /// - Throws: `ApplianceError` if the topology is not up, its control process does not answer, or the change fails.
    public func add(
        _ application: String, _ instance: String?, progress: (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        try change(AddRequest(application: application, instance: instance), progress)
    }

    /// Removes an instance of an application; as `apply`.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, its control process does not answer, or the change fails.
    public func remove(
        _ instance: String, drain: Duration?, progress: (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        try change(RemoveRequest(instance: instance, drain: drain), progress)
    }

    func change<Change: ControlCommand>(
        _ request: Change, _ progress: (Progress) -> Void
    ) throws(ApplianceError) -> Change.Answer {
        try cancelBySignal()
        return try asked(request, timeout: Self.changePatience, progress: progress)
    }

    /// From here on a signal that would end this process cancels the change; the control process then answers that.
    private func cancelBySignal() throws(ApplianceError) {
        let watched = SignalDescriptor.block([SIGINT, SIGTERM, SIGHUP])
        let control = control
        try startThread {
            var (set, number) = (watched, Int32(0))
            while sigwait(&set, &number) == 0 {
                do throws(ApplianceError) {
                    _ = try control.ask(CancelRequest(), timeout: .seconds(5))
                } catch {
                    // No control process is there to take anything back.
                    Glibc.exit(ExitCode.failed.rawValue)
                }
            }
        }
    }

    // MARK: - Instances and events

    /// Has something done to an instance, and returns when the engines decide by it.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, if its control process does not answer, or if it refuses
    ///   the operation.
    public func operate(
        _ operation: InstanceOperation, on instance: String
    ) throws(ApplianceError) -> OperationReport {
        try asked(InstanceRequest(operation, on: instance))
    }

    /// The kept events: the last few thousand, oldest first.
    ///
    /// - Parameters:
    ///   - since: Only events from this time on, in microseconds since 1970.
    ///   - count: The most events: the last ones.
    /// - Throws: `ApplianceError` if the topology is not up, or its control process does not answer.
    public func events(since: Int? = nil, count: Int? = nil) throws(ApplianceError) -> [ApplianceEvent] {
        try asked(EventsRequest(since: since, count: count))
    }

    /// Gives what happened and what happens from now on to `take`, until that returns false or the topology is gone.
    ///
    /// - Throws: `ApplianceError` if the topology is not up, or its control process ends the connection.
    public func followEvents(
        since: Int? = nil, count: Int? = nil, _ take: ([ApplianceEvent]) -> Bool
    ) throws(ApplianceError) {
        guard isThere else { throw unknown }
        if broker == nil { try greet() }
        var isDone = false
        let isHeard = try control.follow(EventsRequest(since: since, count: count, follow: true)) { events in
            isDone = !take(events)
            return !isDone
        }
        guard isHeard else { throw unreachable() }
        if !isDone, directory.readState()?.phase == .up, TopologyLock.isHeld(directory) {
            throw ApplianceError(
                .failed,
                "the control process of '\(directory.name)' closed the connection, because events were not read for long "
                    + "and other listeners were waiting", hint: "run it again; the log says why: \(directory.logPath)")
        }
    }

    // MARK: - Engines

    /// Replaces, drains or undrains a packeting engine, and returns when that is done.
    ///
    /// - Parameter number: From 1; nil: all of them, one by one, for `replace` alone.
    /// - Throws: `ApplianceError` if the topology is not up, if its control process does not answer, or if it refuses
    ///   the operation.
    public func operate(_ operation: EngineOperation, engine number: Int?) throws(ApplianceError) {
        // Each may have to wait for neighbours that do not answer.
        _ = try asked(EngineRequest(operation, engine: number), timeout: Self.operationPatience)
    }

    /// How long replacing every engine may take.
    private static let operationPatience = Duration.seconds(300)

    // MARK: - Down

    /// Takes the topology away. Its control process does this. If that is gone, or does not end, this process does it.
    ///
    /// - Returns: Processes that live on in its namespaces, because another program started them there.
    /// - Throws: `ApplianceError` without the privileges, if there is no such topology, or if a part of it cannot be
    ///   taken away.
    @discardableResult
    public func down() throws(ApplianceError) -> [ForeignProcess] {
        try Machine.requireRoot()
        let names = directory.readState()?.namespaces ?? marked()
        guard directory.exists || !names.isEmpty else { throw unknown }
        let foreignProcesses = ForeignProcesses(of: names)
        try takeAway()
        return foreignProcesses.remaining()
    }

    private func takeAway() throws(ApplianceError) {
        var deadline = monotonicTime() + Self.patience
        var wasAsked = false
        var refusals = 0
        while true {
            if !directory.exists, marked().isEmpty { return }
            if !directory.exists || !TopologyLock.isHeld(directory) {
                try directory.create()
                if let lock = try TopologyLock.take(directory) {
                    defer { lock.release() }
                    try Teardown(directory: directory).takeAway(directory.readState())
                    directory.remove()
                    return
                }
            }
            if !wasAsked {
                do throws(ApplianceError) {
                    wasAsked = try control.ask(StopRequest(), timeout: .seconds(5)) != nil
                } catch {
                    refusals += 1
                    // One that does not hear takes nothing away, however long it is waited for. One that had no place for
                    // the request may have one now.
                    if error == control.silence || refusals == Self.mostRefusals {
                        wasAsked = true
                        deadline = monotonicTime()
                    }
                }
            }
            if monotonicTime() > deadline, let process = directory.readState()?.control, process.isAlive {
                let descriptor = try? Pidfd(pid: process.pid)
                if process.isAlive { try? descriptor?.signal(SIGKILL) }
                _ = descriptor?.waitForEnd(within: .seconds(5))
            }
            usleep(wasAsked ? 3000 : 20_000)
        }
    }

    /// The names of the namespaces that bear the topology's mark.
    private func marked() -> [String] {
        let all = try? MarkedNamespace.all()
        return (all ?? []).filter { $0.topology == directory.name }.map(\.name)
    }
}
