import Foundation
import Testing

/// Values for variables on the command line, and included files, of a topology that is up.
@Suite("Values for variables", .enabled(if: isRoot))
struct SettingsTests {
    private static func file(_ name: String) -> String {
        """
        name: \(name)
        include: parts.yaml
        variables: { WORD: first, USERS: 2 }
        customers:
          user: { count: "${USERS}", interface: customers, address: 192.0.2.10, environment: { WORD: "${WORD}" } }
        checks:
          - { name: "user ${number} has the word", count: "${USERS}", on: "user-${number}", run: "test $WORD = ${WORD}" }
          - { name: the last one reaches the shop, on: "user-${USERS}", run: ping -n -c 1 -W 20 203.0.113.80 }
        """
    }
    private static let parts = """
        interfaces: { customers: { address: 192.0.2.1/24 }, servers: { address: 198.18.4.1/24 } }
        applications: { web: { attach: servers } }
        services: { shop: { address: 203.0.113.80, from: customers, sequence: [web] } }
        """

    private static func word(_ topology: String, _ node: String) throws -> String {
        try CommandLineRun.run("exec", topology, node, "--", "sh", "-c", "echo $WORD").output
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @Test("up, apply and reload take values, and keep them until others are given")
    func kept() throws {
        let topology = try ScratchTopology(small: nil)
        try Self.file(topology.name).write(toFile: topology.file, atomically: true, encoding: .utf8)
        let parts = topology.folder.appendingPathComponent("parts.yaml")
        try Self.parts.write(to: parts, atomically: true, encoding: .utf8)
        let (file, name) = (topology.file, topology.name)

        let up = try CommandLineRun.run(
            "up", "-d", "--set", "WORD=second", "--env", "USERS", file, environment: ["USERS": "3"])
        #expect(up.status == 0, "\(up)")
        #expect(try Self.word(name, "user-3") == "second")
        // Nothing differs: the values are those of 'up'.
        let same = try CommandLineRun.run("apply", name)
        #expect(same.output.contains("nothing differs"), "\(same)")
        #expect(try CommandLineRun.run("reload", name).status == 0)
        let trial = try CommandLineRun.run("apply", name, "--dry-run", "--set", "USERS=4", "--set", "WORD=second")
        #expect(trial.output.contains("user-4") && !trial.output.contains("user-3"), "\(trial)")
        let fewer = try CommandLineRun.run("apply", name, "--set", "USERS=1", "--set", "WORD=second")
        #expect(fewer.status == 0 && fewer.output.contains("user-3"), "\(fewer)")
        #expect(try Self.word(name, "user-1") == "second")
        #expect(try CommandLineRun.run("apply", name).output.contains("nothing differs"))
        // A mistake in an included file changes nothing, and names that file.
        try "customers: { bob: { interface: nowhere } }".write(to: parts, atomically: true, encoding: .utf8)
        let wrong = try CommandLineRun.run("apply", name)
        #expect(wrong.status == 3 && wrong.errors.contains("parts.yaml:1:"), "\(wrong)")
        #expect(try Self.word(name, "user-1") == "second")
        #expect(try CommandLineRun.run("down", name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("run and test take values")
    func checked() throws {
        let topology = try ScratchTopology(small: nil)
        try Self.file(topology.name).write(toFile: topology.file, atomically: true, encoding: .utf8)
        try Self.parts.write(
            to: topology.folder.appendingPathComponent("parts.yaml"), atomically: true, encoding: .utf8)
        let run = try CommandLineRun.run("run", topology.file, "--set", "USERS=3")
        #expect(run.status == 0 && run.output.contains("user 3 has the word"), "\(run)")
        let test = try CommandLineRun.run("test", topology.file, "--set", "USERS=1", "--set", "WORD=any")
        #expect(test.status == 0 && test.output.contains("2 checks"), "\(test)")
        #expect(try topology.remains() == nil)
    }
}
