import Foundation
import Seeds
import Testing

/// The API, judged by programs of others: what it answers is what its own document says.
@Suite(.serialized) struct JudgeTests {
    static let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    /// Where `Scripts/test` puts packages of Python's that Debian does not have.
    static let packages = here.deletingLastPathComponent().deletingLastPathComponent().path + "/.build/judges"

    @Test(arguments: ["operator", "tenant", "reader"])
    func everyAnswerIsAsTheDocumentSays(role: String) throws {
        let lab = try RecordsLab(
            RecordsLab.usual.replacing(
                "must: [firewall] }", with: "must: [firewall], limits: { instructions: 1000/s } }"))
        let token =
            switch role {
            case "tenant": try lab.token("alice")
            case "reader": try lab.token("alice", "--read-only")
            default: "-"
            }
        let keeper = try lab.keeper()
        // schemathesis draws numbers of 32 bits.
        let seed = Seed.drawn(in: 1...UInt64(UInt32.max))
        let judged = try lab.run([
            "python3", Self.here.path + "/judge.py", Self.packages, "\(lab.state)/records.sock", "\(seed)", "25", token,
            "alice",
        ])
        #expect(judged.status == 0, "\(judged.output)")
        #expect(try lab.keeper() == keeper)
    }
}
