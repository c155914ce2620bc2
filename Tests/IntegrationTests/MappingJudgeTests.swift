import Foundation
import Seeds
import Testing

/// The same requests to miniupnpd and to Tapline. What is different is in a table (`JudgedDifference`), with what the RFC says of it.
/// One request ends miniupnpd 2.3.1, a mapping of all protocols and ports: it is not asked that.
@Suite(.serialized) struct MappingJudgeTests {
    private static let folder = Product.root.path + "/Tests/IntegrationTests/Mappings"

    private static let topology = """
        name: judged
        interfaces:
          customers: { address: 192.0.2.1/24 }
          servers:   { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          game:
            attach: { in: { interface: servers, address: 198.18.4.10/24 } }
            negotiate:
              addresses: 52.0.0.82
              ports: [udp/1024-65535, tcp/1024-65535]
              lifetime: 30s..1d
              mappings: 1000
              requests: 1000
        """

    /// What each request is answered by miniupnpd.
    private func askMiniupnpd(_ requests: URL) throws -> [JudgedAnswer] {
        let name = "t" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
        let folder = requests.deletingLastPathComponent()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = [Self.folder + "/miniupnpd.sh", name, folder.path]
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput) = (input, output)
        try process.run()
        defer {
            try? input.fileHandleForWriting.write(contentsOf: Data("end\n".utf8))
            process.waitUntilExit()
        }
        try #require(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self) == "ready\n")
        let asked = try run(
            "/usr/sbin/ip",
            [
                "netns", "exec", "\(name)-c", "/bin/sh", "-c",
                "exec python3 \(Self.folder)/ask.py 198.18.4.1 --fenced <\(requests.path)",
            ], timeout: 120)
        try #require(asked.status == 0, "\(asked.output)")
        return asked.output.split(separator: "\n").map { JudgedAnswer(String($0)) }
    }

    /// The answers of both to requests of a seed.
    private func answers(_ requests: [JudgedRequest]) throws -> [(tapline: JudgedAnswer, miniupnpd: JudgedAnswer)] {
        let text = requests.map { $0.octets.hexadecimal + "\n" }.joined()
        var answers: [(JudgedAnswer, JudgedAnswer)] = []
        try Lab.with(Self.topology) { lab in
            let file = lab.folder.appendingPathComponent("requests")
            try text.write(to: file, atomically: true, encoding: .utf8)
            let asked = try lab.exec(
                "game", "exec python3 \(Self.folder)/ask.py 198.18.4.1 --fenced <\(file.path)", timeout: 120)
            try #require(asked.status == 0, "\(asked.output)")
            let own = asked.output.split(separator: "\n").map { JudgedAnswer(String($0)) }
            let others = try askMiniupnpd(file)
            try #require(own.count == requests.count && others.count == requests.count)
            answers = Array(zip(own, others))
        }
        return answers
    }

    /// The row that explains how two answers to a request differ, if they do; nil: none does.
    private func explained(_ request: JudgedRequest, _ tapline: JudgedAnswer, _ miniupnpd: JudgedAnswer) -> [String]? {
        guard tapline != miniupnpd else { return [] }
        return JudgedDifference.all.first { $0.holds(request, tapline, miniupnpd) }.map { [$0.name] }
    }

    @Test func everyDifferenceIsDecidedByTheRFC() throws {
        var used: Set<String> = []
        // Together, these have every kind of difference.
        for seed: UInt64 in [1, 17] {
            var requests = JudgedRequests(seed: seed)
            let list = requests.list(200)
            for (request, answer) in zip(list, try answers(list)) {
                let rows = explained(request, answer.tapline, answer.miniupnpd)
                used.formUnion(rows ?? [])
                #expect(
                    rows != nil,
                    """
                    \(request.kind) \(request.octets.hexadecimal): \(answer.tapline.text), \
                    miniupnpd \(answer.miniupnpd.text)
                    """)
            }
        }
        #expect(used == Set(JudgedDifference.all.map(\.name)), "each row of the table stands for something")
    }
}
