import CLinux
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// A network namespace that somebody else made, found where a file says it is.
///
/// While this object lives, the kernel keeps the namespace. Let go of it when `isStillThere` is false.
package final class ForeignNamespace: Sendable {
    /// How it was found.
    package let place: AttachmentPlan.Place
    package let namespace: NetworkNamespace
    /// The process in it by which it was found; nil: it was found by a file.
    package let process: Pidfd?

    private init(_ place: AttachmentPlan.Place, _ namespace: NetworkNamespace, _ process: Pidfd?) {
        self.place = place
        self.namespace = namespace
        self.process = process
    }

    /// The namespace of a node.
    ///
    /// - Parameter node: The node and its place in the file, for messages.
    /// - Throws: `ApplianceError` if there is none now, or if it may not be used: it is the machine's own, or a
    ///   topology's.
    package static func find(_ place: AttachmentPlan.Place, for node: String) throws(ApplianceError) -> ForeignNamespace
    {
        let found =
            switch place {
            case .namespace(let path): try open(path, node)
            case .process(let pid): try open(pid, place, node)
            case .container(let engine, let name):
                try open(try ContainerLookup.process(of: name, by: engine, for: node), place, node)
            }
        try found.refuseOwn(node)
        return found
    }

    /// True as long as the place leads to this namespace: its file is there and is the same one, or its process lives and
    /// is in it.
    package var isStillThere: Bool {
        if let process {
            return !process.hasEnded && Self.number(of: "/proc/\(process.pid)/ns/net") == namespace.identity
        }
        guard case .namespace(let path) = place else { return false }
        return Self.number(of: path) == namespace.identity
    }

    /// The number of a namespace's file. No other namespace has it while somebody holds that one.
    private static func number(of path: String) -> UInt64? {
        var info = stat()
        return stat(path, &info) == 0 ? UInt64(info.st_ino) : nil
    }

    // MARK: - Finding

    private static func open(_ path: String, _ node: String) throws(ApplianceError) -> ForeignNamespace {
        do throws(SystemError) {
            return ForeignNamespace(.namespace(path: path), try NetworkNamespace.open(path: path), nil)
        } catch {
            switch error.errno {
            case ENOENT, ENOTDIR:
                throw ApplianceError(
                    .machine, "\(node): there is no network namespace \(path)",
                    hint: path.hasPrefix("/run/netns/")
                        ? "make it with 'ip netns add \(path.dropFirst(11))', or correct `namespace`"
                        : "make it first, or correct `namespace`")
            case EINVAL:
                throw ApplianceError(
                    .machine, "\(node): \(path) is not a network namespace",
                    hint: "name the file of one, such as /run/netns/box; 'ip netns' lists the names there")
            default: throw refused(error, path, node)
            }
        }
    }

    private static func open(
        _ pid: Int32, _ place: AttachmentPlan.Place, _ node: String
    ) throws(ApplianceError) -> ForeignNamespace {
        do throws(SystemError) {
            let process = try Pidfd(pid: pid)
            let namespace = try NetworkNamespace.open(pid: pid)
            // Its number was not given to another process meanwhile.
            guard !process.hasEnded else { throw SystemError("open the process", "\(pid)", errno: ESRCH) }
            return ForeignNamespace(place, namespace, process)
        } catch {
            switch error.errno {
            case ESRCH, ENOENT, EINVAL:
                throw ApplianceError(
                    .machine, "\(node): there is no process \(pid)",
                    hint: place == .process(pid)
                        ? "correct `pid`: it is the number of a process that runs, as `ps` shows it"
                        : "start the container again")
            default: throw refused(error, "\(place)", node)
            }
        }
    }

    private static func refused(_ error: SystemError, _ what: String, _ node: String) -> ApplianceError {
        ApplianceError(
            .machine, "\(node): \(error)",
            hint: [EPERM, EACCES].contains(error.errno)
                ? "run it as root: the network namespace \(what) belongs to another user" : nil)
    }

    // MARK: - Refusing

    private func refuseOwn(_ node: String) throws(ApplianceError) {
        let own = try? NetworkNamespace.current().identity
        if namespace.identity == own || namespace.identity == Self.number(of: "/proc/1/ns/net") {
            throw ApplianceError(
                .machine, "\(node): \(place) is in the machine's own network namespace",
                hint: "Tapline adds nothing to that; use a namespace of its own, such as one made by 'ip netns add'")
        }
        let mark: String?
        do throws(SystemError) { mark = try namespace.mark } catch { throw Self.refused(error, "\(place)", node) }
        let words = mark?.split(separator: " ") ?? []
        if words.count >= 3, words[0] == "tapline" {
            throw ApplianceError(
                .machine, "\(node): \(place) is a namespace of the topology '\(words[1])'",
                hint: "attach to a namespace that Tapline has not made, or put the node into that topology's file")
        }
    }
}
