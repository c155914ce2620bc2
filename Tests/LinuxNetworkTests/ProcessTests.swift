import CLinux
import Foundation
import LinuxNetwork
import Testing

/// Runs a script and returns what it printed and how it ended.
func run(_ script: String, node: Pidfd? = nil, directory: String? = nil, extra: [Int32: Int32] = [:]) throws -> (
    String, ProcessExit
) {
    let pipe = Pipe()
    let out = pipe.fileHandleForWriting.fileDescriptor
    let child = try ProcessLauncher.spawn(
        .shell(
            script, environment: ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"], workingDirectory: directory,
            descriptors: [1: out, 2: out].merging(extra) { $1 }), node: node)
    try pipe.fileHandleForWriting.close()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    return (String(decoding: data, as: UTF8.self), try child.wait())
}

private func isMounted(_ path: String) -> Bool {
    let mounts = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
    return mounts.split(separator: "\n").contains { $0.split(separator: " ").dropFirst(4).first == path[...] }
}

extension String {
    fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}

extension LinuxTests {
    @Test func aNodesProcessesSeeTheirOwnWorld() throws {
        try withNamespaces(1) { namespaces, suffix in
            let directory = "/run/tapline-test-\(suffix)"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: directory) }
            try "192.0.2.99 here\n".write(toFile: directory + "/hosts", atomically: false, encoding: .utf8)
            try "nameserver 192.0.2.53\n".write(toFile: directory + "/resolv", atomically: false, encoding: .utf8)
            let view = NodeView(
                directory: directory,
                binds: [
                    "/etc/hosts": directory + "/hosts", "/etc/resolv.conf": directory + "/resolv",
                    "/etc/not-there-\(suffix)": directory + "/hosts",
                ])
            let node = try ProcessLauncher.startInit(in: namespaces[0], view: view)
            defer { try? node.signal(SIGKILL); _ = try? node.wait() }
            #expect(try String(contentsOfFile: "/proc/\(node.pid)/comm", encoding: .utf8) == "tapline-init\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(node.pid)/fd").isEmpty)

            #expect(try run("cat /proc/1/comm", node: node).0 == "tapline-init\n")
            #expect(try run("ls /proc | grep -c '^[0-9]'", node: node).0.hasPrefix("4"))
            #expect(
                try run("cat /etc/hosts /etc/resolv.conf", node: node).0 == "192.0.2.99 here\nnameserver 192.0.2.53\n")
            #expect(try run("ls /sys/class/net", node: node).0 == "lo\n")
            #expect(try run("ls /run", node: node).0 == "lock\n\(directory.dropFirst(5))\n")
            // What a program leaves in shared memory is the node's own, and goes with it.
            #expect(try run("echo left > /dev/shm/\(suffix); cat /dev/shm/*", node: node).0 == "left\n")
            #expect(!FileManager.default.fileExists(atPath: "/dev/shm/\(suffix)"))
            #expect(
                try run("ip -br link | wc -l; readlink /proc/self/ns/net", node: node).0
                    == "1\nnet:[\(namespaces[0].identity)]\n")
            #expect(
                try run("echo out > \(directory)/out; pwd; ls /proc/self/fd", node: node, directory: "/usr").0
                    == "/usr\n0\n1\n2\n3\n")
            #expect(try String(contentsOfFile: directory + "/out", encoding: .utf8) == "out\n")
            #expect(try run("exit 7", node: node).1 == .exited(7))
            #expect(try run("kill -9 $$", node: node).1 == .signalled(9))
            #expect(try run("ps -o sid= -p $$ | tr -d ' '; echo $$", node: node).0.split(separator: "\n").count == 2)

            // An orphan of the node's is reaped by its init.
            _ = try run("(sleep 0.05 &) ; exit 0", node: node)
            func hasZombies() throws -> Bool { try run("ps -eo stat=", node: node).0.contains("Z") }
            usleep(100_000)
            for _ in 0..<200 where try hasZombies() { usleep(100_000) }
            #expect(try !hasZombies())

            // What the host has mounted is not touched, and the node's death ends what runs in it.
            let sleeper = try ProcessLauncher.spawn(.shell("exec sleep 60"), node: node)
            try node.signal(SIGKILL)
            #expect(try sleeper.wait() == .signalled(SIGKILL))
        }
    }

    /// What a program does to names, to IPC and to settings stays in its node, and the machine's settings stay as they are.
    @Test func aNodeChangesNothingOfTheMachine() throws {
        try withNamespaces(1) { namespaces, suffix in
            func kernel(_ name: String) throws -> String {
                try String(contentsOfFile: "/proc/sys/kernel/\(name)", encoding: .utf8)
            }
            func segments() throws -> Int {
                try String(contentsOfFile: "/proc/sysvipc/shm", encoding: .utf8).split(separator: "\n").count
            }
            let before = try ["hostname", "core_pattern", "shmmni", "panic"].map(kernel)
            let shared = try segments()
            let node = try ProcessLauncher.startInit(in: namespaces[0], view: NodeView(hostname: "n-\(suffix)"))
            defer { try? node.signal(SIGKILL); _ = try? node.wait() }
            #expect(try run("hostname", node: node).0 == "n-\(suffix)\n")
            #expect(
                try run("hostname other && hostname && echo 7 > /proc/sys/kernel/shmmni", node: node).0 == "other\n")
            #expect(try run("ipcmk -M 64 >/dev/null && wc -l </proc/sysvipc/shm", node: node).0.trimmed == "2")
            #expect(try segments() == shared)
            // Its own network's settings and devices are its own to change.
            #expect(
                try run("echo 1 > /proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward", node: node).0
                    == "1\n")
            #expect(
                try run("echo 77 > /sys/class/net/lo/tx_queue_len && cat /sys/class/net/lo/tx_queue_len", node: node).0
                    == "77\n")
            for path in [
                "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/panic", "/proc/sys/vm/swappiness",
                "/proc/sys/fs/file-max",
                "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper",
                "/sys/power/state",
                "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/module/tcp_cubic/parameters/beta",
            ] where access(path, F_OK) == 0 {
                // Opening says it already: nothing is written, whatever comes of it.
                let opened = try run("exec 3<>\(path)", node: node)
                #expect(opened.0.contains("Read-only file system"), "\(path): \(opened)")
            }
            for path in ["/proc/kcore", "/proc/kmsg"] where access(path, F_OK) == 0 {
                #expect(try run("timeout 1 head -c 1 \(path) | wc -c", node: node).0 == "0\n")
            }
            #expect(try ["hostname", "core_pattern", "shmmni", "panic"].map(kernel) == before)
            let own = try run("for n in uts ipc cgroup mnt pid net; do readlink /proc/self/ns/$n; done", node: node).0
            for name in ["uts", "ipc", "cgroup", "mnt", "pid", "net"] where access("/proc/self/ns/\(name)", F_OK) == 0 {
                let ours = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(name)")
                #expect(!own.contains(ours), "the node shares \(ours)")
            }
        }
    }

    /// Where /run is a file system of its own, the machine's does not come to light, whatever a node unmounts.
    @Test(.enabled(if: isMounted("/run"))) func theMachinesRunCannotBeReached() throws {
        try withNamespaces(1) { namespaces, suffix in
            let path = "/run/tapline-test-\(suffix)"
            try "hidden".write(toFile: path, atomically: false, encoding: .utf8)
            defer { unlink(path) }
            let node = try ProcessLauncher.startInit(in: namespaces[0])
            defer { try? node.signal(SIGKILL); _ = try? node.wait() }
            let seen = try run(
                """
                while umount -l /run 2>/dev/null; do :; done; ls -a /run
                find / -xdev -name 'tapline-test-\(suffix)' 2>/dev/null; grep -c ' /run ' /proc/self/mountinfo
                """, node: node)
            #expect(!seen.0.contains("tapline-test"), "\(seen)")
            #expect(seen.0.hasSuffix("0\n"), "\(seen)")
        }
    }

    /// Ubuntu's /etc/resolv.conf is a link into /run, which is empty in a node until the file is bound there.
    @Test(arguments: ["/run/", "../run/"])
    func aLinkIntoRunIsFollowedIntoTheNodesOwn(prefix: String) throws {
        try withNamespaces(1) { namespaces, suffix in
            let directory = "/tapline-test-\(suffix)"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let link = directory + "/resolv.conf"
            symlink("\(prefix)none-\(suffix)/resolve/stub.conf", link)
            symlink("nowhere", directory + "/dangling")
            try "mine\n".write(toFile: directory + "/source", atomically: false, encoding: .utf8)
            let view = NodeView(binds: [link: directory + "/source", directory + "/dangling": directory + "/source"])
            let node = try ProcessLauncher.startInit(in: namespaces[0], view: view)
            defer { try? node.signal(SIGKILL); _ = try? node.wait() }
            #expect(
                try run("cat \(link); cat \(directory)/dangling 2>/dev/null; ls /run", node: node).0
                    == "mine\nlock\nnone-\(suffix)\n")
            #expect(!FileManager.default.fileExists(atPath: "/run/none-\(suffix)"))
        }
    }

    /// A node's init has a copy of the host's mounts, which must not keep other nodes' namespaces alive.
    @Test func anInitHoldsNoOtherNamespace() throws {
        try withNamespaces(1) { namespaces, suffix in
            var other: NetworkNamespace? = try NetworkNamespace.create("other-\(suffix)", mark: "m")
            let netlink = try namespaces[0].netlink
            _ = try netlink.createVeth(
                near: LinkSettings(name: "near"), far: LinkSettings(name: "far"), in: #require(other))
            let node = try ProcessLauncher.startInit(in: namespaces[0])
            defer { try? node.signal(SIGKILL); _ = try? node.wait() }
            try NetworkNamespace.delete("other-\(suffix)")
            #expect(try netlink.link(named: "near") != nil)
            other = nil
            var tries = 0
            while try netlink.link(named: "near") != nil, tries < 1_000 {
                tries += 1
                usleep(20_000)
            }
            #expect(try netlink.link(named: "near") == nil && other == nil)
        }
    }

    @Test func whatCouldNotBeStartedIsTold() throws {
        try withNamespaces(1) { namespaces, suffix in
            let none = systemError { _ = try ProcessLauncher.spawn(Command("/no/program", arguments: ["x"])) }
            #expect(
                none?.description == "cannot start the program (executing it) /no/program: No such file or directory")
            let directory = systemError {
                _ = try ProcessLauncher.spawn(Command("/bin/true", arguments: ["x"], workingDirectory: "/no/where"))
            }
            #expect(directory?.operation == "start the program (entering its working directory)")
            let view = systemError {
                _ = try ProcessLauncher.startInit(in: namespaces[0], view: NodeView(directory: "/run/none-\(suffix)"))
            }
            #expect(view?.description.hasPrefix("cannot start the node's init (binding the node's directory)") == true)
            let node = try ProcessLauncher.startInit(in: namespaces[0])
            let inNode = systemError {
                _ = try ProcessLauncher.spawn(Command("/no/program", arguments: ["x"]), node: node)
            }
            #expect(inNode?.errno == ENOENT)
            try node.signal(SIGKILL)
            _ = try node.wait()
            let gone = systemError { _ = try ProcessLauncher.spawn(.shell("true"), node: node) }
            #expect(gone?.operation == "start the program (entering the node)")
        }
    }

    @Test func descriptorsLandWhereTheyWereAskedFor() throws {
        try leavingNothing { _ in
            let (a, b) = (Pipe(), Pipe())
            let (fa, fb) = (a.fileHandleForWriting.fileDescriptor, b.fileHandleForWriting.fileDescriptor)
            // Crossed: each lands on the other's number.
            let child = try ProcessLauncher.spawn(
                Command(
                    "/bin/bash", arguments: ["bash", "-c", "echo A >&\(fb); echo B >&\(fa)"],
                    descriptors: [fb: fa, fa: fb]))
            #expect(try child.wait() == .exited(0))
            #expect(String(decoding: a.fileHandleForReading.availableData, as: UTF8.self) == "A\n")
            #expect(String(decoding: b.fileHandleForReading.availableData, as: UTF8.self) == "B\n")
        }
    }

    /// A process that started a node's init and a program in it is killed: both go.
    @Test func nothingOutlivesItsParent() throws {
        try withNamespaces(1) { namespaces, _ in
            let pair = try UnixSocket.pair()
            let parent = clinux_fork()
            if parent == 0 {
                // Only this thread was forked: what is called here must need no other.
                var node = clinux_node_init()
                node.network_namespace = namespaces[0].descriptor
                var stage = CLINUX_STAGE_NONE
                var pid = clinux_node_init(&node, &stage, nil)
                clinux_send_fds(pair.second.descriptor.number, &pid, 4, nil, 0)
                while true { pause() }
            }
            let bytes = try pair.first.receive().bytes
            let initialProcess = bytes.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
            try #require(initialProcess > 0)
            let node = try Pidfd(pid: initialProcess)
            let parentProcess = try Pidfd(pid: parent)
            let sleeper = try ProcessLauncher.spawn(.shell("exec sleep 60"), node: node)
            #expect(!node.hasEnded && !sleeper.hasEnded)
            try parentProcess.signal(SIGKILL)
            #expect(try parentProcess.wait() == .signalled(SIGKILL))
            // The init is gone once its node's processes are, and those that are ours are ours to reap.
            #expect(sleeper.waitForEnd(within: .seconds(30)))
            #expect(try sleeper.wait() == .signalled(SIGKILL))
            #expect(node.waitForEnd(within: .seconds(30)))
        }
    }

    @Test func allWhoAskOfAnEndAreToldTheSame() throws {
        let process = try ProcessLauncher.spawn(.shell("exit 7"), node: nil)
        #expect(try process.wait() == .exited(7))
        #expect(try process.wait() == .exited(7))
        #expect(try process.statusIfEnded() == .exited(7))
        // The kernel tells it once: another object of the same process is too late.
        #expect(throws: SystemError.self) { try Pidfd(pid: process.pid) }
    }

    @Test func aConfinedProcessHoldsNothing() throws {
        try leavingNothing { _ in
            let pair = try UnixSocket.pair()
            #expect(clinux_isolate(0) == -EBUSY)
            for forbidden in [false, true] {
                let child = clinux_fork()
                if child == 0 {
                    let allowed = Confinement.allowed.map { number in
                        var call = clinux_call()
                        call.number = number
                        return call
                    }
                    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
                    let status = clinux_open("/proc/self/status", O_RDONLY, 0)
                    let apart = clinux_isolate(0)
                    if apart < 0 { _exit(-apart) }
                    let result = allowed.withUnsafeBufferPointer { clinux_confine($0.baseAddress, $0.count) }
                    if result != 0 { _exit(-result) }
                    let count = read(status, buffer.baseAddress, buffer.count)
                    _ = write(pair.second.descriptor.number, buffer.baseAddress, count)
                    if forbidden { _ = getppid() }
                    _exit(3)
                }
                let process = try Pidfd(pid: child)
                let status = String(decoding: try pair.first.receive().bytes, as: UTF8.self)
                for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                    #expect(status.contains("\(set):\t0000000000000000\n"))
                }
                #expect(status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"))
                let end = try process.wait()
                #expect(end == (forbidden ? .signalled(SIGSYS) : .exited(3)))
            }
        }
    }
}

/// System call numbers of read, write and exit_group.
enum Confinement {
    #if arch(x86_64)
        static let allowed: [Int32] = [0, 1, 231]
    #else
        static let allowed: [Int32] = [63, 64, 94]
    #endif
}
