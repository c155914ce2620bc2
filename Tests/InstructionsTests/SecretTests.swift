import Foundation
import Testing

@testable import Instructions

@Suite struct SecretTests {
    /// Python's hashlib and hmac are the judges, at every length around the block's.
    @Test func hashesAreThoseOfPython() throws {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = [
            "-c",
            """
            import hashlib, hmac
            for n in range(0, 200):
                m = bytes((n * 7 + i * 31) % 256 for i in range(n))
                print(hashlib.sha256(m).hexdigest(), hmac.new(m, m[::-1], hashlib.sha256).hexdigest())
            """,
        ]
        process.standardOutput = output
        try process.run()
        let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self).split(
            separator: "\n")
        process.waitUntilExit()
        try #require(lines.count == 200)
        func text(_ octets: [UInt8]) -> String { octets.map { String(format: "%02x", $0) }.joined() }
        for (length, line) in lines.enumerated() {
            let message = (0..<length).map { UInt8((length * 7 + $0 * 31) % 256) }
            let words = line.split(separator: " ").map(String.init)
            #expect(text(SHA256.hash(message)) == words[0], "\(length)")
            #expect(text(SHA256.authentication(of: message.reversed(), key: message)) == words[1], "\(length)")
        }
    }

    @Test func aTokenIsReadAsItIsShown() throws {
        let token = AccessToken()
        #expect(AccessToken(token.text) == token)
        #expect(AccessToken() != token)
        for other in [
            "", token.text + "0", String(token.text.dropLast()), token.text.uppercased(), token.id, "tapline__",
        ] {
            #expect(AccessToken(other) == nil, "\(other)")
        }
        #expect(token.hash(salt: AccessToken.newSalt()) != token.hash(salt: AccessToken.newSalt()))
    }
}
