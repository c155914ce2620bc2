import Foundation
import Testing

/// What tests of mappings ask of a topology.
extension Lab {
    static let asking = Product.root.path + "/Tests/IntegrationTests/Mappings/ask.py"

    /// What each request is answered, as hexadecimal digits; "-": nothing.
    func ask(_ node: String, _ words: String, patience: Int = 20) throws -> [String] {
        let asked = try exec(node, "python3 \(Self.asking) --patience \(patience) \(words)")
        try #require(asked.status == 0, "\(asked.output)")
        return asked.output.split(separator: "\n").map(String.init)
    }

    /// `mappings --json`, decoded.
    func negotiation() throws -> [String: Any] {
        let listed = try tapline("mappings", name, "--json")
        return try #require(
            try JSONSerialization.jsonObject(with: Data(listed.output.utf8)) as? [String: Any], "\(listed.output)")
    }

    /// The mappings that are listed.
    func mappings() throws -> [[String: Any]] {
        try #require(try negotiation()["mappings"] as? [[String: Any]])
    }

    /// How many requests were answered in each way.
    func requests() throws -> [String: Int] { try #require(try negotiation()["requests"] as? [String: Int]) }

    func epoch() throws -> Int { try #require(try negotiation()["epoch"] as? Int) }

    /// True if a customer gets an answer from what the game serves at port 27005 of a service address.
    func fetches(_ address: String = "192.0.1.82", from customer: String = "alice", _ options: String = "") throws
        -> Bool
    {
        try exec(customer, "curl -gsS -m 20 \(options) -o /dev/null http://\(address):27005/").status == 0
    }

    /// Whether a customer gets no answer within two seconds.
    func misses(_ address: String = "192.0.1.82", from customer: String = "alice", _ options: String = "") throws
        -> Bool
    {
        try exec(customer, "curl -gsS -m 2 \(options) -o /dev/null http://\(address):27005/").status != 0
    }

    /// Waits until something holds, for as long as a loaded machine may need.
    func waitUntil(_ limit: Double = 60, _ holds: () throws -> Bool) throws -> Bool {
        let end = Date().addingTimeInterval(limit)
        while Date() < end {
            if try holds() { return true }
            usleep(50_000)
        }
        return try holds()
    }

    /// True if a process has ended, whether or not its parent knows that.
    func hasEnded(_ process: Int) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return true }
        return text.contains(") Z ")
    }

    /// The names of the entries that applications asked for.
    func askedEntries() throws -> Set<String> {
        let tables = try tapline("tables", name).output
        let names = tables.split(whereSeparator: { $0 == " " || $0 == "\n" }).filter { $0.hasPrefix("game/") }
        return Set(names.compactMap { $0.split(separator: ".").first.map(String.init) })
    }
}
