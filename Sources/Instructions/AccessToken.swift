/// A secret that shows who gives an instruction: `tapline_ID_SECRET`. Only its salted hash is kept.
package struct AccessToken: Sendable, Hashable {
    /// What tells it from other tokens; no secret.
    package var id: String
    /// 64 hexadecimal digits: 256 random bits.
    package var secret: String

    private static let beginning = "tapline"

    /// A fresh one.
    package init() {
        var generator = SystemRandomNumberGenerator()
        id = Self.digits(generator.next())
        secret = (0..<4).map { _ in Self.digits(generator.next()) }.joined()
    }

    /// The token of a text; nil if it is none.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == Self.beginning, parts[1].utf8.count == 16, parts[2].utf8.count == 64,
            [parts[1], parts[2]].allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) } }
            )
        else { return nil }
        (id, secret) = (String(parts[1]), String(parts[2]))
    }

    /// As it is shown, once.
    package var text: String { "\(Self.beginning)_\(id)_\(secret)" }

    /// What is kept of it.
    package func hash(salt: [UInt8]) -> [UInt8] { SHA256.authentication(of: Array(secret.utf8), key: salt) }

    /// Thirty-two random octets.
    package static func newSalt() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// True if both are the same. The time that it takes depends on their lengths alone.
    package static func isEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        guard one.count == other.count else { return false }
        return zip(one, other).reduce(UInt8(0)) { $0 | $1.0 ^ $1.1 } == 0
    }

    private static func digits(_ number: UInt64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
