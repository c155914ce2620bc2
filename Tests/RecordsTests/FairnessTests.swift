import Foundation
import Testing

/// Many customers at once: their order, not their times.
@Suite(.serialized) struct FairnessTests {
    private static let count = 50

    private static var topology: String {
        let numbers = 0..<count
        return """
            interfaces:
              customers: { address: 192.0.2.1/24 }
              servers: { address: 198.18.4.1/24 }
            customers:
            \(numbers.map { "  t\($0): { interface: customers }" }.joined(separator: "\n"))
            applications:
              web: { type: web-server, attach: servers }
            services:
              own: { address: 203.0.113.255, ports: [icmp], sequence: [web] }
            tenants:
            \(numbers.map { "  t\($0): { customers: [t\($0)], addresses: 203.0.113.\($0)/32, applications: [web], limits: { instructions: 1000/s } }" }.joined(separator: "\n"))
            records: { database: lab.db }
            """
    }

    /// One tenant has as many instructions waiting as it may, before 49 others come. Each of the others is served in its turn, which
    /// is the first after one more of the flood's, and the rest of the flood waits for itself.
    @Test func aFloodWaitsForItselfAndNobodyStarves() throws {
        let lab = try RecordsLab(Self.topology)
        let tokens = try (0..<Self.count).map { try lab.token("t\($0)") }
        let go = lab.folder.appendingPathComponent("go").path
        // A change that goes on until the test lets it: instructions wait for it.
        try lab.write(
            Self.topology.replacing(
                "type: web-server, attach: servers",
                with: "type: web-server, attach: servers, setup: \"while [ ! -e \(go) ]; do sleep 0.1; done\""))
        let change = Thread { _ = try? lab.tapline("apply", lab.name) }
        change.start()
        try lab.eventually("the change is under way") {
            try lab.run(["pgrep", "-f", "while . ! -e \(go)"]).status == 0
        }
        let said = try lab.run(
            ["python3", "-c", Self.script, "\(lab.state)/records.sock", go] + tokens)
        #expect(said.status == 0, "\(said.output)")
        let answered = said.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        // One of the flood's was in work, and as many waited as may.
        #expect(answered.filter { $0 == ["0", "429"] }.count == 7, "\(said.output)")
        #expect(answered.filter { $0 == ["0", "200"] }.count == 33, "\(said.output)")
        for tenant in 1..<Self.count { #expect(answered.filter { $0 == ["\(tenant)", "200"] }.count == 1) }
        let audit = try lab.ask("GET", "/v1/audit?limit=500").json["entries"] as? [[String: Any]] ?? []
        let order = audit.reversed().filter { $0["outcome"] as? String == "in-force" }.compactMap {
            $0["tenant"] as? String
        }
        #expect(order.count == 33 + Self.count - 1)
        // The one in work, one of the flood's, and each other one once, in any order.
        let round = order.dropFirst().prefix(Self.count)
        #expect(order.first == "t0" && Set(round).count == Self.count, "\(order)")
        #expect(order.dropFirst(Self.count + 1).allSatisfy { $0 == "t0" }, "\(order)")
    }

    /// Sends all requests, the flood's first, waits until they have been read, lets the change end, and prints each answer.
    private static let script = #"""
        import json, os, socket, sys, time
        place, go, *tokens = sys.argv[1:]
        def send(tenant, name):
            body = json.dumps({"addresses": [f"203.0.113.{tenant}"], "ports": ["icmp"], "sequence": ["web"]})
            end = socket.socket(socket.AF_UNIX)
            end.settimeout(120)
            while True:
                try: end.connect(place)
                except BlockingIOError: time.sleep(0.01)
                else: break
            end.sendall((f"PUT /v1/services/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
                f"{tokens[tenant]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())
            return end
        def look():
            with socket.socket(socket.AF_UNIX) as end:
                end.connect(place)
                end.sendall(b"GET /v1/tenants HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                while end.recv(65536): pass
        ends = [(0, send(0, "first"))]
        for _ in range(10): look()
        ends += [(0, send(0, "first")) for _ in range(39)]
        for _ in range(10): look()
        ends += [(tenant, send(tenant, "own")) for tenant in range(1, len(tokens))]
        for _ in range(10): look()
        open(go, "w").close()
        for tenant, end in ends:
            answer = b""
            while part := end.recv(65536): answer += part
            print(tenant, answer.split(b" ")[1].decode(), flush=True)
        """#
}
