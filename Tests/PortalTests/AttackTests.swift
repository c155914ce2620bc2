import Foundation
import Testing

/// Clients that mean harm, or read nothing.
@Suite(.serialized) struct AttackTests {
    /// What is no request is refused and closed; the page goes on.
    @Test func brokenRequestsEndTheirConnectionAlone() throws {
        let lab = try PortalLab()
        try lab.serve()
        let host = "Host: 127.0.0.1:\(lab.port)\r\n"
        let long = String(repeating: "a", count: 100_000)
        let requests = [
            "GET /\(long) HTTP/1.1\r\n\(host)\r\n", "GET / HTTP/1.1\r\n\(host)X: \(long)\r\n\r\n",
            "GET / HTTP/1.1\r\n\(host)" + String(repeating: "X: y\r\n", count: 10_000) + "\r\n",
            "POST /trace HTTP/1.1\r\n\(host)Content-Length: 1000000000\r\n\r\n\(long)",
            "POST /trace HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n186A0\r\n\(long)\r\n",
            "POST /trace HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "POST /trace HTTP/1.1\r\n\(host)Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            "\u{0}\u{1}\u{2}\r\n\r\n", "GET / HTTP/9.9\r\n\(host)\r\n", "GET\r\n\r\n", "\(long)\(long)",
            "CONNECT example.org:443 HTTP/1.1\r\n\(host)Connection: close\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
        for request in requests {
            let octets = try Connection(lab.port).ask(request)
            let text = String(decoding: octets, as: UTF8.self)
            #expect(
                !text.hasPrefix("HTTP/1.1 200") && !text.hasPrefix("HTTP/1.1 3"),
                "\(request.prefix(60)): \(text.prefix(200))")
        }
        for path in [
            "/../../etc/passwd", "/arrow/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/node/0%00",
            "/arrow/99999999999999999999", "/page.css/..", "/arrow/0/1", "*",
        ] { #expect(try lab.get(path).status == 404, "\(path)") }
        for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
            let answer = try Answer(try Connection(lab.port).ask(lab.request(method, "/")))
            #expect(answer.status == 405, "\(method)")
        }
        // Requests behind one another are answered one by one, as far as their answers are read. The last one ends them.
        let one = "GET / HTTP/1.1\r\n\(host)\r\n"
        let piped = String(
            decoding: try Connection(lab.port).ask(String(repeating: one, count: 500) + lab.request("GET", "/")),
            as: UTF8.self)
        #expect((2...502).contains(piped.components(separatedBy: "HTTP/1.1 200").count))
        let deaf = try Connection(lab.port, receiveBuffer: 4096)
        #expect(!deaf.say(String(repeating: one, count: 200_000)), "it takes requests whose answers nobody reads")
        #expect(try lab.get("/").status == 200)
    }

    /// One connection serves one request after the other.
    @Test func aConnectionIsKept() throws {
        let lab = try PortalLab()
        try lab.serve()
        let connection = try Connection(lab.port)
        for _ in 0..<20 {
            connection.say("GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(try connection.read(until: "forced-colors").hasPrefix("HTTP/1.1 200"))
        }
    }

    /// Connections that send nothing take their places for a while; later ones are told, and then there is room again.
    @Test func heldConnectionsAreClosed() throws {
        let lab = try PortalLab()
        try lab.serve(["--patience", "2s"])
        let held = try (0..<64).map { index in
            let connection = try Connection(lab.port)
            if index % 2 == 0 { connection.say("GET / HTTP/1.1\r\nX-") }
            return connection
        }
        var told = ""
        try Programs.eventually("all places are taken") {
            told = String(decoding: try Connection(lab.port).rest(), as: UTF8.self)
            return told.hasPrefix("HTTP/1.1 503")
        }
        #expect(told.contains("64 connections are open already"))
        // They send an octet now and then, as a slow client would; that does not help them.
        try Programs.eventually("there is room again") {
            for index in stride(from: 0, to: 64, by: 2) { held[index].say("a") }
            return try Connection(lab.port).ask(lab.request("GET", "/")).starts(with: Array("HTTP/1.1 200".utf8))
        }
    }

    /// A hundred captures at once: as many as there is room for run, the others are told, and commands have places left.
    @Test func aHundredCapturesAreTooMany() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        let form = "secret=\(try lab.secret())&arrow=0&packets=100000&seconds=120"
        let running = Programs.tapline
        var open: [Connection] = []
        var refused = 0
        for _ in 0..<100 {
            let connection = try Connection(lab.port)
            connection.say(lab.request("POST", "/capture", ["Content-Length: \(form.utf8.count)"]) + form)
            let answer = try connection.read(until: "\r\n\r\n")
            if answer.hasPrefix("HTTP/1.1 200") {
                open.append(connection)
            } else {
                #expect(answer.hasPrefix("HTTP/1.1 503"), "\(answer.prefix(200))")
                refused += 1
            }
        }
        #expect(open.count == 8 && refused == 92)
        #expect(try lab.ping(20))
        let command = try Programs.Started([
            running, "capture", lab.name, "--count", "2", "-w", lab.folder.path + "/c.pcapng",
        ])
        try Programs.eventually("a command captures beside them") {
            try #require(try lab.ping(2))
            return !command.process.isRunning
        }
        #expect(command.finish().status == 0)
        open = []
        try Programs.eventually("there is room again") {
            let connection = try Connection(lab.port)
            connection.say(lab.request("POST", "/capture", ["Content-Length: \(form.utf8.count)"]) + form)
            return try connection.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200")
        }
    }
}
