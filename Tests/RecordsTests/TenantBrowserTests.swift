import Foundation
import Testing

/// The customers' page in a real browser: headless Chromium.
@Suite(.serialized) struct TenantBrowserTests {
    @Test(arguments: ["script", "plain"]) func aCustomerManagesServices(_ way: String) throws {
        let lab = try RecordsLab()
        let found = try lab.browse("work", try lab.token("alice"), lab.folder.path, way)
        #expect((found["wrong"] as? String)?.contains("That is no valid token") == true, "\(found)")
        #expect(found["empty"] as? String == "Services")
        let mistake = try #require(found["mistake"] as? [String: Any])
        #expect((mistake["title"] as? String)?.hasPrefix("Error: New service") == true)
        #expect(mistake["of"] as? String == "h-addresses e-addresses" && mistake["invalid"] as? String == "true")
        #expect((mistake["said"] as? String)?.contains("203.0.113.4 is none of your addresses") == true)
        #expect(mistake["kept"] as? String == "firewall, web")
        #expect(mistake["lines"] as? String == "203.0.113.97\n203.0.113.4")
        if way == "script" { #expect(mistake["focus"] as? String == "problem") }
        #expect((found["checked"] as? String)?.contains("It can be done") == true)
        #expect(found["made"] as? String == "shop is in force: version 1.")
        #expect(found["place"] as? String == "/services/shop")
        #expect(found["changed"] as? String == "shop is in force: version 2.")
        #expect(found["removed"] as? String == "shop is removed: version 3.")
        #expect(
            (found["history"] as? [String])?.prefix(3) == [
                "shop removed · in-force", "shop changed · in-force", "shop made · in-force",
            ], "\(found["history"] ?? "")")
        #expect(found["restored"] as? String == "Restored: everything is as it was at version 1.")
        #expect(found["cards"] as? [String] == ["shop"])
        #expect(try lab.answers("203.0.113.97"))
        #expect(found["faults"] as? [String] == [])
        #expect(found["out"] as? String == "/login" && found["after"] as? String == "/login")
    }

    @Test func theNumbersOfAnOpenPageAreThoseOfTheTable() throws {
        let lab = try RecordsLab()
        let token = try lab.token("alice")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: token, RecordsLab.service()).status == 200)
        let found = try lab.browse(
            "numbers", token, "shop", RecordsLab.programs.path + "/tapline", "exec", lab.name, "alice", "--", "ping",
            "-c",
            "7", "-i", "0.1", "203.0.113.97")
        #expect(
            found["first"] as? String == "0" && found["later"] as? String == "7" && found["faults"] as? [String] == [])
        let entries = try #require(found["entries"] as? [String: String])
        let listing = try lab.tapline("tables", lab.name, "--json")
        let tables = try #require(try JSONSerialization.jsonObject(with: Data(listing.output.utf8)) as? [String: Any])
        for row in ["distribution", "sequencing"].flatMap({ tables[$0] as? [[String: Any]] ?? [] }) {
            guard let name = row["name"] as? String, name.hasPrefix("alice/shop.") else { continue }
            #expect(entries[String(name.dropFirst("alice/shop.".count))] == "\(row["packets"] ?? "")", "\(entries)")
        }
    }

    @Test func thePageWorksByKeyboard() throws {
        let lab = try RecordsLab()
        let found = try lab.browse("keyboard", try lab.token("alice"))
        #expect(found["first"] as? String == "Skip to the content")
        #expect(found["chain"] as? String == "firewall, web")
        #expect(found["made"] as? String == "shop is in force: version 1.")
        #expect(found["nameless"] as? [String] == [])
    }

    /// On a phone nothing is wider than the window, and every text can be read in both palettes.
    @Test func everyPageFitsAPhone() throws {
        let lab = try RecordsLab(
            RecordsLab.usual.replacing("out: inspected } }", with: "out: inspected }, access: application }"))
        let token = try lab.token("alice")
        let rules =
            #"{"rules": [{"action": "allow", "protocol": "tcp", "own": "203.0.113.97", "own-ports": ["443", "8000-8080"], "remote": "192.0.2.0/24", "comment": "a long comment about who may come in here, and why"}, {"action": "deny", "answer": "reset", "protocol": "tcp"}], "default": {"action": "allow"}}"#
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: token, rules).status == 200)
        for (name, address) in [("shop", "203.0.113.97"), (String(repeating: "long-", count: 12), "203.0.113.98")] {
            #expect(
                try lab.ask("PUT", "/v1/services/\(name)", token: token, RecordsLab.service(address)).status == 200)
        }
        let found = try #require(try lab.browse("look", token, lab.folder.path)["found"] as? [[String: Any]])
        #expect(found.count == 4)
        for page in found {
            #expect(page.count >= 6 && page["faults"] as? [String] == [], "\(page.keys)")
            for (path, value) in page where path != "faults" {
                let parts = try #require(value as? [Any])
                try #require(parts.count >= 2, "\(path)")
                #expect(parts[0] as? Bool == false, "\(path) is too wide")
                let ratio = (parts[1] as? [String: Any])?["ratio"] as? Double ?? 0
                #expect(ratio >= 4.5, "\(path): \(parts[1])")
            }
        }
    }
}
