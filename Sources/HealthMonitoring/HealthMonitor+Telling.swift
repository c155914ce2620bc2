import ControlAPI
import EventLoop
import Health
import Plan
import Wire

/// Draws conclusions from the results: verdicts, and the messages about them.
extension HealthMonitor {
    /// Notes an event of a check.
    func note(_ kind: ApplianceEvent.Kind, _ check: WatchedCheck, _ reason: String) {
        pendingEvents.append(
            ApplianceEvent(
                kind, application: check.instance.application, instance: check.instance.node.name,
                check: check.plan.name, reason: reason))
    }

    /// Tells what has been put down, with nothing held.
    func tell() {
        let pending = guarded {
            let taken = pendingEvents
            pendingEvents = []
            return taken
        }
        for event in pending { events(event) }
    }

    /// Draws the conclusions about all that was touched, and puts it where its time is in the queue.
    func settle() {
        let now = HealthClock.now
        for instance in touchedInstances {
            instance.isTouched = false
            guard instances[instance.node.name] === instance else { continue }
            _ = instance.condition.settle(at: now)
            if !instance.checks.isEmpty, !instance.condition.isLooking(0) {
                // A node that was away, or was started anew, may have forgotten its neighbours.
                instance.isIntroduced = false
                instance.announced = MonotonicTime(nanoseconds: 0)
            }
            for check in instance.checks { touch(check) }
            enqueue(instance)
            let current = (instance.condition.isHealthy, instance.condition.isSuppressed)
            guard current != instance.reported else { continue }
            if current.0 != instance.reported.isHealthy { instance.since = HealthClock.wall }
            instance.reported = current
            let (name, health) = (instance.node.name, instance.health)
            loop.submit { [weak self] in self?.changed?(name, health) }
        }
        touchedInstances.removeAll(keepingCapacity: true)
        for check in touchedChecks {
            check.isTouched = false
            enqueue(check)
        }
        touchedChecks.removeAll(keepingCapacity: true)
    }

    func touch(_ instance: WatchedInstance) {
        guard !instance.isTouched else { return }
        instance.isTouched = true
        touchedInstances.append(instance)
    }

    func touch(_ check: WatchedCheck) {
        guard !check.isTouched else { return }
        check.isTouched = true
        touchedChecks.append(check)
    }

    private func enqueue(_ check: WatchedCheck) {
        let next = check.instance.condition.nextTime(check.index)
        guard next != check.queuedAt else { return }
        check.queuedAt = next
        if let next, slots[check.slot] != nil { queue.insert(check.slot, at: next) }
    }

    private func enqueue(_ instance: WatchedInstance) {
        let next = [instance.condition.reuseTime, nextAnnouncement(to: instance)].compactMap { $0 }.min()
        guard next != instance.queuedAt else { return }
        instance.queuedAt = next
        if let next, slots[instance.slot] != nil { queue.insert(instance.slot, at: next) }
    }
}
