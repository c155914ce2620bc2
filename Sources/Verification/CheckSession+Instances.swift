import ControlAPI
import EventLoop
import LinuxNetwork
import Plan
import Reporting
import Wire

extension CheckSources {
    /// How every instance stands, in the word that `status` has for it.
    var standings: [String: String] {
        Dictionary(applications().flatMap(\.instances).map { ($0.name, $0.state) }) { first, _ in first }
    }
}

extension InstanceExpectation.Standing {
    /// The matching words of `status`.
    package var words: [String] {
        self == .up ? [Self.active.rawValue, Self.standby.rawValue] : [rawValue]
    }
}

extension CheckSession {
    /// The most events that are shown if the expected ones did not come.
    private static let eventsShown = 20

    // MARK: - Looking

    func lookAtInstance(_ name: String, _ expectation: InstanceExpectation) -> StepOutcome {
        concern(name)
        guard let instance = sources.applications().flatMap(\.instances).first(where: { $0.name == name }) else {
            return StepOutcome(holds: false, expected: ["an instance named \(name)"], came: ["there is none"])
        }
        var unmet: [String] = []
        if !expectation.standing.words.contains(instance.state) {
            unmet.append("that \(name) is \(expectation.standing.rawValue)")
        }
        for text in expectation.reason where !instance.reason.contains(text) {
            unmet.append("that the reason contains '\(text)'")
        }
        return StepOutcome(unmet: unmet, came: ["\(name) is \(instance.state): \(instance.reason)"])
    }

    func lookForMapping(_ expectation: MappingExpectation) -> StepOutcome {
        let listing = sources.mappings()
        let own = listing.mappings.filter { $0.application == expectation.application }
        let isThere = own.contains { mapping in
            (expectation.servicePort ?? mapping.servicePort) == mapping.servicePort
                && (expectation.serviceAddress.map { "\($0)" } ?? mapping.serviceAddress) == mapping.serviceAddress
                && (expectation.port ?? mapping.port) == mapping.port
        }
        let isMeant = isThere == (expectation.standing == .granted)
        let came = own.map { "\($0.servicePort) at \($0.serviceAddress), to port \($0.port) of \($0.application)" }
        return StepOutcome(
            unmet: isMeant ? [] : ["\(expectation.standing == .gone ? "no longer " : "")\(expectation.summary)"],
            came: came.isEmpty ? ["\(expectation.application) has no mapping"] : came)
    }

    func lookForEvents(_ expectation: EventExpectation, _ since: CountingStart) -> StepOutcome {
        if let instance = expectation.instance { concern(instance) }
        let kept = events(since == .check ? began : 0)
        let count = kept.count { $0.isMeant(by: expectation) }
        guard !expectation.times.holds(for: UInt64(count)) else { return .held }
        let shown = kept.suffix(Self.eventsShown).map(\.text)
        return StepOutcome(
            holds: false, expected: ["\(expectation.summary), \(expectation.times.summary) times"],
            came: ["\(count) such events" + since.summary] + shown)
    }

    private func events(_ since: Int) -> [ApplianceEvent] {
        var place = sources.events.place(since: since, count: nil)
        return sources.events.read(&place)
    }

    // MARK: - Doing

    /// Carries out an operator's request for an instance.
    func operate(_ kind: FaultPlan.Kind, _ name: String, _ duration: Duration?) throws(ApplianceError) -> StepOutcome {
        concern(name)
        let operation: InstanceOperation
        switch kind {
        case .drain: operation = .drain(for: duration.map(Milliseconds.init))
        case .undrain: operation = .undrain
        case .disable: operation = .disable
        default: operation = .enable
        }
        faults.operated.insert(name)
        try sources.operate(operation, name)
        return .held
    }

    // MARK: - Afterwards

    /// How long instances may take to be as they were before the check: their checks have to pass again.
    private static let patience = Duration.seconds(30)

    /// Takes back the check's requests for instances, and waits until each is in its earlier state again.
    ///
    /// - Returns: The instances that are not.
    func restoreInstances() -> [String] {
        for name in faults.operated.sorted() {
            for operation in undoing(name) { try? sources.operate(operation, name) }
        }
        guard standings.values.contains(where: InstanceExpectation.Standing.up.words.contains) else { return [] }
        let deadline = monotonicTime() + Self.patience
        var left = standingsChanged()
        while !left.isEmpty, monotonicTime() < deadline, !sources.cancellation.isRaised {
            sources.cancellation.sleep(.milliseconds(20))
            left = standingsChanged()
        }
        return sources.cancellation.isRaised ? [] : left
    }

    /// The operations that undo this check's operations on an instance.
    private func undoing(_ name: String) -> [InstanceOperation] {
        let wasDisabled = standings[name] == InstanceExpectation.Standing.disabled.rawValue
        let wasDrained = ["draining", "drained"].contains(standings[name])
        return (wasDisabled ? [] : [.enable]) + (wasDrained ? [] : [.undrain])
    }

    private func standingsChanged() -> [String] {
        let now = sources.standings
        return standings.sorted { $0.key < $1.key }.compactMap { name, before in
            // An instance that was down before and has come back needs no wait.
            guard InstanceExpectation.Standing.up.words.contains(before), let word = now[name], word != before else {
                return nil
            }
            return "after the check, \(name) is \(word), and was \(before) before it"
        }
    }
}

extension ApplianceEvent {
    /// True if it is the event that a check asks for.
    fileprivate func isMeant(by wanted: EventExpectation) -> Bool {
        event == wanted.kind && (wanted.application ?? application) == application
            && (wanted.instance ?? instance) == instance && (wanted.check ?? check) == check
            && (wanted.engine ?? engine) == engine
            && wanted.reason.allSatisfy { reason?.contains($0) == true }
    }
}

extension EventExpectation {
    /// The operation, for messages.
    fileprivate var summary: String {
        let subjects = [application, instance, check.map { "check \($0)" }, engine.map { "engine \($0)" }]
        let about = subjects.compactMap { $0 }
        let because = reason.isEmpty ? "" : " because of " + reason.map { "'\($0)'" }.joined(separator: " and ")
        return "the event \(kind.rawValue)" + (about.isEmpty ? "" : " of \(about.joined(separator: ", "))") + because
    }
}
