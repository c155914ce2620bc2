import Foundation
import Testing

/// The token of a command, in the environment or in a file: one that is lost, or is none, is told in a sentence.
@Suite(.serialized) struct TokenFileTests {
    @Test func aTokenIsReadFromAFile() throws {
        let lab = try RecordsLab()
        let token = try lab.token("alice")
        let file = lab.folder.appendingPathComponent("token").path
        func list(_ words: String..., environment: [String: String] = [:]) throws -> Finished {
            try lab.run(
                [RecordsLab.programs.appendingPathComponent("tapline").path, "service", "list", lab.name] + words,
                environment: environment)
        }
        func write(_ text: String, _ mode: Int = 0o600) throws {
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
        }
        try write("\(token)\n")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: token, RecordsLab.service()).status == 200)
        let good = try list("--token-file", file)
        #expect(good.status == 0 && good.output.contains("203.0.113.97"), "\(good.output)")
        // The file goes before the environment.
        #expect(try list("--token-file", file, environment: ["TAPLINE_TOKEN": "x"]).status == 0)
        let other = "the operator makes another one by 'tapline tenant token', and revokes a lost one"
        func refused(_ finished: Finished, _ status: Int32, _ sentence: String) {
            #expect(finished.status == status && finished.output.contains(sentence), "\(finished.output)")
            #expect(!finished.output.contains(token), "\(finished.output)")
        }
        try write("\(token)\n", 0o644)
        refused(try list("--token-file", file), 64, "others can read the token in \(file); chmod 600 \(file)")
        for text in ["", "\n", "no token", String(token.dropLast()), "tapline_\(token)", "\u{0}\(token)"] {
            try write(text)
            refused(
                try list("--token-file", file), 64, "\(file) holds no token; a token begins with tapline_; \(other)")
        }
        try FileManager.default.removeItem(atPath: file)
        refused(
            try list("--token-file", file), 2, "cannot read the token in \(file): No such file or directory; \(other)")
        refused(try list("--token-file", lab.folder.path), 64, "is no file")
        // What is no token never makes the command act for the operator, and gets no line into the request.
        for text in ["", "x", "\(token)\r\nX: y", token.uppercased()] {
            refused(
                try list(environment: ["TAPLINE_TOKEN": text]), 64,
                "what TAPLINE_TOKEN has is no token; a token begins with tapline_; \(other)")
        }
        #expect(try list().status == 0)
    }
}
