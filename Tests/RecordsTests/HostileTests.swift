import Foundation
import Testing

/// Requests that break the protocol, or ask for too much. Python says them word for word.
@Suite(.serialized) struct HostileTests {
    private static let script = #"""
        import socket, sys, time
        place, rounds = sys.argv[1], 400
        def open_one():
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(60)
            s.connect(place)
            return s
        def talk(octets):
            while True:
                # More than a moment's backlog is refused by the kernel.
                try: s = open_one()
                except BlockingIOError: time.sleep(0.01)
                else: break
            try: s.sendall(octets)
            except OSError: pass
            answer = b""
            try:
                while part := s.recv(65536): answer += part
            except OSError: pass
            return answer.split(b" ")[1].decode() if answer else "closed"
        end = b"Host: x\r\nConnection: close\r\n"
        put = b"PUT /v1/services/a?tenant=alice HTTP/1.1\r\n" + end + b"Content-Type: application/json\r\n"
        get = b"GET /v1/tenants HTTP/1.1\r\n"
        print("large body", talk(put + b"Content-Length: 300000\r\n\r\n" + b"x" * 300000))
        print("two lengths", talk(put + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get + b"\r\n"))
        print("many fields", talk(get + b"A: b\r\n" * 30000 + b"\r\n"))
        print("negative", talk(get + b"Content-Length: -1\r\n\r\n"))
        print("no protocol", talk(b"GARBAGE\r\n\r\n"))
        print("deep", talk(put + b"Content-Length: 100002\r\n\r\n" + b"[" * 50001 + b"]" * 50001))
        print("zero", talk(b"GET /v1/services/%00 HTTP/1.1\r\n" + end + b"\r\n"))
        print("upwards", talk(b"GET /v1/services/..%2f..%2ftenants?tenant=alice HTTP/1.1\r\n" + end + b"\r\n"))
        print("two tokens", talk(get + end + b"Authorization: Bearer x\r\nAuthorization: Bearer y\r\n\r\n"))
        print("no host", talk(get + b"Connection: close\r\n\r\n"))
        print("two hosts", talk(get + end + b"Host: x\r\n\r\n"))
        print("bad host", talk(get + b"Host: a b\r\nConnection: close\r\n\r\n"))
        print("never whole", talk(b"PUT /v1/services/a?tenant=alice HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"))
        for _ in range(rounds):
            try: open_one().close()
            except BlockingIOError: pass
        print("afterwards", talk(get + end + b"\r\n"))
        """#

    @Test func whatBreaksTheProtocolIsRefusedAndCostsNobodyElse() throws {
        let lab = try RecordsLab()
        let keeper = try lab.keeper()
        let said = try lab.run(["python3", "-c", Self.script, "\(lab.state)/records.sock"])
        #expect(
            said.output.split(separator: "\n") == [
                "large body 413", "two lengths 400", "many fields 400", "negative 400", "no protocol 400", "deep 400",
                "zero 400", "upwards 404", "two tokens 400", "no host 400", "two hosts 400", "bad host 400",
                "never whole closed", "afterwards 200",
            ])
        #expect(try lab.keeper() == keeper && lab.answers("203.0.113.80"))
    }

    /// What is alice's, eve's and bob's, and the names of others, which nobody may see.
    private static let shared = """
        interfaces:
          customers: { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected: { address: 198.18.3.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
          eve: { interface: customers }
          secret-customer: { interface: customers }
        applications:
          ids: { type: intrusion-detection, passive: true, attach: { in: inspection } }
          firewall: { type: firewall, attach: { in: inspection, out: inspected } }
          web: { type: web-server, attach: servers }
          secret-cache: { type: web-server, attach: servers }
        services:
          secret-shop: { address: 203.0.113.80, ports: [icmp], distribute: [ids, firewall], sequence: [firewall, web] }
          secret-mail: { address: 203.0.113.81, ports: [icmp], distribute: [ids], sequence: [firewall, secret-cache] }
        tenants:
          alice: { customers: [alice], addresses: 203.0.113.96/29, applications: [ids, firewall, web], must: [firewall], limits: { instructions: 1000/s } }
          eve: { customers: [eve], addresses: 203.0.113.88/29, applications: [ids, firewall, web], must: [firewall] }
          bob: { customers: [secret-customer], addresses: 203.0.113.104/29, applications: [firewall, web], limits: { instructions: 1000/s } }
        records: { database: lab.db }
        """

    @Test func twoHostileCustomersReachNothingAndStopNobody() throws {
        let lab = try RecordsLab(Self.shared)
        let tokens = try ["alice", "eve", "bob", "alice"].map { try lab.token($0) }
        let revoked = tokens[3].split(separator: "_")[1]
        #expect(try lab.tapline("tenant", "revoke", lab.name, "alice", String(revoked)).status == 0)
        let keeper = try lab.keeper()
        let said = try lab.run(
            ["python3", JudgeTests.here.path + "/hostile-customers.py", "\(lab.state)/records.sock", "\(keeper)"]
                + tokens)
        #expect(said.status == 0 && said.output.contains("\nbob had "), "\(said.output)")
        #expect(try lab.keeper() == keeper)
        #expect(try lab.answers("203.0.113.80"))
    }
}
