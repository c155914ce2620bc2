import Foundation
import Testing

/// How a program ended, and what it printed.
struct Finished {
    var status: Int32
    var output: String
}

/// The built programs, and others, run to their end.
enum Programs {
    static let folder: String = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent().path
    }()
    static let tapline = folder + "/tapline"
    static let browser = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/browser.py"

    /// A program whose output goes to a file.
    final class Started {
        let process = Process()
        private let file: URL

        init(_ words: [String], environment: [String: String] = [:]) throws {
            file = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-\(UUID().uuidString).out")
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
            let handle = try FileHandle(forWritingTo: file)
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = words
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = handle
            process.standardError = handle
            try process.run()
        }

        deinit {
            if process.isRunning {
                process.terminate()
                process.waitUntilExit()
            }
            try? FileManager.default.removeItem(at: file)
        }

        var text: String { (try? String(contentsOf: file, encoding: .utf8)) ?? "" }

        func finish() -> Finished {
            process.waitUntilExit()
            return Finished(
                status: process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0),
                output: text)
        }
    }

    @discardableResult
    static func run(_ words: String..., environment: [String: String] = [:]) throws -> Finished {
        try Started(words, environment: environment).finish()
    }

    /// Waits until it is true, a minute at most: other tests and compilers run beside this.
    static func eventually(_ what: String, _ holds: () throws -> Bool) throws {
        for _ in 0..<3000 {
            if try holds() { return }
            usleep(20_000)
        }
        Issue.record("it did not come true within a minute: \(what)")
    }

    /// The descendants of a process, the nearest first.
    static func children(of pid: Int32) -> [Int32] {
        // Each thread has children of its own.
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        let own = threads.map {
            (try? String(contentsOfFile: "/proc/\(pid)/task/\($0)/children", encoding: .utf8)) ?? ""
        }.joined(separator: " ")
        let near = own.split(separator: " ").compactMap { Int32($0) }
        return near + near.flatMap(children)
    }
}

/// A topology of its own name, and its live page at a free port of the loopback device. One test uses it at a time.
final class PortalLab: @unchecked Sendable {
    let name = "t" + String(UInt32.random(in: .min ... .max), radix: 36)
    let folder: URL
    private(set) var port: UInt16 = 0
    private(set) var server: Programs.Started?

    static let usual = """
        interfaces:
          customers: { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected: { address: 198.18.3.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
          bob: { interface: customers }
        applications:
          ids: { type: intrusion-detection, passive: true, attach: { in: inspection } }
          firewall: { type: firewall, attach: { in: inspection, out: inspected }, instances: [fw-a, fw-b] }
          web: { type: web-server, attach: servers, run: "echo '<b>served</b>'; exec sleep 1000" }
        services:
          shop: { address: 203.0.113.80, ports: [icmp], from: customers, distribute: [ids, firewall], sequence: [firewall, web] }
        """

    /// The usual topology with so many customers more.
    static func wide(_ customers: Int) -> String {
        usual.replacing(
            "  bob: { interface: customers }\n",
            with: (1...customers).map { "  c\($0): { interface: customers }\n" }.joined())
    }

    /// - Parameter text: The topology without its name.
    init(_ text: String = PortalLab.usual) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try "name: \(name)\n\(text)\n".write(toFile: file, atomically: true, encoding: .utf8)
    }

    deinit {
        server = nil
        _ = try? Programs.run(Programs.tapline, "down", name)
        try? FileManager.default.removeItem(at: folder)
    }

    var file: String { folder.appendingPathComponent("topology.yaml").path }
    var url: String { "http://127.0.0.1:\(port)/" }

    func up() throws {
        let up = try Programs.run(Programs.tapline, "up", file, "-d")
        try #require(up.status == 0, "\(up.output)")
    }

    func down() throws {
        let down = try Programs.run(Programs.tapline, "down", name)
        #expect(down.status == 0, "\(down.output)")
    }

    /// Starts the page, and waits until it listens.
    func serve(_ more: [String] = [], environment: [String: String] = [:]) throws {
        let words =
            [Programs.tapline, "serve", name] + (more.contains("--listen") ? [] : ["--listen", "127.0.0.1:0"]) + more
        let started = try Programs.Started(words, environment: environment)
        server = started
        try Programs.eventually("the page listens") {
            try #require(started.process.isRunning, "\(started.text)")
            return started.text.contains("/\n")
        }
        let digits = started.text.split(separator: ":").last?.prefix { $0.isNumber } ?? ""
        port = try #require(UInt16(digits), "\(started.text)")
    }

    /// The page sees the topology.
    func seen() throws {
        try Programs.eventually("the page sees the topology") {
            let body = try get("/").body
            return body.contains("data-state=\"up\"><span data-c=\"state.text\">up") && body.contains("id=\"arrow-0\"")
        }
    }

    /// Answers come back to a customer.
    func ping(_ count: Int, from node: String = "alice") throws -> Bool {
        try Programs.run(
            Programs.tapline, "exec", name, node, "--", "ping", "-n", "-q", "-i", "0.01", "-W", "5", "-c", "\(count)",
            "203.0.113.80"
        ).status == 0
    }

    func status() throws -> [String: Any] {
        let result = try Programs.run(Programs.tapline, "status", name, "--json")
        return try #require(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any], "\(result.output)")
    }

    /// The page's own process.
    func portal() throws -> Int32 {
        let parent = try #require(server).process.processIdentifier
        // What serves is the last that was started: before it may be a shell's `env`.
        return try #require(Programs.children(of: parent).last, "the page's process is gone: \(server?.text ?? "")")
    }

    /// Resident memory of the page's process, in KiB.
    func memory() throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(try portal())/status", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(Int(line.split(whereSeparator: { !$0.isNumber })[0]))
    }

    // MARK: - HTTP

    func get(_ path: String, _ headers: [String] = []) throws -> Answer {
        try Answer(try Connection(port).ask(request("GET", path, headers)))
    }

    func post(_ path: String, _ form: String, _ headers: [String] = []) throws -> Answer {
        let fields =
            headers + ["Content-Type: application/x-www-form-urlencoded", "Content-Length: \(form.utf8.count)"]
        return try Answer(try Connection(port).ask(request("POST", path, fields) + form))
    }

    /// A request that asks for the connection's end, so that the answer ends with it.
    func request(_ method: String, _ path: String, _ headers: [String] = []) -> String {
        let host = headers.contains { $0.lowercased().hasPrefix("host:") } ? [] : ["Host: 127.0.0.1:\(port)"]
        return ([["\(method) \(path) HTTP/1.1"], host, ["Connection: close"], headers].flatMap { $0 } + ["", ""])
            .joined(separator: "\r\n")
    }

    /// What forms repeat.
    func secret() throws -> String {
        let body = try get("/").body
        let match = try #require(body.firstMatch(of: /name="secret" value="([0-9a-f]{64})"/))
        return String(match.1)
    }

    /// What a scenario of the browser found.
    func browse(_ scenario: String, _ arguments: String...) throws -> [String: Any] {
        let result = try Programs.Started(["python3", Programs.browser, scenario, url] + arguments).finish()
        try #require(result.status == 0, "\(result.output.suffix(3000))")
        let line = try #require(result.output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(result.output)")
        return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
}

/// An answer of the page's server.
struct Answer {
    var status: Int
    var head: String
    var bytes: [UInt8]
    var body: String { String(decoding: bytes, as: UTF8.self) }

    /// - Parameter octets: The whole answer, to the connection's end; chunks are put together.
    init(_ octets: [UInt8]) throws {
        let end = try #require(
            octets.firstRange(of: Array("\r\n\r\n".utf8)), "\(String(decoding: octets, as: UTF8.self))")
        head = String(decoding: octets[..<end.lowerBound], as: UTF8.self)
        status = try #require(head.split(separator: " ").dropFirst().first.flatMap { Int($0) })
        var rest = octets[end.upperBound...]
        guard head.lowercased().contains("transfer-encoding: chunked") else {
            bytes = Array(rest)
            return
        }
        bytes = []
        while let line = rest.firstRange(of: [13, 10]) {
            let size = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16) ?? 0
            guard size > 0, rest.endIndex >= line.upperBound + size else { break }
            bytes += rest[line.upperBound..<line.upperBound + size]
            rest = rest[(line.upperBound + size)...].dropFirst(2)
        }
    }

    func has(_ line: String) -> Bool { head.lowercased().contains(line.lowercased()) }
}

/// A connection to the page, which sends whatever a test wants.
final class Connection {
    let descriptor: Int32

    init(_ port: UInt16, receiveBuffer: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4) }
        var time = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(connected == 0, "connect: \(errno)")
    }

    deinit { close(descriptor) }

    /// Has the connection end with a reset.
    func reset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    }

    /// MSG_NOSIGNAL.
    private static let noSignal: Int32 = 0x4000

    /// False where the other end takes no more.
    @discardableResult
    func say(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Self.noSignal) }
            guard sent > 0 else { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    /// The next octets; nil at the end.
    func read() -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &octets, octets.count, 0)
        return count > 0 ? Array(octets.prefix(count)) : nil
    }

    /// All that comes until the other end closes.
    func rest() -> [UInt8] {
        var all: [UInt8] = []
        while let more = read() { all += more }
        return all
    }

    func ask(_ text: String) throws -> [UInt8] {
        say(text)
        return rest()
    }

    /// Reads until all texts have come, a minute at most.
    func read(until texts: String...) throws -> String {
        var all: [UInt8] = []
        let end = Date.now + 60
        while true {
            let text = String(decoding: all, as: UTF8.self)
            if texts.allSatisfy(text.contains) { return text }
            try #require(Date.now < end, "no \(texts) within a minute: \(text.suffix(2000))")
            all += try #require(read(), "the connection ended before \(texts)")
        }
    }
}
