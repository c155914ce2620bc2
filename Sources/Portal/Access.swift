import ApplianceClient
import NIOHTTP1

/// Who may see the page, and what may start something.
struct Access {
    private let settings: PortalSettings
    /// What forms repeat: no other site can know it. It dies with the process.
    let secret = Access.random()
    /// What a browser keeps that has shown the token.
    private let session = Access.random()

    private static let cookie = "tapline-session"

    init(_ settings: PortalSettings) { self.settings = settings }

    /// True if visitors need the token.
    var needsToken: Bool { settings.token != nil }

    /// Sixty-four random hexadecimal digits.
    private static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let digits = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// True if both are the same. The time that it takes depends on the length of what was given alone.
    static func isEqual(_ given: String, _ secret: String) -> Bool {
        let secret = Array(secret.utf8)
        guard !secret.isEmpty else { return false }
        var difference = UInt8(given.utf8.count == secret.count ? 0 : 1)
        for (index, octet) in given.utf8.enumerated() { difference |= octet ^ secret[index % secret.count] }
        return difference == 0
    }

    /// True if the request's Host is a name of this page: a page of another site that has its name resolved to this address
    /// is none.
    func knows(host headers: HTTPHeaders) -> Bool {
        let hosts = headers["host"]
        guard hosts.count == 1, let name = Self.hostName(hosts[0]) else { return false }
        if settings.hosts.contains(name) { return true }
        return settings.takesAnyAddress && Self.isAddress(name)
    }

    /// The name of a Host, in small letters, without its port.
    static func hostName(_ host: String) -> String? {
        let host = host.lowercased()
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return nil }
            let rest = host[host.index(after: end)...]
            guard rest.isEmpty || isPort(rest) else { return nil }
            return String(host[...end])
        }
        guard let colon = host.firstIndex(of: ":") else { return host }
        return isPort(host[colon...]) ? String(host[..<colon]) : nil
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.first == ":" && (1...5).contains(text.count - 1)
            && text.dropFirst().utf8.allSatisfy { (48...57).contains($0) }
    }

    /// No name of a site ends in a number, and none has brackets.
    private static func isAddress(_ name: String) -> Bool {
        if name.hasPrefix("[") { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }

    /// True if the visitor has shown the token.
    func admits(_ headers: HTTPHeaders) -> Bool {
        guard let token = settings.token else { return true }
        for value in headers["authorization"] {
            let parts = value.split(separator: " ", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "bearer", Self.isEqual(String(parts[1]), token) {
                return true
            }
        }
        for header in headers["cookie"] {
            for pair in header.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == Self.cookie else { continue }
                if Self.isEqual(String(parts[1]), session) { return true }
            }
        }
        return false
    }

    /// The cookie for who shows the token; nil if it is another one.
    func cookie(for given: String) -> String? {
        guard let token = settings.token, Self.isEqual(given, token) else { return nil }
        return "\(Self.cookie)=\(session); HttpOnly; SameSite=Strict; Path=/"
    }

    /// Why a request may not start anything; nil if it may: it comes from this page itself.
    func refusal(of headers: HTTPHeaders, secret given: String?) -> String? {
        for site in headers["sec-fetch-site"] where site != "same-origin" {
            return "the request comes from another site (Sec-Fetch-Site)"
        }
        for origin in headers["origin"] {
            let host = headers.first(name: "host")?.lowercased()
            let place = origin.lowercased().split(separator: "/", omittingEmptySubsequences: false)
            guard place.count == 3, place[1].isEmpty, place[0].hasSuffix(":"), host.map({ place[2] == $0 }) == true
            else {
                return "the request comes from another site (Origin)"
            }
        }
        guard let given, Self.isEqual(given, secret) else {
            return "the request does not have the page's secret: load the page again"
        }
        return nil
    }

    /// What every answer has.
    static let headers: [(String, String)] = [
        (
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
                + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ), ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"),
        // No address of this page leaves it; forms still say that they come from it.
        ("Referrer-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"), ("Cache-Control", "no-store"),
    ]
}

/// The fields of a form or of a query, as browsers write them (application/x-www-form-urlencoded).
struct FormFields {
    private let fields: [String: String]

    init(_ text: some StringProtocol) {
        var fields: [String: String] = [:]
        for pair in text.split(separator: "&").prefix(64) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(parts[0]), let value = parts.count > 1 ? Self.decoded(parts[1]) : "" else {
                continue
            }
            fields[name] = value
        }
        self.fields = fields
    }

    /// A field; nil if it is missing or blank.
    subscript(name: String) -> String? {
        fields[name].flatMap { $0.allSatisfy(\.isWhitespace) ? nil : $0 }
    }

    /// A number in a range; the nearest one if it is outside; `otherwise` if it is none.
    func number(_ name: String, _ range: ClosedRange<Int>, otherwise: Int) -> Int {
        guard let number = self[name].flatMap({ Int($0) }) else { return otherwise }
        return min(max(number, range.lowerBound), range.upperBound)
    }

    /// The text of a name or a value; nil if it is not UTF-8, or a percent sign stands without two digits.
    private static func decoded(_ text: some StringProtocol) -> String? {
        var octets: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let octet = rest.popFirst() {
            switch octet {
            case UInt8(ascii: "+"): octets.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
                else {
                    return nil
                }
                octets.append(value)
                rest.removeFirst(2)
            default: octets.append(octet)
            }
        }
        return String(validating: octets, as: UTF8.self)
    }
}
