import Foundation
import Testing

/// `tapline top` in a real terminal, and elsewhere.
@Suite(.serialized) struct TopTests {
    private func top(_ lab: Lab, _ options: String = "--interval 200ms") -> String {
        "'\(Product.tapline)' top \(lab.name) \(options)"
    }

    private func isDrawn(_ lines: [String]) -> Bool { lines.contains { $0.hasPrefix("KIND") } }

    @Test func itDrawsAndHeedsKeysAndSizes() throws {
        try MetricsLab.with { lab in
            let window = try TerminalWindow(top(lab))
            let first = try window.wait("no table", isDrawn)
            try #require(first.count == 24 && first.allSatisfy { $0.count <= 80 })
            #expect(try window.value("alternate_on") == "1" && window.value("cursor_flag") == "0")
            #expect(first[0].hasPrefix("\(lab.name): up, table "))
            #expect(first[2].hasPrefix("all rows, ") && first[2].hasSuffix(", by bits"))
            #expect(first[23].hasPrefix("q quit"))
            try window.type("n")
            try window.wait("not by name") { $0.count > 2 && $0[2].hasSuffix(", by name") }
            try window.type("Tab")
            // Four interfaces, in both directions.
            let interfaces = try window.wait("no interfaces") { $0.count > 2 && $0[2] == "interface rows, 8, by name" }
            try #require(interfaces.count > 12)
            #expect(interfaces[4...11].allSatisfy { $0.hasPrefix("interface ") } && interfaces[12].isEmpty)
            try window.type("r")
            try window.wait("not reversed") { $0.count > 4 && $0[4].hasPrefix("interface servers, sent") }
            try window.type("/", "c", "u", "s", "x", "BSpace")
            try window.wait("no filter") { $0.last?.hasPrefix("filter: cus_") == true }
            try window.type("Enter")
            try window.wait("no filter") { $0.count > 2 && $0[2] == "interface rows, 2, by name, reversed, with 'cus'" }
            try window.tmux("resize-window", "-x", "60", "-y", "10")
            // The terminal itself cuts the lines until they are drawn anew, and says nothing of it.
            try window.wait("not small") { lines in
                lines.count == 10 && lines.allSatisfy { $0.count <= 60 }
                    && lines.last.map { $0.hasPrefix("q quit") && $0.hasSuffix("~") } == true
            }
            try window.type("Escape", "p")
            try window.wait("not all") {
                $0.count > 2 && $0[2].hasPrefix("all rows, ") && $0[2].hasSuffix(", by packets, reversed")
            }
            // Twelve lines less are not all rows: the last one comes into sight.
            try window.type("n", "r")
            try window.wait("not by name") { $0.count > 4 && $0[4].hasPrefix("control ") }
            for _ in 0..<40 { try window.type("NPage") }
            try window.wait("not scrolled") { lines in lines.contains { $0.hasPrefix("service   shop, response") } }
            try window.tmux("resize-window", "-x", "132", "-y", "40")
            try window.wait("not large") { $0.count == 40 && $0[4].hasPrefix("control ") }
            try window.type("q")
            try window.wait("not ended") { $0.contains("ended with 0") }
            try window.expectRestored()
        }
    }

    @Test func ratesAreThoseOfTheTraffic() throws {
        try MetricsLab.with { lab in
            let window = try TerminalWindow(top(lab, "--interval 1s --filter 'service shop'"))
            try window.wait("no table", isDrawn)
            // 50 echoes a second, there and back.
            let ping = "ping -n -q -i 0.02 -c 6000 203.0.113.80"
            let pinging = try Started(["exec", lab.name, "alice", "--", "/bin/sh", "-c", ping])
            try window.wait("no rates") { lines in
                ["request", "response"].allSatisfy { direction in
                    lines.contains { line in
                        guard line.hasPrefix("service   shop, \(direction)") else { return false }
                        let numbers = line.split(separator: " ").dropFirst(3).compactMap { Double($0) }
                        return numbers.first.map { (30...70).contains($0) } ?? false
                    }
                }
            }
            pinging.end()
        }
    }

    @Test func timesInApplicationsAreShownWhileTheyAreMeasured() throws {
        try MetricsLab.with { lab in
            let window = try TerminalWindow(top(lab, "--interval 500ms --times 1/1 --filter time"))
            try window.wait("no table", isDrawn)
            let pinging = try Started(
                ["exec", lab.name, "alice", "--", "/bin/sh", "-c", "ping -n -q -i 0.01 -c 12000 203.0.113.80"])
            let lines = try window.wait("no times") { lines in
                lines.contains { $0.hasPrefix("time      fw-") && $0.contains(" p50 ") && $0.contains(" p99 ") }
            }
            #expect(lines.allSatisfy { $0.count <= 80 })
            try window.type("q")
            try window.wait("not ended") { $0.contains("ended with 0") }
            // Others see them, too, as long as they are measured.
            let ran = try run(
                Product.tapline, ["top", lab.name, "--json", "--count", "1", "--filter", "time"], timeout: 60)
            let line = try #require(
                try JSONSerialization.jsonObject(with: Data(ran.output.utf8)) as? [String: Any], "\(ran)")
            let rows = try #require(line["rows"] as? [[String: Any]])
            #expect(Set(rows.compactMap { $0["name"] as? String }).isSuperset(of: ["fw-a", "fw-b"]), "\(rows)")
            #expect(rows.contains { $0["p50"] as? Int ?? 0 > 0 && $0["p99"] as? Int ?? 0 > 0 }, "\(rows)")
            pinging.end()
        }
    }

    @Test(arguments: [("C-c", 130), ("C-\\", 131)])
    func keysThatEndIt(_ key: String, _ status: Int) throws {
        try MetricsLab.with { lab in
            let window = try TerminalWindow(top(lab))
            try window.wait("no table", isDrawn)
            try window.type(key)
            try window.wait("not ended") { lines in lines.contains { $0.hasPrefix("ended with \(status)") } }
            try window.expectRestored()
        }
    }

    @Test func aSignalEndsItAndATopologyThatGoes() throws {
        try MetricsLab.with { lab in
            let window = try TerminalWindow("sh -c 'echo $$ > pid; exec \(top(lab))'")
            try window.wait("no table", isDrawn)
            let pid = try String(contentsOf: window.folder.appendingPathComponent("pid"), encoding: .utf8)
            kill(try #require(Int32(pid.trimmingCharacters(in: .whitespacesAndNewlines))), SIGTERM)
            try window.wait("not ended") { $0.contains("ended with 143") }
            try window.expectRestored()

            let last = try TerminalWindow(top(lab, ""))
            try last.wait("no table") { $0.first?.contains("after one interval") == true || isDrawn($0) }
            #expect(try lab.tapline("down", lab.name).status == 0)
            let ended = try last.wait("not ended") { $0.contains("ended with 5") }
            #expect(ended.contains { $0.contains("the topology '\(lab.name)' was taken away") }, "\(ended)")
            try last.expectRestored()
            #expect(try run(Product.tapline, ["up", lab.folder.path, "--name", lab.name, "-d"]).status == 0)
        }
    }

    @Test func itIsStoppedAndGoesOn() throws {
        try MetricsLab.with { lab in
            let window = try TerminalWindow("exec bash --norc -i")
            try window.type(top(lab), "Enter")
            try window.wait("no table", isDrawn)
            try window.type("C-z")
            try window.wait("not stopped") { lines in lines.contains { $0.contains("Stopped") } }
            #expect(try window.value("alternate_on") == "0" && window.value("cursor_flag") == "1")
            try window.type("fg", "Enter")
            try window.wait("no table", isDrawn)
            #expect(try window.value("alternate_on") == "1")
            try window.type("q")
            try window.wait("not ended") { !isDrawn($0) }
        }
    }

    @Test func statusWatchesToo() throws {
        try MetricsLab.with { lab in
            let window = try TerminalWindow(
                "'\(Product.tapline)' status \(lab.name) --watch --count 2", variables: "LC_ALL=C")
            try window.wait("not ended") { $0.contains("ended with 0") }
            try window.expectRestored()
            let nameless = try lab.tapline("status", "--watch")
            #expect(nameless.status == 64 && nameless.output.contains("Name the topology to watch"))
            let unwatched = try lab.tapline("status", lab.name, "--count", "2")
            #expect(unwatched.status == 64 && unwatched.output.contains("go with --watch"))
        }
    }

    @Test func elsewhereItPrintsPlainLines() throws {
        try MetricsLab.with { lab in
            let plain = try lab.tapline(
                "top", lab.name, "--interval", "100ms", "--count", "2", "--filter", "service shop")
            #expect(plain.status == 0)
            let lines = plain.output.split(separator: "\n")
            #expect(lines.count == 4, "\(plain.output)")
            #expect(
                lines.allSatisfy {
                    $0.wholeMatch(of: /[0-9T:.-]+Z service shop (request|response) 0\.0 packets\/s 0\.0 bits\/s/) != nil
                }, "\(plain.output)")
            // A terminal that cannot be drawn on gets lines, too.
            let dumb = try run(
                "/usr/bin/script",
                ["-qec", "TERM=dumb '\(Product.tapline)' top \(lab.name) --interval 100ms --count 1", "/dev/null"])
            #expect(
                dumb.status == 0 && !dumb.output.contains("\u{1B}")
                    && dumb.output.contains(" interface customers received "))
            let missing = try lab.tapline("top", "no-such-topology")
            #expect(missing.status == 5 && missing.output.contains("there is no topology 'no-such-topology'"))
            for options in [["--interval", "1ms"], ["--interval", "soon"], ["--count", "0"], ["--sort", "size"]] {
                #expect(try run(Product.tapline, ["top", lab.name] + options).status == 64)
            }
        }
    }

    @Test func eachIntervalIsOneLineOfJSON() throws {
        try MetricsLab.with { lab in
            let printed = try lab.tapline("top", lab.name, "--json", "--interval", "100ms", "--count", "3")
            #expect(printed.status == 0)
            let reports = try printed.output.split(separator: "\n").map { line in
                try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            }
            #expect(reports.count == 3)
            for report in reports {
                #expect(report["name"] as? String == lab.name && report["state"] as? String == "up")
                #expect(try #require(report["seconds"] as? Double) >= 0.1)
                let rows = try #require(report["rows"] as? [[String: Any]])
                let kinds = Set(rows.compactMap { $0["kind"] as? String })
                #expect(kinds.isSuperset(of: ["interface", "service", "entry", "engine", "node", "control"]))
            }
        }
    }
}

/// A command of tapline that runs beside the test.
private final class Started {
    private let process = Process()

    init(_ words: [String]) throws {
        process.executableURL = URL(fileURLWithPath: Product.tapline)
        process.arguments = words
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    func end() {
        process.terminate()
        process.waitUntilExit()
    }
}
