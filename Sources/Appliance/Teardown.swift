import Glibc
import LinuxNetwork

/// Takes away what a topology has made, by its state and its marks; what carries no mark of that topology stays.
///
/// It needs neither the topology file nor the process that made it, and can be repeated. Only whoever holds the
/// topology's lock may call it.
struct Teardown {
    let directory: StateDirectory

    /// Ends the processes of `state`, and deletes every namespace that is marked as this topology's.
    ///
    /// - Returns: The names of namespaces that bear the topology's name and not its mark: they were left alone.
    @discardableResult
    func takeAway(_ state: ApplianceState?) throws(ApplianceError) -> [String] {
        for process in state?.processes ?? [] where process.isAlive { end(process) }
        var foreign: [String] = []
        var failure: ApplianceError?
        let intended = Set(state?.namespaces ?? [])
        let found = namesInFolder("/run/netns").filter { $0.hasPrefix("\(directory.name)-") || intended.contains($0) }
        for name in found {
            do throws(SystemError) {
                switch try ownership(of: name) {
                case .ours: try NetworkNamespace.delete(name)
                // Where we were ended between making the file and mounting the namespace on it.
                case .stale where intended.contains(name): try NetworkNamespace.delete(name)
                case .stale, .foreign: foreign.append(name)
                case .gone: break
                }
            } catch {
                failure = failure ?? ApplianceError(.failed, "cannot take away the namespace \(name): \(error)")
            }
        }
        if let failure { throw failure }
        return foreign
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
        _ = descriptor.waitForEnd(milliseconds: 5000)
    }
}
