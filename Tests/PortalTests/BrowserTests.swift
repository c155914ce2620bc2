import Foundation
import Testing

/// The live page in a real browser: headless Chromium.
@Suite(.serialized, SharedPage()) struct BrowserTests {
    private func expectNoFaults(_ found: [String: Any], sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(found["faults"] as? [String] == [], sourceLocation: sourceLocation)
    }

    /// With a script and without one, the tables have the numbers of status.
    @Test func theTablesHaveTheNumbersOfStatus() throws {
        let lab = try SharedPage.lab
        #expect(try lab.ping(40))
        var interfaces: [[String: Any]] = []
        func matches(_ tables: [String: [[String: String]]]) throws -> Bool {
            let rows = tables["Interfaces"] ?? []
            guard rows.count == interfaces.count else { return false }
            return try zip(rows, interfaces).allSatisfy { row, interface in
                let numbers = try ["receivedPackets", "sentPackets", "sentBytes"].map {
                    "\(try #require(interface[$0] as? Int))"
                }
                return row["Interface"] == interface["name"] as? String
                    && ["Received packets", "Sent packets", "Sent bytes"].map { row[$0] ?? "" } == numbers
            }
        }
        var found: [String: Any] = [:]
        try Programs.eventually("the browser shows the numbers of status") {
            interfaces = try #require(try lab.status()["interfaces"] as? [[String: Any]])
            found = try lab.browse("numbers")
            return try matches(try #require(found["script"] as? [String: [[String: String]]]))
        }
        expectNoFaults(found)
        let plain = try #require(found["plain"] as? String)
        for (index, interface) in interfaces.enumerated() {
            let packets = try #require(interface["receivedPackets"] as? Int)
            #expect(plain.contains("data-c=\"i\(index).rp\">\(packets)<"))
        }
        #expect(found["hasNoScript"] as? Bool == true)
    }

    /// Both palettes are used, and every text can be read in them.
    @Test func bothPalettesCanBeRead() throws {
        let lab = try SharedPage.lab
        let found = try lab.browse("contrast")
        for scheme in ["light", "dark"] {
            let least = try #require(found[scheme] as? [String: Any])
            #expect(try #require(least["ratio"] as? Double) >= 4.5, "\(scheme): \(least)")
        }
        let light = lab.folder.appendingPathComponent("light.png").path
        let dark = lab.folder.appendingPathComponent("dark.png").path
        let looks = try lab.browse("look", light, dark)
        let grounds = try ["light", "dark"].map { scheme in
            let look = try #require(looks[scheme] as? [String: Any])
            expectNoFaults(look)
            return try #require(look["ground"] as? String)
        }
        #expect(Set(grounds).count == 2)
        for path in [light, dark] {
            #expect((FileManager.default.contents(atPath: path) ?? Data()).starts(with: [0x89, 0x50, 0x4E, 0x47]))
        }
    }

    @Test func thePageWorksByKeyboard() throws {
        let found = try SharedPage.lab.browse("keyboard")
        expectNoFaults(found)
        #expect((found["first"] as? [String: Any])?["name"] as? String == "Skip to the tables")
        let order = try #require(found["order"] as? [[String: Any]])
        #expect(order.allSatisfy { $0["visible"] as? Bool == true })
        let places = order.compactMap { $0["id"] as? String }
        #expect(places.contains("arrow-0") && places.contains("node-0"))
        #expect((found["opened"] as? String)?.hasPrefix("shop request, ") == true)
        #expect(found["closed"] as? Bool == true)
        #expect(found["back"] as? String == "arrow-0")
        #expect(found["later"] as? String == "arrow-0")
        #expect((found["log"] as? String)?.hasPrefix("Log of ") == true)
    }

    @Test func everyControlHasAName() throws {
        let found = try #require(try SharedPage.lab.browse("names")["found"] as? [[String: String]])
        for part in found { #expect(part["name"]?.isEmpty == false, "\(part)") }
        for role in ["link", "button", "textbox", "spinbutton", "combobox", "table", "heading"] {
            #expect(found.contains { $0["role"] == role }, "\(role)")
        }
        let links = found.filter { $0["role"] == "link" }.compactMap { $0["name"] }
        #expect(
            links.contains { $0.hasPrefix("shop request, alice to firewall: ") && $0.hasSuffix(" packets a second") })
        #expect(links.contains { $0.hasPrefix("web, web-server, terminal: ") })
    }

    /// Thousands of events later, the page holds as much as before.
    @Test func eventsDoNotGrowThePage() throws {
        let lab = try SharedPage.lab
        let found = try lab.browse("memory")
        expectNoFaults(found)
        let measured = try #require(found["measured"] as? [[String: Any]])
        try #require(measured.count == 2 && measured.allSatisfy { $0["listed"] as? Int == 500 })
        let nodes = try measured.map { try #require($0["nodes"] as? Int) }
        #expect(nodes[1] <= nodes[0] + 20)
        let heaps = try measured.map { try #require($0["heap"] as? Int) }
        #expect(heaps[1] < heaps[0] + 1 << 20, "\(heaps)")
        let listeners = try measured.map { try #require($0["listeners"] as? Int) }
        #expect(listeners[1] <= listeners[0] + 10)
    }

    @Test func aClickOnAnArrowStartsACapture() throws {
        let lab = try SharedPage.lab
        let pings = try Programs.Started([
            Programs.tapline, "exec", lab.name, "alice", "--", "ping", "-n", "-q", "-i", "0.05", "-c", "1200",
            "203.0.113.80",
        ])
        let found = try lab.browse("capture", lab.folder.path)
        pings.process.terminate()
        expectNoFaults(found)
        #expect(found["live"] as? Bool == true)
        let file = try #require(found["file"] as? String)
        let shown = try Programs.run("tshark", "-r", file, "-T", "fields", "-e", "icmp.type")
        #expect(shown.output.split(separator: "\n").filter { $0 == "8" || $0 == "0" }.count == 4, "\(shown.output)")
    }

    @Test func aTraceIsDrawnHopByHop() throws {
        let lab = try SharedPage.lab
        let pings = try Programs.Started([
            Programs.tapline, "exec", lab.name, "alice", "--", "ping", "-n", "-q", "-i", "0.2", "-c", "400",
            "203.0.113.80",
        ])
        let found = try lab.browse("trace")
        pings.process.terminate()
        let hot = try #require(found["hot"] as? [String])
        #expect(hot.contains { $0.hasPrefix("shop re") }, "\(hot)")
        let listed = try #require(found["listed"] as? String)
        #expect(listed.contains("from alice on customers") && listed.contains("It reached web."), "\(listed)")
        #expect((found["wrong"] as? String)?.contains("does not compile") == true)
    }

    /// A page stays open while the topology is taken down, and goes on when it is up again.
    @Test func theOpenPageOutlivesTheTopology() throws {
        let lab = try SharedPage.lab
        let found = try lab.browse("outlives", Programs.tapline, lab.name, lab.file)
        expectNoFaults(found)
        #expect((found["gone"] as? String)?.contains("This page waits for it.") == true, "\(found)")
        #expect((found["opened"] as? String)?.hasPrefix("shop request, ") == true, "\(found)")
        #expect(try #require(found["started"] as? Int) >= 2)
    }
}
