import ControlAPI
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// Starting what runs in a node.
extension NodeRuntime {
    /// Starts a shell command in the node.
    ///
    /// - Parameter mark: The mark by which it and its descendants are found later; nil: no mark.
    func spawn(
        _ command: String, _ entrance: NodeEntrance, _ node: Pidfd, _ log: OutputLog, mark: ProcessMark? = nil
    ) throws(ApplianceError) -> Pidfd {
        if mark != nil, program == nil, let image = plan.image { return try startContainer(of: image, log) }
        let machine: MachineStart? =
            if mark != nil, program == nil, let machine = plan.machine { try machineStart(machine) } else { nil }
        let account = mark == nil ? nil : try self.account(node)
        let bounds = mark == nil ? nil : try self.bounds(log)
        do throws(SystemError) {
            var started = (account.map { entrance.becoming($0, plan) } ?? entrance).command(
                machine.map { Self.shellText($0.words) } ?? command, output: log.writeEnd)
            for (number, tap) in machine?.taps ?? [:] { started.descriptors[number] = tap.queues[0] }
            if let mark {
                started.rights = plan.process.confinement.rights(of: account)
                started.limits = mark.limits.merging(bounds?.limits ?? [:]) { $1 }
                started.controlGroups = bounds?.group?.entrances ?? []
                loop.sync {
                    log.begin()
                    (self.host ?? self).following.wanted += 1
                }
            }
            return try withExtendedLifetime((bounds, machine)) { () throws(SystemError) in
                try ProcessLauncher.spawn(started, node: node)
            }
        } catch {
            throw ApplianceError(
                .failed, "\(place): \(error)",
                hint: access(folder, X_OK) != 0
                    ? "the folder \(folder) must exist"
                    : plan.process.confinement.user != nil && !UserNamespace.hasOtherUsers ? Self.otherUsersHint : nil)
        }
    }
}
