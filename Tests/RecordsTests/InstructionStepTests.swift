import Foundation
import Testing

/// Checks of a file in which the operator gives instructions.
@Suite(.serialized) struct InstructionStepTests {
    private func run(_ checks: String) throws -> Finished {
        let name = "t" + String(UInt32.random(in: .min ... .max), radix: 36)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("topology.yaml").path
        try "name: \(name)\n\(RecordsLab.usual)\nchecks:\n\(checks)\n".write(
            toFile: file, atomically: true, encoding: .utf8)
        return try RecordsLab.run([RecordsLab.programs.path + "/tapline", "run", file])
    }

    private static let body =
        #"'{ "addresses": ["203.0.113.97"], "ports": ["icmp"], "sequence": ["firewall", "web"] }'"#

    @Test func aCheckInstructsAndJudgesTheAnswer() throws {
        let done = try run(
            """
              - name: the operator makes a service, and alice gets a token
                steps:
                  - { on: alice, run: "! ping -c 1 -W 1 203.0.113.97" }
                  - { instruct: "PUT /v1/services/shop?tenant=alice", body: \(Self.body), expect: { json: { $.version: 1 } } }
                  - { on: alice, run: ping -c 1 -W 20 203.0.113.97 }
                  - { instruct: POST /v1/tenants/alice/tokens, body: '{}', give: alice, file: token.json, expect: { status: 201 } }
                  - { on: alice, run: cat "$TAPLINE_DIR/token.json", expect: { json: { $.tenant: alice } } }
                  - { on: bob, run: "! ls $TAPLINE_DIR/token.json" }
                  - { instruct: "GET /v1/services/nothing?tenant=alice", expect: { status: 404 } }
              - name: a value of an answer goes into the next path
                steps:
                  - { instruct: POST /v1/tenants/alice/tokens, body: '{}' }
                  - { instruct: "DELETE /v1/tenants/alice/tokens/{$.id}", expect: { status: 204 } }
            """)
        #expect(done.status == 0, "\(done.output)")
    }

    @Test func aRefusalFailsTheCheckAndTellsWhy() throws {
        let refused = try run(
            """
              - { name: it is refused, instruct: "PUT /v1/services/shop?tenant=bob", body: \(Self.body) }
            """)
        #expect(
            refused.status != 0 && refused.output.contains("a status from 200 to 299")
                && refused.output.contains("203.0.113.97 is none of your addresses"), "\(refused.output)")
        let early = try run("  - { name: nothing came before, instruct: 'GET /v1/services/{$.id}?tenant=alice' }")
        #expect(early.status != 0 && early.output.contains("an instruction before it"), "\(early.output)")
        for (check, sentence) in [
            ("{ name: a, instruct: PATCH /v1/services }", "is no request of the tenants' API"),
            ("{ name: a, instruct: 'GET /v1/services/{id}' }", "is no request of the tenants' API"),
            ("{ name: a, instruct: 'GET /v1/services/{$..id}' }", "is no request of the tenants' API"),
            ("{ name: a, instruct: GET /v1/audit, expect: { status: 600 } }", "a status of HTTP is at most 599"),
            ("{ name: a, on: alice, run: 'true', expect: { status: 403 } }", "an exit status is at most 255"),
            ("{ name: a, instruct: POST /v1/batch, body: '{' }", "the body is no JSON"),
            ("{ name: a, instruct: GET /v1/audit, give: alice }", "the answer has no file to go to"),
            ("{ name: a, instruct: GET /v1/audit, give: alice, file: a/b }", "\"a/b\" is in a folder"),
            ("{ name: a, instruct: GET /v1/audit, give: eve, file: b }", "eve"),
        ] {
            let wrong = try run("  - \(check)")
            #expect(wrong.status == 3 && wrong.output.contains(sentence), "\(wrong.output)")
        }
    }
}
