import CLinux
import Fabric
import Glibc
import LinuxNetwork
import Reporting

/// Limits, free space, and the distribution's settings.
extension Doctor {
    // MARK: - Without root

    func userNamespaces() -> [Finding] {
        guard !isRoot else {
            // Root makes no user namespace, but its other namespaces are counted, too.
            return ["net", "pid", "mnt"].compactMap { kind in
                guard let most = number("user/max_\(kind)_namespaces"), most < 1000 else { return nil }
                return Finding(
                    "namespaces", most == 0 ? .fail : .warn,
                    "at most \(most) namespaces of the kind '\(kind)' may be made, and each node needs one",
                    hint: "sysctl -w user.max_\(kind)_namespaces=10000")
            }
        }
        if let obstacle = UserNamespace.obstacle() {
            return [Finding("user namespaces", .fail, obstacle.message, hint: obstacle.hint)]
        }
        return [
            Finding(
                "user namespaces", .ok, "this user can make them, with a node's namespaces, mounts and device")
        ]
    }

    func appArmor() -> Finding {
        let parameter = text("\(places.sys)/module/apparmor/parameters/enabled")
        guard parameter == "Y" else { return Finding("AppArmor", .ok, "it is not active") }
        let restricted = number("kernel/apparmor_restrict_unprivileged_userns") == 1
        guard restricted, !isRoot else {
            return Finding(
                "AppArmor", .ok,
                restricted ? "active; only root may use user namespaces" : "active")
        }
        return Finding(
            "AppArmor", .warn, "it denies ordinary users privileges in user namespaces",
            hint: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run it with sudo")
    }

    // MARK: - Limits

    /// The needs of twenty topologies of a dozen nodes at once, with room: (sysctl, least, what runs out).
    private static let least: [(name: String, least: Int, what: String)] = [
        ("kernel.pid_max", 16_384, "process numbers"),
        ("kernel.threads-max", 8_192, "threads"),
        ("fs.file-max", 65_536, "open files"),
        ("fs.mount-max", 10_000, "mounts"),
        ("net.ipv4.neigh.default.gc_thresh3", 1_024, "IPv4 neighbours, which all namespaces share"),
        ("net.ipv6.neigh.default.gc_thresh3", 1_024, "IPv6 neighbours, which all namespaces share"),
        ("net.core.netdev_max_backlog", 1_000, "frames that wait for a processor"),
    ]

    func limits() -> [Finding] {
        var findings = Self.least.compactMap { entry -> Finding? in
            guard let value = number(entry.name.replacing(".", with: "/")), value < entry.least else { return nil }
            return Finding(
                entry.name, .warn, "\(value) \(entry.what) are too few for twenty topologies at once",
                hint: "sysctl -w \(entry.name)=\(entry.least)")
        }
        if findings.isEmpty {
            findings.append(Finding("sysctls", .ok, "the limits suffice for twenty topologies at once"))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            let most = limit.rlim_max == .max ? "without a limit" : "\(limit.rlim_max)"
            findings.append(
                limit.rlim_max < 4_096
                    ? Finding(
                        "open files", limit.rlim_max < 256 ? .fail : .warn,
                        "one process may open \(most), and each interface and node takes some",
                        hint: "raise the hard limit: ulimit -Hn 65536, or LimitNOFILE= in the unit")
                    : Finding("open files", .ok, "one process may open \(most)"))
        }
        if let pids = processLimit(), pids < 1_000 {
            findings.append(
                Finding(
                    "processes", .warn, "this control group may have \(pids) processes",
                    hint: "start the container with --pids-limit -1, or set TasksMax= in the unit"))
        }
        return findings
    }

    /// pids.max of this process's control group (cgroup v2); nil if there is no limit.
    private func processLimit() -> Int? {
        let line = (text("\(places.proc)/self/cgroup") ?? "").split(separator: "\n").first { $0.hasPrefix("0::") }
        return line.flatMap { text("\(places.sys)/fs/cgroup\($0.dropFirst(3))/pids.max") }.flatMap { Int($0) }
    }

    // MARK: - Room

    func space() -> [Finding] {
        var folders = [places.state]
        let temporary = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        if !folders.contains(temporary) { folders.append(temporary) }
        return folders.map { space($0, needed: $0 == places.state) }
    }

    /// The free space in octets: the need of one topology, and the need of twenty.
    private static let room = (least: 8 << 20, enough: 256 << 20)

    private func space(_ folder: String, needed: Bool) -> Finding {
        var info = statvfs()
        guard statvfs(folder, &info) == 0 else {
            return Finding(
                folder, needed ? .fail : .warn, "it cannot be read: \(errorText(errno))",
                hint: needed ? "mount it" : "make it, or let TMPDIR name another folder")
        }
        let free = Int(info.f_bavail) * Int(info.f_frsize)
        if info.f_files > 0, info.f_favail < 1_000 {
            return Finding(
                folder, needed ? .fail : .warn, "only \(info.f_favail) files can still be made there",
                hint: "delete files there")
        }
        let mebibytes = "\(free >> 20) MiB are free there"
        if free >= Self.room.enough { return Finding(folder, .ok, mebibytes) }
        return Finding(
            folder, needed && free < Self.room.least ? .fail : .warn, "only \(mebibytes)",
            hint: "delete what is not needed, or mount a larger file system")
    }

    // MARK: - What was left

    func leftovers() -> Finding {
        guard isRoot else {
            return Finding("leftovers", .ok, "only root can search for leftovers of dead topologies")
        }
        do throws(ApplianceError) {
            let names = try Prune.perform(dryRun: true).taken.map(\.name)
            guard !names.isEmpty else { return Finding("leftovers", .ok, "dead topologies have left nothing") }
            let shown = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and others" : "")
            return Finding(
                "leftovers", .warn, "dead topologies have leftovers: \(shown)", hint: "tapline prune")
        } catch {
            return Finding("leftovers", .warn, "\(error)", hint: "tapline prune --dry-run")
        }
    }
}
