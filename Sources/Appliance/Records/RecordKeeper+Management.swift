import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Logging
import Plan
import Reporting
import Synchronization

/// The management address while the topology is up.
extension RecordKeeper {
    /// What the plan that runs says of the management address, and the namespace of its node; nil: there is none.
    static func management(_ control: ControlProcess) -> (plan: ManagementPlan, namespace: NetworkNamespace)? {
        control.loop.sync {
            guard let plan = control.plan.records?.management,
                let namespace = control.built?.namespaces[ManagementPlan.name]
            else { return nil }
            return (plan, namespace)
        }
    }

    /// Looks at the plan that runs from now on. The process of records asks again what tenants may do; if the management address
    /// has changed, or its node was made anew, the process is started again with other sockets. Connections wait meanwhile.
    func renew() {
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
        renewing.withLock { _ in lookAtDoor() }
    }

    private func lookAtDoor() {
        let before = door
        var after: ManagementDoor?
        do throws(ApplianceError) {
            if let (plan, namespace) = Self.management(control) {
                if let before {
                    after = try before.following(plan, in: namespace)
                } else {
                    after = try ManagementDoor(plan, try ManagementCredentials(plan), in: namespace)
                }
            }
        } catch {
            control.logger.error("\(error)")
            return
        }
        guard after !== before else { return }
        replace(after)
    }

    // MARK: - The certificate

    /// How often the certificate's end is looked at, at least: the machine's clock may be set.
    private static let certificatePause = 60

    /// Tells events when the certificate expires soon, and when it has expired: once each.
    func watchCertificate() {
        control.loop.submit { [weak self] in self?.lookAtCertificate(nil) }
    }

    /// - Parameter told: What was told last.
    private func lookAtCertificate(_ told: String?) {
        let trouble = door?.trouble?.sentence
        if let trouble, trouble != told {
            control.logger.warning("\(trouble)")
            control.happened(ApplianceEvent(.certificateExpires, reason: trouble))
        }
        // At the second in which it expires, if that is sooner.
        let left = door.map { $0.credentials.facts.notAfter - wallClockSeconds() } ?? Self.certificatePause
        let pause = (1...Self.certificatePause).contains(left) ? left : Self.certificatePause
        control.loop.after(.seconds(pause)) { [weak self] in self?.lookAtCertificate(trouble) }
    }
}
