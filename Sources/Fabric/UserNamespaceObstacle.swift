import CLinux
import EventLoop
import Glibc
import Reporting

/// Why an ordinary user cannot have namespaces here: what did not work, with what errno, and the settings that decide.
package struct UserNamespaceObstacle {
    private let stage: clinux_user_stage
    private let errno: Int32
    private let settings: String

    /// - Parameter settings: Where the sysctls are read.
    package init(stage: clinux_user_stage, errno: Int32, settings: String = "/proc/sys") {
        self.stage = stage
        self.errno = errno
        self.settings = settings
    }

    /// One sentence that names the setting, and what would allow it.
    package func error() -> ApplianceError {
        let (message, hint) = explained
        return ApplianceError(.machine, "without root, \(message)", hint: "\(hint), or run it with sudo")
    }

    private var explained: (message: String, hint: String) {
        switch stage {
        case CLINUX_USER_STAGE_TUN_OPEN: return device
        case CLINUX_USER_STAGE_TUN_MAKE:
            return (
                "no TAP device can be made: \(errorText(self.errno))",
                "allow the device /dev/net/tun in this user's or container's security policy"
            )
        case CLINUX_USER_STAGE_PROC, CLINUX_USER_STAGE_SYS:
            let folder = stage == CLINUX_USER_STAGE_PROC ? "/proc" : "/sys"
            return (
                "a node gets no \(folder) of its own, because this container hides parts of \(folder): "
                    + errorText(self.errno),
                "start the container with --security-opt systempaths=unconfined"
            )
        default: return namespaces
        }
    }

    private var device: (String, String) {
        switch self.errno {
        case EACCES where !isOpenToAll:
            (
                "/dev/net/tun cannot be opened, because its mode excludes this user",
                "allow it with 'chmod 0666 /dev/net/tun' (for good, with the udev rule KERNEL==\"tun\", MODE=\"0666\")"
            )
        case EACCES, EPERM:
            (
                "/dev/net/tun cannot be opened, because /dev is mounted nodev, or this container's or session's device "
                    + "policy forbids it",
                "start the container with --device /dev/net/tun"
            )
        default:
            (
                "there is no /dev/net/tun, but interfaces need it (\(errorText(self.errno)))",
                "create it with 'modprobe tun', or give the container the device"
            )
        }
    }

    private var isOpenToAll: Bool {
        var info = stat()
        return stat("/dev/net/tun", &info) == 0 && info.st_mode & 0o006 == 0o006
    }

    private var namespaces: (String, String) {
        let limit = stage == CLINUX_USER_STAGE_UNSHARE ? ["user"] : ["net", "mnt", "pid"]
        for kind in limit {
            let name = "user.max_\(kind)_namespaces"
            if setting(name) == 0 {
                return (
                    "no \(kind) namespace can be made: the sysctl \(name) is 0",
                    "allow it with 'sysctl -w \(name)=15000'"
                )
            }
        }
        if errno == ENOSPC || errno == EUSERS {
            return (
                "no more namespaces can be made: all namespaces that the sysctls user.max_user_namespaces, max_net_namespaces and "
                    + "max_mnt_namespaces allow are in use, or they are nested too deep",
                "raise them with 'sysctl -w'"
            )
        }
        if setting("kernel.unprivileged_userns_clone") == 0 {
            return (
                "no user namespace can be made: the sysctl kernel.unprivileged_userns_clone is 0",
                "allow it with 'sysctl -w kernel.unprivileged_userns_clone=1'"
            )
        }
        if let restricted = setting("kernel.apparmor_restrict_unprivileged_userns"), restricted != 0 {
            return (
                "user namespaces have no privileges: the sysctl kernel.apparmor_restrict_unprivileged_userns is \(restricted)",
                "allow it with 'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0'"
            )
        }
        return (
            "no user namespace can be made: a seccomp filter or security module of this container or session forbids it "
                + "(\(errorText(self.errno)))",
            "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        )
    }

    /// A sysctl's number; nil if there is none of that name.
    private func setting(_ name: String) -> Int? {
        let path = name.split(separator: ".").joined(separator: "/")
        return readFile("\(settings)/\(path)", limit: 64).flatMap {
            Int(String(decoding: $0.prefix { $0 != 10 }, as: UTF8.self))
        }
    }
}
