import CLinux
import Engine
import Foundation
import Testing

@testable import Appliance
@testable import EngineControl
@testable import EventLoop
@testable import Fabric

@Suite("What the doctor finds")
struct DoctorTests {
    /// A machine made of files.
    private final class Machine {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

        init(_ files: [String: String] = [:]) throws {
            try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
            for (path, text) in files {
                let file = root.appendingPathComponent(path)
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try text.write(to: file, atomically: true, encoding: .utf8)
            }
        }

        deinit { try? FileManager.default.removeItem(at: root) }

        /// What a doctor says who looks at it.
        func look<Value>(isRoot: Bool = true, _ body: (Doctor) -> Value) -> Value {
            let places = Doctor.Places(
                proc: root.path + "/proc", sys: root.path + "/sys", state: root.path, tun: root.path + "/tun")
            return withExtendedLifetime(self) { body(Doctor(places: places, isRoot: isRoot)) }
        }
    }

    @Test(
        "kernels",
        arguments: [("6.1.0-28-amd64", true), ("5.9.1", true), ("5.8.18", false), ("4.19", false), ("", false)])
    func kernels(_ release: String, _ isFine: Bool) throws {
        let finding = try Machine(["proc/sys/kernel/osrelease": release + "\n"]).look { $0.kernel() }
        #expect((finding.level == .ok) == isFine)
        #expect((finding.hint == nil) == isFine)
    }

    @Test("capabilities that root lacks in a container")
    func capabilities() throws {
        func found(_ mask: String) throws -> Doctor.Finding? {
            try Machine(["proc/self/status": "Name:\tx\nCapEff:\t\(mask)\n"]).look { $0.privileges().first }
        }
        #expect(try found("000001ffffffffff")?.level == .ok)
        // What container runtimes leave to root unless told otherwise.
        let container = try #require(try found("00000000a80425fb"))
        #expect(container.level == .fail)
        #expect(
            container.hint == "start the container with --privileged, or with --cap-add NET_ADMIN --cap-add SYS_ADMIN")
        #expect(try found("000001ffffffdfff")?.level == .warn)
    }

    @Test("the device is missing")
    func tun() throws {
        #expect(try Machine().look { $0.tun() }.hint?.contains("modprobe tun") == true)
        #expect(try Machine(["tun": ""]).look { $0.tun() }.level == .ok)
    }

    @Test("limits, each with the sysctl that fixes it")
    func limits() throws {
        let small = try Machine([
            "proc/sys/kernel/pid_max": "4096\n", "proc/sys/fs/file-max": "1000\n",
            "proc/sys/user/max_net_namespaces": "0\n", "proc/sys/user/max_pid_namespaces": "100\n",
            "proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/pids.max": "200\n",
        ])
        let hints = small.look { $0.limits() + $0.userNamespaces() }.compactMap(\.hint)
        for hint in [
            "sysctl -w kernel.pid_max=16384", "sysctl -w fs.file-max=65536", "sysctl -w user.max_net_namespaces=10000",
            "sysctl -w user.max_pid_namespaces=10000",
            "start the container with --pids-limit -1, or set TasksMax= in the unit",
        ] { #expect(hints.contains(hint)) }
        #expect(small.look { $0.userNamespaces().first }?.level == .fail)
        #expect(try Machine().look { $0.limits().first }?.level == .ok)
    }

    @Test("AppArmor, seccomp and IPv6")
    func modules() throws {
        let restricted = try Machine([
            "sys/module/apparmor/parameters/enabled": "Y\n",
            "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
        ])
        #expect(restricted.look { $0.appArmor() }.level == .ok)
        let ordinary = restricted.look(isRoot: false) { $0.appArmor() }
        #expect(ordinary.level == .warn)
        #expect(ordinary.hint?.contains("kernel.apparmor_restrict_unprivileged_userns=0") == true)
        #expect(restricted.look { $0.seccomp() }.level == .fail)
        #expect(restricted.look { $0.ipv6() }.level == .warn)
        let whole = try Machine([
            "proc/sys/kernel/seccomp/actions_avail": "kill_process kill_thread\n", "proc/sys/net/ipv6/x": "",
        ])
        #expect(whole.look { $0.seccomp() }.level == .ok)
        #expect(whole.look { $0.ipv6() }.level == .ok)
    }

    @Test("what the kernel does not grant the engine, with the hint")
    func isolation() throws {
        func found(_ grant: EngineInspection.Grant?, isRoot: Bool = true) throws -> Doctor.Finding {
            try Machine().look(isRoot: isRoot) { $0.isolation(grant) }
        }
        let whole = try found(.whole)
        #expect(whole.level == .ok && whole.hint == nil)
        var poor = EngineInspection.Grant.whole
        poor.parts &= ~(CLINUX_APART_USER.rawValue | CLINUX_APART_NETWORK.rawValue)
        let result = try found(poor, isRoot: false)
        #expect(result.level == .warn)
        #expect(result.message.hasSuffix(": a network namespace, a user of its own"))
        #expect(result.hint?.contains("/etc/subuid") == true)
        #expect(try found(poor).hint?.contains("subuid") == false)
        #expect(try found(nil).level == .warn)
    }

    @Test("what is granted here is found by trying", .enabled(if: isRoot))
    func grant() throws {
        #expect(EngineInspection.Grant.tried() == .whole)
        // This process is nothing of all that.
        let missing = EngineInspection(pid: getpid(), user: 1, grant: .whole).missing()
        for lack in [
            "it has no system call filter", "it may gain privileges by a program", "it has capabilities (CapEff)",
            "it runs as another user (Uid)", "its PID namespace has other processes", "it may write files",
            "it sees files",
            "it is in this process's net namespace",
        ] { #expect(missing.contains(lack), "\(missing)") }
    }

    @Test(
        "memory runs out for applications first, wherever the control process stands",
        arguments: [-1000, 0, 500, 900, 997])
    func ranks(_ own: Int32) {
        let scores = MemoryRank.allCases.map { MemoryRank.score($0.rawValue, above: own) }
        #expect(
            scores == scores.sorted() && Set(scores).count == 4 && scores.allSatisfy { $0 <= 1000 } && scores[0] == own)
    }

    @Test("io_uring that is forbidden, with the setting that says so")
    func ring() throws {
        func found(_ errno: Int32, _ files: [String: String] = [:]) throws -> Doctor.Finding {
            try Machine(files).look { $0.ring(refusal: RingRefusal(errno: errno, proc: $0.places.proc)) }
        }
        let forbidden = try found(EPERM, ["proc/sys/kernel/io_uring_disabled": "2\n"])
        #expect(forbidden.level == .warn)
        #expect(forbidden.message.hasSuffix("Operation not permitted (kernel.io_uring_disabled is 2)"))
        #expect(forbidden.hint == "sysctl -w kernel.io_uring_disabled=0")
        let restricted = try found(
            EPERM, ["proc/sys/kernel/io_uring_disabled": "1\n", "proc/sys/kernel/io_uring_group": "-1\n"])
        #expect(restricted.message.contains("kernel.io_uring_group is -1"))
        // The setting allows it, and a container's filter does not.
        let filtered = try found(EPERM, ["proc/sys/kernel/io_uring_disabled": "0\n"])
        #expect(filtered.hint?.contains("seccomp") == true)
        #expect(try found(ENOSYS).level == .warn)
        let allowed = try Machine().look { $0.ring(refusal: nil) }
        #expect(allowed.level == .ok && allowed.hint == nil)
    }

    @Test(
        "programs that shell commands name",
        arguments: [
            ("exec nginx -c x", ["nginx"]), ("A=1 B=\"$C\" suricata --x", ["suricata"]), ("! curl -sS x", ["curl"]),
            ("echo a | grep -q b && test -e x || ping -c 1 y; tshark", ["grep", "ping", "tshark"]),
            ("( cd /tmp; ls ) > out 2>&1 & wait", ["ls"]),
            ("if tcpdump -D; then true; else nft list; fi", ["tcpdump", "nft"]),
            ("$RUN x; \"$PROGRAM\" y; `which z` a", []), ("for i in 1 2; do :; done; ping", []),
            ("./tool --flag 'a; b' \"c | d\"", ["./tool"]), ("# nothing; here", []), ("", []),
            ("2>/dev/null dig x # and nc", ["dig"]), ("python3 - <<E\nE", ["python3", "E"]),
        ])
    func programs(_ command: String, _ programs: [String]) {
        #expect(ShellPrograms.named(in: command) == programs)
    }

    @Test("of a file, the programs that are missing; the machine as it is", .enabled(if: isRoot))
    func file() throws {
        let topology = try ScratchTopology(web: "    run: exec no-such-program --flag")
        let result = try CommandLineRun.run("doctor", topology.file)
        #expect(result.status == 4)
        #expect(result.output.contains("fail  programs"))
        #expect(result.output.contains("node web (line "))
        #expect(result.output.contains("install no-such-program"))
        let json = try CommandLineRun.json("doctor", "--json")
        #expect(json["usable"] as? Bool == true)
        let findings = try #require(json["findings"] as? [[String: Any]])
        for subject in ["kernel", "/dev/net/tun", "TAP devices with several queues", "engine", "/run", "leftovers"] {
            #expect(findings.contains { $0["subject"] as? String == subject })
        }
        #expect(try CommandLineRun.run("doctor", "/no/such/file.yaml").status == 3)
    }

    @Test("every command of a file counts, and each is looked for where its node finds programs", .enabled(if: isRoot))
    func places() throws {
        let topology = try ScratchTopology(small: nil)
        let root = topology.folder.appendingPathComponent("root")
        let made = try CommandLineRun.shell(
            "mkdir -p \(root.path)/bin \(root.path)/opt && cp /bin/sh \(root.path)/bin/sh && cp /bin/sh \(root.path)/opt/inside"
        )
        #expect(made.status == 0, "\(made)")
        func findings(_ web: String) throws -> [String] {
            try ScratchTopology.small(topology.name, web: "{ attach: servers, \(web) }")
                .write(toFile: topology.file, atomically: true, encoding: .utf8)
            let json = try CommandLineRun.json("doctor", "--json", topology.file)
            return try #require(json["findings"] as? [[String: Any]]).filter {
                $0["subject"] as? String == "programs" && $0["level"] as? String == "fail"
            }.compactMap { $0["message"] as? String }
        }
        let everywhere = try findings(
            """
            setup: no-a x, run: exec no-b, ready: { run: no-c }, reload: no-d -x, after: no-e, health: { run: no-f }, \
            programs: { p: { run: no-g, ready: { run: no-h }, health: { run: no-i } } }
            """)
        for letter in "abcdefghi" {
            #expect(
                everywhere.count { $0.contains("runs 'no-\(letter)', which is not installed") } == 1, "\(everywhere)")
        }
        // `sleep` is the machine's alone; `inside` is the folder's alone, in a PATH of its own; `put` is one of the files.
        let rooted = try findings(
            """
            filesystem: { root: root }, environment: { PATH: '/bin:/opt' }, \
            files: { /opt/put: { text: x, mode: 0755 }, /opt/unfit: x }, \
            setup: [inside x, put, unfit], run: exec sleep 1000, reload: /opt/inside
            """)
        #expect(rooted.count == 2, "\(rooted)")
        for program in ["sleep", "unfit"] {
            #expect(
                rooted.contains { $0.hasSuffix("runs '\(program)', which is not installed in \(root.path)") },
                "\(rooted)")
        }
    }

    @Test("for continuous integration, only what is lacking, and a status that says what kind", .enabled(if: isRoot))
    func continuousIntegration() throws {
        let fine = try ScratchTopology(), lacking = try ScratchTopology(web: "    run: exec no-such-program --flag")
        let ok = try CommandLineRun.run("doctor", "--ci", fine.file)
        #expect(ok.status == 0 && ok.output.hasSuffix("topologies can run here\n"), "\(ok)")
        #expect(!ok.output.contains("ok    "))
        let missing = try CommandLineRun.run("doctor", "--ci", fine.file, lacking.folder.path)
        #expect(missing.status == 6 && missing.output.contains("fail  programs  node web"), "\(missing)")
        #expect(missing.output.components(separatedBy: "no-such-program").count == 3)
        let json = try CommandLineRun.json("doctor", "--ci", "--json", lacking.file)
        #expect(json["status"] as? Int == 6)
        let none = try CommandLineRun.run("doctor", "--ci", lacking.file, environment: ["TAPLINE_ENGINE": "/no/engine"])
        #expect(none.status == 4 && none.output.contains("topologies cannot run here"))
        #expect(try CommandLineRun.run("doctor", "--ci", "/no/such/file.yaml").status == 3)
        let workflow = ["GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/no/such/summary"]
        let told = try CommandLineRun.run("doctor", "--ci", lacking.file, environment: workflow)
        #expect(told.output.contains("::error title=tapline doctor%3A programs::node web (line "), "\(told)")
        #expect(
            told.output.contains("::warning title=tapline doctor%3A service::GitHub Actions takes results by files"))
    }

    @Test("an engine of another release, and none", .enabled(if: isRoot))
    func engine() throws {
        let folder = try Machine(["engine": "#!/bin/sh\necho tapline-engine 0.0.1\n", "mute": "#!/bin/sh\nexit 0\n"])
        for name in ["engine", "mute", "none"] {
            let path = folder.root.appendingPathComponent(name).path
            chmod(path, 0o755)
            let result = try CommandLineRun.run("doctor", environment: ["TAPLINE_ENGINE": path])
            #expect(result.status == 4)
            #expect(result.output.contains(path))
        }
    }
}
