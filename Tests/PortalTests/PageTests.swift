import Foundation
import Testing

/// The live page as any client of HTTP sees it.
@Suite(.serialized) struct PageTests {
    /// The numbers of a topology at rest are the same wherever they are read.
    @Test func thePageHasTheNumbersOfStatusAndTables() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        #expect(try lab.ping(50))
        var status = try lab.status()
        try Programs.eventually("the page has the counters of status") {
            status = try lab.status()
            let interfaces = try #require(status["interfaces"] as? [[String: Any]])
            let body = try lab.get("/").body
            return try interfaces.enumerated().allSatisfy { index, interface in
                let pairs = [
                    ("rp", "receivedPackets"), ("rb", "receivedBytes"), ("sp", "sentPackets"), ("sb", "sentBytes"),
                    ("rd", "ringDrops"),
                ]
                return try pairs.allSatisfy { key, name in
                    let value = try #require(interface[name] as? Int)
                    return body.contains("<span data-c=\"i\(index).\(key)\">\(value)</span>")
                }
            }
        }
        let body = try lab.get("/").body
        let drops = try #require(status["drops"] as? [[String: Any]])
        for (index, drop) in drops.enumerated() {
            #expect(body.contains("<th scope=\"row\">\(try #require(drop["reason"] as? String))</th>"))
            #expect(body.contains("data-c=\"d\(index).f\">\(try #require(drop["frames"] as? Int))<"))
        }
        let tables = try Programs.run(Programs.tapline, "tables", lab.name, "--json")
        let listing = try #require(try JSONSerialization.jsonObject(with: Data(tables.output.utf8)) as? [String: Any])
        let rows = try #require(listing["distribution"] as? [[String: Any]])
        let packets = try rows.filter { $0["name"] as? String == "shop.request.customers" }.map {
            try #require($0["packets"] as? Int)
        }.reduce(0, +)
        #expect(packets == 50)
        #expect(body.contains("<span data-c=\"e0.p\">50</span>"))
        let copy = try lab.get("/status.json").body
        let copied = try #require(try JSONSerialization.jsonObject(with: Data(copy.utf8)) as? [String: Any])
        #expect(copied["run"] as? String == status["run"] as? String)
        let metrics = try lab.get("/metrics")
        #expect(metrics.has("Content-Type: application/openmetrics-text"))
        #expect(metrics.body.hasSuffix("# EOF\n"))
        #expect(
            metrics.body.contains(
                "tapline_service_packets_total{topology=\"\(lab.name)\",service=\"shop\",direction=\"request\"} 50\n"))
    }

    /// Each arrow and node is a link to a page that needs no script; what nodes write is text there, whatever it is.
    @Test func arrowsAndNodesHavePages() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        #expect(try lab.ping(5))
        let body = try lab.get("/").body
        let arrows = body.matches(of: /href="(\/arrow\/\d+\?v=\d+)" data-l="[^"]*" aria-label="([^"]*)"/)
        #expect(arrows.contains { $0.2.hasPrefix("shop request, alice to firewall: ") })
        #expect(arrows.contains { $0.2.hasPrefix("shop request, alice to ids, a copy: ") })
        #expect(arrows.contains { $0.2.hasPrefix("shop response, firewall to bob: ") })
        let request = try #require(arrows.first { $0.2.hasPrefix("shop request, alice to firewall") })
        let arrow = try lab.get(String(request.1)).body
        #expect(arrow.contains("<th scope=\"row\">shop.request.customers</th>"))
        #expect(arrow.contains("class=\"spark\"") && arrow.contains("action=\"/capture\""))
        let boxes = body.matches(of: /href="(\/node\/\d+\?v=\d+)" data-l="[^"]*" aria-label="([^"]*)"/)
        let web = try #require(boxes.first { $0.2.hasPrefix("web, ") })
        let node = try lab.get(String(web.1)).body
        #expect(node.contains("&lt;b&gt;served&lt;/b&gt;") && !node.contains("<b>served"))
        let firewall = try #require(boxes.first { $0.2.hasPrefix("firewall, ") })
        let both = try lab.get(String(firewall.1)).body
        #expect(both.contains("Log of fw-a") && both.contains("Log of fw-b") && both.contains("standby"))
        #expect(try lab.get("/arrow/999").status == 404)
        #expect(try lab.get("/node/0?v=999").status == 404)
        #expect(try lab.get("/arrow/-1").status == 404)
    }

    /// A page that is open while the topology goes and comes again says so both times, and goes on.
    @Test func thePageOutlivesTheTopology() throws {
        let lab = try PortalLab()
        try lab.serve()
        #expect(try lab.get("/").body.contains("data-state=\"down\""))
        #expect(try lab.get("/status.json").status == 503)
        #expect(try lab.get("/metrics").body.contains("tapline_topology_up{topology=\"\(lab.name)\"} 0\n"))
        let stream = try Connection(lab.port)
        stream.say(lab.request("GET", "/live?build=0&after=0"))
        _ = try stream.read(until: "\"state.word\":\"down\"")
        try lab.up()
        _ = try stream.read(until: "\"state.word\":\"up\"", "event: parts", "engine-started")
        try lab.down()
        _ = try stream.read(until: "\"state.word\":\"down\"")
        #expect(try lab.get("/").body.contains("This page waits for it."))
        try lab.up()
        _ = try stream.read(until: "\"state.word\":\"up\"")
        try lab.seen()
        #expect(try lab.ping(3))
    }

    /// A control process that was killed leaves its topology behind, which is another thing than one that was taken away.
    @Test func aKilledControlProcessIsTold() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        let pid = try #require(try lab.status()["pid"] as? Int)
        kill(Int32(pid), SIGKILL)
        try Programs.eventually("the page says so") { try lab.get("/").body.contains("left the topology behind") }
        let body = try lab.get("/").body
        #expect(body.contains("data-state=\"down\"") && body.contains("it was killed"))
        try lab.down()
        try Programs.eventually("the page waits for it") {
            let body = try lab.get("/").body
            return body.contains("This page waits for it.") && !body.contains("killed")
        }
    }

    /// A capture and a trace that a topology leaves behind end, and the page tells.
    @Test func capturesAndTracesEndWithTheTopology() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        let secret = try lab.secret()
        let trace = try Connection(lab.port)
        let form = "secret=\(secret)&count=100&seconds=60&as=events"
        trace.say(lab.request("POST", "/trace", ["Content-Length: \(form.utf8.count)"]) + form)
        _ = try trace.read(until: "200 OK")
        let capture = try Connection(lab.port)
        let wanted = "secret=\(secret)&arrow=0&packets=100000&seconds=120"
        capture.say(lab.request("POST", "/capture", ["Content-Length: \(wanted.utf8.count)"]) + wanted)
        _ = try capture.read(until: "200 OK")
        #expect(try lab.ping(3))
        try lab.down()
        #expect(String(decoding: trace.rest(), as: UTF8.self).contains("The topology went away."))
        #expect(String(decoding: capture.rest(), as: UTF8.self).hasSuffix("0\r\n\r\n"))
        let late = try lab.post("/trace", "secret=\(secret)&count=1")
        #expect(late.status == 503 && late.body.contains("is not up"))
    }

    /// What a browser downloads is a capture that Wireshark's programs read.
    @Test func aCaptureIsReadByTshark() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        let key = "CLIENT_RANDOM \(String(repeating: "0f", count: 32)) \(String(repeating: "a5", count: 48))"
        let written = try Programs.run(
            Programs.tapline, "exec", lab.name, "web", "--", "sh", "-c", "echo \(key) > $TAPLINE_DIR/SSLKEYLOGFILE")
        try #require(written.status == 0, "\(written.output)")
        let body = try lab.get("/").body
        let match = try #require(
            body.firstMatch(
                of: /href="\/arrow\/(\d+)\?v=(\d+)" data-l="[^"]*" aria-label="shop request, firewall to web/))
        let pings = try Programs.Started([
            Programs.tapline, "exec", lab.name, "alice", "--", "ping", "-n", "-q", "-i", "0.05", "-c", "600",
            "203.0.113.80",
        ])
        let answer = try lab.post(
            "/capture", "secret=\(try lab.secret())&arrow=\(match.1)&v=\(match.2)&packets=6&seconds=60&filter=icmp")
        pings.process.terminate()
        #expect(
            answer.status == 200 && answer.has("Content-Disposition: attachment; filename=\"\(lab.name)-web.pcapng\""))
        // The nodes' keys are for whoever captures as root, and the page says so.
        #expect(answer.bytes.firstRange(of: Array("CLIENT_RANDOM".utf8)) == nil)
        #expect(try lab.get("/arrow/\(match.1)").body.contains("The TLS keys of the nodes are not in it"))
        let own = lab.folder.appendingPathComponent("own.pcapng").path
        let command = try Programs.Started([Programs.tapline, "capture", lab.name, "--count", "2", "-w", own])
        try Programs.eventually("a command has captured") {
            try #require(try lab.ping(2))
            return !command.process.isRunning
        }
        #expect((FileManager.default.contents(atPath: own) ?? Data()).range(of: Data("CLIENT_RANDOM".utf8)) != nil)
        let file = lab.folder.appendingPathComponent("page.pcapng")
        try Data(answer.bytes).write(to: file)
        let shown = try Programs.run(
            "tshark", "-r", file.path, "-T", "fields", "-e", "frame.interface_name", "-e", "icmp.type")
        let lines = shown.output.split(separator: "\n").filter { $0.contains("web@servers") || $0.contains("servers") }
        #expect(lines.count == 6, "\(shown.output)")
        let wrong = try lab.post("/capture", "secret=\(try lab.secret())&arrow=\(match.1)&filter=port+port")
        #expect(wrong.status == 400 && wrong.body.contains("the filter does not compile"))
    }
}
