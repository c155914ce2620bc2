import Foundation
import Testing

/// A visitor of the customers' page without a browser: curl, and what it keeps.
struct PageVisitor {
    let lab: RecordsLab
    var cookie: String?

    init(_ lab: RecordsLab) { self.lab = lab }

    /// Logs in.
    init(_ lab: RecordsLab, token: String) throws {
        self.lab = lab
        let answer = try post("/login", ["token": token])
        try #require(answer.status == 303, "\(answer.text)")
        cookie = answer.headers["set-cookie"].flatMap { $0.split(separator: ";").first }.map(String.init)
    }

    private var kept: [String] { cookie.map { ["Cookie: \($0)"] } ?? [] }

    func get(_ path: String, headers: [String] = []) throws -> RecordsLab.Answer {
        try lab.ask("GET", path, headers: kept + headers)
    }

    /// Sends a form. Its secret is that of the page, if none is given.
    func post(_ path: String, _ fields: [String: String], headers: [String] = []) throws -> RecordsLab.Answer {
        var fields = fields
        if fields["secret"] == nil, path != "/login" { fields["secret"] = try secret() }
        let body = fields.map { name, value in
            name + "=" + (value.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")
        }
        return try lab.ask(
            "POST", path, nil,
            headers: kept + ["Content-Type: application/x-www-form-urlencoded"] + headers,
            form: body.joined(separator: "&"))
    }

    /// What the forms of the page repeat.
    func secret() throws -> String {
        let page = try get("/").text
        return String(page.components(separatedBy: "name=\"secret\" value=\"").dropFirst().first?.prefix(64) ?? "")
    }

    /// The form of a service.
    static func service(
        _ name: String = "shop", _ address: String = "203.0.113.97", sequence: String = "firewall, web"
    ) -> [String: String] {
        ["name": name, "addresses": address, "ports": "icmp", "sequence": sequence, "distribute": "", "from": ""]
    }
}

extension RecordsLab {
    /// What a scenario of `browse-services.py` found.
    func browse(_ scenario: String, _ arguments: String...) throws -> [String: Any] {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/browse-services.py"
        let result = try run(["python3", script, scenario, "\(state)/records.sock"] + arguments)
        try #require(result.status == 0, "\(result.output.suffix(3000))")
        let line = try #require(result.output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(result.output)")
        return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
}
