import Foundation
import Testing

@testable import Fabric

/// Where groups can be made, on machines of every kind.
@Suite("Control groups") struct ControlGroupsTests {
    /// A machine of files: what /proc says, and folders that stand for groups.
    private final class Machine {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("groups-\(UUID().uuidString)")

        init(_ files: [String: String]) throws {
            for (path, text) in files {
                let file = root.appendingPathComponent(path)
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try text.write(to: file, atomically: true, encoding: .utf8)
            }
        }

        deinit { try? FileManager.default.removeItem(at: root) }

        func find() -> ControlGroups { ControlGroups(proc: root.path + "/proc", root: root.path) }

        func path(_ group: String) -> String { root.path + group }
    }

    private static let unified = "31 22 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

    @Test func versionTwoBesideThisProcess() throws {
        // As under systemd: the scope has processes in it, the slice above has the controllers enabled.
        let machine = try Machine([
            "proc/self/cgroup": "0::/user.slice/session.scope\n", "proc/self/mountinfo": Self.unified,
            "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
            "sys/fs/cgroup/cgroup.subtree_control": "cpu memory pids\n", "sys/fs/cgroup/cgroup.procs": "",
            "sys/fs/cgroup/user.slice/cgroup.controllers": "cpu memory pids\n",
            "sys/fs/cgroup/user.slice/cgroup.subtree_control": "memory pids\n",
            "sys/fs/cgroup/user.slice/cgroup.procs": "",
            "sys/fs/cgroup/user.slice/session.scope/cgroup.controllers": "memory pids\n",
            "sys/fs/cgroup/user.slice/session.scope/cgroup.subtree_control": "\n",
            "sys/fs/cgroup/user.slice/session.scope/cgroup.procs": "",
        ])
        let groups = machine.find()
        #expect(groups.places[.memory] == .init(path: machine.path("/sys/fs/cgroup/user.slice"), isUnified: true))
        #expect(groups.places[.processes] == groups.places[.memory])
        #expect(groups.places[.processor] == .init(path: machine.path("/sys/fs/cgroup"), isUnified: true))
        #expect(groups.refusals.isEmpty)
    }

    @Test func versionTwoInAContainerThatEnablesNothing() throws {
        let machine = try Machine([
            "proc/self/cgroup": "0::/\n", "proc/self/mountinfo": Self.unified,
            "sys/fs/cgroup/cgroup.controllers": "cpu memory\n", "sys/fs/cgroup/cgroup.subtree_control": "\n",
            "sys/fs/cgroup/cgroup.procs": "1\n",
        ])
        let groups = machine.find()
        #expect(groups.places.isEmpty)
        #expect(groups.refusals[.memory]?.why.contains("has the controller 'memory' enabled for groups below") == true)
        #expect(groups.refusals[.memory]?.hint.hasPrefix("enable it: echo +memory > ") == true)
        #expect(groups.refusals[.processes]?.why == "the kernel has no controller 'pids'")
    }

    @Test func versionOneBesideAnEmptyVersionTwo() throws {
        let machine = try Machine([
            "proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/job/1\n3:pids:/elsewhere\n0::/\n",
            "proc/self/mountinfo": """
            30 20 0:30 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
            31 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
            32 30 0:32 /job /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
            33 30 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
            34 30 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw

            """,
            "sys/fs/cgroup/cpu,cpuacct/cgroup.procs": "", "sys/fs/cgroup/memory/1/cgroup.procs": "",
            "sys/fs/cgroup/pids/cgroup.procs": "", "sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
        ])
        let groups = machine.find()
        // A mount may show a part of the hierarchy alone; a group that it does not show is looked for above.
        #expect(groups.places[.memory] == .init(path: machine.path("/sys/fs/cgroup/memory/1"), isUnified: false))
        #expect(groups.places[.processor]?.path == machine.path("/sys/fs/cgroup/cpu,cpuacct"))
        #expect(groups.places[.processes]?.path == machine.path("/sys/fs/cgroup/pids"))
    }

    @Test func noneAtAll() throws {
        let groups = try Machine(["proc/self/cgroup": "", "proc/self/mountinfo": ""]).find()
        #expect(groups.places.isEmpty && groups.refusals.count == 3)
    }

    @Test func namesSayWhoseTheyAre() {
        let name = ControlGroups.name(topology: "four-interface", run: "0123456789abcdef")
        #expect(name == "tapline-four-interface-0123456789abcdef")
        #expect(ControlGroups.topology(of: name) == "four-interface")
        for other in [
            "tapline", "tapline-x", "tapline-0123456789abcdef", "docker-four-0123456789abcdef",
            "tapline-a-0123456789abcdeg",
        ] {
            #expect(ControlGroups.topology(of: other) == nil, "\(other)")
        }
    }
}
