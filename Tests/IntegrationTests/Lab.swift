import Foundation
import Testing

/// How a program ended, and what it printed on both outputs.
struct Finished {
    var status: Int32
    var output: String
}

/// Runs a program to its end, or ends it when its time is over.
@discardableResult
func run(_ program: String, _ arguments: [String], timeout: Double = 180) throws -> Finished {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-test-\(UUID().uuidString)")
    _ = FileManager.default.createFile(atPath: file.path, contents: nil)
    defer { try? FileManager.default.removeItem(at: file) }
    let handle = try FileHandle(forWritingTo: file)
    process.standardOutput = handle
    process.standardError = handle
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let watchdog = DispatchSource.makeTimerSource(queue: .global())
    watchdog.schedule(deadline: .now() + timeout)
    watchdog.setEventHandler { kill(process.processIdentifier, SIGKILL) }
    watchdog.resume()
    process.waitUntilExit()
    watchdog.cancel()
    try handle.close()
    let output = String(decoding: try Data(contentsOf: file), as: UTF8.self)
    return Finished(status: process.terminationStatus, output: output)
}

/// The programs that were built together with this test.
enum Product {
    static let folder: URL = {
        let bundle = URL(
            fileURLWithPath: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "")
        return bundle.deletingLastPathComponent()
    }()
    static let tapline = ProcessInfo.processInfo.environment["TAPLINE"] ?? folder.appendingPathComponent("tapline").path
    static let root: URL = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
}

/// A topology of its own name that is up while the test's body runs, and gone afterwards, however the body ends.
struct Lab {
    let name: String
    let folder: URL

    /// Writes `topology` and `files` into a folder of their own, and brings the topology up under a random name.
    ///
    /// - Parameter launcher: A program and its arguments by which `up` is run, in that folder.
    static func with(
        _ topology: String, files: [String: String] = [:], launcher: [String] = [], _ body: (Lab) throws -> Void
    ) throws {
        let suffix = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-lab-\(suffix)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try topology.write(to: folder.appendingPathComponent("topology.yaml"), atomically: true, encoding: .utf8)
        for (name, text) in files {
            try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }
        let lab = Lab(name: "t\(suffix)", folder: folder)
        let path = folder.appendingPathComponent("topology.yaml").path
        let command = launcher + [Product.tapline, "up", path, "--name", lab.name, "-d"]
        let up = try run("/usr/bin/env", ["-C", folder.path] + command)
        try #require(up.status == 0, "up: \(up.output)")
        defer {
            let down = try? lab.tapline("down", lab.name)
            #expect(down?.status == 0, "down: \(down?.output ?? "did not run")")
        }
        try body(lab)
    }

    @discardableResult
    func tapline(_ arguments: String...) throws -> Finished {
        try run(Product.tapline, arguments)
    }

    /// Runs a shell command inside a node.
    @discardableResult
    func exec(_ node: String, _ command: String, timeout: Double = 180) throws -> Finished {
        try run(Product.tapline, ["exec", name, node, "--", "/bin/sh", "-c", command], timeout: timeout)
    }

    /// The folder of a node, which it knows as `$TAPLINE_DIR`.
    func directory(of node: String) -> String { "/run/tapline/\(name)/nodes/\(node)" }

    /// `status --json`, decoded.
    func status() throws -> [String: Any] {
        let finished = try tapline("status", name, "--json")
        try #require(finished.status == 0, "\(finished.output)")
        return try #require(
            try JSONSerialization.jsonObject(with: Data(finished.output.utf8)) as? [String: Any], "\(finished.output)")
    }

    /// Captures on a node's device while `body` runs, and returns the capture's path.
    func capturing(_ node: String, _ device: String, _ body: () throws -> Void) throws -> String {
        let path = "\(directory(of: node))/\(UUID().uuidString).pcap"
        let start =
            "tcpdump -i \(device) -U -B 16384 -s 262144 -w \(path) 2>\(path).log & echo $! >\(path).pid; "
            + "for i in $(seq 600); do grep -q listening \(path).log && exit 0; sleep 0.05; done; exit 1"
        try #require(try exec(node, start).status == 0)
        try body()
        // tcpdump gets few packets only after a second. It has all when it has captured what its filter has received.
        let end = """
            pid=$(cat \(path).pid)
            for i in $(seq 100); do
                kill -USR1 $pid; sleep 0.1
                counts=$(grep -o '[0-9]* packets* \\(captured\\|received\\)' \(path).log | tail -n 2 | cut -d' ' -f1)
                [ "$(echo "$counts" | uniq | wc -l)" = 1 ] && break
            done
            kill -INT $pid; while kill -0 $pid 2>/dev/null; do sleep 0.05; done
            """
        try exec(node, end)
        return path
    }
}

/// The frames of a capture that tshark says carry a wrong checksum, one line each, and how many frames it read at all.
func wrongChecksums(in capture: String) throws -> (wrong: [String], frames: Int) {
    let options = ["ip", "tcp", "udp"].flatMap { ["-o", "\($0).check_checksum:TRUE"] }
    let filter = ["ip", "tcp", "udp", "icmp", "icmpv6"].map { "\($0).checksum.status==0" }.joined(separator: " || ")
    // A kernel that adds a sum up itself writes FFFF in the place of 0, in TCP as in UDP (skb_checksum_help): both are right.
    let wrong = try run("/usr/bin/tshark", ["-r", capture] + options + ["-Y", "(\(filter)) && !tcp.checksum.ffff"])
    let all = try run("/usr/bin/tshark", ["-r", capture])
    let lines = { (text: String) in
        text.split(separator: "\n").filter { $0.contains("→") || $0.contains("->") }.map(String.init)
    }
    return (lines(wrong.output), lines(all.output).count)
}

extension Process {
    /// Waits until this capture, which looks for frames every 20 ms, has looked some times from now on.
    ///
    /// A process that sleeps between its looks changes the processor's context by its own will each time (proc(5)).
    func waitForLooks(_ count: Int = 20) throws {
        func looks() throws -> Int {
            let tasks = "/proc/\(processIdentifier)/task"
            return try FileManager.default.contentsOfDirectory(atPath: tasks).reduce(0) { sum, task in
                let text = (try? String(contentsOfFile: "\(tasks)/\(task)/status", encoding: .utf8)) ?? ""
                let line = text.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches:") }
                return sum + (line?.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) } ?? 0)
            }
        }
        let before = try looks()
        for _ in 0..<3_000 where try looks() < before + count { usleep(20_000) }
    }
}
