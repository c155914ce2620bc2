import Foundation
import Testing

/// io_uring is refused to the engine, as containers do: it is told, and frames are written one by one.
@Suite(.serialized) struct RefusedRingTests {
    static func topology(_ io: String) -> String {
        """
        name: refused
        interfaces:
          outside: { address: 192.0.2.1/24 }
          inside:  { address: 198.18.4.1/24 }
        customers:
          alice: { interface: outside, address: 192.0.2.10/24 }
        applications:
          sink: { type: server, attach: inside }
        services:
          echo: { address: 203.0.113.80, ports: [icmp], sequence: [sink] }
        engine: { io: \(io) }
        """
    }

    /// Runs a program to which a seccomp filter refuses one system call with an errno.
    static let refuse = """
        import ctypes, os, struct, sys
        call, error = int(sys.argv[1]), int(sys.argv[2])
        # linux/filter.h: load the call's number; where it is this one, the errno, else leave.
        code = ctypes.create_string_buffer(b''.join(struct.pack('<HBBI', *step) for step in (
            (0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x50000 | error), (0x06, 0, 0, 0x7fff0000))))
        program = ctypes.create_string_buffer(struct.pack('<HxxxxxxQ', 4, ctypes.addressof(code)))
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        # PR_SET_NO_NEW_PRIVS, and PR_SET_SECCOMP with SECCOMP_MODE_FILTER
        if prctl(38, 1, 0, 0, 0) != 0 or prctl(22, 2, ctypes.addressof(program), 0, 0) != 0:
            sys.exit(f'prctl: {os.strerror(ctypes.get_errno())}')
        os.execvp(sys.argv[3], sys.argv[3:])
        """
    /// io_uring_setup(2) on every machine, and EPERM.
    static let launcher = ["/usr/bin/python3", "refuse.py", "425", "1"]

    private func engine(_ lab: Lab) throws -> (writes: String?, because: String?) {
        let engine = try EngineLifeTests.engine(lab)
        return (engine["writes"] as? String, engine["writesBecause"] as? String)
    }

    @Test func whatIsRefusedIsDoneOtherwiseAndTold() throws {
        try Lab.with(Self.topology("auto"), files: ["refuse.py": Self.refuse], launcher: Self.launcher) { lab in
            let refused =
                "io_uring was refused: Operation not permitted (a seccomp filter or a security module forbids it)"
            let (writes, because) = try engine(lab)
            #expect(writes == "write")
            #expect(because == refused)
            #expect(try lab.tapline("status", lab.name).output.contains("\nwrites: one by one: \(refused)\n"))
            let ping = try lab.exec("alice", "fping -q -c 3 -p 200 -t 20000 203.0.113.80")
            #expect(ping.output.contains("/0%"), "\(ping.output)")
            try TwoEnginesTests.eventually("an event tells it") {
                let events = try lab.tapline("events", lab.name).output.split(separator: "\n")
                return events.contains { $0.contains("\"engine-writes-plainly\"") && $0.contains(refused) }
            }
        }
    }

    @Test func whoInsistsOnItIsRefusedWithTheHint() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("refused-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in [("topology.yaml", Self.topology("io_uring")), ("refuse.py", Self.refuse)] {
            try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }
        let name = "t" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
        let refused = try run(
            "/usr/bin/env",
            ["-C", folder.path] + Self.launcher + [Product.tapline, "run", "topology.yaml", "--name", name])
        #expect(refused.status == 2, "\(refused.output)")
        #expect(refused.output.contains("cannot write by io_uring: Operation not permitted"), "\(refused.output)")
        #expect(
            refused.output.contains("let the container's seccomp profile allow io_uring_setup"), "\(refused.output)")
        let doctor = try run("/usr/bin/env", ["-C", folder.path] + Self.launcher + [Product.tapline, "doctor"])
        #expect(doctor.output.contains("warn  io_uring"), "\(doctor.output)")
    }

    /// The same file where nothing is refused, and where the file asks for single writes.
    @Test(arguments: [("io_uring", "io_uring"), ("auto", "io_uring"), ("write", "write")])
    func whatTheFileAsksForIsDone(_ io: String, _ expected: String) throws {
        try Lab.with(Self.topology(io)) { lab in
            let (writes, because) = try engine(lab)
            #expect(writes == expected)
            #expect(because == nil)
            let ping = try lab.exec("alice", "fping -q -c 3 -p 200 -t 20000 203.0.113.80")
            #expect(ping.output.contains("/0%"), "\(ping.output)")
        }
    }
}
