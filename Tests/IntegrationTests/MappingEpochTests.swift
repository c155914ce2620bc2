import Foundation
import Testing

/// What tells programs that something was lost (RFC 6887, 8.5 and 14.1): the epoch, and announcements. tshark is the judge.
@Suite(.serialized) struct MappingEpochTests {
    /// The announcements in a capture: destination, destination port, version, opcode, and the epoch.
    private func announcements(_ capture: String) throws -> [(to: String, version: String, epoch: Int)] {
        let shown = try run(
            "/usr/bin/tshark",
            [
                "-r", capture, "-Y", "udp.srcport == 5351 && udp.dstport == 5350", "-T", "fields", "-E", "separator=,",
                "-e", "ip.dst", "-e", "ipv6.dst", "-e", "portcontrol.version", "-e", "portcontrol.opcode", "-e",
                "data.data",
                "-e", "udp.payload",
            ])
        return shown.output.split(separator: "\n").filter { !$0.contains("Running as user") }.compactMap { line in
            let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard let payload = fields.last, payload.count >= 24 else { return nil }
            let isPCP = payload.hasPrefix("0280")
            let epoch = payload.dropFirst(isPCP ? 16 : 8).prefix(8)
            return (fields[0] + fields[1], isPCP ? "PCP" : "NAT-PMP", Int(epoch, radix: 16) ?? -1)
        }
    }

    /// To whom the loss of state is announced, five times each.
    private static let announced: [(group: String, version: String)] = [
        ("224.0.0.1", "PCP"), ("ff02::1", "PCP"), ("198.18.4.10", "NAT-PMP"),
    ]

    @Test func whatWasLostIsAnnouncedToAllHosts() throws {
        try Lab.with(MappingTests.game) { lab in
            _ = try lab.ask("game", "198.18.4.1 \(MappingTests.map(lifetime: 3600))")
            // The epoch has to be one that can be seen to start anew.
            #expect(try lab.waitUntil { try lab.epoch() >= 6 })
            let before = Date()
            let capture = try lab.capturing("game", "servers") {
                let path = lab.folder.appendingPathComponent("topology.yaml")
                try MappingTests.game.replacing("tcp/27000-27009", with: "tcp/80")
                    .write(to: path, atomically: true, encoding: .utf8)
                #expect(try lab.tapline("apply", lab.name, path.path).status == 0)
                #expect(try lab.waitUntil { try lab.mappings().isEmpty })
                try TwoEnginesTests.eventually("all of them are heard") {
                    let folder = lab.directory(of: "game")
                    let captures = try FileManager.default.contentsOfDirectory(atPath: folder)
                        .filter { $0.hasSuffix(".pcap") }
                    return try captures.contains { name in
                        let heard = try announcements("\(folder)/\(name)")
                        return Self.announced.allSatisfy { one in
                            heard.count { $0.to == one.group && $0.version == one.version } >= 5
                        }
                    }
                }
            }
            let heard = try announcements(capture)
            let since = Int(Date().timeIntervalSince(before)) + 1
            for (group, version) in Self.announced {
                let own = heard.filter { $0.to == group && $0.version == version }
                #expect(own.count == 5, "\(group): \(heard)")
                #expect(own.map(\.epoch) == own.map(\.epoch).sorted(), "\(heard)")
                #expect(own.allSatisfy { (0...since).contains($0.epoch) }, "\(heard)")
            }
            let dissected = try run("/usr/bin/tshark", ["-r", capture, "-Y", "udp.dstport == 5350 && _ws.malformed"])
            #expect(!dissected.output.contains("5350"), "\(dissected.output)")
        }
    }

    /// A program that hears announcements as a client of PCP does: it has joined nothing, since every host is in these groups.
    private static let hearer = """
        import os, socket, sys, time
        four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        four.bind(("", 5350))
        with open(os.environ["TAPLINE_DIR"] + "/heard", "a") as file:
            while True:
                data, sender = four.recvfrom(2048)
                file.write(f"{sender[0]} {sender[1]} {data.hex()}\\n")
                file.flush()
        """

    @Test func aProgramHearsThatTheServerHasStarted() throws {
        let game = MappingTests.game.replacing(
            "    restart: always\n",
            with: "    restart: always\n    programs: { hear: { run: exec python3 hear.py, restart: always } }\n")
        try Lab.with(game, files: ["hear.py": Self.hearer]) { lab in
            let hasHeard = try lab.waitUntil {
                let heard = try lab.exec("game", "cat $TAPLINE_DIR/heard 2>/dev/null || true").output
                return heard.split(separator: "\n").contains { $0.hasPrefix("198.18.4.1 5351 0280000000000000") }
            }
            #expect(hasHeard)
        }
    }

    @Test func theEpochRunsOnWhileEnginesAreReplacedAndStartsAnewWithTheState() throws {
        try Lab.with(MappingTests.game) { lab in
            _ = try lab.ask("game", "198.18.4.1 \(MappingTests.map(lifetime: 3600))")
            #expect(try lab.waitUntil { try lab.epoch() >= 4 })
            let before = try lab.epoch()
            #expect(try lab.tapline("engine", "replace", lab.name).status == 0)
            let engines = try #require(try lab.status()["engines"] as? [[String: Any]])
            let engine = try #require(engines.first?["pid"] as? Int)
            kill(pid_t(engine), SIGKILL)
            #expect(try lab.waitUntil { try lab.fetches() })
            #expect(try lab.epoch() >= before && lab.mappings().count == 1)
            // The control process ends, and with it every program: what they had asked for is lost.
            let control = try #require(try lab.status()["pid"] as? Int)
            let killed = Date()
            kill(pid_t(control), SIGKILL)
            #expect(try lab.waitUntil { lab.hasEnded(control) })
            let path = lab.folder.appendingPathComponent("topology.yaml").path
            let up = try lab.tapline("up", path, "--name", lab.name, "-d")
            #expect(up.status == 0, "\(up.output)")
            #expect(try lab.mappings().isEmpty && lab.askedEntries().isEmpty)
            let answer = try #require(try lab.ask("game", "198.18.4.1 \(MappingTests.map(lifetime: 3600))").first)
            #expect(answer.hasPrefix("02810000"), "\(answer)")
            let epoch = try #require(Int(answer.dropFirst(16).prefix(8), radix: 16))
            #expect(Double(epoch) <= Date().timeIntervalSince(killed) + 1, "\(epoch) after \(before)")
            #expect(try lab.fetches())
        }
    }
}
