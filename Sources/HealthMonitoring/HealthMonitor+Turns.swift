import CLinux
import Forwarding
import Glibc
import Health
import LinuxNetwork
import Nodes
import Plan
import Reporting
import Wire

/// One turn of the thread: wait, read arrived frames, judge overdue probes, begin due probes, report.
extension HealthMonitor {
    /// Later than this counts as late: it is what other threads of a machine that is not busy take.
    private static let tolerance = Duration.milliseconds(3)
    /// The largest number of consecutive turns for frames that arrive meanwhile.
    private static let rounds = 8
    private static let mostEvents = 128

    /// Waits for the next event, and does all that follows from it.
    func turn() {
        let planned = guarded { nextTime() }
        let wait = planned.map { Self.microseconds(until: $0) } ?? -1
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.mostEvents) { events in
            var count = clinux_epoll_wait(epoll, events.baseAddress, Int32(Self.mostEvents), wait)
            guarded {
                // Read everything that has arrived before judging that a time is over.
                let now = HealthClock.now
                if let planned, planned <= now, count <= 0 {
                    count = clinux_epoll_wait(epoll, events.baseAddress, Int32(Self.mostEvents), 0)
                }
                while count > 0 {
                    for index in 0..<Int(count) { take(events[index]) }
                    guard count == Self.mostEvents else { break }
                    count = clinux_epoll_wait(epoll, events.baseAddress, Int32(Self.mostEvents), 0)
                }
                drainPackets()
                let lateness = planned.map { now - $0 > Self.tolerance ? now - $0 : .zero } ?? .zero
                handleDue(until: now, lateness: lateness)
                // A kernel's answer is there as soon as the probe is sent: most are over within the turn.
                packets?.flush()
                drainPackets()
                goHome()
                settle()
            }
        }
        tell()
    }

    /// The time left until `time`, in microseconds, rounded up: a wait must not end too early.
    private static func microseconds(until time: MonotonicTime) -> Int64 {
        max(0, (time - HealthClock.now + .nanoseconds(999)).wholeMicroseconds)
    }

    /// The time of the first valid item in the queue.
    private func nextTime() -> MonotonicTime? {
        while let first = queue.first {
            if queuedAt(first.item) == first.time { return first.time }
            queue.removeFirst()
        }
        return nil
    }

    private func queuedAt(_ slot: Int) -> MonotonicTime? {
        switch slots[slot] {
        case .check(let check): check.queuedAt
        case .instance(let instance): instance.queuedAt
        case nil: nil
        }
    }

    private func take(_ event: epoll_event) {
        switch event.data.u64 {
        case Self.wakeKey:
            var count: UInt64 = 0
            _ = read(wake, &count, 8)
        case Self.linkKey: drainLinks()
        case Self.packetKey: break
        case let key:
            // One of a connection that has gone meanwhile does no harm: the next is asked how far it is.
            let slot = Int(key - Self.connectionKeys)
            if slots.indices.contains(slot), case .check(let check) = slots[slot] { proceed(check) }
        }
    }

    /// Takes in frames until none is left: what is sent because of one may bring the next.
    private func drainPackets() {
        guard let packets else { return }
        for _ in 0..<Self.rounds {
            var any = false
            packets.drain { frame, device in
                any = true
                saw(frame, on: device)
            }
            guard any else { return }
            packets.flush()
        }
    }

    private func handleDue(until now: MonotonicTime, lateness: Duration) {
        while let first = queue.first, first.time <= now {
            queue.removeFirst()
            guard queuedAt(first.item) == first.time, let watched = slots[first.item] else { continue }
            switch watched {
            case .check(let check):
                check.queuedAt = nil
                touch(check)
                judge(check, at: now, lateness: lateness)
                begin(check, at: now)
            case .instance(let instance):
                instance.queuedAt = nil
                announceIfDue(to: instance, at: now)
                touch(instance)
            }
        }
    }

    // MARK: - Checks

    /// Fails what is over, or passes it, where nothing was to be seen.
    private func judge(_ check: WatchedCheck, at now: MonotonicTime, lateness: Duration) {
        while let number = check.instance.condition.overdue(check.index, at: now, lateness: lateness) {
            if case .heartbeat(let heartbeat) = check.plan.probe, heartbeat.isNegative {
                conclude(check, number, nil, seen: "it did not come out, as expected")
                continue
            }
            let reason = overdueReason(check, number)
            check.connection = nil
            conclude(check, number, reason, seen: reason)
        }
    }

    private func begin(_ check: WatchedCheck, at now: MonotonicTime) {
        guard let number = check.instance.condition.begin(check.index, at: now) else { return }
        switch check.plan.probe {
        case .heartbeat(let heartbeat): sendHeartbeat(check, heartbeat, number)
        case .echo(let leg, _): sendEcho(check, leg, number)
        case .neighbour(let leg, let address):
            askNeighbour(check, leg, address ?? check.instance.legs[leg].probed, number)
        case .tcp, .http: connect(check, number)
        case .command(let command): run(command, check, number)
        case .question(let question): ask(question, check, number)
        }
    }

    /// The reason of a check whose time is over.
    private func overdueReason(_ check: WatchedCheck, _ number: UInt64) -> String {
        let time = seconds(.milliseconds(check.plan.timeout))
        switch check.plan.probe {
        case .heartbeat:
            return check.paths[number].map { summary($0, check) } ?? "it did not come out"
        case .echo(let leg, let address):
            return
                "no reply from \(address ?? check.instance.legs[leg].probed) on \(check.instance.legs[leg].name) "
                + "within \(time)"
        case .neighbour(let leg, let address):
            return
                "no host on \(check.instance.legs[leg].name) answers for "
                + "\(address ?? check.instance.legs[leg].probed) within \(time)"
        case .tcp, .http:
            return "\(check.connection?.summary ?? "no connection") within \(time)"
        case .command: return "it did not end within \(time)"
        case .question(let question): return overdueReason(question, check)
        }
    }

    /// Records the result of one probe.
    ///
    /// - Parameters:
    ///   - failure: Why it failed; nil if it passed.
    ///   - seen: The answer that it saw.
    func conclude(_ check: WatchedCheck, _ number: UInt64, _ failure: String?, seen: @autoclosure () -> String) {
        let now = HealthClock.now
        let path = check.paths.removeValue(forKey: number)
        let began = check.instance.condition.began(check.index, number)
        guard let outcome = check.instance.condition.conclude(check.index, number, passed: failure == nil, at: now)
        else {
            return
        }
        if failure != nil, let path { check.lastPath = path }
        check.last = seen()
        if let failure { check.lastFailure = failure }
        check.took = began.map { now - $0 } ?? check.took
        touch(check)
        switch outcome {
        case .changed:
            touch(check.instance)
            note(failure == nil ? .checkPassed : .checkFailed, check, check.last ?? "")
        case .doubted:
            guard let failure else { break }
            note(.checkFailed, check, "\(failure) (once: it counts as failed after \(check.plan.fall) in a row)")
        case .none: break
        }
        if failure != nil, check.shape != nil { announceAgain(to: check.instance, at: now) }
    }

    // MARK: - Instances

    /// Begins to watch an instance of a plan.
    func watch(_ application: ApplicationPlan, _ node: NodePlan) {
        let now = HealthClock.now
        let legs = node.legs.indices.map { index in
            let leg = node.legs[index], other = node.legs[node.legs.count - 1 - index]
            let engine = plan.table.interfaces[leg.interface]
            let isTransparent = !leg.deliverToo.isEmpty
            let hops = engine.addresses.map(\.address) + node.routes.filter { $0.leg == index }.map(\.gateway)
            return WatchedLeg(
                name: plan.interfaces[leg.interface].name, fabricDevice: leg.fabricDevice ?? nextHopDevice(of: leg),
                tunnel: plan.table.tunnel(engine), device: nil, mac: leg.mac,
                addresses: leg.addresses,
                inward: (leg.deliverToo.first ?? leg.mac, other.deliverToo.first ?? engine.mac),
                engine: isTransparent ? [] : Array(Set(hops)))
        }
        let condition = InstanceCondition(
            process: node.process.isNothing ? .unwatched : .starting, legs: legs.count,
            checks: application.health.enumerated().map { timing($1, instances.count + $0) },
            damping: application.damping.map {
                Damping(suppress: $0.suppress, reuse: $0.reuse, halfLife: .milliseconds($0.halfLife))
            }, at: now)
        let instance = WatchedInstance(
            application, node: node, slot: freeSlot(), legs: legs, condition: condition)
        slots[instance.slot] = .instance(instance)
        for (index, shared) in application.health.enumerated() {
            let plan = shared.of(instance: node.name)
            let check = WatchedCheck(
                plan, index: index, instance: instance, slot: freeSlot(), identity: UInt64.random(in: .min ... .max),
                shape: shape(of: plan, instance))
            if case .question(let question) = plan.probe {
                check.inquiry = NodeInquiry(question) { [logs, name = node.name] in logs(name, $0) }
            }
            slots[check.slot] = .check(check)
            checksByIdentity[check.identity] = check
            instance.checks.append(check)
        }
        instances[node.name] = instance
        touch(instance)
    }

    private func freeSlot() -> Int {
        if let free = slots.firstIndex(where: { $0 == nil }) { return free }
        slots.append(nil)
        return slots.count - 1
    }

    private func timing(_ plan: HealthCheckPlan, _ place: Int) -> CheckTiming {
        let interval = Duration.milliseconds(plan.interval)
        // Eight places in the interval, neighbours far from each other: checks in one place share a wake-up.
        let phase = interval / 8 * (place &* 5 % 8)
        let most =
            switch plan.probe {
            case .heartbeat, .echo: 8
            case .neighbour, .tcp, .http, .command, .question: 1
            }
        return CheckTiming(
            interval: interval, fastInterval: .milliseconds(plan.fastInterval), timeout: .milliseconds(plan.timeout),
            rise: plan.rise, fall: plan.fall, phase: phase, mostAtOnce: most)
    }

    /// Ends all that is under way for an instance.
    func forget(_ instance: WatchedInstance) {
        for check in instance.checks {
            check.abandon()
            checksByIdentity[check.identity] = nil
            slots[check.slot] = nil
        }
        legsByDevice = legsByDevice.filter { $0.value.instance !== instance }
        for device in farLegs.keys { farLegs[device]?.removeAll { $0.instance === instance } }
        slots[instance.slot] = nil
    }
}
