import CLinux
import Foundation
import Testing

@testable import Appliance
@testable import Fabric
@testable import Reporting

@Suite("An ordinary user's topologies", .serialized, .enabled(if: isRoot))
struct RootlessTests {
    private func withUser(_ body: (OrdinaryUser) throws -> Void) throws {
        let user = try OrdinaryUser()
        defer { user.remove() }
        try ScratchTopology.small("small").write(
            to: user.folder.appendingPathComponent("small.yaml"), atomically: true, encoding: .utf8)
        try body(user)
        try CommandLineRun.eventually("no process of the user's is left") { try user.processes().isEmpty }
        #expect(!FileManager.default.fileExists(atPath: user.members))
    }

    @Test("every command works on what the user brought up, and nothing is left")
    func everyCommand() throws {
        try withUser { user in
            let done = try user.run(
                """
                set -e
                $T run small.yaml
                $T up small.yaml -d
                $T up small.yaml -d --name other
                $T status
                $T exec small alice -- ping -n -c 1 -W 20 203.0.113.80
                $T exec small alice -- sh -c 'echo "inside: $(id -u) $(cat /proc/sys/net/ipv4/ip_forward)"'
                $T exec other web -- sh -c 'exit 7' || echo "status $?"
                $T tables small; $T logs small; $T reload small
                $T events small --json
                $T drain small web || echo "status $?: drain"
                $T down small
                $T status --json
                $T down other
                $T status
                """)
            #expect(done.status == 0, "\(done.output)\(done.errors)")
            #expect(done.output.contains("ok echo comes back"))
            #expect(done.output.contains(" 0% packet loss"))
            #expect(done.output.contains("inside: 0 0\n"))
            #expect(done.output.contains("status 7\n"))
            #expect(done.output.contains("shop.request.customers"))
            #expect(done.output.contains("\"event\":\"table-published\""))
            #expect(done.output.contains("status 5: drain\n"))
            #expect(done.output.contains("\"name\" : \"other\""))
            #expect(done.output.hasSuffix("no topology of this user is up; use sudo to see those of root\n"))
        }
    }

    @Test("no memory may be locked")
    func withoutLockedMemory() throws {
        try withUser { user in
            let done = try user.run(
                """
                ulimit -l 0
                $T run small.yaml && $T up small.yaml -d && $T status small && $T down small
                """)
            #expect(done.status == 0, "\(done.output)\(done.errors)")
            #expect(done.output.contains("ok echo comes back"))
            #expect(done.output.contains("\nwrites: "))
        }
        // Root has leave to lock as much as it likes, unless that capability is gone, too.
        let topology = try ScratchTopology(small: nil)
        let root = try CommandLineRun.shell(
            "ulimit -l 0; exec setpriv --bounding-set=-ipc_lock \(CommandLineRun.tapline) run \(topology.file)")
        #expect(root.status == 0, "\(root.output)\(root.errors)")
        #expect(root.output.contains("ok echo comes back"))
    }

    @Test("nothing of it is seen by root, and nothing of root's by the user")
    func apart() throws {
        let topology = try ScratchTopology()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        try withUser { user in
            let done = try user.run(
                """
                $T up small.yaml -d --name \(topology.name) && $T status --json
                $T down \(topology.name)
                $T down \(topology.name); echo "status $?"
                """)
            #expect(done.output.contains("\"name\" : \"\(topology.name)\""))
            #expect(done.output.contains("status 5\n"))
        }
        #expect(try CommandLineRun.json("status", topology.name, "--json")["state"] as? String == "up")
    }

    @Test("SIGKILL of the control process leaves nothing; SIGINT ends it as it ends root's")
    func killed() throws {
        try withUser { user in
            let done = try user.run(
                """
                $T up small.yaml -d
                pid=$($T status small --json | sed -n 's/^  "pid" : \\([0-9]*\\),$/\\1/p')
                kill -9 $pid
                while [ -e /proc/$pid ]; do sleep 0.01; done
                $T status
                $T up small.yaml & up=$!
                until $T status small 2>/dev/null | grep -q '^small: up'; do sleep 0.01; done
                kill -INT $up; wait $up; echo "status $?"
                """)
            #expect(done.output.contains("no topology of this user is up"), "\(done.output)\(done.errors)")
            #expect(done.output.hasSuffix("status 0\n"), "\(done.output)\(done.errors)")
        }
    }

    @Test("Suricata, nftables and nginx, as the four-interface topology has them")
    func realApplications() throws {
        let scenario = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Topologies/four-interface")
        try withUser { user in
            try FileManager.default.copyItem(at: scenario, to: user.folder.appendingPathComponent("scenario"))
            try FileManager.default.copyItem(
                at: scenario.deletingLastPathComponent().appendingPathComponent("kit.yaml"),
                to: user.folder.appendingPathComponent("kit.yaml"))
            _ = try CommandLineRun.shell("chmod -R a+rX \(user.folder.path)/scenario \(user.folder.path)/kit.yaml")
            let done = try user.run("exec $T run scenario/topology.yaml")
            #expect(done.status == 0, "\(done.output)\(done.errors)")
            #expect(done.output.contains("ok the detector saw alice's request"))
        }
    }

    @Test("a program that changes its user needs subordinate ones, and is told so")
    func subordinateUsers() throws {
        let web = """
            { type: web-server, attach: servers, setup: 'python3 -c "import os; os.chown(os.environ[\\"TAPLINE_DIR\\"], 33, 33); \
            os.setgid(33); os.setuid(33); open(os.environ[\\"TAPLINE_DIR\\"] + \\"/mine\\", \\"w\\")"' }
            """
        try withUser { user in
            try ScratchTopology.small("small", web: web).write(
                to: user.folder.appendingPathComponent("changing.yaml"), atomically: true, encoding: .utf8)
            let alone = try user.run("exec $T run changing.yaml")
            #expect(alone.status == 2, "\(alone.output)\(alone.errors)")
            #expect(alone.errors.contains("lines in /etc/subuid and /etc/subgid"), "\(alone.errors)")
            let several = try user.run("exec $T run changing.yaml", before: user.subordinates)
            #expect(several.status == 0, "\(several.output)\(several.errors)")
        }
    }

    @Test("the engine is confined as far as the kernel grants it, and the doctor says how far")
    func confinement() throws {
        try withUser { user in
            let look = """
                $T up small.yaml -d
                pid=$($T status small --json | sed -n '/"engine" :/,/}/s/.*"pid" : \\([0-9]*\\).*/\\1/p')
                grep -E '^(Uid|NoNewPrivs|Seccomp|CapEff|NStgid):' /proc/$pid/status | tr '\\t' ' '
                echo "mounts $(wc -l </proc/$pid/mountinfo)"
                $T down small
                $T doctor
                """
            let alone = try user.run(look)
            for line in ["NoNewPrivs: 1\n", "Seccomp: 2\n", "CapEff: 0000000000000000\n", " 1\n", "mounts 1\n"] {
                #expect(alone.output.contains(line), "\(alone.output)\(alone.errors)")
            }
            #expect(alone.output.contains("Uid: \(user.number) \(user.number)"), "\(alone.output)")
            #expect(alone.output.contains("denies the packeting engine: a user of its own"), "\(alone.output)")
            // 1 there is 1000000 here, and the engine's number there is from 0x8000 on.
            let several = try user.run(look, before: user.subordinates)
            let numbers = several.output.split(separator: "\n").first { $0.hasPrefix("Uid: ") }?.split(separator: " ")
            let number = numbers.flatMap { Int($0[1]) } ?? 0
            #expect((1_000_000 + 0x7FFF..<1_000_000 + 0xC000).contains(number), "\(several.output)\(several.errors)")
            #expect(
                several.output.contains("the packeting engine has a user, namespaces and an empty root of its own"),
                "\(several.output)")
        }
    }

    // MARK: - What forbids it

    /// A script that must be refused with status 4 and one sentence with `words`.
    private func expectRefused(
        _ user: OrdinaryUser, _ script: String = "exec $T run small.yaml", tunMode: String = "0666",
        before: String = "", _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let refused = try user.run(script, tunMode: tunMode, before: before)
        #expect(refused.status == 4, "\(refused.output)\(refused.errors)", sourceLocation: sourceLocation)
        #expect(refused.errors.split(separator: "\n").count == 1, "\(refused.errors)", sourceLocation: sourceLocation)
        for word in words {
            #expect(refused.errors.contains(word), "\(refused.errors)", sourceLocation: sourceLocation)
        }
    }

    @Test("what the machine forbids is one sentence with the setting that would allow it")
    func refused() throws {
        try withUser { user in
            try expectRefused(user, tunMode: "0600", "its mode excludes this user", "chmod 0666 /dev/net/tun")
            try expectRefused(user, before: "rm /dev/net/tun", "there is no /dev/net/tun", "modprobe tun")
            try expectRefused(user, before: "mount -o remount,nodev /dev/net", "mounted nodev")
            try expectRefused(
                user, before: "mount -t tmpfs -o ro none /proc/sys/kernel", "hides parts of /proc",
                "systempaths=unconfined")
            try expectRefused(
                user, before: "mount -t tmpfs -o ro none /sys/kernel", "hides parts of /sys", "systempaths=unconfined")
            for kind in ["user", "net"] {
                try expectRefused(
                    user,
                    """
                    exec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_\(kind)_namespaces; exec $T up small.yaml -d'
                    """, "user.max_\(kind)_namespaces is 0", "sysctl -w user.max_\(kind)_namespaces=")
            }
            try expectRefused(
                user, "exec $T run $PWD/private.yaml",
                before: "cp \(user.folder.path)/small.yaml \(user.folder.path)/private.yaml; "
                    + "chmod 600 \(user.folder.path)/private.yaml",
                "private.yaml cannot be read by this user")
        }
    }

    @Test("root of somebody else's user namespace is not taken for root")
    func nested() throws {
        try withUser { user in
            let done = try user.run("exec unshare -Ur $T run small.yaml")
            #expect(done.status == 0, "\(done.errors)")
        }
    }

    @Test("a folder that somebody else put where the user's commands meet is refused")
    func hostileFolder() throws {
        let user = try OrdinaryUser()
        defer { user.remove() }
        try FileManager.default.createDirectory(atPath: user.members, withIntermediateDirectories: false)
        chmod(user.members, 0o777)
        try expectRefused(user, "exec $T run nothing.yaml", "belongs to another user", "XDG_RUNTIME_DIR")
    }

    @Test(
        "the settings of Debian and Ubuntu that forbid it are named",
        arguments: [
            ("kernel/unprivileged_userns_clone", "0", CLINUX_USER_STAGE_UNSHARE, EPERM),
            ("kernel/apparmor_restrict_unprivileged_userns", "1", CLINUX_USER_STAGE_MAP, EPERM),
            ("kernel/apparmor_restrict_unprivileged_userns", "1", CLINUX_USER_STAGE_MOUNT, EACCES),
            ("user/max_mnt_namespaces", "0", CLINUX_USER_STAGE_NAMESPACES, ENOSPC),
            ("user/max_user_namespaces", "0", CLINUX_USER_STAGE_UNSHARE, ENOSPC),
        ])
    func settings(_ file: String, _ value: String, _ stage: clinux_user_stage, _ code: Int32) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent(file)
        try FileManager.default.createDirectory(
            at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
        try "\(value)\n".write(to: path, atomically: true, encoding: .utf8)
        let error = UserNamespaceObstacle(stage: stage, errno: code, settings: folder.path).error()
        let name = file.replacingOccurrences(of: "/", with: ".")
        #expect(error.status == .machine)
        #expect(error.message.contains("the sysctl \(name) is \(value)"))
        #expect(error.hint?.contains("sysctl -w \(name)=") == true)
    }
}
