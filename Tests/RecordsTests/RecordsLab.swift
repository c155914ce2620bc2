import Foundation
import Testing

/// How a program ended, and what it printed.
struct Finished {
    var status: Int32
    var output: String
}

/// A topology of its own name with two tenants, up while a test runs. Its database is in a folder of the test's.
final class RecordsLab: Sendable {
    let name = "t" + String(UInt32.random(in: .min ... .max), radix: 36)
    let folder: URL

    static let programs: URL = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent()
    }()

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
          firewall: { type: firewall, attach: { in: inspection, out: inspected } }
          web: { type: web-server, attach: servers }
        services:
          shop: { address: 203.0.113.80, ports: [icmp], distribute: [ids, firewall], sequence: [firewall, web] }
        tenants:
          alice: { customers: [alice], addresses: 203.0.113.96/29, applications: [ids, firewall, web], must: [firewall] }
          bob: { customers: [bob], addresses: 203.0.113.104/29, applications: [firewall, web] }
        records: { database: lab.db }
        """

    /// Writes the file, and brings the topology up.
    ///
    /// - Parameter files: The texts of files beside it.
    init(_ text: String = RecordsLab.usual, files: [String: String] = [:]) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try write(text)
        for (name, text) in files {
            try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }
        try up()
    }

    deinit {
        _ = try? tapline("down", name)
        try? FileManager.default.removeItem(at: folder)
    }

    var file: String { folder.appendingPathComponent("topology.yaml").path }
    var database: String { folder.appendingPathComponent("lab.db").path }
    var state: String { "/run/tapline/\(name)" }

    func write(_ text: String) throws {
        try "name: \(name)\n\(text)\n".write(toFile: file, atomically: true, encoding: .utf8)
    }

    func up() throws {
        let up = try tapline("up", file, "-d")
        try #require(up.status == 0, "\(up.output)")
    }

    func down() throws {
        let down = try tapline("down", name)
        #expect(down.status == 0, "\(down.output)")
    }

    @discardableResult
    func run(_ words: [String], environment: [String: String] = [:]) throws -> Finished {
        try Self.run(words, environment: environment)
    }

    /// Runs a program to its end.
    static func run(_ words: [String], environment: [String: String] = [:]) throws -> Finished {
        let process = Process()
        let output = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-\(UUID().uuidString).out")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: output) }
        let handle = try FileHandle(forWritingTo: output)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        let text = (try? String(contentsOf: output, encoding: .utf8)) ?? ""
        return Finished(status: process.terminationStatus, output: text)
    }

    @discardableResult
    func tapline(_ words: String..., token: String? = nil) throws -> Finished {
        try run(
            [Self.programs.appendingPathComponent("tapline").path] + words,
            environment: token.map { ["TAPLINE_TOKEN": $0] } ?? [:])
    }

    /// A token of a tenant.
    func token(_ tenant: String, _ words: String...) throws -> String {
        let made = try run(
            [Self.programs.appendingPathComponent("tapline").path, "tenant", "token", name, tenant] + words)
        try #require(made.status == 0, "\(made.output)")
        return made.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// An answer of the API.
    struct Answer {
        var status: Int
        var headers: [String: String]
        var text: String
        var json: [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
        }
        /// The places and sentences of a problem's mistakes.
        var mistakes: [String] {
            (json["errors"] as? [[String: Any]] ?? []).map { "\($0["pointer"] ?? "-") \($0["detail"] ?? "-")" }
        }
    }

    /// Asks by curl.
    func ask(
        _ method: String, _ target: String, token: String? = nil, _ body: String? = nil, headers: [String] = [],
        form: String? = nil
    ) throws -> Answer {
        var words = ["curl", "-sS", "-i", "--max-time", "60", "--unix-socket", "\(state)/records.sock", "-X", method]
        if let token { words += ["-H", "Authorization: Bearer \(token)"] }
        if let body { words += ["-H", "Content-Type: application/json", "--data-binary", body] }
        if let form { words += ["--data-binary", form] }
        for header in headers { words += ["-H", header] }
        if method == "HEAD" { words += ["--head"] }
        let finished = try run(words + ["http://tapline\(target)"])
        let parts = finished.output.components(separatedBy: "\r\n\r\n")
        let lines = parts[0].components(separatedBy: "\r\n")
        let status = lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let sides = line.split(separator: ":", maxSplits: 1)
            if sides.count == 2 { fields[sides[0].lowercased()] = sides[1].trimmingCharacters(in: .whitespaces) }
        }
        return Answer(
            status: try status ?? { throw Silence(what: finished.output) }(), headers: fields,
            text: parts.dropFirst().joined(separator: "\r\n\r\n"))
    }

    /// A service of alice's, in JSON.
    static func service(
        _ address: String = "203.0.113.97", ports: String = #"["icmp"]"#, sequence: String = #"["firewall", "web"]"#
    ) -> String {
        #"{"addresses": ["\#(address)"], "ports": \#(ports), "distribute": ["ids"], "sequence": \#(sequence)}"#
    }

    /// True if a customer gets an answer to a ping of the address.
    func answers(_ address: String, to customer: String = "alice") throws -> Bool {
        try tapline("exec", name, customer, "--", "ping", "-c", "1", "-W", "20", address).status == 0
    }

    /// True if a customer gets no answer to a ping of the address within two seconds.
    func misses(_ address: String, to customer: String = "alice") throws -> Bool {
        try tapline("exec", name, customer, "--", "ping", "-c", "1", "-W", "2", address).status != 0
    }

    /// The number of the process that keeps the records.
    func keeper() throws -> Int32 { try process("tapline-records") }

    /// The number of the control process.
    func control() throws -> Int32 {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(state)/state.json"))
        let state = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let control = try #require(state["control"] as? [String: Any])
        return Int32(try #require(control["pid"] as? Int))
    }

    private func process(_ named: String) throws -> Int32 {
        let parent = try control()
        let numbers = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }
        let found = numbers.filter { number in
            guard let status = try? String(contentsOfFile: "/proc/\(number)/status", encoding: .utf8) else {
                return false
            }
            let lines = status.split(separator: "\n")
            return lines.first.map { $0.hasSuffix(named.prefix(15)) } == true && lines.contains("PPid:\t\(parent)")
        }
        guard let first = found.first else { throw Silence(what: "there is no process \(named)") }
        return first
    }

    /// Something that is not there, or does not answer.
    struct Silence: Error { var what: String }

    /// Waits until it is true, a minute at most: other tests run beside this.
    func eventually(_ what: String, _ holds: () throws -> Bool) throws {
        for _ in 0..<600 {
            if try holds() { return }
            usleep(100_000)
        }
        Issue.record("it did not come true within a minute: \(what)")
    }
}
