import Engine
import Glibc
import Topology

/// What the machine must have before anything is made.
public enum Machine {
    /// The release of this program, and of the engine that goes with it.
    public static var version: String { Release.version }
    /// The day of that release.
    public static var releaseDay: String { Release.day }

    /// - Throws: The first thing that is missing, with its mend.
    public static func check() throws(ApplianceError) {
        try requireRoot(.making)
        guard access("/dev/net/tun", F_OK) == 0 else {
            throw ApplianceError(
                .machine, "the machine has no /dev/net/tun, which interfaces are made of",
                mend: "modprobe tun, or give the container the device /dev/net/tun")
        }
        guard access("/dev/net/tun", R_OK | W_OK) == 0 else {
            throw ApplianceError(
                .machine, "/dev/net/tun cannot be opened: \(errorText(errno))", mend: "allow it for this user")
        }
        raiseFileLimit()
    }

    /// Each interface holds a descriptor per worker, each node one or two: the default of 1024 is soon used up.
    private static func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// What it means that engines have more workers than the machine has processors for this program; nil where they
    /// have not.
    static func crowd(of engines: EnginesPlan) -> String? {
        let (workers, processors) = (engines.count * engines.workers, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        guard workers > processors, engines.workers > 1 else { return nil }
        return "\(workers) workers share \(processors) processor\(processors == 1 ? "" : "s"): they take turns, and more "
            + "of them carry no more; `workers: \(max(1, processors / engines.count))` is enough here"
    }

    /// Lets this process be root: an ordinary user's becomes root in a user namespace, where that is there or is made.
    ///
    /// Called first, while the process has one thread.
    ///
    /// - Throws: What the machine forbids, where a topology is to be made.
    public static func requireRoot(_ purpose: UserNamespace.Purpose = .looking) throws(ApplianceError) {
        _ = startedAs
        try UserNamespace.enter(purpose)
    }

    /// The engine: TAPLINE_ENGINE, or `tapline-engine` beside this program.
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
                mend: "build or install tapline-engine there, or name it with TAPLINE_ENGINE")
        }
        return path
    }

    /// This program's own path, as it was before this process entered other mounts.
    public static func ownPath() throws(ApplianceError) -> String {
        guard !startedAs.isEmpty else {
            throw ApplianceError(.machine, "this program's own path cannot be found", mend: "mount /proc")
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
