import CLinux
import Foundation
import Testing

/// The list of system calls that the page's process may make, beside a trace of those that it makes.
@Suite(.serialized) struct PortalCallsTests {
    /// What the list has for machines and moments that the trace does not meet; calls.c says why, at each.
    private static let unseen: Set<Int> = []

    /// What the process tries, and goes on without.
    private static let refused: Set<Int> = [Int(SYS_clone3)]

    /// The numbers of the calls that a trace tells of, from the filter on.
    ///
    /// - Parameter text: As `strace -f -n` writes it: `PID [NUMBER] name(…`.
    private static func calls(_ text: String) -> (isConfined: Bool, numbers: Set<Int>) {
        var numbers: Set<Int> = []
        var isConfined = false
        for line in text.split(separator: "\n") {
            if line.contains("SECCOMP_SET_MODE_FILTER") {
                isConfined = true
                continue
            }
            guard isConfined, !line.contains(" resumed>"), let open = line.firstIndex(of: "["),
                let close = line[open...].firstIndex(of: "]"),
                let number = Int(line[line.index(after: open)..<close].filter { $0 != " " })
            else { continue }
            numbers.insert(number)
        }
        return (isConfined, numbers)
    }

    /// All that the page does: pages, events, details, a capture, a trace, broken requests, and a topology that goes and comes.
    private func use(_ lab: PortalLab) throws {
        for path in ["/", "/page.css", "/page.js", "/metrics", "/status.json", "/arrow/0", "/node/0", "/nothing"] {
            _ = try lab.get(path)
        }
        _ = try lab.post("/login", "token=wrong")
        _ = try Connection(lab.port).ask("no request\r\n\r\n")
        let kept = try Connection(lab.port)
        kept.say("GET /page.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = try kept.read(until: "forced-colors")
        let deaf = try Connection(lab.port, receiveBuffer: 4096)
        deaf.say(String(repeating: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 200))
        let stream = try Connection(lab.port)
        stream.say(lab.request("GET", "/live?build=0&after=0"))
        _ = try stream.read(until: "\"state.word\":\"up\"")
        let secret = try lab.secret()
        let trace = try Connection(lab.port)
        let wish = "secret=\(secret)&count=2&seconds=60&as=events"
        trace.say(lab.request("POST", "/trace", ["Content-Length: \(wish.utf8.count)"]) + wish)
        _ = try trace.read(until: "200 OK")
        let capture = try Connection(lab.port)
        let form = "secret=\(secret)&arrow=0&packets=2&seconds=60"
        capture.say(lab.request("POST", "/capture", ["Content-Length: \(form.utf8.count)"]) + form)
        _ = try capture.read(until: "200 OK")
        try Programs.eventually("the capture and the trace have what they want") {
            try #require(try lab.ping(3))
            return String(decoding: capture.rest(), as: UTF8.self).hasSuffix("0\r\n\r\n")
        }
        _ = trace.rest()
        try lab.down()
        _ = try stream.read(until: "\"state.word\":\"down\"")
        try lab.up()
        _ = try stream.read(until: "\"state.word\":\"up\"")
        try lab.seen()
    }

    @Test func theListIsWhatATraceShows() throws {
        let lab = try PortalLab()
        try lab.up()
        let trace = lab.folder.appendingPathComponent("calls").path
        let program = lab.folder.appendingPathComponent("traced").path
        try """
        #!/bin/sh
        exec /usr/bin/strace -f -n -qq -o \(trace) \(Programs.folder)/tapline-portal
        """.write(toFile: program, atomically: true, encoding: .utf8)
        chmod(program, 0o755)
        try lab.serve(environment: ["TAPLINE_PORTAL_PROGRAM": program])
        try lab.seen()
        try use(lab)
        let text = try String(contentsOfFile: trace, encoding: .utf8)
        let (isConfined, made) = Self.calls(text)
        #expect(isConfined, "\(text.suffix(2000))")
        var count = 0
        let list = clinux_portal_calls(&count)
        let allowed = Set((0..<count).map { Int(list![$0].number) })
        #expect(made.subtracting(allowed).subtracting(Self.refused) == [], "the list lacks calls that the page makes")
        #expect(
            allowed.subtracting(made).subtracting(Self.unseen) == [], "the list has calls that the page does not make")
        #expect(Self.unseen.isSubset(of: allowed) && Self.refused.isDisjoint(with: allowed))
    }
}
