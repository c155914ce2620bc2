/// A set of Linux capabilities (capabilities(7)).
public struct CapabilitySet: Sendable, Hashable {
    /// Bit N stands for the capability of number N.
    public var bits: UInt64

    /// Memberwise.
    public init(bits: UInt64) { self.bits = bits }

    /// The capabilities of these names; a name that is none is left out.
    public init(_ names: [String]) {
        bits = names.compactMap { Self.names.firstIndex(of: $0) }.reduce(0) { $0 | 1 << UInt64($1) }
    }

    /// The names of all capabilities, in the order of their numbers (linux/capability.h), without CAP_.
    public static let names = [
        "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
        "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
        "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
        "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
        "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
        "checkpoint_restore",
    ]

    /// All of them, those of later kernels among them.
    public static let all = CapabilitySet(bits: .max)

    /// What no network application needs: to change the kernel, the clock, the power, the hardware, the security modules,
    /// the audit, other processes' state on disk, and files that cannot be changed.
    public static let notForNetworks = [
        "linux_immutable", "sys_module", "sys_rawio", "sys_pacct", "sys_boot", "sys_time", "sys_tty_config",
        "audit_write",
        "audit_control", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon",
        "checkpoint_restore",
    ]

    /// What network applications may need, and the commands that set them up.
    public static let networkApplications = CapabilitySet(names.filter { !notForNetworks.contains($0) })

    /// Their names.
    public var names: [String] { Self.names.indices.filter { bits >> UInt64($0) & 1 == 1 }.map { Self.names[$0] } }
}
