import Attachments
import CLinux
import ControlAPI
import EventLoop
import Fabric
import Glibc
import HealthMonitoring
import LinuxNetwork
import Logging
import Nodes
import Plan
import Reporting
import Synchronization
import Wire

/// Sees when namespaces that somebody else made go, and puts the nodes' legs into those that come in their place.
///
/// It is a thread of its own, because a container's engine takes its time to answer. There is none while no node is
/// attached.
final class AttachmentWatch: @unchecked Sendable {
    private unowned let control: ControlProcess
    private let isRunning = Mutex(false)
    /// Held while legs are put into a namespace, or taken out.
    private let turn = Mutex(())
    private let cancellation: Cancellation
    private let ended = RaisedFlag()

    // Used by the thread alone.

    /// Where nodes are whose namespaces are gone.
    private var limbo: NetworkNamespace?
    /// What is known of a node whose namespace is gone.
    private struct Absence {
        /// True if nothing can come in its place.
        var isFinal = false
        /// When it is looked for next.
        var next = monotonicTime()
        var pause = AttachmentWatch.pause
        /// The last refusal that was told.
        var told: String?
    }
    private var absences: [String: Absence] = [:]
    /// Interfaces whose devices carry nothing, with the reasons.
    private let faults = Mutex<[String: String]>([:])

    /// Why the device of an interface carries nothing; nil if it is well, or if the interface has none.
    func fault(ofDeviceOf interface: String) -> String? { faults.withLock { $0[interface] } }

    /// The time between two looks at files and processes.
    static let pause = Duration.milliseconds(100)
    /// The longest time between two questions to a container's engine.
    private static let longestPause = Duration.seconds(2)

    init(_ control: ControlProcess) throws(ApplianceError) {
        self.control = control
        cancellation = try Cancellation()
    }

    /// Begins to look, if the plan has attached nodes and it does not look yet.
    func start() throws(ApplianceError) {
        let isNeeded = control.loop.sync {
            self.control.plan.nodes.contains { $0.attachment != nil }
                || self.control.plan.interfaces.contains { $0.device != nil }
        }
        guard isNeeded,
            isRunning.withLock({ running in
                defer { running = true }
                return !running
            })
        else { return }
        do throws(SystemError) { limbo = try NetworkNamespace.empty() } catch {
            throw ApplianceError(.machine, "\(error)", hint: "run it as root, with CAP_SYS_ADMIN")
        }
        try startThread { [self] in
            pthread_setname_np(pthread_self(), "tapline-attach")
            while !cancellation.isRaised { wait(look()) }
            ended.raise()
        }
    }

    /// Looks no longer. Returns when nothing is under way.
    func stop() {
        cancellation.raise()
        if isRunning.withLock({ $0 }) { ended.wait() }
    }

    /// Does something to attached nodes while nothing happens to them here.
    func exclusively(_ body: () throws(ApplianceError) -> Void) throws(ApplianceError) {
        let result = turn.withLock { _ -> Result<Void, ApplianceError> in
            do throws(ApplianceError) { return .success(try body()) } catch { return .failure(error) }
        }
        try result.get()
    }

    // MARK: - The thread

    /// Waits until a process has ended, or for a short time.
    private func wait(_ processes: [Pidfd]) {
        var waiting = [pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0)]
        waiting += processes.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        _ = poll(&waiting, nfds_t(waiting.count), Self.pause.waitMilliseconds)
    }

    /// Looks at every attached node.
    ///
    /// - Returns: The processes by which namespaces were found that are there.
    private func look() -> [Pidfd] {
        turn.withLock { _ in
            let (built, nodes) = control.loop.sync {
                (self.control.built, self.control.nodes.filter { $0.plan.attachment != nil })
            }
            guard let built else { return [] }
            lookAtDevices(built)
            absences = absences.filter { absence in nodes.contains { $0.plan.name == absence.key } }
            for node in nodes {
                if let there = built.foreign[node.plan.name] {
                    if !there.isStillThere {
                        lose(node, there, built)
                    } else if let device = lostLeg(of: node, built) {
                        lose(node, there, built, because: "its device \(device) was deleted in \(there.place)")
                    }
                } else {
                    seek(node, built)
                }
            }
            let now = control.loop.sync { self.control.built?.foreign ?? [:] }
            return now.values.compactMap(\.process)
        }
    }

    /// The device of a leg whose other end is gone: both go together. Nil if all are there, or if that cannot be seen.
    private func lostLeg(of node: NodeRuntime, _ built: BuiltTopology) -> String? {
        node.plan.legs.first { leg in
            guard let end = leg.fabricDevice, let netlink = try? built.fabric?.netlink else { return false }
            do throws(SystemError) { return try netlink.link(named: end) == nil } catch { return false }
        }?.device
    }

    /// A namespace, or a leg in it, is gone.
    private func lose(
        _ node: NodeRuntime, _ there: ForeignNamespace, _ built: BuiltTopology, because why: String? = nil
    ) {
        guard let limbo else { return }
        let name = node.plan.name
        let isEnded = there.process?.hasEnded ?? false
        let what: String
        switch there.place {
        case _ where why != nil: what = why ?? ""
        case .namespace(let path):
            what = access(path, F_OK) == 0 ? "\(path) is another one now" : "\(path) was deleted"
        case .process(let pid):
            what = isEnded ? "process \(pid) has ended" : "process \(pid) has gone to another one"
        case .container: what = "\(there.place) has stopped"
        }
        // A process that gets the number later is another one.
        if case .process = there.place { absences[name] = Absence(isFinal: isEnded) } else { absences[name] = nil }
        let gone = control.loop.sync { [control] in
            control.topology.move(name, to: nil, limbo: limbo)
            control.watch.monitor?.move(node: name, to: limbo)
            control.operatedLinks[name] = nil
            return node.leave(what, for: limbo)
        }
        tell(.attachmentLost, node, why ?? "its network namespace is gone: \(what)")
        // The bridge's ends go, and with them what may still be in the namespace if something keeps that.
        do throws(ApplianceError) { try builder.removeLegs(of: node.plan, from: built) } catch {
            control.logger.warning("\(error)")
        }
        if let gone, gone.waitForEnd(within: .seconds(5)) { _ = try? gone.statusIfEnded() }
    }

    private func seek(_ node: NodeRuntime, _ built: BuiltTopology) {
        let name = node.plan.name
        var absence = absences[name] ?? Absence()
        guard let attachment = node.plan.attachment, let limbo, !absence.isFinal, monotonicTime() >= absence.next else {
            return
        }
        // While a file is applied, it may be on an interface that comes or goes.
        let builder = self.builder
        let places = Set(builder.plan.interfaces.indices.filter { !builder.plan.interfaces[$0].isVacant })
        guard node.plan.legs.allSatisfy({ places.contains($0.interface) }) else { return }
        defer { absences[name] = absence }
        do throws(ApplianceError) {
            let found = try builder.attach(node.plan, in: built)
            var grown = built
            grown.take([name: found])
            try builder.awaitLinks(of: [node.plan], in: grown)
            control.loop.sync { [control] in
                control.topology.move(name, to: found, limbo: limbo)
                control.watch.monitor?.move(node: name, to: found.namespace)
                node.enter(found.namespace)
            }
            absence = Absence()
            tell(.attachmentRestored, node, "its legs are in \(attachment.place) again")
        } catch {
            absence.next = monotonicTime() + absence.pause
            if case .container = attachment.place { absence.pause = min(absence.pause * 2, Self.longestPause) }
            // That it is not there yet is no news.
            guard !cancellation.isRaised, absence.told != error.message,
                (try? ForeignNamespace.find(attachment.place, for: node.place)) != nil
            else { return }
            absence.told = error.message
            tell(.attachmentRefused, node, "\(error)")
        }
    }

    // MARK: - Devices

    private func lookAtDevices(_ built: BuiltTopology) {
        let plan = control.loop.sync { self.control.plan }
        for (index, interface) in plan.interfaces.enumerated() {
            guard let device = interface.device, built.devices.indices.contains(index),
                let number = built.devices[index],
                let fabric = built.fabric
            else { continue }
            let fault = Self.fault(of: device.name, number, in: fabric)
            let before = faults.withLock { faults in
                defer { faults[interface.name] = fault }
                return faults[interface.name]
            }
            guard fault != before else { continue }
            let what = "the device \(device.name) of interface \(interface.name) \(fault ?? "carries frames again")"
            control.loop.sync { [control] in
                control.logger.warning("\(what)")
                control.happened(
                    ApplianceEvent(fault == nil ? .attachmentRestored : .attachmentLost, reason: what))
            }
        }
    }

    /// Why a lent device carries nothing, as the end of a sentence.
    private static func fault(of device: String, _ number: Int32, in fabric: NetworkNamespace) -> String? {
        do throws(SystemError) {
            guard let link = try fabric.netlink.link(index: number) else { return "is gone" }
            if link.master == nil { return "is not on its bridge any more" }
            if !link.isUp { return "is switched off" }
            if link.name != device { return "has been renamed to \(link.name)" }
            return link.hasCarrier ? nil : "has no carrier"
        } catch {
            return "cannot be looked at: \(error)"
        }
    }

    private var builder: NetworkBuilder {
        NetworkBuilder(
            plan: control.loop.sync { self.control.plan }, mark: control.record.mark, cancellation: cancellation)
    }

    private func tell(_ kind: ApplianceEvent.Kind, _ node: NodeRuntime, _ reason: String) {
        let (control, name) = (control, node.plan.name)
        control.loop.sync {
            control.logger.warning("node \(name): \(reason)")
            control.tell(kind, of: node, reason)
        }
    }
}
