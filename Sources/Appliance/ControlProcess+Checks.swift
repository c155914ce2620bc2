import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Forwarding
import LinuxNetwork
import Plan
import Redundancy
import Reporting
import Synchronization
import Verification

/// The sources that checks look at, and the actions of checks.
extension ControlProcess {
    /// Runs the checks of the file, one after another, in the calling thread, which is not the loop's.
    ///
    /// - Returns: True if all of them hold.
    func prove() throws(ApplianceError) -> Bool {
        let runner = CheckRunner(
            sources: CheckSources(
                plan: plan, directory: directory, cancellation: cancellation,
                node: { [unowned self] name throws(ApplianceError) in try node(name) },
                counters: { [unowned self] in loop.sync { self.counters() } },
                engines: { [unowned self] in
                    loop.sync { self.fleet?.status.map { ($0.pid, $0.state == .running) } ?? [] }
                },
                deliver: { [unowned self] interface, frame in
                    guard let tap = loop.sync({ self.built?.tap(of: interface) }) else { return }
                    _ = tap.deliver(frame)
                },
                operate: { [unowned self] operation, node throws(ApplianceError) in
                    try done(on: loop) { done in
                        guard let applications = self.applications else { return done(.failure(.noEngineYet)) }
                        applications.perform(operation, on: node) { done($0.map { _ in }) }
                    }
                },
                operateEngine: { [unowned self] operation, number throws(ApplianceError) in
                    try done(on: loop) { self.operate(operation, engine: number, $0) }
                },
                impair: { [unowned self] place, impairment throws(ApplianceError) in
                    try impair(
                        place, impairment, begins: impairment == nil ? [] : ImpairedPlace.Direction.allCases,
                        cancellation)
                },
                applications: { [unowned self] in
                    let (states, health) = loop.sync { (self.applications?.states, self.watch.health(of: self.nodes)) }
                    return states?.report(at: .now, health: health) ?? []
                },
                mappings: { [unowned self] in loop.sync { self.negotiation }?.listing ?? MappingListing() },
                events: events))
        var passed = true
        for check in plan.checks {
            progress(.step("checking: \(check.name)"))
            let report = try runner.run(check)
            passed = passed && report.passed
            progress(.check(report))
        }
        return passed
    }

    /// All that has been counted until now. On the loop's thread.
    private func counters() -> CounterReading {
        loop.preconditionCurrent()
        var reading = fleet?.counterReading(table) ?? CounterReading()
        reading.ringDrops = built?.ringDrops(plan) ?? []
        return reading
    }
}

/// Begins something on the loop's thread, and waits until it is done.
private func done(
    on loop: EventLoop, _ begin: @escaping (@escaping (Result<Void, ApplianceError>) -> Void) -> Void
) throws(ApplianceError) {
    let end = RaisedFlag()
    let outcome = Mutex<ApplianceError?>(nil)
    loop.sync {
        begin { result in
            if case .failure(let error) = result { outcome.withLock { $0 = error } }
            end.raise()
        }
    }
    end.wait()
    if let error = outcome.withLock({ $0 }) { throw error }
}
