import ApplianceClient
import Attachments
import ControlAPI
import EventLoop
import Fabric
import Plan
import Reporting
import Wire

// The name of a topology belongs to one control process at a time.

extension ControlProcess {
    /// The lock of this name. The call waits for an owner that is about to end, or that has ended but is not yet
    /// cleared away by the kernel.
    func takeLock() throws(ApplianceError) -> TopologyLock {
        let deadline = monotonicTime() + Self.lockPatience
        while true {
            try cancellation.check()
            try directory.create()
            if let lock = try TopologyLock.take(directory) { return lock }
            let owner = try? ControlClient(directory: directory).ask(StatusRequest(), timeout: .seconds(2))
            if let state = owner?.state, state != .stopping { throw nameTaken() }
            guard monotonicTime() < deadline else { throw nameTaken() }
            cancellation.sleep(.milliseconds(10))
        }
    }

    private static let lockPatience = Duration.seconds(10)

    private func nameTaken() -> ApplianceError {
        let process = directory.readState()?.control.map { " (process \($0.pid))" } ?? ""
        return ApplianceError(
            .name, "the topology '\(plan.name)' exists already\(process)",
            hint: "take it away with 'tapline down \(plan.name)', or choose another name with --name")
    }

    /// Takes away the leftovers of a run of this name that ended without doing so.
    func healLeftovers() throws(ApplianceError) {
        let leftover = directory.readState()
        try Teardown(directory: directory).takeAway(leftover)
        // The records of tenants go with the topology, and it was not taken away.
        keepsRecords = directory.removeAllButRecords() && plan.records != nil && plan.records?.database == nil
        if !keepsRecords { for name in namesInFolder(directory.path) { removeTree("\(directory.path)/\(name)") } }
        try directory.create()
        if let leftover {
            progress(.note("took away what run \(leftover.run) of '\(plan.name)' had left behind"))
        }
    }

    /// Takes the folder away, but leaves the records that it had before this run: the next `up` finds them.
    func removeFolderAfterFailure() {
        guard keepsRecords, directory.removeAllButRecords() else { return directory.remove() }
    }

    /// Renames a namespace if another topology has, or is about to make, one of that name.
    func avoidOthersNames() throws(ApplianceError) {
        // Written before the others' are read: of two that come up at once, at least one sees the other.
        try record.change { $0.phase = .starting }
        let taken = try directory.othersNames(among: NetworkBuilder.namespaces(of: plan))
        guard !taken.isDisjoint(with: NetworkBuilder.namespaces(of: plan)) else { return }
        topology.rename { $0.avoid(taken) }
        let plan = plan
        try record.change { $0.note(plan) }
    }

    /// Records the devices of the machine that are about to be interfaces. Nothing is touched yet.
    func borrowDevices() throws(ApplianceError) {
        let plan = plan
        let loans = try loans(of: plan)
        guard !loans.isEmpty else { return }
        try record.change { $0.note(loans, in: plan.fabricNamespace) }
    }

    /// The devices of the machine that a plan binds to its interfaces, as they are now. Nothing is touched.
    func loans(of plan: AppliancePlan) throws(ApplianceError) -> [DeviceLoan] {
        guard plan.interfaces.contains(where: { $0.device != nil }) else { return [] }
        let others = StateDirectory.allNames().filter { $0 != name }.flatMap { other in
            ((try? StateDirectory(name: other))?.readState()?.loans ?? []).map { (topology: other, loan: $0) }
        }
        return try DeviceSurvey.loans(of: plan, allowsDefaultRoute: allowsDefaultRoute, others: others)
    }
}
