import Foundation
import Testing

/// Remarks as commands tell them, files of the wrong kind, and machines with too little.
@Suite("Remarks and hints", .serialized) struct RemarkCommandTests {
    private static let topology = """
        name: remarked
        interfaces:
          x: { address: 192.0.2.1/24 }
          spare: { address: 198.18.9.1/24 }
        customers: { alice: { interface: x } }
        checks:
          - { name: it is there, on: alice, run: "true" }

        """

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-hints-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    private func write(_ text: String, _ path: String) throws -> String {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test func remarksChangeNoStatusUnlessAskedTo() throws {
        try withFolder { folder in
            let file = try write(Self.topology, "\(folder)/t.yaml")
            let result = try CommandLineRun.run("validate", file)
            #expect(result.status == 0)
            #expect(result.errors.contains("\(file):4:3: remark: no node is on interface \"spare\"; attach one"))
            #expect(result.errors.contains("    spare:"))
            let strict = try CommandLineRun.run("validate", "--strict", "--brief", file)
            #expect(strict.status == 3 && strict.output.isEmpty)
            #expect(strict.errors.contains("4:3: remark: ") && strict.errors.contains("has a remark"))
            let json = try CommandLineRun.json("validate", "--json", file)
            let remarks = try #require(json["remarks"] as? [[String: Any]])
            #expect(json["valid"] as? Bool == true && (json["problems"] as? [Any])?.isEmpty == true)
            #expect(remarks.count == 1 && remarks[0]["line"] as? Int == 4 && remarks[0]["column"] as? Int == 3)
            #expect(remarks[0]["mend"] as? String == "attach one, or remove the interface")
            let strictJSON = try CommandLineRun.json("validate", "--json", "--strict", file)
            #expect(strictJSON["valid"] as? Bool == false && (strictJSON["problems"] as? [Any])?.count == 1)
            #expect((strictJSON["remarks"] as? [Any])?.isEmpty == true)
        }
    }

    @Test func runAndTestTellThem() throws {
        try withFolder { folder in
            let file = try write(Self.topology, "\(folder)/t.yaml")
            let name = "r\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
            let ran = try CommandLineRun.run("run", file, "--name", name)
            #expect(ran.status == 0, "\(ran.errors)")
            #expect(ran.errors.contains("note: \(file):4:3: no node is on interface \"spare\""), "\(ran.errors)")
            let report = try CommandLineRun.json("test", file, "--json")
            let files = try #require(report["files"] as? [[String: Any]])
            #expect((files[0]["notes"] as? [String])?.contains { $0.contains(":4:3: no node is on") } == true)
            #expect(report["status"] as? Int == 0)
        }
    }

    @Test func whatIsNoFileIsToldSo() throws {
        try withFolder { folder in
            let pipe = "\(folder)/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            let wide = "\(folder)/wide.yaml"
            let text = try #require("name: a\n".data(using: .utf16))
            try text.write(to: URL(fileURLWithPath: wide))
            let bare = "\(folder)/bare.yaml"
            try text.dropFirst(2).write(to: URL(fileURLWithPath: bare))
            let binary = "\(folder)/binary.yaml"
            try Data([0x7F, 0x45, 0x4C, 0x46] + [UInt8](repeating: 0, count: 600)).write(
                to: URL(fileURLWithPath: binary))
            for (path, message) in [
                (folder, "this is a folder; name the file in it: \(folder)/topology.yaml"),
                (pipe, "this is a named pipe, not a file; write the topology into a file"),
                (wide, "the file is UTF-16 or UTF-32 text, not UTF-8 text; save it as UTF-8"),
                (bare, "the file is UTF-16 text, not UTF-8 text; save it as UTF-8"),
                (binary, "the file is binary, not UTF-8 text; name a topology file"),
                (try write("", "\(folder)/empty.yaml"), "the file is empty; begin with `name: …`"),
                (
                    try write(String(repeating: "# much\n", count: 200_000), "\(folder)/big.yaml"),
                    "the file is larger than 1 MiB; "
                ),
                ("\(folder)/none.yaml", "the file cannot be read: No such file or directory; check the path"),
                ("\(binary)/x", "the file cannot be read: Not a directory; check the path"),
            ] {
                let result = try CommandLineRun.run("validate", "--brief", path)
                #expect(result.status == 3, "\(path)")
                #expect(result.errors.contains("\(path):1:1: error: \(message)"), "\(result.errors)")
            }
            // What the shell makes of `<(…)` is a pipe without a name of its own, and is read.
            let piped = try CommandLineRun.shell(
                "printf 'name: piped\\n' | \(CommandLineRun.tapline) validate /dev/stdin")
            #expect(piped.status == 0 && piped.output.contains("piped has 0 nodes"), "\(piped.errors)")
        }
    }

    /// Twelve nodes need more files than any of these limits lets a process open; three nodes more than the first ones.
    @Test func fewFilesAreToldBeforeAnythingIsMade() throws {
        try withFolder { folder in
            var text = "name: many\ninterfaces: { x: { address: 192.0.2.1/24 } }\ncustomers:\n"
            for number in 1...12 { text += "  c\(number): { interface: x }\n" }
            let many = try write(text, "\(folder)/many.yaml")
            for limit in [8, 12, 16, 24, 32, 40, 48, 64] {
                for command in ["run", "up -d"] where limit <= 16 || command == "run" {
                    let name = "f\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
                    let result = try CommandLineRun.shell(
                        "ulimit -n \(limit) && exec \(CommandLineRun.tapline) \(command) \(many) --name \(name)")
                    #expect(result.status == 4, "\(limit): \(result.errors)")
                    #expect(
                        result.errors.contains("raise the limit of open files: ulimit -Hn 65536"),
                        "\(limit): \(result.errors)")
                    #expect(!FileManager.default.fileExists(atPath: "/run/tapline/\(name)"))
                    #expect(!FileManager.default.fileExists(atPath: "/run/netns/\(name)-c1"))
                }
            }
        }
    }

    @Test func aPlainFileIsNoTUNDevice() throws {
        try withFolder { folder in
            let file = try write(Self.topology, "\(folder)/t.yaml")
            let plain = try write("", "\(folder)/tun")
            let name = "p\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
            let result = try CommandLineRun.shell(
                "unshare -m sh -c 'mount --bind \(plain) /dev/net/tun && exec \(CommandLineRun.tapline) run \(file) --name \(name)'"
            )
            #expect(result.status == 4)
            #expect(result.errors.contains("/dev/net/tun is a regular file and not the TUN device"), "\(result.errors)")
            #expect(result.errors.contains("mknod /dev/net/tun c 10 200"), "\(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: "/run/tapline/\(name)"))
        }
    }
}
