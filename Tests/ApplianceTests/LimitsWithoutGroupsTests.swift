import Foundation
import Testing

@testable import Fabric

/// What `limits` do where control groups cannot be had, for real: in mounts of the test's own, from which they are gone.
@Suite("Limits without control groups", .serialized, .enabled(if: isRoot))
struct LimitsWithoutGroupsTests {
    /// Brings a topology up where only some control groups are mounted, runs a script there, and takes it down.
    ///
    /// - Parameter mounts: Makes the mounts; what was mounted at /sys/fs/cgroup is at $OLD.
    private func run(mounts: String, _ web: String, _ script: String) throws -> RunResult {
        let topology = try ScratchTopology(small: nil)
        try ScratchTopology.small(topology.name, web: "{ attach: servers, \(web) }")
            .write(toFile: topology.file, atomically: true, encoding: .utf8)
        let file = topology.folder.appendingPathComponent("script.sh").path
        // All commands see the same mounts: names of namespaces are among them.
        try """
        set -e
        OLD='\(topology.folder.path)/old'; T='\(CommandLineRun.tapline)'; N='\(topology.name)'
        mkdir "$OLD"; mount --rbind /sys/fs/cgroup "$OLD"; umount -l /sys/fs/cgroup; mount -t tmpfs tapline-test /sys/fs/cgroup
        \(mounts)
        umount -l "$OLD"
        # log PROGRAM TEXT: waits until a program has said it.
        log() { for i in $(seq 600); do "$T" logs "$N" web $1 | grep -q "$2" && return; sleep 0.1; done; echo "no $2"; "$T" logs "$N" web; }
        "$T" up '\(topology.file)' -d
        trap '"$T" down "$N"' EXIT
        \(script)
        """.write(toFile: file, atomically: true, encoding: .utf8)
        let result = try CommandLineRun.shell("unshare -m --propagation private sh '\(file)' 2>&1")
        #expect(try topology.remains() == nil)
        return result
    }

    /// A program that takes 400 MiB.
    private static let hungry =
        "exec python3 -c 'a = [bytearray(1 << 20) for i in range(400)]'"

    private static let limited = """
        run: exec sleep 1000, limits: { memory: 64M, processes: 6, processor: 50%, files: 77 }, programs: { \
        hungry: { run: "until test -e $TAPLINE_DIR/go; do sleep 0.05; done; \(hungry)", restart: never }, \
        many: { run: "ulimit -n; until test -e $TAPLINE_DIR/go; do sleep 0.05; done; for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all; exec sleep 1000", \
        user: 47111, restart: never } }
        """

    private static let notes = [
        "no control group can be had for memory: each process alone is bounded (RLIMIT_AS)",
        "no control group can be had for processes: those of its user are bounded (RLIMIT_NPROC), and root's are not",
        "no control group can be had for the processor: its time is not bounded",
    ]

    private static let script = """
        touch "/run/tapline/$N/nodes/web/go"
        log hungry MemoryError
        log many '[Ff]ork'
        "$T" logs "$N" web
        echo "address space $("$T" exec "$N" web -- sh -c 'grep -h "Max address space" /proc/[0-9]*/limits | sort -u | tr -s " "')"
        "$T" doctor | grep 'control groups' || true
        ls -d /sys/fs/cgroup/tapline-* 2> /dev/null || echo no groups
        """

    @Test("without any, each process is bounded by itself, and all of it is told")
    func none() throws {
        let result = try run(mounts: "", Self.limited, Self.script)
        for note in Self.notes { #expect(result.output.contains(note), "\(result.output)") }
        #expect(result.output.contains("Max address space 67108864 67108864 bytes"), "\(result.output)")
        #expect(
            result.output.contains("web many | 77\n") && !result.output.contains("web many | all"), "\(result.output)")
        #expect(result.output.contains("memory is bounded for each process alone (RLIMIT_AS)"), "\(result.output)")
        #expect(result.output.contains("no groups\n") && result.status == 0, "\(result.output)")
    }

    @Test("a hierarchy of version 2 without controllers is no better than none, and is told as what it is")
    func emptyVersionTwo() throws {
        let result = try run(
            mounts:
                "mount -t cgroup2 tapline-test /sys/fs/cgroup; echo \"controllers: $(cat /sys/fs/cgroup/cgroup.controllers).\"",
            Self.limited, Self.script)
        let controllers = result.output.firstMatch(of: /controllers: (.*)\./)?.output.1.split(separator: " ") ?? []
        // Where the kernel gives them to version 2, groups are used, which other tests look at.
        guard !["memory", "pids", "cpu"].contains(where: { controllers.contains($0[...]) }) else { return }
        for note in Self.notes { #expect(result.output.contains(note), "\(result.output)") }
        #expect(result.output.contains("the kernel has no controller 'memory'"), "\(result.output)")
        #expect(result.output.contains("no groups\n") && result.status == 0, "\(result.output)")
    }

    @Test("each limit is kept by the best that there is for it")
    func some() throws {
        guard let place = ControlGroups().places[.memory], !place.isUnified else { return }
        let mount = try #require(ControlGroups.points.filter { place.path.hasPrefix($0) }.max { $0.count < $1.count })
        let inner = mount.dropFirst("/sys/fs/cgroup".count)
        let result = try run(
            mounts: "mkdir -p '\(mount)'; mount --bind \"$OLD\(inner)\" '\(mount)'",
            "run: exec sleep 1000, limits: { memory: 64M, processes: 6 }",
            """
            "$T" logs "$N" web
            echo "limit $(cat '\(place.path)'/tapline-"$N"-*/web/memory.limit_in_bytes)"
            echo "processes $("$T" exec "$N" web -- sh -c 'grep -h "Max processes" /proc/[0-9]*/limits | grep -c " 6 "')"
            """)
        #expect(result.output.contains(Self.notes[1]) && !result.output.contains(Self.notes[0]), "\(result.output)")
        #expect(result.output.contains("limit 67108864\n"), "\(result.output)")
        #expect(result.output.contains("processes 1\n") && result.status == 0, "\(result.output)")
    }
}
