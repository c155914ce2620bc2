import Foundation
import Testing

/// Files of nodes that change while the topology is up.
@Suite("Changed files", .enabled(if: isRoot))
struct FileApplyTests {
    private let topology: ScratchTopology

    init() throws { topology = try ScratchTopology(small: nil) }

    /// Two applications with a file each. The first one has more keys.
    private func write(_ one: String, reload: String = "") throws {
        try one.write(
            toFile: topology.folder.appendingPathComponent("one.conf").path, atomically: true, encoding: .utf8)
        try """
        name: \(topology.name)
        interfaces: { customers: { address: 192.0.2.1/24 }, servers: { address: 198.18.4.1/24 } }
        customers: { alice: { interface: customers } }
        applications:
          one:
            attach: servers
            files: { one.conf: { from: one.conf, template: true }, /etc/one.conf: { from: one.conf } }
            run: exec sleep 1000
            \(reload)
          two: { attach: servers, files: { two.conf: two }, run: exec sleep 1000 }
        services:
          first: { address: 203.0.113.80, sequence: [one] }
          second: { address: 203.0.113.81, sequence: [two] }
        """.write(toFile: topology.file, atomically: true, encoding: .utf8)
    }

    private func shell(_ node: String, _ command: String) throws -> String {
        try CommandLineRun.run("exec", topology.name, node, "--", "sh", "-c", command).output
    }

    /// The process of a node's application.
    private func application(_ node: String) throws -> String {
        let pids = try shell(node, "pgrep -x sleep; readlink /proc/self/ns/pid; stat -c %Y /proc/$(pgrep -xo sleep)")
        return pids
    }

    @Test("restart their node alone")
    func restart() throws {
        try write("first {{ node.name }}")
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let (one, two) = (try application("one"), try application("two"))
        #expect(try CommandLineRun.run("apply", topology.name).output.contains("nothing differs"))
        try write("second {{ node.name }}")
        let apply = try CommandLineRun.run("apply", topology.name)
        #expect(apply.status == 0 && apply.output.contains("node one is restarted: its files"), "\(apply)")
        #expect(!apply.output.contains("node two"), "\(apply)")
        #expect(try shell("one", "cat $TAPLINE_DIR/one.conf /etc/one.conf") == "second onesecond {{ node.name }}")
        #expect(try application("one") != one)
        #expect(try application("two") == two)
        // A template that is wrong changes nothing.
        try write("third {{ nod.name }}")
        let wrong = try CommandLineRun.run("apply", topology.name)
        #expect(wrong.status == 3 && wrong.errors.contains("one.conf:1:7: error: no expression begins"), "\(wrong)")
        #expect(try shell("one", "cat $TAPLINE_DIR/one.conf") == "second one")
    }

    @Test("run the node's reload, and come back if that fails")
    func reload() throws {
        let command = "reload: 'cat $TAPLINE_DIR/one.conf >> $TAPLINE_SHARE/log; ! grep -q bad /etc/one.conf'"
        try write("first\n", reload: command)
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let one = try application("one")
        try write("second\n", reload: command)
        let apply = try CommandLineRun.run("apply", topology.name)
        #expect(apply.status == 0 && apply.output.contains("node one reloads: its files"), "\(apply)")
        #expect(try application("one") == one)
        #expect(try shell("two", "cat $TAPLINE_SHARE/log") == "second\n")
        try write("bad\n", reload: command)
        let failed = try CommandLineRun.run("apply", topology.name)
        #expect(failed.status != 0 && failed.errors.contains("its reload"), "\(failed)")
        #expect(failed.errors.contains("the former state is restored"), "\(failed)")
        #expect(try shell("two", "cat $TAPLINE_SHARE/log") == "second\nbad\nsecond\n")
        #expect(try shell("one", "cat $TAPLINE_DIR/one.conf /etc/one.conf") == "second\nsecond\n")
        #expect(try application("one") == one)
    }
}
