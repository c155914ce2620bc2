import Engine
import Glibc

/// What the machine must have before anything is made.
public enum Machine {
    /// The release of this program, and of the engine that goes with it.
    public static var version: String { Release.version }
    /// The day of that release.
    public static var releaseDay: String { Release.day }

    /// - Throws: The first thing that is missing, with its mend.
    public static func check() throws(ApplianceError) {
        try requireRoot()
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

    /// - Throws: Where the user is not root.
    public static func requireRoot() throws(ApplianceError) {
        guard geteuid() == 0 else {
            throw ApplianceError(
                .machine, "network namespaces and devices are made by root alone", mend: "run it with sudo")
        }
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

    /// This program's own path.
    public static func ownPath() throws(ApplianceError) -> String {
        let path = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer -> String? in
            let count = readlink("/proc/self/exe", buffer.baseAddress!.assumingMemoryBound(to: CChar.self), 4096)
            guard count > 0 else { return nil }
            return String(decoding: UnsafeRawBufferPointer(rebasing: buffer[..<count]), as: UTF8.self)
        }
        guard let path else { throw .system("cannot find this program's own path", errno: errno) }
        return path
    }

    private static func ownFolder() throws(ApplianceError) -> String {
        let path = try ownPath()
        return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }
}
