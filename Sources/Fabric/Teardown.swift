import Attachments
import EventLoop
import Glibc
import LinuxNetwork
import Reporting

/// Takes away what a topology has made, by its state and its marks. Everything without a mark of that topology stays.
///
/// It does not need the topology file or the process that made the topology. It can be repeated. The caller must hold
/// the topology's lock.
package struct Teardown {
    package let directory: StateDirectory

    /// Memberwise.
    package init(directory: StateDirectory) {
        self.directory = directory
    }

    /// The parts that were found and not removed.
    package struct Report {
        /// Namespaces that bear the topology's name and not its mark.
        package var foreign: [String] = []
        /// Processes in the topology's namespaces that Tapline did not start.
        package var foreignProcesses: [ForeignProcess] = []

        /// Memberwise.
        package init(foreign: [String] = [], foreignProcesses: [ForeignProcess] = []) {
            self.foreign = foreign
            self.foreignProcesses = foreignProcesses
        }
    }

    /// Ends the processes of `state`, and deletes every namespace that is marked as this topology's.
    ///
    /// - Parameter state: The state file's content; nil if it cannot be read. Then the mark of every namespace of the
    ///   machine is checked.
    /// - Throws: The first `ApplianceError`, after all namespaces have been tried.
    @discardableResult
    package func takeAway(_ state: ApplianceState?) throws(ApplianceError) -> Report {
        for process in state?.processes ?? [] where process.isAlive { end(process) }
        var report = Report()
        var failure: ApplianceError?
        let intended = Set(state?.namespaces ?? [])
        let found = namesInFolder("/run/netns").filter { name in
            state == nil || name.hasPrefix("\(directory.folder)-") || intended.contains(name)
        }
        // Devices go home before the fabric goes: a veth would end with it.
        do throws(ApplianceError) { try giveBack(state) } catch { failure = error }
        let isKept = failure != nil
        do throws(ApplianceError) { try removeContainers(state) } catch { failure = failure ?? error }
        let before = ForeignProcesses(of: found.filter { (try? ownership(of: $0)) == .ours })
        for name in found {
            do throws(SystemError) {
                switch try ownership(of: name) {
                case .ours where isKept && name == state?.fabric: break
                case .ours:
                    if name == state?.fabric { try detach(state?.attachments ?? [], in: name) }
                    try NetworkNamespace.delete(name)
                // Where we were ended between making the file and mounting the namespace on it.
                case .stale where intended.contains(name): try NetworkNamespace.delete(name)
                case .stale, .foreign: if name.hasPrefix("\(directory.folder)-") { report.foreign.append(name) }
                case .gone: break
                }
            } catch {
                // A namespace without the name and the mark is foreign, even if it is broken.
                guard intended.contains(name) || name.hasPrefix("\(directory.folder)-") else { continue }
                failure = failure ?? ApplianceError(.failed, "cannot take away the namespace \(name): \(error)")
            }
        }
        // Another program deleted the last name, or we were ended before we made the first.
        do throws(SystemError) { try NetworkNamespace.tidyDirectory() } catch {
            failure = failure ?? ApplianceError(.failed, "cannot tidy /run/netns: \(error)")
        }
        // No state says of which hierarchies: all are searched.
        let groups = state.map { $0.controlGroups ?? [] } ?? ControlGroups.all()[directory.folder] ?? []
        for (path, why) in ControlGroups.remove(groups) {
            failure = failure ?? ApplianceError(.failed, "cannot take away the control group \(path): \(why)")
        }
        directory.removeImages()
        if let failure { throw failure }
        report.foreignProcesses = before.remaining()
        return report
    }

    /// Gives all lent devices back.
    private func giveBack(_ state: ApplianceState?) throws(ApplianceError) {
        // After the machine's start, a device is where it always was.
        guard let state, let loans = state.loans, state.boot == ApplianceState.currentBoot else { return }
        let fabric: NetworkNamespace?
        do throws(SystemError) {
            fabric = try state.fabric.flatMap { name throws(SystemError) in
                try ownership(of: name) == .ours ? try NetworkNamespace.open(name) : nil
            }
        } catch {
            throw ApplianceError(.failed, "cannot look for lent devices: \(error)")
        }
        var failure: ApplianceError?
        for loan in loans {
            do throws(ApplianceError) {
                try loan.giveBack(from: fabric, markedAs: ApplianceState.markPrefix(name: directory.name))
            } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    /// Takes legs out of namespaces of somebody else's at once. The kernel would do it later, some time after the fabric's
    /// name is gone.
    private func detach(_ attachments: [AttachedLegs], in fabric: String) throws(SystemError) {
        let netlink = try NetworkNamespace.open(fabric).netlink
        for device in attachments.flatMap(\.devices) {
            guard let link = try netlink.link(named: device) else { continue }
            // One that ends with its namespace just now goes in any case.
            try ignoringAbsence { () throws(SystemError) in try netlink.deleteLink(index: link.index) }
        }
    }

    private enum Ownership {
        case ours
        case foreign
        case stale
        case gone
    }

    private func ownership(of name: String) throws(SystemError) -> Ownership {
        do throws(SystemError) {
            let mark = try NetworkNamespace.mark(of: name)
            return mark?.hasPrefix(ApplianceState.markPrefix(name: directory.name)) == true ? .ours : .foreign
        } catch {
            switch error.errno {
            case ENOENT: return .gone
            case EINVAL: return .stale
            default: throw error
            }
        }
    }

    /// Ends one process that is still the one that was recorded.
    private func end(_ process: RecordedProcess) {
        guard process.pid != getpid(), let descriptor = try? Pidfd(pid: process.pid), process.isAlive else { return }
        try? descriptor.signal(SIGKILL)
        _ = descriptor.waitForEnd(within: .seconds(5))
    }
}

/// A network namespace of the machine that bears a mark of Tapline's.
public struct MarkedNamespace: Hashable, Sendable {
    /// Its name under /run/netns.
    public var name: String
    /// The topology whose mark it bears.
    public var topology: String
    /// The run of it.
    public var run: String

    /// Every one of the machine, in the order of the names.
    ///
    /// - Throws: `ApplianceError` if /run/netns cannot be read.
    public static func all() throws(ApplianceError) -> [MarkedNamespace] {
        do throws(SystemError) {
            return try NetworkNamespace.list().compactMap { entry in
                guard let mark = entry.mark, let read = ApplianceState.reading(mark: mark) else { return nil }
                return MarkedNamespace(name: entry.name, topology: read.topology, run: read.run)
            }
        } catch {
            throw .wrapping(error, "cannot list what Tapline has made")
        }
    }
}
