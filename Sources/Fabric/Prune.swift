import Attachments
import EventLoop
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// Finds the leftovers of topologies whose control processes are gone, by their state and their marks alone.
public enum Prune {
    /// The leftovers of one topology.
    public struct Leftover: Codable, Sendable {
        /// The topology's name.
        public var name: String
        /// Its namespaces, and files of namespaces that were never finished.
        public var namespaces: [String]
        /// Its control groups.
        public var controlGroups: [String] = []
        /// The containers of its nodes' images.
        public var containers: [String] = []
        /// Processes of its nodes that live on, in the host's numbers.
        public var processes: [Int32]
        /// Its folder of state; nil if that is gone.
        public var state: String?
        /// Its folder of unpacked images; nil if it has none.
        public var images: String?
    }
    /// The leftovers that were found, and the results. The keys are stable.
    public struct Report: Codable, Sendable {
        /// The version of this format.
        public var version = 1
        /// True if it was only looked for.
        public var dryRun: Bool
        /// The leftovers that were removed, or would be.
        public var taken: [Leftover] = []
        /// The topologies that are up, or coming or going: they were not touched.
        public var live: [String] = []
        /// Namespaces that look like a topology's and bear no mark, with the reason why they stay.
        public var leftAlone: [String] = []
        /// The errors of removals that failed.
        public var failures: [ApplianceError] = []

        /// Memberwise.
        package init(
            version: Int = 1, dryRun: Bool, taken: [Leftover] = [], live: [String] = [], leftAlone: [String] = [],
            failures: [ApplianceError] = []
        ) {
            self.version = version
            self.dryRun = dryRun
            self.taken = taken
            self.live = live
            self.leftAlone = leftAlone
            self.failures = failures
        }
    }

    /// Finds the leftovers and removes them.
    ///
    /// - Parameters:
    ///   - names: Only topologies of these names; all where empty.
    ///   - dryRun: Only look.
    /// - Throws: `ApplianceError` without the privileges, or if a name is invalid.
    public static func perform(names: [String] = [], dryRun: Bool = false) throws(ApplianceError) -> Report {
        try Machine.requireRoot()
        for name in names { _ = try StateDirectory(name: name) }
        var report = Report(dryRun: dryRun)
        let wanted = { (name: String) in
            names.isEmpty || names.contains { DerivedNames.topology($0) == DerivedNames.topology(name) }
        }
        let found = survey()
        report.leftAlone = names.isEmpty ? found.strange : []
        let names = Set(found.marked.keys).union(StateDirectory.allNames())
        let folders = Set(names.map { DerivedNames.topology($0) })
        let byFolder = Set(found.groups.keys).union(StateDirectory.foldersWithImages()).union(found.containers.keys)
        for name in names.union(byFolder.subtracting(folders)).sorted() where wanted(name) {
            let directory = try StateDirectory(name: name)
            let namespaces = found.marked[name] ?? []
            guard !isLive(directory, namespaces) else {
                report.live.append(name)
                continue
            }
            var leftover = Leftover(
                name: name, namespaces: namespaces, controlGroups: found.groups[directory.folder] ?? [],
                containers: found.containers[directory.folder] ?? [],
                processes: processes(of: name, in: namespaces),
                state: directory.exists ? directory.path : nil, images: directory.unpackedImages)
            let intended = directory.readState()?.namespaces ?? []
            leftover.namespaces += found.unfinished.filter { intended.contains($0) }
            report.leftAlone.removeAll { summary in intended.contains { summary.hasPrefix("/run/netns/\($0) ") } }
            do throws(ApplianceError) {
                let taken = dryRun ? true : try take(leftover, directory)
                if taken { report.taken.append(leftover) } else { report.live.append(name) }
            } catch {
                report.failures.append(error)
            }
        }
        guard !dryRun else { return report }
        do throws(SystemError) { try NetworkNamespace.tidyDirectory() } catch {
            report.failures.append(ApplianceError(.failed, "\(error)"))
        }
        return report
    }

    // MARK: - Looking

    private struct Survey {
        /// Topology → its marked namespaces.
        var marked: [String: [String]] = [:]
        /// Topology's folder → its control groups.
        var groups = ControlGroups.all()
        /// Topology's folder → its containers.
        var containers = Prune.containers()
        /// Files on which no namespace is mounted.
        var unfinished: [String] = []
        /// The sentences about those files.
        var strange: [String] = []
    }

    private static func survey() -> Survey {
        var survey = Survey()
        for name in namesInFolder("/run/netns") {
            do throws(SystemError) {
                guard let mark = try NetworkNamespace.mark(of: name),
                    let topology = ApplianceState.topology(ofMark: mark)
                else { continue }
                survey.marked[topology, default: []].append(name)
            } catch {
                // It is gone meanwhile, or cannot be examined: no mark has been seen on it.
                guard error.errno == EINVAL else { continue }
                survey.unfinished.append(name)
                survey.strange.append(
                    "/run/netns/\(name) is not a namespace, and no topology's state names it; "
                        + "'ip netns delete \(name)' takes it away")
            }
        }
        return survey
    }

    /// The containers that topologies have made. An engine that does not answer shows none: that is no reason to leave
    /// the rest.
    private static func containers() -> [String: [String]] {
        guard let engine = ContainerProgram(.podman), engine.isUsed else { return [:] }
        return (try? engine.marked()) ?? [:]
    }

    /// A control process holds the lock as long as it lives. If its folder was removed, its TAPs show it: a TAP exists
    /// as long as a process holds a queue of it.
    private static func isLive(_ directory: StateDirectory, _ namespaces: [String]) -> Bool {
        if access(directory.path, F_OK) == 0 { return TopologyLock.isHeld(directory) }
        return namespaces.contains { name in
            do throws(SystemError) {
                return try NetworkNamespace.open(name).netlink.links().contains { $0.kind == "tun" }
            } catch {
                // It is gone meanwhile, so another process works on it. Any other error is no permission to take it
                // away either.
                return true
            }
        }
    }

    /// The processes in these namespaces that were started as the topology's.
    private static func processes(of name: String, in namespaces: [String]) -> [Int32] {
        let identities = Set(
            namespaces.compactMap { namespace -> UInt64? in
                do throws(SystemError) { return try NetworkNamespace.open(namespace).identity } catch { return nil }
            })
        guard !identities.isEmpty else { return [] }
        let (variable, folder) = (Array("TAPLINE_TOPOLOGY=".utf8), DerivedNames.topology(name))
        return namesInFolder("/proc").compactMap(Int32.init).filter { pid in
            var info = stat()
            guard stat("/proc/\(pid)/ns/net", &info) == 0, identities.contains(UInt64(info.st_ino)) else {
                return false
            }
            return readFile("/proc/\(pid)/environ")?.split(separator: 0).contains {
                $0.starts(with: variable)
                    && DerivedNames.topology(String(decoding: $0.dropFirst(variable.count), as: UTF8.self)) == folder
            } == true
        }
    }

    // MARK: - Taking

    /// Takes it away. False if another process has begun to use the name meanwhile.
    private static func take(_ leftover: Leftover, _ directory: StateDirectory) throws(ApplianceError) -> Bool {
        try directory.create()
        guard let lock = try TopologyLock.take(directory) else { return false }
        defer { lock.release() }
        for pid in leftover.processes { end(pid, leftover) }
        try Teardown(directory: directory).takeAway(directory.readState())
        try ContainerProgram(.podman)?.remove(leftover.containers)
        // The mark of such a namespace says whose it is, not its name.
        for name in leftover.namespaces {
            do throws(SystemError) {
                let mark = try NetworkNamespace.mark(of: name)
                guard mark?.hasPrefix(ApplianceState.markPrefix(name: leftover.name)) == true else { continue }
                try NetworkNamespace.delete(name)
            } catch {
                if error.errno == ENOENT { continue }
                throw ApplianceError(.failed, "cannot take away the namespace \(name): \(error)")
            }
        }
        if let (path, why) = ControlGroups.remove(leftover.controlGroups).first {
            throw ApplianceError(.failed, "cannot take away the control group \(path): \(why)")
        }
        directory.remove()
        return true
    }

    /// Ends a process that is still one of the leftover's.
    private static func end(_ pid: Int32, _ leftover: Leftover) {
        do throws(SystemError) {
            let process = try Pidfd(pid: pid)
            guard processes(of: leftover.name, in: leftover.namespaces).contains(pid) else { return }
            try process.signal(SIGKILL)
            _ = process.waitForEnd(within: .seconds(5))
        } catch {
            // It has ended by itself.
            guard error.errno != ESRCH else { return }
        }
    }
}

extension ApplianceState {
    /// The topology that a mark names; nil if it is none of Tapline's.
    package static func topology(ofMark mark: String) -> String? {
        guard let named = reading(mark: mark)?.topology else { return nil }
        // If a mark had no room for the whole name, the state file has it.
        do throws(ApplianceError) {
            return try StateDirectory(name: named).readState()?.name ?? named
        } catch {
            return nil
        }
    }
}
