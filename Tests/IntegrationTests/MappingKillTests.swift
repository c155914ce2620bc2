import Foundation
import Testing

/// Processes that are killed and replaced in the middle of renewals: no mapping is half there, what a client has works, and the
/// epoch tells the truth.
@Suite(.serialized) struct MappingKillTests {
    /// It renews from its start on.
    private static var game: String {
        let script = Product.root.path + "/Tests/IntegrationTests/Mappings/renew.py"
        let renew = "exec python3 \(script) 198.18.4.1 \"$TAPLINE_DIR/renewed\" \(MappingTests.map(lifetime: 3600))"
        return MappingTests.game.replacing(
            "    restart: always\n",
            with: """
                    restart: always
                    programs:
                      renew: { run: '\(renew)' }

                """)
    }

    /// A question of the client's and its answer, with their times in seconds.
    private struct Renewal {
        var asked: Double
        var answered: Double
        var answer: String
    }

    private func renewals(_ lab: Lab) throws -> [Renewal] {
        try lab.exec("game", "cat $TAPLINE_DIR/renewed").output.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ").map(String.init)
            guard parts.count == 3, let asked = Double(parts[0]), let answered = Double(parts[1]) else { return nil }
            return Renewal(asked: asked, answered: answered, answer: parts[2])
        }
    }

    /// What is listed, and what is in the table, is the same.
    private func expectWhole(_ lab: Lab) throws {
        let listed = Set(try lab.mappings().compactMap { $0["service"] as? String })
        #expect(try lab.askedEntries() == listed)
    }

    @Test func enginesAreKilledAndReplaced() throws {
        try Lab.with(Self.game) { lab in
            #expect(try lab.waitUntil { try lab.mappings().count == 1 })
            // A second client gets a mapping and gives it back, over and over, so tables are on their way, too.
            let other = Process()
            other.executableURL = URL(fileURLWithPath: Product.tapline)
            let (put, end) = (
                MappingTests.map(nonce: "07", port: 27001, lifetime: 3600),
                MappingTests.map(nonce: "07", port: 27001, lifetime: 0)
            )
            let requests = Array(repeating: "\(put) \(end)", count: 100).joined(separator: " ")
            other.arguments = [
                "exec", lab.name, "game", "--", "/bin/sh", "-c",
                "exec python3 \(Lab.asking) 198.18.4.1 \(requests)",
            ]
            other.standardOutput = FileHandle.nullDevice
            other.standardInput = FileHandle.nullDevice
            try other.run()
            for turn in 0..<6 {
                if turn % 2 == 0 {
                    let engines = try #require(try lab.status()["engines"] as? [[String: Any]])
                    if let engine = engines.first?["pid"] as? Int, engine > 0 { kill(pid_t(engine), SIGKILL) }
                } else {
                    #expect(try lab.waitUntil { try lab.tapline("engine", "replace", lab.name).status == 0 })
                }
                #expect(try lab.waitUntil { try lab.fetches() })
            }
            other.waitUntilExit()
            #expect(other.terminationStatus == 0)
            let count = try renewals(lab).count
            #expect(try lab.waitUntil { try renewals(lab).count > count + 5 }, "the client goes on")
            _ = try lab.exec("game", "touch $TAPLINE_DIR/renewed.end")
            try expectWhole(lab)
            #expect(try lab.mappings().count == 1 && lab.fetches())
            let answers = try renewals(lab).filter { $0.answer != "-" }
            #expect(answers.count > 20)
            // SUCCESS, and the same service port.
            #expect(answers.allSatisfy { $0.answer.hasPrefix("02810000") })
            #expect(answers.allSatisfy { $0.answer.dropFirst(84).prefix(4) == "697d" })
            try expectTruth(answers)
        }
    }

    /// The epoch advances as the client's own clock does (RFC 6887, 8.5), so no client believes that something was lost.
    private func expectTruth(_ answers: [Renewal]) throws {
        let epochs = answers.compactMap { Int($0.answer.dropFirst(16).prefix(8), radix: 16) }
        try #require(epochs.count == answers.count)
        for index in 1..<epochs.count {
            let server = Double(epochs[index] - epochs[index - 1])
            // The server answers at a moment between a question and what the client hears.
            let least = answers[index].asked - answers[index - 1].answered
            let most = answers[index].answered - answers[index - 1].asked
            #expect(server >= -1 && most + 2 >= server - server / 16 && server + 2 >= least - least / 16)
        }
    }

    @Test func theControlProcessIsKilled() throws {
        try Lab.with(Self.game) { lab in
            for _ in 0..<3 {
                #expect(try lab.waitUntil { try lab.mappings().count == 1 && lab.fetches() })
                let control = try #require(try lab.status()["pid"] as? Int)
                kill(pid_t(control), SIGKILL)
                #expect(try lab.waitUntil { lab.hasEnded(control) })
                let path = lab.folder.appendingPathComponent("topology.yaml").path
                let up = try lab.tapline("up", path, "--name", lab.name, "-d")
                #expect(up.status == 0, "\(up.output)")
                #expect(try lab.waitUntil { try lab.mappings().count == 1 && lab.fetches() })
                try expectWhole(lab)
                // Its programs were started anew, too, so no client has an epoch from before.
                let answers = try renewals(lab).filter { $0.answer != "-" }
                #expect(answers.first?.answer.hasPrefix("02810000") == true)
                try expectTruth(answers)
            }
        }
    }
}
