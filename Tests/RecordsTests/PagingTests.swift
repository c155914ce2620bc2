import Foundation
import Testing

/// Lists page by page, while others change them: what stays is there once, in its order, and a page that is none is refused.
@Suite(.serialized) struct PagingTests {
    private static let file = """
        interfaces:
          customers: { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected: { address: 198.18.3.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
          bob: { interface: customers }
        applications:
          "Wächter 1 & 2": { type: firewall, attach: { in: inspection, out: inspected }, access: engine }
          cache: { type: web-server, attach: servers, access: engine }
          web: { type: web-server, attach: servers, access: engine }
        tenants:
          alice: { customers: [alice], addresses: 203.0.113.96/28, applications: ["Wächter 1 & 2", cache, web], limits: { services: 40, instructions: 1000/s } }
          bob: { customers: [bob], addresses: 203.0.113.112/28, applications: ["Wächter 1 & 2", cache, web], limits: { instructions: 1000/s } }
        records: { database: lab.db }
        """

    private static func text(_ value: String) -> String {
        value.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? value
    }

    private static func put(_ lab: RecordsLab, _ name: String, _ address: Int, tenant: String = "alice") throws {
        let put = try lab.ask(
            "PUT", "/v1/services/\(name)?tenant=\(tenant)",
            #"{"addresses": ["203.0.113.\#(address)"], "ports": ["icmp"], "sequence": ["web"]}"#)
        #expect(put.status == 200, "\(put.text)")
    }

    /// All pages, of which each but the last is full.
    ///
    /// - Parameter meanwhile: What happens before the page of this number.
    private static func pages(
        _ lab: RecordsLab, _ target: String, _ list: String, limit: Int, token: String? = nil,
        meanwhile: (Int) throws -> Void = { _ in }
    ) throws -> [[[String: Any]]] {
        var (found, after): ([[[String: Any]]], String?) = ([], nil)
        repeat {
            try meanwhile(found.count)
            let more = after.map { "&after=\(text($0))" } ?? ""
            let mark = target.contains("?") ? "&" : "?"
            let answer = try lab.ask("GET", "\(target)\(mark)limit=\(limit)\(more)", token: token)
            #expect(answer.status == 200, "\(answer.text)")
            let page = answer.json[list] as? [[String: Any]] ?? []
            after = answer.json["next"] as? String
            #expect(after == nil ? page.count <= limit : page.count == limit, "\(answer.text)")
            found.append(page)
        } while after != nil && found.count < 100
        return found
    }

    private static func names(_ pages: [[[String: Any]]], _ keys: String...) -> [String] {
        pages.joined().map { line in keys.map { "\(line[$0] ?? "-")" }.joined(separator: "/") }
    }

    @Test func servicesComeOnceInTheirOrder() throws {
        let lab = try RecordsLab(Self.file)
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        #expect(try Self.pages(lab, "/v1/services", "services", limit: 2, token: alice).map(\.count) == [0])
        for (place, name) in ["b", "d", "f", "h", "j", "l"].enumerated() { try Self.put(lab, name, 96 + place) }
        for (place, name) in ["a", "z"].enumerated() { try Self.put(lab, name, 112 + place, tenant: "bob") }
        for limit in [1, 2, 3, 6, 7, 500] {
            let all = try Self.pages(lab, "/v1/services", "services", limit: limit, token: alice)
            #expect(Self.names(all, "tenant", "name") == ["b", "d", "f", "h", "j", "l"].map { "alice/\($0)" })
            // The last page is not followed by an empty one.
            #expect(all.count == (6 + limit - 1) / limit)
        }
        #expect(
            Self.names(try Self.pages(lab, "/v1/services", "services", limit: 3), "tenant", "name")
                == ["b", "d", "f", "h", "j", "l"].map { "alice/\($0)" } + ["bob/a", "bob/z"])
        // Before, behind and at the end of the page that was read, while the next one is asked for.
        let changed = try Self.pages(lab, "/v1/services", "services", limit: 2, token: alice) { page throws in
            guard page == 1 else { return }
            try Self.put(lab, "a", 102)
            try Self.put(lab, "g", 103)
            for name in ["d", "j"] {
                #expect(try lab.ask("DELETE", "/v1/services/\(name)?tenant=alice").status == 200)
            }
        }
        #expect(Self.names(changed, "name") == ["b", "d", "f", "g", "h", "l"])
        // Another tenant's place in the list is a place as any, and shows nothing.
        let foreign = try lab.ask("GET", "/v1/services?after=alice/a", token: bob)
        #expect(
            Self.names([foreign.json["services"] as? [[String: Any]] ?? []], "name") == ["a", "z"], "\(foreign.text)")
        #expect(try lab.ask("GET", "/v1/services?after=bob/a", token: alice).json["services"] as? [String] == [])
    }

    @Test func accessListsComeOnceInTheirOrder() throws {
        let lab = try RecordsLab(Self.file)
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        let applications = ["Wächter 1 & 2", "cache", "web"]
        for token in [alice, bob] {
            for name in applications {
                let put = try lab.ask(
                    "PUT", "/v1/access/\(Self.text(name))", token: token, #"{"default": {"action": "allow"}}"#)
                #expect(put.status == 200, "\(put.text)")
            }
        }
        for limit in [1, 2, 3, 500] {
            let all = try Self.pages(lab, "/v1/access", "access", limit: limit, token: alice)
            #expect(Self.names(all, "tenant", "application") == applications.map { "alice/\($0)" })
            #expect(all.count == (3 + limit - 1) / limit)
        }
        #expect(
            Self.names(try Self.pages(lab, "/v1/access", "access", limit: 4), "tenant", "application")
                == ["alice", "bob"].flatMap { tenant in applications.map { "\(tenant)/\($0)" } })
        // The list at the end of the page that was read goes away.
        let changed = try Self.pages(lab, "/v1/access", "access", limit: 1, token: alice) { page throws in
            guard page == 1 else { return }
            #expect(try lab.ask("DELETE", "/v1/access/\(Self.text(applications[0]))", token: alice).status == 200)
            #expect(try lab.ask("DELETE", "/v1/access/cache", token: alice).status == 200)
        }
        #expect(Self.names(changed, "application") == ["Wächter 1 & 2", "web"])
        #expect(try lab.ask("GET", "/v1/access?after=bob/cache", token: alice).json["access"] as? [String] == [])
    }

    @Test func theAuditHasEveryLineOnceWhileLinesCome() throws {
        let lab = try RecordsLab(Self.file)
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        for place in 0..<4 { try Self.put(lab, "s\(place)", 96 + place) }
        try Self.put(lab, "other", 112, tenant: "bob")
        let whole = try Self.pages(lab, "/v1/audit", "entries", limit: 500, token: alice)
        let ids = whole.joined().compactMap { $0["id"] as? Int }
        // The token, and each change when it was written and when it was in force.
        #expect(ids.count == 9 && ids == ids.sorted(by: >))
        #expect(whole.joined().allSatisfy { $0["tenant"] as? String == "alice" })
        for limit in [1, 2, 9, 10] {
            var isNew = 0
            let all = try Self.pages(lab, "/v1/audit", "entries", limit: limit, token: alice) { page throws in
                guard page == 1 else { return }
                isNew += 1
                try Self.put(lab, "s0", 96 + isNew * 4 + limit)
            }
            // What comes while pages are read is before the first page.
            let seen = all.joined().compactMap { $0["id"] as? Int }
            #expect(Array(seen.suffix(9)) == ids && Set(seen).count == seen.count && seen == seen.sorted(by: >))
        }
        let others = try Self.pages(lab, "/v1/audit", "entries", limit: 1, token: bob)
        #expect(Self.names(others, "subject").suffix(3).dropLast() == ["other", "other"])
        let beyond = try lab.ask("GET", "/v1/audit?after=1", token: alice)
        #expect(beyond.status == 200 && beyond.json["entries"] as? [String] == [] && beyond.json["next"] == nil)
    }

    /// A tenant that has written long lists gets its history in pages that cost little, and takes nothing from others.
    @Test func longLinesMakeShortPages() throws {
        let lab = try RecordsLab(Self.file)
        let alice = try lab.token("alice")
        let rule = #"{"action": "deny", "protocol": "icmp", "comment": "\#(String(repeating: "\\\"", count: 256))"}"#
        let body = lab.folder.appendingPathComponent("list.json")
        for round in 0..<6 {
            let rules = Array(repeating: rule, count: 200 - round).joined(separator: ", ")
            try #"{"rules": [\#(rules)], "default": {"action": "allow"}}"#.write(
                to: body, atomically: true, encoding: .utf8)
            let put = try lab.ask("PUT", "/v1/access/cache", token: alice, "@\(body.path)")
            #expect(put.status == 200, "\(put.text.prefix(500))")
        }
        var (ids, after, pages): ([Int], String?, Int) = ([], nil, 0)
        repeat {
            let answer = try lab.ask(
                "GET", "/v1/audit?limit=500\(after.map { "&after=\($0)" } ?? "")", token: alice)
            let lines = answer.json["entries"] as? [[String: Any]] ?? []
            #expect(answer.status == 200 && !lines.isEmpty && answer.text.utf8.count < 1 << 20)
            (ids, after, pages) = (
                ids + lines.compactMap { $0["id"] as? Int }, answer.json["next"] as? String, pages + 1
            )
        } while after != nil && pages < 100
        #expect(pages > 2 && ids.count == 13 && ids == ids.sorted(by: >) && Set(ids).count == 13)
        // The command shows as many as it is asked for.
        let shown = try lab.tapline("audit", lab.name, "--tenant", "alice", "--count", "12", "--json")
        let list = try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [String: Any]
        #expect((list?["entries"] as? [Any])?.count == 12 && list?["next"] as? String == "\(ids[11])")
        // What a version had is found without all that came since.
        let back = try lab.ask("POST", "/v1/restore", token: alice, #"{"version": 1}"#)
        #expect(back.status == 200, "\(back.text.prefix(500))")
        let now = try lab.ask("GET", "/v1/access/cache", token: alice).json["rules"] as? [Any]
        #expect(now?.count == 200)
        #expect(try lab.ask("POST", "/v1/restore", token: alice, #"{"version": 0}"#).status == 200)
        #expect(try lab.ask("GET", "/v1/access/cache", token: alice).status == 404)
    }

    /// What `next` never was is no place in a list; and no page is larger than the largest.
    @Test func whatIsNoPlaceIsRefused() throws {
        let lab = try RecordsLab(Self.file)
        let alice = try lab.token("alice")
        func status(_ target: String) throws -> Int {
            let answer = try lab.ask("GET", target, token: alice)
            #expect(
                answer.status != 400 || answer.text.contains("is `next` of the page before")
                    || answer.text.contains("limit is 1 to 500") || answer.text.contains("twice"), "\(answer.text)")
            return answer.status
        }
        let long = String(repeating: "a", count: 257)
        for after in [
            "", "x", "/", "alice/", "/shop", "alice//shop", "alice/a/b", "alice/a%20b", "alice/%C3%A4", "alice/a%0A",
            "ali%20ce/a", "alice/\(long)",
        ] {
            #expect(try status("/v1/services?after=\(after)") == 400, "services after \(after)")
        }
        for after in [
            "", "x", "/", "alice/", "/web", "ali%20ce/web", "al%C3%AFce/web", "alice/a%0A", "alice/%7F", "alice/a%0Db",
            "alice/\(long)", "\(long)/web",
        ] {
            #expect(try status("/v1/access?after=\(after)") == 400, "access after \(after)")
        }
        // An application may have any name that people can read.
        for after in [
            "alice/web", "alice/a%2Fb", "alice/%C3%A4", "alice/a%20b", "alice/%F0%9F%A6%8A", "alice/\(long.dropLast())",
        ] {
            #expect(try status("/v1/access?after=\(after)") == 200, "access after \(after)")
        }
        for after in ["", "x", "-1", "+1", "1.0", "%201", "1%20", "0x1", "%D9%A1", "9999999999999999999", "1e3"] {
            #expect(try status("/v1/audit?after=\(after)") == 400, "audit after \(after)")
        }
        for list in ["services", "access", "audit"] {
            for limit in [
                "", "0", "-1", "501", "+5", "05", "5.0", "1e1", "%205", "five", "99999999999999999999", "%D9%A5",
            ] {
                #expect(try status("/v1/\(list)?limit=\(limit)") == 400, "\(list) with limit \(limit)")
            }
            #expect(try status("/v1/\(list)?limit=1&limit=2") == 400 && status("/v1/\(list)?limit=500") == 200)
        }
    }
}
