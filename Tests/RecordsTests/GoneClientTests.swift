import Foundation
import Testing

/// A client that goes away stops nothing: an instruction that came whole is done and audited, one that came in part is nothing. Whoever
/// does not know asks again with the same `Idempotency-Key`.
@Suite(.serialized) struct GoneClientTests {
    /// Sends a request, and goes away without reading: by an end of the connection, or by a reset.
    private static let script = #"""
        import socket, struct, sys
        place, way, octets = sys.argv[1], sys.argv[2], sys.argv[3].encode().replace(b"\n", b"\r\n")
        end = socket.socket(socket.AF_UNIX)
        end.connect(place)
        if way == "part": octets = octets[:-1]
        end.sendall(octets)
        if way == "half": end.shutdown(socket.SHUT_WR)
        if way == "reset": end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
        """#

    private static func send(_ lab: RecordsLab, _ way: String, _ name: String, _ address: String, _ token: String)
        throws
    {
        let body = RecordsLab.service(address)
        let request = """
            PUT /v1/services/\(name) HTTP/1.1
            Host: tapline
            Authorization: Bearer \(token)
            Idempotency-Key: key-of-\(name)
            Content-Type: application/json
            Content-Length: \(body.utf8.count)

            \(body)
            """
        let sent = try lab.run(["python3", "-c", script, "\(lab.state)/records.sock", way, request])
        #expect(sent.status == 0, "\(sent.output)")
    }

    private static let ways = ["close", "reset", "half"]

    @Test func whatCameWholeIsDoneAndWhatDidNotIsNothing() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        let share = lab.folder.appendingPathComponent("go").path
        // A change that goes on until the test lets it: the first instruction is under way, and the others wait behind it.
        try lab.write(
            RecordsLab.usual.replacing(
                "type: web-server, attach: servers",
                with: "type: web-server, attach: servers, setup: \"while [ ! -e \(share) ]; do sleep 0.1; done\""))
        let applied = DispatchSemaphore(value: 0)
        let apply = Thread {
            _ = try? lab.tapline("apply", lab.name)
            applied.signal()
        }
        apply.start()
        try lab.eventually("the change is under way") {
            try lab.run(["pgrep", "-f", "while . ! -e \(share)"]).status == 0
        }
        for (place, way) in Self.ways.enumerated() { try Self.send(lab, way, way, "203.0.113.\(97 + place)", alice) }
        try Self.send(lab, "part", "part", "203.0.113.100", alice)
        // The connections are gone, and the server knows it: nothing of it is done yet.
        #expect(try lab.ask("GET", "/v1/services", token: alice).json["services"] as? [String] == [])
        _ = FileManager.default.createFile(atPath: share, contents: nil)
        applied.wait()
        func entries() throws -> [[String: Any]] {
            try lab.ask("GET", "/v1/audit?limit=500", token: alice).json["entries"] as? [[String: Any]] ?? []
        }
        func outcomes(_ name: String) throws -> [String] {
            try entries().filter { $0["subject"] as? String == name }.compactMap { $0["outcome"] as? String }
        }
        try lab.eventually("all that came whole is in force") {
            try Self.ways.allSatisfy { try outcomes($0) == ["in-force", "written"] }
        }
        for (place, way) in Self.ways.enumerated() {
            #expect(try lab.answers("203.0.113.\(97 + place)"), "\(way)")
            // The same request with the same key is the same one.
            let again = try lab.ask(
                "PUT", "/v1/services/\(way)", token: alice, RecordsLab.service("203.0.113.\(97 + place)"),
                headers: ["Idempotency-Key: key-of-\(way)"])
            #expect(again.status == 200 && again.headers["idempotency-replayed"] == "true", "\(again.text)")
            let version = try entries().first { $0["subject"] as? String == way }?["version"] as? Int
            #expect(version != nil && again.json["version"] as? Int == version, "\(again.text)")
            #expect(try outcomes(way) == ["in-force", "written"])
        }
        #expect(try outcomes("part") == [])
        #expect(try lab.ask("GET", "/v1/services/part", token: alice).status == 404)
        // Its key was never used.
        let first = try lab.ask(
            "PUT", "/v1/services/part", token: alice, RecordsLab.service("203.0.113.100"),
            headers: ["Idempotency-Key: key-of-part"])
        #expect(first.status == 200 && first.headers["idempotency-replayed"] == nil, "\(first.text)")
    }

    /// Two clients send the same request with the same key while the first is under way.
    @Test func aRepeatWaitsForTheFirst() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        let answers = try (0..<8).map { _ in try Repeat(lab, alice) }.map { try $0.end() }
        #expect(Set(answers.map(\.text)).count == 1, "\(answers)")
        #expect(answers.filter { $0.headers["idempotency-replayed"] == nil }.count == 1)
        #expect(answers.allSatisfy { $0.status == 200 })
        let audit = try lab.ask("GET", "/v1/audit", token: alice).json["entries"] as? [[String: Any]] ?? []
        #expect(audit.count { $0["subject"] as? String == "shop" } == 2)
    }

    private final class Repeat: @unchecked Sendable {
        private let done = DispatchSemaphore(value: 0)
        private var answer: RecordsLab.Answer?
        init(_ lab: RecordsLab, _ token: String) throws {
            let thread = Thread { [self] in
                answer = try? lab.ask(
                    "PUT", "/v1/services/shop", token: token, RecordsLab.service(), headers: ["Idempotency-Key: same"])
                done.signal()
            }
            thread.start()
        }
        func end() throws -> RecordsLab.Answer {
            done.wait()
            return try #require(answer)
        }
    }
}
