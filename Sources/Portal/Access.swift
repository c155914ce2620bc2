import ApplianceClient
import NIOHTTP1
import WebPages

/// Who may see the page, and what may start something.
struct Access {
    private let settings: PortalSettings
    /// What forms repeat: no other site can know it. It dies with the process.
    let secret = PageSafety.random()
    /// What a browser keeps that has shown the token.
    private let session = PageSafety.random()

    private static let cookie = "tapline-session"

    init(_ settings: PortalSettings) { self.settings = settings }

    /// True if visitors need the token.
    var needsToken: Bool { settings.token != nil }

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
            if parts.count == 2, parts[0].lowercased() == "bearer", PageSafety.isEqual(String(parts[1]), token) {
                return true
            }
        }
        for header in headers["cookie"] {
            for pair in header.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == Self.cookie else { continue }
                if PageSafety.isEqual(String(parts[1]), session) { return true }
            }
        }
        return false
    }

    /// The cookie for who shows the token; nil if it is another one.
    func cookie(for given: String) -> String? {
        guard let token = settings.token, PageSafety.isEqual(given, token) else { return nil }
        return "\(Self.cookie)=\(session); HttpOnly; SameSite=Strict; Path=/"
    }

    /// Why a request may not start anything; nil if it may: it comes from this page itself.
    func refusal(of headers: HTTPHeaders, secret given: String?) -> String? {
        let refusal = PageSafety.refusal(
            sites: headers["sec-fetch-site"], origins: headers["origin"], host: headers.first(name: "host"))
        if let refusal { return refusal }
        guard let given, PageSafety.isEqual(given, secret) else {
            return "the request does not have the page's secret: load the page again"
        }
        return nil
    }
}
