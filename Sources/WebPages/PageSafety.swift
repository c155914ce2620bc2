/// What keeps other sites from a page.
package enum PageSafety {
    /// What every answer of a page has.
    package static let headers: [(String, String)] = [
        (
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
                + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ), ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"),
        // No address of a page leaves it; forms still say that they come from it.
        ("Referrer-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"), ("Cache-Control", "no-store"),
    ]

    /// Sixty-four random hexadecimal digits.
    package static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let digits = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// True if both are the same. The time that it takes depends on the length of what was given alone.
    package static func isEqual(_ given: String, _ secret: String) -> Bool {
        let secret = Array(secret.utf8)
        guard !secret.isEmpty else { return false }
        var difference = UInt8(given.utf8.count == secret.count ? 0 : 1)
        for (index, octet) in given.utf8.enumerated() { difference |= octet ^ secret[index % secret.count] }
        return difference == 0
    }

    /// Why a request that starts or changes something is not from the page itself; nil if nothing speaks against it. Browsers
    /// say where a request comes from; other programs say nothing.
    ///
    /// - Parameters:
    ///   - sites: The values of Sec-Fetch-Site.
    ///   - origins: The values of Origin.
    ///   - host: The value of Host.
    package static func refusal(sites: [String], origins: [String], host: String?) -> String? {
        for site in sites where site != "same-origin" {
            return "the request comes from another site (Sec-Fetch-Site)"
        }
        let host = host?.lowercased()
        for origin in origins {
            let place = origin.lowercased().split(separator: "/", omittingEmptySubsequences: false)
            guard place.count == 3, place[1].isEmpty, place[0].hasSuffix(":"), host.map({ place[2] == $0 }) == true
            else {
                return "the request comes from another site (Origin)"
            }
        }
        return nil
    }
}
