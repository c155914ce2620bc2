import Foundation
import Testing

/// How a run of a program ended.
struct RunResult {
    var status: Int32
    var output: String
    var errors: String
}

/// The built programs, run as a person runs them.
enum CommandLineRun {
    /// Where the products of this build are: beside the test program.
    static let products: String = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        var folders = [own, CommandLine.arguments[0]].map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
        folders += CommandLine.arguments.filter { $0.hasSuffix(".xctest") }.map {
            URL(fileURLWithPath: $0).deletingLastPathComponent().path
        }
        return folders.first { FileManager.default.isExecutableFile(atPath: $0 + "/tapline") } ?? ".build/debug"
    }()

    static var tapline: String { products + "/tapline" }

    /// Starts a program; its output goes to files that `finish` reads.
    final class Started {
        let process = Process()
        private let output: URL
        private let errors: URL

        init(_ words: [String], environment: [String: String] = [:]) throws {
            let folder = FileManager.default.temporaryDirectory
            output = folder.appendingPathComponent("tapline-\(UUID().uuidString).out")
            errors = folder.appendingPathComponent("tapline-\(UUID().uuidString).err")
            for file in [output, errors] { _ = FileManager.default.createFile(atPath: file.path, contents: nil) }
            process.executableURL = URL(fileURLWithPath: words[0])
            process.arguments = Array(words.dropFirst())
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = try FileHandle(forWritingTo: output)
            process.standardError = try FileHandle(forWritingTo: errors)
            try process.run()
        }

        var isRunning: Bool { process.isRunning }

        func text() -> String {
            (try? String(contentsOf: output, encoding: .utf8)) ?? ""
        }

        func signal(_ number: Int32) { kill(process.processIdentifier, number) }

        func finish() -> RunResult {
            process.waitUntilExit()
            defer { for file in [output, errors] { try? FileManager.default.removeItem(at: file) } }
            let status = process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0)
            return RunResult(
                status: status, output: text(), errors: (try? String(contentsOf: errors, encoding: .utf8)) ?? "")
        }
    }

    static func run(_ words: String..., environment: [String: String] = [:]) throws -> RunResult {
        try Started([tapline] + words, environment: environment).finish()
    }

    static func shell(_ command: String) throws -> RunResult {
        try Started(["/bin/sh", "-c", command]).finish()
    }

    /// The JSON object that a command prints.
    static func json(_ words: String...) throws -> [String: Any] {
        let result = try Started([tapline] + words).finish()
        let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        return try #require(value as? [String: Any], "\(result.errors)")
    }

    /// Waits until `holds`, at most thirty seconds: other tests and compilers run beside this.
    static func eventually(_ what: String, _ holds: () throws -> Bool) throws {
        for _ in 0..<3000 {
            if try holds() { return }
            usleep(10_000)
        }
        Issue.record("it did not come true within 30 s: \(what)")
    }
}

/// A topology of its own for one test: a random name, a folder, a file.
final class ScratchTopology {
    let name: String
    let folder: URL
    let file: String

    /// - Parameter web: The lines of the application `web` below its name.
    init(web: String = ScratchTopology.answering, checks: String = "", ports: String = "tcp/80") throws {
        name = "t" + String(UInt32.random(in: .min ... .max), radix: 36)
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        file = folder.appendingPathComponent("topology.yaml").path
        try write(web: web, checks: checks, ports: ports)
    }

    /// One of kernel nodes alone: it comes and goes in an instant, and there is an echo to prove it by.
    init(small name: String?) throws {
        self.name = name ?? "t" + String(UInt32.random(in: .min ... .max), radix: 36)
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(self.name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        file = folder.appendingPathComponent("topology.yaml").path
        try Self.small(self.name).write(toFile: file, atomically: true, encoding: .utf8)
    }

    static func small(_ name: String, web: String = "{ type: web-server, attach: servers }") -> String {
        """
        name: \(name)
        interfaces:
          customers: { address: 192.0.2.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
          bob: { interface: customers }
        applications:
          web: \(web)
        services:
          shop: { address: 203.0.113.80, ports: [tcp/80], from: customers, sequence: [web] }
        checks:
          - { name: echo comes back, on: alice, run: ping -n -c 1 -W 20 203.0.113.80 }
        """
    }

    /// An echo runs through the chain of a small topology, or what `exec` said instead.
    func echo(patience seconds: Int = 20) throws -> Bool {
        try CommandLineRun.run("exec", name, "alice", "--", "ping", "-n", "-c", "1", "-W", "\(seconds)", "203.0.113.80")
            .status
            == 0
    }

    /// Each connection's octets come back.
    static let answering = """
            run: exec python3 echo.py
            ready: { tcp: 80 }
        """

    func write(web: String = ScratchTopology.answering, checks: String = "", ports: String = "tcp/80") throws {
        let text = """
            name: \(name)
            interfaces:
              customers: { address: [192.0.2.1/24] }
              inspection: { address: [198.18.2.1/24] }
              inspected: { address: [198.18.3.1/24] }
              servers: { address: [198.18.4.1/24] }
            customers:
              alice: { interface: customers, address: [192.0.2.10/24] }
              bob: { interface: customers, address: [192.0.2.20/24] }
            applications:
              firewall:
                type: firewall
                attach: { in: inspection, out: inspected }
              web:
                type: web-server
                attach: { in: servers }
            \(web)
            services:
              shop:
                address: 203.0.113.80
                ports: [\(ports)]
                from: customers
                distribute: [firewall]
                sequence: [firewall, web]
            \(checks.isEmpty ? "" : "checks:\n\(checks)")
            """
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        try """
        import socket, threading
        def serve(c):
            while True:
                data = c.recv(65536)
                if not data: return
                c.sendall(data)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0", 80))
        s.listen()
        print("listening", flush=True)
        while True:
            threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
        """.write(
            toFile: folder.appendingPathComponent("echo.py").path, atomically: true, encoding: .utf8)
        try """
        import socket, sys, time
        c = socket.create_connection(("203.0.113.80", 80), 20)
        c.settimeout(20)
        end = time.time() + float(sys.argv[1])
        n = 0
        longest = 0
        while time.time() < end:
            start = time.time()
            c.sendall(b"x" * 100)
            got = 0
            while got < 100: got += len(c.recv(100))
            longest = max(longest, time.time() - start)
            n += 1
            time.sleep(0.005)
        print("answers", n, "longest", int(longest * 1000), "ms")
        """.write(
            toFile: folder.appendingPathComponent("client.py").path, atomically: true, encoding: .utf8)
    }

    /// Nothing of this topology is left on the host.
    func expectGone(sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try remains() == nil, sourceLocation: sourceLocation)
    }

    /// Lets the nodes write to the machine's files, the topology's folder among them.
    func shareFiles() throws {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try (text + "\nfilesystem: shared\n").write(toFile: file, atomically: true, encoding: .utf8)
    }

    /// What of this topology is left on the host, in words.
    func remains() throws -> String? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
        var left = names.filter { $0.hasPrefix(name) }.map { "namespace \($0)" }
        let states = (try? FileManager.default.contentsOfDirectory(atPath: "/run/tapline")) ?? []
        left += states.filter { $0.hasPrefix(name) }.map { "state of \($0)" }
        let images = (try? FileManager.default.contentsOfDirectory(atPath: "/var/lib/tapline")) ?? []
        left += images.filter { $0.hasPrefix(name) }.map { "images of \($0)" }
        left += try processes().map { "process \($0)" }
        return left.isEmpty ? nil : left.joined(separator: ", ")
    }

    /// Processes that have this topology's variables or name in what they were started with.
    func processes() throws -> [String] {
        var found: [String] = []
        for pid in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard Int(pid) != nil, let variables = FileManager.default.contents(atPath: "/proc/\(pid)/environ"),
                String(decoding: variables, as: UTF8.self).contains("TAPLINE_TOPOLOGY=\(name)")
            else { continue }
            found.append(pid)
        }
        return found
    }

    func controlProcess() throws -> Int32 {
        Int32(try #require(try CommandLineRun.json("status", name, "--json")["pid"] as? Int))
    }

    func enginePid() throws -> Int32? {
        let engine = try CommandLineRun.json("status", name, "--json")["engine"] as? [String: Any]
        return (engine?["pid"] as? Int).map(Int32.init)
    }

    deinit {
        _ = try? CommandLineRun.run("down", name)
        try? FileManager.default.removeItem(at: folder)
    }
}

/// What the host must look like before and after.
struct MachineState: Equatable {
    var links: String
    var addresses: String
    var routes: String
    var mounts: [String]
    var sysctls: String

    static func take() throws -> MachineState {
        let mounts = try String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)
        return MachineState(
            links: try CommandLineRun.shell("ip -o link | sed 's/ qlen.*//'").output,
            addresses: try CommandLineRun.shell("ip -o addr | sed 's/ valid_lft.*//'").output,
            routes: try CommandLineRun.shell("ip route show table all; ip -6 route show table all").output,
            // Topologies of others come and go on the machine meanwhile.
            mounts: mounts.split(separator: "\n").map(String.init).filter { !$0.contains("/run/netns") },
            sysctls: try CommandLineRun.shell(
                "sysctl -a 2>/dev/null | grep -E '^net\\.(ipv4|ipv6|core|bridge)' | grep -vE 'stat|avail|count|_mem'"
            ).output)
    }
}

/// Root tests run as root alone; a machine without root runs the others.
let isRoot = geteuid() == 0
