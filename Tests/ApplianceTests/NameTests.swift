import Foundation
import Testing

/// A topology file of a random name in a folder of its own.
private final class NamedTopology {
    let name: String
    let file: String
    private let folder: URL

    init(name: String, _ text: String) throws {
        self.name = name
        folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        file = folder.appendingPathComponent("topology.yaml").path
        try "name: \"\(name)\"\n\(text)".write(toFile: file, atomically: true, encoding: .utf8)
    }

    deinit {
        _ = try? CommandLineRun.run("down", "--", name)
        try? FileManager.default.removeItem(at: folder)
    }
}

@Suite("Names of any script", .serialized, .enabled(if: isRoot))
struct NameTests {
    private static func random() -> String { String(UInt32.random(in: .min ... .max), radix: 36) }

    @Test("Japanese, Arabic, emoji and 300 letters: up, proven, listed, killed, taken away")
    func anyScript() throws {
        let before = try MachineState.take()
        let long = String(repeating: "長い名前", count: 50) + String(repeating: "x", count: 100)
        let topology = try NamedTopology(
            name: "日本語 の \(Self.random())",
            """
            interfaces:
              お客様: { address: 192.0.2.1/24 }
              "\(long)": { address: 198.18.4.1/24 }
            customers:
              أحمد: { interface: お客様 }
              🦊: { interface: お客様 }
            applications:
              fabric: { attach: "\(long)", run: exec python3 -m http.server 80, ready: { tcp: 80 } }
              "\(long)": { attach: "\(long)", run: "echo here is $TAPLINE_NODE; exec sleep 1000" }
            services:
              web.🦊: { address: 203.0.113.80, ports: tcp/80, sequence: fabric }
            checks:
              - { name: 到達, on: أحمد, run: curl -fsS http://203.0.113.80/ }
              - { name: the readable name, on: 🦊, run: "echo at $TAPLINE_NODE", expect: at 🦊 }
              - { name: counted, entry: web.🦊.request.customers, packets: ">= 1" }
            """)
        let run = try CommandLineRun.run("run", topology.file)
        #expect(run.status == 0, "\(run.output)\(run.errors)")
        #expect(run.output.contains("到達"))

        let up = try CommandLineRun.run("up", topology.file, "-d")
        #expect(up.status == 0, "\(up.errors)")
        let status = try CommandLineRun.json("status", topology.name, "--json")
        #expect(status["name"] as? String == topology.name)
        let nodes = try #require(status["nodes"] as? [[String: Any]])
        #expect(nodes.map { $0["name"] as? String } == ["أحمد", "🦊", "fabric", long])
        let namespaces = nodes.compactMap { $0["namespace"] as? String }
        #expect(Set(namespaces).count == 4 && namespaces.allSatisfy { $0.utf8.count <= 255 && !$0.contains(" ") })
        let known = try CommandLineRun.shell("ip netns list").output
        #expect(namespaces.allSatisfy { known.contains($0) })
        let devices = nodes.flatMap { $0["legs"] as? [[String: Any]] ?? [] }.compactMap { $0["device"] as? String }
        #expect(devices.count == 4 && devices.allSatisfy { (1...15).contains($0.utf8.count) })

        let result = try CommandLineRun.run("exec", topology.name, "أحمد", "--", "cat", "/etc/hosts")
        #expect(result.output.contains("192.0.2.2 أحمد"))
        #expect(try CommandLineRun.run("exec", topology.name, "أحمذ", "--", "true").errors.contains("أحمد"))

        // Without its control process and without its file.
        kill(Int32(truncating: try #require(status["pid"] as? NSNumber)), SIGKILL)
        try CommandLineRun.eventually("it is dead") {
            try CommandLineRun.json("status", topology.name, "--json")["state"] as? String == "dead"
        }
        let logs = try CommandLineRun.run("logs", topology.name)
        #expect(logs.output.contains("\(long) | here is \(long)"))
        try FileManager.default.removeItem(atPath: topology.file)
        let down = try CommandLineRun.run("down", topology.name)
        #expect(down.status == 0, "\(down.errors)")
        #expect(try MachineState.take() == before)
    }

    @Test("two topologies that want one namespace come up side by side")
    func oneNamespaceForTwo() throws {
        let before = try MachineState.take()
        let name = "t" + Self.random()
        let rest = "interfaces: { i: { address: 192.0.2.1/24 } }\ncustomers: {"
        let first = try NamedTopology(name: name, rest + " b-c: { interface: i } }\n")
        let second = try NamedTopology(name: "\(name)-b", rest + " c: { interface: i } }\n")
        for topology in [first, second] {
            let up = try CommandLineRun.run("up", topology.file, "-d")
            #expect(up.status == 0, "\(up.errors)")
        }
        let namespaces = try [first, second].map { topology in
            let nodes = try CommandLineRun.json("status", topology.name, "--json")["nodes"] as? [[String: Any]]
            return try #require(nodes?.first?["namespace"] as? String)
        }
        #expect(namespaces[0] == "\(name)-b-c")
        #expect(namespaces[1] != namespaces[0])
        #expect(try CommandLineRun.run("down", first.name).status == 0)
        #expect(try CommandLineRun.run("exec", second.name, "c", "--", "true").status == 0)
        #expect(try CommandLineRun.run("down", second.name).status == 0)
        #expect(try MachineState.take() == before)
    }

    @Test("a hundred mistakes are a hundred lines")
    func aHundredLines() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let file = "\(root)/Tests/TopologyTests/BadFiles/hundred-mistakes.yaml"
        let result = try CommandLineRun.run("validate", file)
        #expect(result.status == 3)
        let isMistake = { (line: Substring) in line.hasPrefix("\(file):") && line.contains(": error: ") }
        #expect(result.errors.split(separator: "\n").filter(isMistake).count == 100)
        let brief = try CommandLineRun.run("validate", "--brief", file)
        #expect(brief.status == 3)
        #expect(brief.errors.split(separator: "\n").filter(isMistake).count == 100)
        #expect(brief.errors.split(separator: "\n").count == 101)
    }
}
