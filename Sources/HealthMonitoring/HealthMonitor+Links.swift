import Health
import LinuxNetwork

/// Links: each leg's end in the fabric, which loses its carrier if either end is switched off or deleted.
extension HealthMonitor {
    /// Finds the legs' devices among the present devices.
    func findLinks() {
        guard let fabric else { return }
        // If the links cannot be listed now, changes are heard later.
        guard let there = try? fabric.netlink.links() else { return }
        let byName = Dictionary(there.map { ($0.name, $0) }) { first, _ in first }
        for instance in instances.values {
            for (leg, watched) in instance.legs.enumerated() {
                guard let name = watched.fabricDevice else { continue }
                if let link = byName[name] { present(link, instance, leg) } else { gone(instance, leg) }
            }
        }
    }

    /// Takes in what the kernel has told.
    func drainLinks() {
        links?.drain { change in
            switch change {
            case .lost: findLinks()
            case .gone(let device):
                if let (instance, leg) = legsByDevice[device] { gone(instance, leg) }
                for (instance, leg) in farLegs[device] ?? [] { gone(instance, leg) }
            case .present(let link):
                for (instance, leg) in farLegs(over: link) { present(link, instance, leg) }
                if let (instance, leg) = legsByDevice[link.index] {
                    present(link, instance, leg)
                } else if let (instance, leg) = leg(named: link.name) {
                    present(link, instance, leg)
                }
            }
        }
    }

    /// Only for devices that are new: it looks through all.
    private func leg(named device: String) -> (WatchedInstance, Int)? {
        for instance in instances.values {
            let leg = instance.legs.firstIndex { $0.tunnel == nil && $0.fabricDevice == device }
            if let leg { return (instance, leg) }
        }
        return nil
    }

    private func present(_ link: Link, _ instance: WatchedInstance, _ leg: Int) {
        if instance.legs[leg].device != link.index {
            forget(instance, leg)
            instance.legs[leg].device = link.index
            if instance.legs[leg].tunnel == nil {
                legsByDevice[link.index] = (instance, leg)
            } else {
                farLegs[link.index, default: []].append((instance, leg))
            }
        }
        let why: String? =
            if !link.isUp { "is switched off (\(link.name))" } else if link.master == nil {
                "is not on its bridge (\(link.name))"
            } else if !link.hasCarrier { "is down: its other end, in the node, is switched off" } else { nil }
        change(instance, leg, why)
    }

    /// A leg's device is not its device any more.
    private func forget(_ instance: WatchedInstance, _ leg: Int) {
        guard let old = instance.legs[leg].device else { return }
        if instance.legs[leg].tunnel == nil { legsByDevice[old] = nil }
        farLegs[old]?.removeAll { $0.instance === instance && $0.leg == leg }
    }

    private func gone(_ instance: WatchedInstance, _ leg: Int) {
        forget(instance, leg)
        instance.legs[leg].device = nil
        change(instance, leg, "is gone: the device was deleted")
    }

    private func change(_ instance: WatchedInstance, _ leg: Int, _ why: String?) {
        instance.condition.link(leg: leg, isDown: why, at: HealthClock.now)
        if why != nil { for check in instance.checks { check.abandon() } }
        touch(instance)
    }
}
