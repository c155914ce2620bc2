import Foundation
import Testing

/// The files that a node gets, and what it sees of the machine's.
@Suite("A node's files", .enabled(if: isRoot))
struct NodeFilesystemTests {
    /// A topology with one node of commands alone; `web` is the rest of it.
    static func topology(_ web: String, more: String = "") throws -> ScratchTopology {
        let made = try ScratchTopology(small: nil)
        try write(made, web, more: more)
        return made
    }

    static func write(_ topology: ScratchTopology, _ web: String, more: String = "") throws {
        try """
        name: \(topology.name)
        \(more)
        interfaces: { customers: { address: 192.0.2.1/24 }, servers: { address: 198.18.4.1/24 } }
        customers: { alice: { interface: customers } }
        applications:
          web:
            attach: servers
            \(web)
        services: { shop: { address: 203.0.113.80, sequence: [web] } }
        """.write(toFile: topology.file, atomically: true, encoding: .utf8)
    }

    static func up(_ topology: ScratchTopology) throws {
        let up = try CommandLineRun.run("up", "-d", topology.file)
        #expect(up.status == 0, "\(up)")
    }

    static func shell(_ topology: ScratchTopology, _ node: String, _ command: String) throws -> RunResult {
        try CommandLineRun.run("exec", topology.name, node, "--", "sh", "-c", command)
    }

    /// A root directory with the least that runs a shell: the machine's own, and what it is linked with.
    static func makeRoot(_ path: String) throws {
        let made = try CommandLineRun.shell(
            """
            mkdir -p \(path)/bin \(path)/etc && cp /bin/sh /bin/cat /bin/ls /bin/sleep \(path)/bin/ &&
            for f in $(ldd /bin/sh /bin/cat /bin/ls /bin/sleep | grep -o '/[^ ]*' | grep -v ':$' | sort -u); do
              mkdir -p \(path)$(dirname $f) && cp $f \(path)$f; done
            """)
        #expect(made.status == 0, "\(made)")
    }

    @Test("files are where they should be, and the machine's are not touched")
    func files() throws {
        let mark = "x" + String(UInt32.random(in: .min ... .max), radix: 36)
        let topology = try Self.topology(
            """
            files:
                  own.conf: { text: "{{ services.shop.address }}", template: true, mode: 0640, owner: daemon }
                  deep/er/two: two
                  /etc/hostname: covered
                  /etc/\(mark)/three: three
                  /usr/share/\(mark): four
                run: exec sleep 1000
            """)
        let before = try String(contentsOfFile: "/etc/passwd", encoding: .utf8)
        try Self.up(topology)
        let seen = try Self.shell(
            topology, "web",
            """
            cat $TAPLINE_DIR/own.conf; echo; cat $TAPLINE_DIR/deep/er/two; echo; cat /etc/hostname; echo
            cat /etc/\(mark)/three; echo; cat /usr/share/\(mark); echo; stat -c '%a %U' $TAPLINE_DIR/own.conf
            echo more >> /etc/passwd && tail -n 1 /etc/passwd
            """)
        #expect(
            seen.output.split(separator: "\n")
                == ["203.0.113.80", "two", "covered", "three", "four", "640 daemon", "more"], "\(seen)")
        #expect(!FileManager.default.fileExists(atPath: "/etc/\(mark)"))
        #expect(!FileManager.default.fileExists(atPath: "/usr/share/\(mark)"))
        #expect(try String(contentsOfFile: "/etc/passwd", encoding: .utf8) == before)
        // The other node has none of them.
        #expect(try Self.shell(topology, "alice", "ls /etc/\(mark) /usr/share/\(mark)").status != 0)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("what a node writes ends with it, and the machine's files are read-only")
    func layers() throws {
        let mark = "x" + String(UInt32.random(in: .min ... .max), radix: 36)
        let topology = try Self.topology("run: exec sleep 1000")
        try Self.up(topology)
        let folders = ["/etc", "/var", "/var/lib", "/root", "/tmp", "/run", "/dev/shm"]
        for folder in folders {
            let result = try Self.shell(topology, "web", "echo y > \(folder)/\(mark) && cat \(folder)/\(mark)")
            #expect(result.output == "y\n", "\(folder): \(result)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/\(mark)"), "\(folder)")
        }
        for folder in ["/", "/usr", "/opt", "/srv", "/dev", topology.folder.path] {
            let result = try Self.shell(topology, "web", "echo y > \(folder)/\(mark)")
            #expect(result.status != 0 && result.errors.contains("Read-only"), "\(folder): \(result)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/\(mark)"), "\(folder)")
        }
        // What the machine has is seen through the layers; devices and terminals work.
        let works = try Self.shell(
            topology, "web",
            """
            test -s /etc/passwd && rm /etc/passwd && ! test -e /etc/passwd && echo x > /dev/null &&
            script -qc tty /dev/null
            """)
        #expect(works.status == 0 && works.output.contains("/dev/pts/"), "\(works)")
        #expect(FileManager.default.fileExists(atPath: "/etc/passwd"))
        // Each node has its own.
        #expect(try Self.shell(topology, "alice", "test -e /etc/passwd && ! test -e /tmp/\(mark)").status == 0)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("what is mounted below the layers is seen, and gets layers of its own")
    func innerMounts() throws {
        let mark = "x y" + String(UInt32.random(in: .min ... .max), radix: 36)
        let folder = "/var/tmp/\(mark)"
        let made = try CommandLineRun.shell(
            """
            set -e; mkdir '\(folder)'; mount -t tmpfs tapline-test '\(folder)'; cd '\(folder)'; mkdir in 'in/deep'
            mount -t tmpfs tapline-test in; mkdir in/deep; mount -t tmpfs tapline-test in/deep; echo deep > in/deep/file
            echo outer > file; echo covered > target; echo bound > source; mount --bind source target
            """)
        defer {
            _ = try? CommandLineRun.shell(
                "cd '\(folder)' && umount target in/deep in; cd / && umount '\(folder)' && rmdir '\(folder)'")
        }
        #expect(made.status == 0, "\(made)")
        let topology = try Self.topology("run: exec sleep 1000")
        try Self.up(topology)
        let seen = try Self.shell(
            topology, "web",
            """
            cd '\(folder)' && cat file in/deep/file target && echo own > file && echo own > in/deep/file && rm in/deep/file &&
            echo new > in/new && cat file && ls in
            """)
        #expect(seen.output == "outer\ndeep\nbound\nown\ndeep\nnew\n", "\(seen)")
        let machine = try CommandLineRun.shell("cd '\(folder)' && cat file in/deep/file target && ls in")
        #expect(machine.output == "outer\ndeep\nbound\ndeep\n", "\(machine)")
        // What no layer can go over is read-only, and each node has its own.
        let refused = try Self.shell(topology, "web", "echo x > '\(folder)/target'")
        #expect(refused.status != 0 && refused.errors.contains("Read-only"), "\(refused)")
        #expect(try Self.shell(topology, "alice", "cat '\(folder)/file'").output == "outer\n")
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("more mounts than there are places for are told in the node's log")
    func manyInnerMounts() throws {
        let folder = "/var/tmp/m" + String(UInt32.random(in: .min ... .max), radix: 36)
        defer {
            _ = try? CommandLineRun.shell("for i in \(folder)/*; do umount $i; rmdir $i; done; rmdir \(folder)")
        }
        let made = try CommandLineRun.shell(
            "set -e; for i in $(seq 140); do mkdir -p \(folder)/$i; mount -t tmpfs tapline-test \(folder)/$i; done")
        #expect(made.status == 0, "\(made)")
        let topology = try Self.topology("run: exec sleep 1000")
        try Self.up(topology)
        let log = try CommandLineRun.run("logs", topology.name, "web")
        #expect(log.output.contains("tapline: web: too many file systems are mounted below its layers"), "\(log)")
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("one line gives the machine's files back, for all nodes or for folders")
    func shared() throws {
        let mark = "x" + String(UInt32.random(in: .min ... .max), radix: 36)
        let folder = "/srv/\(mark)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let topology = try Self.topology(
            "filesystem: { writable: \(folder) }\n    run: exec sleep 1000", more: "filesystem: shared")
        try Self.up(topology)
        #expect(try Self.shell(topology, "web", "echo web > \(folder)/web; echo no > /srv/\(mark)-no").status != 0)
        #expect(try String(contentsOfFile: "\(folder)/web", encoding: .utf8) == "web\n")
        #expect(try Self.shell(topology, "alice", "echo alice > \(folder)/alice").status == 0)
        #expect(try String(contentsOfFile: "\(folder)/alice", encoding: .utf8) == "alice\n")
        #expect(!FileManager.default.fileExists(atPath: "/srv/\(mark)-no"))
    }

    @Test("a private folder takes writes, and a root folder is the node's root directory")
    func roots() throws {
        let topology = try Self.topology("run: exec sleep 1000")
        let root = topology.folder.appendingPathComponent("root")
        try Self.makeRoot(root.path)
        #expect(try CommandLineRun.shell("echo inner > \(root.path)/etc/mark").status == 0)
        try Self.write(
            topology,
            """
            filesystem: { root: root }
                files: { /etc/put: put, own: own }
                run: 'while :; do /bin/cat /etc/put > $TAPLINE_DIR/copy; read x < $TAPLINE_DIR/own; done'
            """)
        try Self.up(topology)
        let seen = try Self.shell(
            topology, "web", "cat /etc/mark /etc/put; echo w > /written; ls /; cat $TAPLINE_DIR/own; cat /proc/1/comm")
        #expect(seen.output.hasPrefix("inner\nput"), "\(seen)")
        #expect(seen.output.contains("written") && !seen.output.contains("home"), "\(seen)")
        #expect(seen.output.hasSuffix("owntapline-init\n"), "\(seen)")
        #expect(!FileManager.default.fileExists(atPath: root.appendingPathComponent("written").path))
        #expect(!FileManager.default.fileExists(atPath: root.appendingPathComponent("etc/put").path))
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("a program's user is one of its node: of its root directory, of its files, or made by setup")
    func users() throws {
        let topology = try Self.topology("run: exec sleep 1000")
        let root = topology.folder.appendingPathComponent("root").path
        try Self.makeRoot(root)
        // The link leads out of the folder, unless the folder is the root directory. The machine has no such user.
        let made = try CommandLineRun.shell(
            """
            ln -s /etc/inner \(root)/etc/passwd && echo 'inmate:x:4711:4712::/home/in:/bin/sh' > \(root)/etc/inner
            printf 'cell:x:4713:other,inmate\\nyard:x:4714:\\n' > \(root)/etc/group
            """)
        #expect(made.status == 0, "\(made)")
        let run = "run: 'cat /proc/self/status; echo home $HOME of $USER; exec sleep 1000'\n    ready: { log: home }"
        func log(_ web: String) throws -> String {
            try Self.write(topology, "\(web)\n    \(run)")
            try Self.up(topology)
            let log = try CommandLineRun.run("logs", topology.name, "web").output
            #expect(try CommandLineRun.run("down", topology.name).status == 0)
            return log
        }
        let inner = try log("filesystem: { root: root }\n    user: inmate")
        #expect(inner.contains("Uid:\t4711\t4711\t4711\t4711"), "\(inner)")
        #expect(inner.contains("Gid:\t4712\t4712\t4712\t4712"), "\(inner)")
        #expect(inner.contains("Groups:\t4712 4713 \n") && inner.contains("home /home/in of inmate"), "\(inner)")
        let grouped = try log("filesystem: { root: root }\n    user: 4711\n    group: yard")
        #expect(grouped.contains("Gid:\t4714") && grouped.contains("home /home/in of inmate"), "\(grouped)")
        let setup = try log(
            "setup: 'echo inmate:x:4721:4722::/srv:/bin/sh >> /etc/passwd'\n    user: inmate\n    group: daemon")
        #expect(setup.contains("Uid:\t4721") && setup.contains("home /srv of inmate"), "\(setup)")
        #expect(try setup.contains("Gid:\t\(#require(getgrnam("daemon")).pointee.gr_gid)\t"), "\(setup)")
        // A user of the machine is none of the root directory's.
        try Self.write(topology, "filesystem: { root: root }\n    user: nobody\n    \(run)")
        let none = try CommandLineRun.run("up", "-d", topology.file)
        #expect(none.status != 0 && none.errors.contains("root directory has no user 'nobody'"), "\(none)")
        #expect(try topology.remains() == nil)
    }

    @Test("all nodes see what one shares, and nothing of it stays, whatever ends the topology")
    func share() throws {
        let topology = try Self.topology("run: exec sleep 1000")
        try Self.up(topology)
        #expect(try Self.shell(topology, "web", "echo key > $TAPLINE_SHARE/key").status == 0)
        #expect(try Self.shell(topology, "alice", "cat $TAPLINE_SHARE/key").output == "key\n")
        let share = "/run/tapline/\(topology.name)/share/key"
        #expect(FileManager.default.fileExists(atPath: share))
        kill(try topology.controlProcess(), SIGKILL)
        let down = try CommandLineRun.run("down", topology.name)
        #expect(down.status == 0, "\(down)")
        #expect(!FileManager.default.fileExists(atPath: share))
        #expect(try topology.remains() == nil)

        try Self.up(topology)
        let again = try Self.shell(topology, "web", "test ! -e $TAPLINE_SHARE/key && echo key > $TAPLINE_SHARE/key")
        #expect(again.status == 0, "\(again)")
        let control = try topology.controlProcess()
        kill(control, SIGKILL)
        try CommandLineRun.eventually("the control process ends") { kill(control, 0) != 0 }
        let prune = try CommandLineRun.run("prune", topology.name)
        #expect(prune.status == 0, "\(prune)")
        #expect(!FileManager.default.fileExists(atPath: share))
        #expect(try topology.remains() == nil)
    }

    @Test("nodes know all names, and the caller's PATH does not count")
    func names() throws {
        let topology = try Self.topology("run: exec sleep 1000\n    hosts: { alice: 192.0.2.77 }")
        let up = try CommandLineRun.run(
            "up", "-d", topology.file, environment: ["PATH": "/nowhere:/usr/bin:/bin:/usr/sbin:/sbin"])
        #expect(up.status == 0, "\(up)")
        let path = try Self.shell(topology, "web", "echo $PATH; hostname; getent hosts shop.service web")
        #expect(
            path.output.hasPrefix("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nweb\n203.0.113.80 "),
            "\(path)")
        #expect(path.output.contains("198.18.4.2"), "\(path)")
        // A name of `hosts` means what that says.
        #expect(try Self.shell(topology, "web", "cat /etc/hosts").output.contains("192.0.2.77 alice\n"))
        #expect(try !Self.shell(topology, "web", "cat /etc/hosts").output.contains("192.0.2.2 alice"))
        #expect(try Self.shell(topology, "alice", "getent hosts web").output.hasPrefix("198.18.4.2"))
        #expect(try Self.shell(topology, "alice", "ping -n -c 1 -W 20 shop.service").status == 0)
        // A node that comes later is known, too.
        let text = try String(contentsOfFile: topology.file, encoding: .utf8)
        try text.replacingOccurrences(
            of: "customers: { alice:", with: "customers: { carol: { interface: customers }, alice:"
        ).write(toFile: topology.file, atomically: true, encoding: .utf8)
        let apply = try CommandLineRun.run("apply", topology.name)
        #expect(apply.status == 0 && !apply.output.contains("node web"), "\(apply)")
        #expect(try Self.shell(topology, "web", "getent hosts carol").output.hasPrefix("192.0.2.3"))
    }

    @Test("an owner that does not exist, and a folder in a file's place, are told at up")
    func mishaps() throws {
        let topology = try Self.topology("files: { a: { text: x, owner: nobody-here } }\n    run: exec sleep 1000")
        let owner = try CommandLineRun.run("up", "-d", topology.file)
        #expect(owner.status != 0 && owner.errors.contains("there is no user 'nobody-here'"), "\(owner)")
        #expect(owner.errors.contains("line 8"), "\(owner)")
        try Self.write(topology, "files: { /etc/ssl: x }\n    run: exec sleep 1000")
        let folder = try CommandLineRun.run("up", "-d", topology.file)
        #expect(folder.status != 0 && folder.errors.contains("has the path of a folder"), "\(folder)")
        #expect(try topology.remains() == nil)
    }
}
