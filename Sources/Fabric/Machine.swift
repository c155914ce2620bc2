import Glibc
import Plan
import Reporting

/// The conditions that the machine must meet before anything is made.
public enum Machine {
    /// The release of this program, and of the engine that goes with it.
    public static var version: String { Release.version }
    /// The day of that release.
    public static var releaseDay: String { Release.day }

    /// - Throws: The first thing that is missing, with its hint.
    public static func check() throws(ApplianceError) {
        try requireRoot(.making)
        guard access("/dev/net/tun", F_OK) == 0 else {
            throw ApplianceError(
                .machine, "the machine has no /dev/net/tun, but interfaces need it",
                hint: "modprobe tun, or give the container the device /dev/net/tun")
        }
        if let fault = deviceFault(of: "/dev/net/tun") {
            throw ApplianceError(.machine, fault.message, hint: fault.hint)
        }
        guard access("/dev/net/tun", R_OK | W_OK) == 0 else {
            throw ApplianceError(
                .machine, "/dev/net/tun cannot be opened: \(errorText(errno))", hint: "allow it for this user")
        }
        raiseFileLimit()
    }

    /// Why a file is not the device that TAPs are made with; nil if it is that device.
    static func deviceFault(of path: String) -> (message: String, hint: String)? {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        let kind = info.st_mode & S_IFMT
        // Character device 10:200 (Documentation/admin-guide/devices.txt).
        guard kind != S_IFCHR || info.st_rdev != 10 << 8 | 200 else { return nil }
        let what =
            switch kind {
            case S_IFREG: "a regular file"
            case S_IFDIR: "a folder"
            case S_IFCHR: "another device"
            default: "no device"
            }
        return (
            "\(path) is \(what) and not the TUN device that interfaces need",
            "remove it and make the device: mknod \(path) c 10 200, or give the container the device with --device \(path)"
        )
    }

    /// Makes sure that this process may open what a plan needs, before anything is made that would be left.
    ///
    /// Measured: 14 for the process itself, and about as many for a moment while engines and nodes are started; of each
    /// interface a queue for each worker; of each node its namespace, its netlink socket and its init; of each program a
    /// pidfd, its output's two ends and its log.
    ///
    /// - Throws: `ApplianceError` (`machine`) if the limit of open files is too low.
    package static func requireFiles(for plan: AppliancePlan) throws(ApplianceError) {
        raiseFileLimit()
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < rlim_t(Int.max)
        else {
            return
        }
        let programs = plan.nodes.reduce(0) { $0 + ($1.process.run == nil ? 0 : 1) + $1.process.programs.count }
        let needed =
            28 + plan.interfaces.count * plan.engines.count * plan.engines.workers + plan.nodes.count * 3 + programs * 4
        guard Int(limit.rlim_cur) < needed else { return }
        throw ApplianceError(
            .machine, "this process may open \(limit.rlim_cur) files, but '\(plan.name)' needs about \(needed)",
            hint: "raise the limit of open files: ulimit -Hn 65536 as root, or LimitNOFILE= in the unit")
    }

    /// Each interface holds a descriptor per worker, each node one or two: the default of 1024 is soon used up.
    private static func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The remark that engines have more workers than the machine has processors for this program; nil if they have
    /// not.
    package static func oversubscription(of engines: EnginesPlan) -> String? {
        let (workers, processors) = (engines.count * engines.workers, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        guard workers > processors, engines.workers > 1 else { return nil }
        return
            "\(workers) workers share \(processors) processor\(processors == 1 ? "" : "s"): they take turns, and more "
            + "of them carry no more; `workers: \(max(1, processors / engines.count))` is enough here"
    }

    /// Makes this process root. An ordinary user's process becomes root in a user namespace, if there is one or one is
    /// made.
    ///
    /// Called first, while the process has one thread.
    ///
    /// - Throws: `ApplianceError` that says what the machine forbids, if `purpose` is to make a topology.
    public static func requireRoot(_ purpose: UserNamespace.Purpose = .looking) throws(ApplianceError) {
        _ = startedAs
        try UserNamespace.enter(purpose)
    }

    /// The engine: TAPLINE_ENGINE, or `tapline-engine` beside this program.
    ///
    /// - Throws: `ApplianceError` if the program is not there.
    public static func enginePath() throws(ApplianceError) -> String {
        let path: String
        if let given = getenv("TAPLINE_ENGINE") {
            path = String(cString: given)
        } else {
            path = try ownFolder() + "/tapline-engine"
        }
        guard access(path, X_OK) == 0 else {
            throw ApplianceError(
                .machine, "the packeting engine is not at \(path)",
                hint: "build or install tapline-engine there, or name it with TAPLINE_ENGINE")
        }
        return path
    }

    /// The program of the live page: TAPLINE_PORTAL_PROGRAM, or `tapline-portal` beside this program.
    ///
    /// - Throws: `ApplianceError` if the program is not there.
    public static func portalPath() throws(ApplianceError) -> String {
        let path: String
        if let given = getenv("TAPLINE_PORTAL_PROGRAM") {
            path = String(cString: given)
        } else {
            path = try ownFolder() + "/tapline-portal"
        }
        guard access(path, X_OK) == 0 else {
            throw ApplianceError(
                .machine, "the live page's program is not at \(path)",
                hint: "Scripts/install builds it, or: TAPLINE_PORTAL=1 swift build -c release --product tapline-portal")
        }
        return path
    }

    /// The program that keeps tenants' records: TAPLINE_RECORDS_PROGRAM, or `tapline-records` beside this program.
    ///
    /// - Throws: `ApplianceError` if the program is not there.
    public static func recordsPath() throws(ApplianceError) -> String {
        let path: String
        if let given = getenv("TAPLINE_RECORDS_PROGRAM") {
            path = String(cString: given)
        } else {
            path = try ownFolder() + "/tapline-records"
        }
        guard access(path, X_OK) == 0 else {
            throw ApplianceError(
                .machine, "the program that keeps records is not at \(path)",
                hint: "Scripts/install builds it, or: "
                    + "TAPLINE_RECORDS=1 swift build -c release --product tapline-records")
        }
        return path
    }

    /// This program's own path, as it was before this process entered other mounts.
    ///
    /// - Throws: `ApplianceError` if /proc is not mounted.
    public static func ownPath() throws(ApplianceError) -> String {
        guard !startedAs.isEmpty else {
            throw ApplianceError(.machine, "this program's own path cannot be found", hint: "mount /proc")
        }
        return startedAs
    }

    private static let startedAs = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
        let count = readlink("/proc/self/exe", buffer.baseAddress!.assumingMemoryBound(to: CChar.self), 4096)
        return String(decoding: UnsafeRawBufferPointer(rebasing: buffer[..<max(0, count)]), as: UTF8.self)
    }

    private static func ownFolder() throws(ApplianceError) -> String {
        let path = try ownPath()
        return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }
}
