import EngineRig
import Foundation
import Testing
@testable import Tracing
import Wire

/// What people and programs read of traces.
@Suite struct ReportTests {
    private typealias F = TestFrame

    /// Ten requests through the firewall, which takes 100, 200 … µs; one that it drops; and one that the engine drops.
    private func lab() throws -> Lab {
        let lab = try Lab("four-interface")
        for number in 1...10 {
            let first = lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000 + number, "203.0.113.80", 80))
            lab.wait(.microseconds(100 * number))
            for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        }
        lab.send("alice", "customers", F.tcp("192.0.2.10", 5_000, "203.0.113.80", 8080))
        lab.send("bob", "customers", F.udp("192.0.2.20", 4_000, "198.51.100.9", 53))
        return lab
    }

    private func summary(_ traces: [PacketTrace], _ counts: PacketTracer.Counts = .init()) -> TraceSummaryReport {
        var summary = TraceSummary()
        for trace in traces { summary.add(trace) }
        return summary.report(counts)
    }

    @Test func theSummaryHasEachPathWithItsTimes() throws {
        let (traces, counts) = try lab().trace()
        let report = summary(traces, counts)
        #expect(report.traces == 12)
        #expect(report.ends == ["delivered": 10, "vanished": 1, "dropped": 1])
        #expect(report.drops == ["no-service": 1])
        let path = try #require(report.paths.first)
        #expect(path.path == "alice → ids, firewall → shop" && path.count == 10)
        #expect(path.nodes.map(\.node) == ["firewall"])
        let times = path.nodes[0].times
        // A histogram tells three digits.
        #expect(times.count == 10 && times.max == 1_000_000)
        #expect(times.p50 >= 500_000 && times.p50 <= 500_500)
        #expect(path.engine.p50 == 6_000 || path.engine.p50 == 6_003)
        #expect(report.paths.count == 3)
    }

    @Test func everyTextFitsEightyColumns() throws {
        let (traces, _) = try lab().trace()
        var counts = PacketTracer.Counts()
        counts.lost = 12
        counts.evicted = 1
        var lines = TraceText.lines(summary(traces, counts))
        for trace in traces { lines += TraceText.lines(trace) }
        for line in lines { #expect(line.count <= 80 && !line.hasSuffix(" "), "\(line)") }
        let text = lines.joined(separator: "\n")
        #expect(text.contains("alice → ids, firewall → shop: 10 packets"))
        #expect(text.contains("12 records did not fit the ring"))
        #expect(text.contains("vanished: It entered firewall"))
        #expect(text.contains("dropped, no-service: No service on the received interface"))
        for width in [60, 100, 132] {
            for trace in traces {
                for line in TraceText.lines(trace, width: width) { #expect(line.count <= width, "\(line)") }
            }
        }
    }

    @Test func aTraceReadsHopByHop() throws {
        let lab = try Lab("four-interface")
        let first = lab.send(
            "alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, payload: [], flags: 0x02))
        lab.wait(.microseconds(94))
        for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        let trace = try #require(lab.trace().traces.first)
        #expect(
            TraceText.lines(trace) == [
                "#1 alice: 192.0.2.10:4000 → 203.0.113.80:80 tcp SYN, 40 octets",
                "    +0 ns       customers        alice            shopping.request.customers",
                "                                                  (line 21)",
                "    +3.00 us    inspection       → ids            passive, engine 3.00 us",
                "    +3.00 us    inspection       → firewall       inline, engine 3.00 us",
                "    +97.0 us    inspected        firewall         shopping.request.firewall",
                "                                                  (line 21); 94.0 us inside",
                "    +100 us     servers          → shop           terminal, engine 3.00 us",
                "    engine           |##                                            |   3.00 us",
                "    firewall         | ############################################ |   94.0 us",
                "    engine           |                                            ##|   3.00 us",
                "    delivered: It reached shop.",
            ])
    }

    @Test func timesHaveThreeDigits() {
        let times: [(UInt64, String)] = [
            (0, "0 ns"), (999, "999 ns"), (1_000, "1.00 us"), (4_109, "4.10 us"), (99_999, "99.9 us"),
            (100_999, "100 us"), (12_345_678, "12.3 ms"), (1_005_000_000, "1.00 s"), (120_000_000_000, "120 s"),
        ]
        for (time, text) in times { #expect(TraceText.time(time) == text) }
    }

    @Test func jsonHasTheDocumentedKeysAndComesBack() throws {
        let (traces, _) = try lab().trace()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        for trace in traces {
            let data = try encoder.encode(trace)
            #expect(!data.contains(10), "one line for each trace")
            // How a node got a packet is for nft alone, and the digest for checks.
            var shown = trace
            shown.digest = nil
            for hop in shown.hops.indices {
                for copy in shown.hops[hop].copies.indices { shown.hops[hop].copies[copy].arrival = nil }
            }
            #expect(try JSONDecoder().decode(PacketTrace.self, from: data) == shown)
        }
        let text = String(decoding: try encoder.encode(traces[0]), as: UTF8.self)
        for key in [
            "\"began\":", "\"hops\":[", "\"copies\":[", "\"end\":{", "\"inside\":100000", "\"entry\":\"shopping",
        ] {
            #expect(text.contains(key), "\(key) in \(text)")
        }
        let report = summary(traces)
        #expect(try JSONDecoder().decode(TraceSummaryReport.self, from: encoder.encode(report)) == report)
    }

    @Test func thePictureIsXMLThatNeedsNothingElse() throws {
        let (traces, _) = try lab().trace()
        let picture = SummarySVG.document(summary(traces), title: "<four & \"more\">\u{1B}")
        let parser = XMLReader(picture)
        #expect(parser.elements.first == "svg" && parser.error == nil)
        #expect(!picture.contains("<script") && !picture.contains("href"))
        #expect(picture.contains("p50 500 us"))
        #expect(!picture.contains("\u{1B}"))
    }

    @Test func manyPathsAreBounded() throws {
        let (traces, _) = try lab().trace()
        var summary = TraceSummary()
        for number in 0..<1_000 {
            var trace = traces[0]
            trace.from = "node \(number)"
            summary.add(trace)
        }
        let report = summary.report()
        #expect(report.paths.count == TraceSummary.mostPaths + 1)
        #expect(report.paths[0].path == "other paths" && report.paths[0].count == 744)
    }
}

/// Python's XML parser, which has none of this code.
private struct XMLReader {
    var elements: [String] = []
    var error: String?

    init(_ text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            "import sys,xml.etree.ElementTree as e\nprint(e.fromstring(sys.stdin.buffer.read()).tag.split('}')[1])",
        ]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        do {
            try process.run()
            input.fileHandleForWriting.write(Data(text.utf8))
            try input.fileHandleForWriting.close()
            let read = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            elements = read.split(separator: "\n").map(String.init)
            if process.terminationStatus != 0 { error = "python3 refuses it" }
        } catch {
            self.error = "\(error)"
        }
    }
}
