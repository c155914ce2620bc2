import Forwarding
import Plan
import Reporting
import Wire

/// Contradictions in an application's redundancy that show before its services are known.
extension FileReader {
    func checkSharing(_ application: RawApplication) {
        let count = application.instances.count
        let name = quoted(application.name.value)
        let redundancy = application.resolvedRedundancy
        let isPassive = application.template.passive
        func refuse(_ position: SourceOrigin?, _ message: String, _ hint: String) {
            guard let position else { return }
            diagnostics.error(position, message, hint: hint)
        }
        if redundancy == .copies, !isPassive {
            refuse(
                application.redundancy?.origin,
                "\(name) is not passive: if several instances passed on a packet, there would be several packets",
                "write `redundancy: balance` or `active-standby`, or add `passive: true`")
        }
        if redundancy == .copies {
            for position in [application.hashing?.origin, application.seed?.origin] {
                refuse(
                    position, "every instance of \(name) gets every packet, so none is chosen",
                    "remove it, or write `redundancy: balance`")
            }
            refuse(
                application.minimum?.origin, "every instance of \(name) gets every packet, so there is no minimum",
                "remove `minimum`, or write `redundancy: balance`")
        }
        if let active = application.active {
            if redundancy != .activeStandby {
                refuse(
                    active.origin,
                    "all instances of \(name) are active, as in `redundancy: \(redundancy.rawValue)`",
                    "remove `active`, or write `redundancy: active-standby`")
            } else if active.value > count {
                refuse(
                    active.origin, "\(active.value) of \(count) instances of \(name) cannot be active",
                    "write \(count) or less, or add instances")
            }
        }
        if let minimum = application.minimum, minimum.value > count {
            refuse(
                minimum.origin, "\(name) has \(count) instance\(count == 1 ? "" : "s"), so it would always be down",
                "write \(count) or less, or add instances")
        }
        for instance in application.instances {
            if redundancy != .activeStandby {
                refuse(
                    instance.priority?.origin,
                    "all instances of \(name) are active: priorities only matter for `active-standby`",
                    "remove `priority`, or write `redundancy: active-standby`")
            }
            if redundancy == .copies {
                refuse(
                    instance.weight?.origin, "every instance of \(name) gets every packet, so weights do not matter",
                    "remove `weight`, or write `redundancy: balance`")
            }
        }
        let weights = application.instances.map { $0.weight?.value ?? 1 }
        if weights.allSatisfy({ $0 == 0 }) {
            refuse(
                application.instances.last?.weight?.origin, "no instance of \(name) has a share of its flows",
                "give one of them a weight of 1 or more")
        }
        checkWhenDown(application, refuse)
        checkScale(application, redundancy, refuse)
    }

    private func checkWhenDown(
        _ application: RawApplication, _ refuse: (SourceOrigin?, String, String) -> Void
    ) {
        let name = quoted(application.name.value)
        if application.template.passive {
            if let policy = application.whenDown, policy.value != .bypass {
                refuse(
                    policy.origin, "\(name) is passive: packets never wait for it; its copy is omitted",
                    "remove `when-down`")
            }
            refuse(
                application.answer?.origin, "\(name) is passive: no packet is dropped because it is down",
                "remove `answer`")
            return
        }
        switch application.whenDown?.value {
        case .bypass?, .skipRest?:
            refuse(
                application.answer?.origin, "if \(name) is down, its packets are not dropped but bypass it",
                "remove `answer`, or write `when-down: drop`")
        case .spare? where application.instances.count < 2:
            refuse(
                application.whenDown?.origin, "\(name) has one instance, but no spare",
                "add instances: `instances: 2`; or write `when-down: drop`")
        default: break
        }
    }

    private func checkScale(
        _ application: RawApplication, _ redundancy: Redundancy, _ refuse: (SourceOrigin?, String, String) -> Void
    ) {
        guard let scale = application.scale else { return }
        let name = quoted(application.name.value)
        if redundancy != .balance {
            refuse(
                scale.origin,
                "one more instance of \(name) would "
                    + (redundancy == .copies ? "get the same packets as the others" : "wait until another is down"),
                "write `redundancy: balance`, or remove `scale`")
        }
        if scale.plan.most <= application.instances.count {
            refuse(
                scale.mostOrigin,
                "\(name) has \(application.instances.count) instances from the start, so none can be added",
                "write \(application.instances.count + 1) or more")
        }
    }

    /// Addresses that the application has for all its instances, each of which needs its own.
    func checkAddresses(of application: RawApplication, _ made: [RawNode]) {
        guard made.count > 1 else { return }
        let name = quoted(application.name.value)
        for (place, leg) in application.template.legs.enumerated() {
            guard let written = leg.addresses?.first else { continue }
            let sharing = made.filter { $0.legs[place].addresses?.first?.origin == written.origin }
            guard sharing.count > 1 else { continue }
            let own = application.template.legs.count == 1 ? "…" : "{ \(leg.name ?? "in"): … }"
            diagnostics.error(
                written.origin, "\(name) has \(made.count) instances, but only one address",
                hint: "remove the address, so that each gets one; or give each its own: "
                    + "`instances: { \(sharing[0].name.value): { address: \(own) } }`")
        }
        if let prefix = application.template.prefixes.first {
            let sharing = made.filter { $0.prefixes.first?.origin == prefix.origin }
            if sharing.count > 1 {
                diagnostics.error(
                    prefix.origin,
                    "the instances of \(name) all send from \(prefix.value): an answer cannot be assigned to one of them",
                    hint: "give each instance `prefixes` of its own, or let them send from their own addresses")
            }
        }
    }
}
