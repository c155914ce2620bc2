import Foundation
import Testing

/// The main scenario, with Suricata, nftables and nginx in it, as its own file proves it.
@Suite(.serialized) struct FourInterfaceTests {
    static let file = Product.root.appendingPathComponent("Topologies/four-interface/topology.yaml").path

    @Test func everyCheckOfTheFileHolds() throws {
        let name = "t\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        let finished = try run(Product.tapline, ["run", Self.file, "--name", name], timeout: 300)
        #expect(finished.status == 0, "\(finished.output)")
        #expect(!FileManager.default.fileExists(atPath: "/run/tapline/\(name)"))
    }

    /// A check that cannot hold fails the run, and the topology is taken away all the same.
    @Test func aCheckThatDoesNotHoldFailsTheRun() throws {
        let whole = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: whole, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: whole) }
        let folder = whole.appendingPathComponent("four-interface")
        for (name, copy) in [("four-interface", folder), ("kit.yaml", whole.appendingPathComponent("kit.yaml"))] {
            try FileManager.default.copyItem(
                at: Product.root.appendingPathComponent("Topologies/\(name)"), to: copy)
        }
        let file = folder.appendingPathComponent("topology.yaml")
        let text = try String(contentsOf: file, encoding: .utf8)
            .replacingOccurrences(of: "\"hello {{ nodes.alice.address }}, ", with: "\"hello 192.0.2.11, ")
        try text.write(to: file, atomically: true, encoding: .utf8)
        let name = "t\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        let finished = try run(Product.tapline, ["run", file.path, "--name", name], timeout: 300)
        #expect(finished.status == 1, "\(finished.output)")
        #expect(finished.output.contains("hello 192.0.2.11"), "the expectation is told: \(finished.output)")
        #expect(!FileManager.default.fileExists(atPath: "/run/tapline/\(name)"))
    }

    /// The same file under two names at once: nothing of the one reaches the other.
    @Test func twoRunsAtOnce() throws {
        let names = (1...2).map { _ in "t\(String(UInt32.random(in: 0...UInt32.max), radix: 36))" }
        let processes = try names.map { name in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: Product.tapline)
            process.arguments = ["run", Self.file, "--name", name]
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            return process
        }
        for process in processes {
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
    }
}
