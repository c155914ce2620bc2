import CLinux
import Engine
import EngineControl
import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// Looks at everything on the machine that topologies depend on, and changes nothing.
public struct Doctor: Sendable {
    /// All findings, as `tapline doctor --json` prints them. The keys are stable.
    public struct Report: Codable, Sendable {
        /// The version of this format.
        public var version = 1
        /// Whether topologies can run: nothing has failed.
        public var usable: Bool
        /// The findings, in the order of the checks.
        public var findings: [Finding]
    }

    /// The roots of the places that are inspected: other roots are for tests.
    struct Places: Sendable {
        var proc = "/proc"
        var sys = "/sys"
        var state = "/run"
        var tun = "/dev/net/tun"
    }

    let places: Places
    let isRoot: Bool

    init(places: Places, isRoot: Bool) {
        self.places = places
        self.isRoot = isRoot
    }

    /// The machine as it is for this user.
    public init() { self.init(places: Places(), isRoot: geteuid() == 0) }

    /// Makes all checks.
    ///
    /// - Parameters:
    ///   - files: Topology files, or folders with some; the programs that their commands name are looked for, too.
    ///   - inJob: Whether what a job of continuous integration needs is looked at, too.
    /// - Throws: `ApplianceError` if a file has mistakes.
    public func examine(files: [String] = [], inJob: Bool = false) throws(ApplianceError) -> Report {
        var plans: [AppliancePlan] = []
        for file in TestFiles.paths(files) { plans.append(try PlanReader.plan(file)) }
        var findings = [kernel()] + privileges() + [tun()]
        if isRoot { findings += probe() + [nodeFiles()] }
        findings += userNamespaces() + [appArmor(), seccomp(), isolation(), ring(refusal: RingRefusal.tried()), ipv6()]
        findings += limits() + [controlGroups()] + space()
        findings.append(engine())
        let named = plans.isEmpty ? programs(nil) : plans.flatMap { programs($0) }
        for finding in named where !findings.contains(finding) { findings.append(finding) }
        if inJob { findings += service { getenv($0).map { String(cString: $0) } } + jobUser() }
        findings.append(leftovers())
        return Report(usable: !findings.contains { $0.level == .fail }, findings: findings)
    }

    // MARK: - The kernel

    /// The oldest kernel that has every call made: setns(2) with several namespaces of a pidfd is 5.8, close_range 5.9.
    private static let oldestKernel = [5, 9]

    func kernel() -> Finding {
        let release = text("\(places.proc)/sys/kernel/osrelease") ?? "of unknown release"
        let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        let oldest = Self.oldestKernel.map(String.init).joined(separator: ".")
        guard numbers.count == 2, !numbers.lexicographicallyPrecedes(Self.oldestKernel) else {
            return Finding(
                "kernel", .fail, "Linux \(release) lacks calls that Tapline makes",
                hint: "use a kernel of version \(oldest)")
        }
        return Finding("kernel", .ok, "Linux \(release)")
    }

    /// The capabilities that Tapline needs: their CAP_ numbers and names in linux/capability.h.
    private static let capabilities: [(bit: UInt64, name: String)] = [
        (12, "NET_ADMIN"), (21, "SYS_ADMIN"), (13, "NET_RAW"), (1, "DAC_OVERRIDE"), (5, "KILL"),
    ]

    func privileges() -> [Finding] {
        guard isRoot else {
            return [
                Finding(
                    "user", .warn,
                    "this user is not root, so everything is made in a user namespace, and topologies "
                        + "of root are not visible",
                    hint: "use sudo to see them")
            ]
        }
        let line = (text("\(places.proc)/self/status") ?? "").split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        guard let mask = line.flatMap({ UInt64($0.dropFirst(7).drop { $0 == "\t" || $0 == " " }, radix: 16) }) else {
            return [Finding("user", .warn, "the capabilities of root cannot be read", hint: "mount /proc")]
        }
        let missing = Self.capabilities.filter { mask & (1 << $0.bit) == 0 }.map(\.name)
        guard !missing.isEmpty else { return [Finding("user", .ok, "root, with all required capabilities")] }
        let isFatal = missing.contains("NET_ADMIN") || missing.contains("SYS_ADMIN")
        return [
            Finding(
                "user", isFatal ? .fail : .warn,
                "root lacks here: " + missing.map { "CAP_\($0)" }.joined(separator: ", "),
                hint: "start the container with --privileged, or with "
                    + missing.map { "--cap-add \($0)" }.joined(separator: " "))
        ]
    }

    func tun() -> Finding {
        guard access(places.tun, F_OK) == 0 else {
            return Finding(
                "\(places.tun)", .fail, "it is missing, but interfaces need it",
                hint: "modprobe tun, or give the container the device with --device /dev/net/tun")
        }
        guard access(places.tun, R_OK | W_OK) == 0 else {
            return Finding(
                "\(places.tun)", .fail, "this user cannot open it: \(errorText(errno))",
                hint: "chmod 0666 \(places.tun), or run it with sudo")
        }
        return Finding("\(places.tun)", .ok, "it can be opened")
    }

    /// Makes one of everything in a namespace that is gone again at once.
    func probe() -> [Finding] {
        let probe = KernelProbe()
        var findings = probe.steps.map { step in
            step.refusal.map { refusal in
                Finding(
                    step.what, .fail, "the kernel refuses: \(refusal)",
                    hint: "load the modules tun, bridge and veth, or use a kernel that has them")
            } ?? Finding(step.what, .ok, "made and taken away again")
        }
        if probe.offloads == .withoutUDP {
            findings.append(
                Finding(
                    "offload", .warn, "the kernel gives TAPs no segmented UDP, so bulk UDP is slower",
                    hint: "use a kernel of version 6.2 or later"))
        }
        if probe.offloads.contains(.tunnels) {
            findings.append(Finding("offload in tunnels", .ok, "TAPs take segments in VXLAN and Geneve"))
        } else if !probe.offloads.isEmpty {
            findings.append(
                Finding(
                    "offload in tunnels", .warn,
                    "the kernel gives TAPs no segments in tunnels, so bulk TCP to remote applications is slower",
                    hint: "use a kernel of version 6.18 or later, if a topology has remote applications"))
        }
        if !probe.locksPorts, !findings.contains(where: { $0.level == .fail }) {
            findings.append(
                Finding(
                    "anti-spoofing", .warn,
                    "the kernel cannot lock a bridge port to a MAC address, so nodes on one interface can use each other's addresses",
                    hint: "use a kernel of version 5.16 or later, or give each customer an interface of its own"))
        }
        return findings
    }

    func seccomp() -> Finding {
        let actions = text("\(places.proc)/sys/kernel/seccomp/actions_avail") ?? ""
        guard actions.contains("kill_process") else {
            return Finding(
                "seccomp", .fail, "the kernel has no seccomp filters, but they confine the packeting engine",
                hint: "use a kernel with CONFIG_SECCOMP_FILTER")
        }
        return Finding("seccomp", .ok, "the packeting engine can be confined")
    }

    func isolation() -> Finding {
        let user = EngineIdentity.user(of: getpid())
        let parts = clinux_try_isolation(user, isRoot ? 0 : 1)
        guard parts >= 0 else { return isolation(nil) }
        var grant = EngineInspection.Grant(parts: UInt32(parts))
        if !isRoot, UserNamespace.hasSubordinates {
            // Then there are other users in the user namespace, one for each engine.
            grant.parts |= CLINUX_APART_USER.rawValue | CLINUX_APART_GROUPS.rawValue
        }
        return isolation(grant)
    }

    /// - Parameter grant: The rights that a process gets if it isolates itself as an engine does; nil: the test was not
    ///   possible.
    func isolation(_ grant: EngineInspection.Grant?) -> Finding {
        guard let grant else {
            return Finding(
                "engine isolation", .warn, "the isolation of the packeting engine could not be tested",
                hint: "mount /proc")
        }
        guard !grant.missing.isEmpty else {
            return Finding(
                "engine isolation", .ok, "the packeting engine has a user, namespaces and an empty root of its own")
        }
        let needsUser = !grant.has(CLINUX_APART_USER) || !grant.has(CLINUX_APART_GROUPS)
        return Finding(
            "engine isolation", .warn,
            "the kernel denies the packeting engine: \(grant.missing.joined(separator: ", "))",
            hint: !isRoot && needsUser
                ? "give this user lines in /etc/subuid and /etc/subgid, and install uidmap"
                : "use a kernel with all namespaces, and do not take capabilities from root")
    }

    /// - Parameter refusal: The error with which the kernel refused a ring.
    func ring(refusal: RingRefusal?) -> Finding {
        guard let refusal else {
            return Finding("io_uring", .ok, "the packeting engine can write whole batches of frames with it")
        }
        return Finding(
            "io_uring", .warn, "the packeting engine writes frames one by one, which is slower: \(refusal.summary)",
            hint: refusal.hint)
    }

    func ipv6() -> Finding {
        guard access("\(places.proc)/sys/net/ipv6", F_OK) == 0 else {
            return Finding(
                "IPv6", .warn, "the kernel was started without IPv6, so topologies with IPv6 addresses do not come up",
                hint: "remove ipv6.disable=1 from the kernel's command line")
        }
        return Finding("IPv6", .ok, "it is enabled")
    }

    // MARK: - Reading

    /// A small file's text without the line end; nil if it cannot be read.
    func text(_ path: String) -> String? {
        guard let bytes = readFile(path, limit: 1 << 20) else { return nil }
        var text = Substring(String(decoding: bytes, as: UTF8.self))
        while text.last?.isNewline == true { text.removeLast() }
        return String(text)
    }

    /// The number in a file of /proc/sys; nil if it is not there.
    func number(_ path: String) -> Int? { text("\(places.proc)/sys/\(path)").flatMap { Int($0) } }
}

extension Doctor {
    /// The result of one check of the machine.
    public struct Finding: Codable, Sendable, Equatable {
        /// How it is.
        public enum Level: String, Codable, Sendable {
            case ok
            /// Topologies run; some of them, or many at once, may not.
            case warn
            /// No topology runs.
            case fail
        }
        /// The part that was checked, in a word or two.
        public var subject: String
        /// How it is.
        public var level: Level
        /// The result, as one sentence without a full stop.
        public var message: String
        /// The hint; nil if nothing is to be corrected.
        public var hint: String?

        /// The keys of `doctor --json`.
        private enum CodingKeys: String, CodingKey {
            case subject, level, message
            case hint = "mend"
        }

        /// Memberwise.
        public init(_ subject: String, _ level: Level, _ message: String, hint: String? = nil) {
            self.subject = subject
            self.level = level
            self.message = message
            self.hint = hint
        }
    }
}
