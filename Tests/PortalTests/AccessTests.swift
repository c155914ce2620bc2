import Foundation
import Testing

/// Who may see the page, and what other sites and processes cannot do.
@Suite(.serialized) struct AccessTests {
    private static let token = "0123456789abcdef0123456789abcdef"

    /// A file with the secret.
    private func tokenFile(_ lab: PortalLab, mode: mode_t = 0o600) throws -> String {
        let path = lab.folder.appendingPathComponent("token").path
        try (Self.token + "\n").write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, mode)
        return path
    }

    @Test func onlyItsOwnNamesReachThePage() throws {
        let lab = try PortalLab()
        try lab.serve(["--host", "Lab.Example"])
        for host in ["127.0.0.1", "localhost:\(lab.port)", "LOCALHOST", "[::1]:\(lab.port)", "lab.example:80"] {
            #expect(try lab.get("/", ["Host: \(host)"]).status == 200, "\(host)")
        }
        for host in [
            "evil.example", "127.0.0.1.evil.example", "localhost.", "127.0.0.1:80:80", "192.0.2.1", "", "[::2]",
        ] {
            let answer = try lab.get("/", ["Host: \(host)"])
            #expect(answer.status == 421 && !answer.body.contains("<html"), "\(host)")
        }
        // Two of them, and none.
        #expect(try lab.get("/", ["Host: 127.0.0.1", "Host: evil.example"]).status != 200)
        let none = try Answer(try Connection(lab.port).ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"))
        #expect(none.status == 421)
        let page = try lab.get("/")
        for header in [
            "Content-Security-Policy: default-src 'none'; script-src 'self'", "X-Content-Type-Options: nosniff",
            "Referrer-Policy: same-origin", "Cross-Origin-Resource-Policy: same-origin", "Cache-Control: no-store",
        ] { #expect(page.has(header), "\(header)") }
        // The names of what is fetched: nothing from outside.
        let sources = page.body.matches(of: /(?:src|href)="([^"]*)"/).map { String($0.1) }
        #expect(sources.allSatisfy { $0.hasPrefix("/") || $0.hasPrefix("#") || $0 == "data:," }, "\(sources)")
    }

    @Test func nothingStartsForAnotherSite() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        let form = "secret=\(try lab.secret())&arrow=0&packets=1&seconds=1&count=1"
        for path in ["/capture", "/trace"] {
            for headers in [
                ["Origin: http://evil.example"], ["Origin: null"], ["Origin: http://127.0.0.1:1"],
                ["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"],
                ["Origin: http://127.0.0.1:\(lab.port)", "Sec-Fetch-Site: none"],
            ] {
                #expect(try lab.post(path, form, headers).status == 403, "\(path) \(headers)")
            }
            #expect(try lab.post(path, "arrow=0&count=1").status == 403)
            #expect(try lab.post(path, "secret=\(String(repeating: "0", count: 64))&arrow=0").status == 403)
            #expect(try lab.get(path + "?" + form).status == 405)
            let own = ["Origin: http://127.0.0.1:\(lab.port)", "Sec-Fetch-Site: same-origin"]
            #expect(try lab.post(path, form, own).status == 200)
        }
    }

    @Test func aTokenIsAskedFor() throws {
        let lab = try PortalLab()
        let path = try tokenFile(lab)
        try lab.serve(["--token-file", path])
        for place in ["/", "/tables", "/live", "/metrics", "/status.json", "/page.js", "/arrow/0", "/nothing"] {
            let answer = try lab.get(place)
            #expect(answer.status == 401 && !answer.body.contains(lab.name), "\(place)")
            #expect(try lab.get(place, ["Authorization: Bearer \(Self.token)x"]).status == 401)
            #expect(try lab.get(place, ["Cookie: tapline-session=\(Self.token)"]).status == 401)
        }
        #expect(try lab.post("/trace", "secret=x").status == 401)
        #expect(try lab.get("/metrics", ["Authorization: Bearer \(Self.token)"]).status == 200)
        #expect(try lab.get("/?token=wrong").status == 401)
        #expect(try lab.post("/login", "token=wrong").status == 401)
        for answer in [try lab.get("/?token=\(Self.token)"), try lab.post("/login", "token=\(Self.token)")] {
            #expect(answer.status == 303 && answer.has("Location: /"))
            let match = try #require(
                answer.head.firstMatch(of: /tapline-session=([0-9a-f]{64}); HttpOnly; SameSite=Strict; Path=\//))
            #expect(match.1 != Self.token)
            #expect(try lab.get("/", ["Cookie: a=b; tapline-session=\(match.1)"]).status == 200)
        }
        // Neither the command line nor the environment of a process shows it.
        for process in [try #require(lab.server).process.processIdentifier, try lab.portal()] {
            for file in ["cmdline", "environ"] {
                let text = FileManager.default.contents(atPath: "/proc/\(process)/\(file)") ?? Data()
                #expect(!String(decoding: text, as: UTF8.self).contains(Self.token))
            }
        }
    }

    @Test func otherMachinesNeedAToken() throws {
        let lab = try PortalLab()
        let refused = try Programs.run(Programs.tapline, "serve", lab.name, "--listen", "0.0.0.0:0")
        #expect(refused.status == 64 && refused.output.contains("--token-file"), "\(refused.output)")
        let path = try tokenFile(lab, mode: 0o644)
        let open = try Programs.run(Programs.tapline, "serve", lab.name, "--token-file", path)
        #expect(open.status == 64 && open.output.contains("chmod 600"), "\(open.output)")
        try "short".write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o600)
        let short = try Programs.run(Programs.tapline, "serve", lab.name, "--token-file", path)
        #expect(short.status == 64 && short.output.contains("holds no secret"), "\(short.output)")
        try lab.serve(["--listen", "0.0.0.0:0", "--token-file", try tokenFile(lab)])
        let bearer = "Authorization: Bearer \(Self.token)"
        #expect(try lab.get("/", [bearer, "Host: 192.0.2.7:\(lab.port)"]).status == 200)
        #expect(try lab.get("/", [bearer, "Host: evil.example"]).status == 421)
        for place in ["nonsense", "127.0.0.1", "[::1", "127.0.0.1:99999", "1.2.3:80"] {
            #expect(try Programs.run(Programs.tapline, "serve", lab.name, "--listen", place).status == 64, "\(place)")
        }
    }

    @Test func aUnixSocketIsItsOwnersAlone() throws {
        let lab = try PortalLab()
        let path = lab.folder.appendingPathComponent("page.sock").path
        func serve() throws -> Programs.Started {
            let started = try Programs.Started([Programs.tapline, "serve", lab.name, "--socket", path])
            try Programs.eventually("it listens") { started.text.contains("is at \(path)") }
            return started
        }
        let first = try serve()
        var info = stat()
        #expect(lstat(path, &info) == 0 && info.st_mode & 0o777 == 0o600)
        let page = try Programs.run("curl", "-s", "--unix-socket", path, "http://localhost/")
        #expect(page.output.contains("<h1>\(lab.name)</h1>"))
        let second = try Programs.run(Programs.tapline, "serve", lab.name, "--socket", path)
        #expect(second.status == 2 && second.output.contains("another program listens"), "\(second.output)")
        // What a killed one leaves is taken over.
        kill(first.process.processIdentifier, SIGKILL)
        _ = first.finish()
        #expect(access(path, F_OK) == 0)
        let third = try serve()
        third.process.terminate()
        _ = third.finish()
        #expect(access(path, F_OK) != 0)
        try "kept".write(toFile: path, atomically: true, encoding: .utf8)
        let file = try Programs.run(Programs.tapline, "serve", lab.name, "--socket", path)
        #expect(file.status == 2)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "kept")
    }
}
