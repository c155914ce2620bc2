import Foundation
import Testing

@testable import Management
import Wire

/// Customers that break the protocol at the management address, or want all of it; and processes that are killed there.
@Suite(.serialized) struct ManagementHostileTests {
    private static let script = #"""
        import socket, ssl, sys, time
        place, context = ("192.0.2.254", 443), ssl.create_default_context(cafile=sys.argv[1])
        def plain():
            s = socket.create_connection(place, timeout=60)
            return s
        def all_of(s):
            answer = b""
            try:
                while part := s.recv(65536): answer += part
            except OSError: pass
            return answer
        def talk(octets):
            s = context.wrap_socket(plain(), server_hostname="192.0.2.254")
            try: s.sendall(octets)
            except OSError: pass
            answer = all_of(s)
            s.close()
            return (answer.split(b" ")[1].decode() if answer else "closed", answer.count(b"HTTP/1.1 "))
        end = b"Host: x\r\nConnection: close\r\n"
        put = b"PUT /v1/services/a HTTP/1.1\r\n" + end + b"Content-Type: application/json\r\n"
        get = b"GET /v1/openapi.json HTTP/1.1\r\n"
        print("good", *talk(get + end + b"\r\n"))
        s = plain(); s.sendall(get + end + b"\r\n"); print("no TLS", b"HTTP" in all_of(s))
        s = plain(); s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"); print("half a greeting", all_of(s))
        s = plain(); print("silent", all_of(s))
        print("two ways to say a length", *talk(put + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get + b"\r\n"))
        print("two lengths", *talk(put + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhellox" + get + b"\r\n"))
        print("blank before a colon", *talk(get + b"Content-Length : 5\r\n\r\n"))
        print("bare line feeds", *talk(put + b"Transfer-Encoding: chunked\n\n0\n\n"))
        print("large field", *talk(get + b"A: " + b"b" * 300000 + b"\r\n\r\n"))
        print("large body", *talk(put + b"Content-Length: 300000\r\n\r\n" + b"x" * 300000))
        print("no host", *talk(get + b"\r\n" + get + end + b"\r\n"))
        print("two hosts", *talk(get + b"Host: x\r\n" + end + b"\r\n" + get + end + b"\r\n"))
        print("bad host", *talk(get + b"Host: x/y\r\n\r\n" + get + end + b"\r\n"))
        print("never whole", *talk(put + b"Content-Length: 5\r\n\r\n"))
        print("afterwards", *talk(get + end + b"\r\n"))
        """#

    @Test func whatBreaksTheProtocolIsAnsweredOrClosed() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        let keeper = try lab.keeper()
        let said = try lab.python("bob", Self.script, try lab.certificate())
        let lines = said.output.split(separator: "\n")
        #expect(
            lines == [
                "good 200 1", "no TLS False", "half a greeting b''", "silent b''", "two ways to say a length 400 1",
                "two lengths 400 1", "blank before a colon 400 1", "bare line feeds 400 1", "large field 400 1",
                "large body 413 1", "no host 400 1", "two hosts 400 1", "bad host 400 1", "never whole closed 0",
                "afterwards 200 1",
            ], "\(said.output)")
        #expect(try lab.keeper() == keeper)
    }

    private static let crowd = #"""
        import resource, socket, sys
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        held = []
        for number in range(10000):
            try: held.append(socket.create_connection(("192.0.2.254", 443), timeout=5))
            except OSError: pass
            if len(held) > min(hard - 64, 4000): held.pop(0).close()
            if number == 3000: print("many")
        print("all", len(held) > 0)
        sys.stdin.readline()
        """#

    /// One customer opens ten thousand connections, and another one is served as ever.
    @Test func tenThousandConnectionsOfOneCustomerShutNobodyOut() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        let token = try lab.token("alice")
        let keeper = try lab.keeper()
        let crowd = try lab.talk("bob", Self.crowd)
        #expect(try crowd.line() == "many")
        for round in 0..<10 {
            let seen = try lab.fetch("alice", "GET", "/v1/services", token: token)
            #expect(seen.status == 200, "round \(round): \(seen.text)")
        }
        #expect(try crowd.line() == "all True")
        try crowd.go()
        crowd.end()
        #expect(try lab.keeper() == keeper)
        #expect(try lab.ask("GET", "/v1/tenants").status == 200)
    }

    @Test func killedProcessesServeTheAddressAgain() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        let token = try lab.token("alice")
        let before = try lab.management()["fingerprint"] as? String
        #expect(
            try lab.fetch("alice", "PUT", "/v1/services/own", token: token, body: RecordsLab.service()).status == 200)
        let first = try lab.keeper()
        kill(first, SIGKILL)
        // Connections wait for the next process: the sockets are the control process's.
        let again = try lab.fetch("alice", "GET", "/v1/services", token: token)
        #expect(again.status == 200, "\(again.text)")
        #expect(try lab.keeper() != first)
        let report = try lab.tapline("status", lab.name, "--json").output
        let status = try JSONSerialization.jsonObject(with: Data(report.utf8)) as? [String: Any]
        let engine = try #require((status?["engine"] as? [String: Any])?["pid"] as? Int)
        kill(Int32(engine), SIGKILL)
        #expect(try lab.fetch("alice", "GET", "/v1/services", token: token).status == 200)
        let changed = try lab.fetch(
            "alice", "PUT", "/v1/services/own", token: token, body: RecordsLab.service("203.0.113.98"))
        #expect(changed.status == 200, "\(changed.text)")
        #expect(try lab.answers("203.0.113.98"))
        #expect(try lab.management()["fingerprint"] as? String == before)
    }

    // MARK: - Places

    @Test func oneSourceHasABoundedNumberOfPlaces() throws {
        let (alice, bob) = (IPAddress("192.0.2.2"), IPAddress("192.0.2.3"))
        let sources = ConnectionSources()
        sources.networks = [[IPPrefix("198.51.100.0/24")!]]
        // All of a customer's network is one source, and every other address is one.
        #expect(sources.source(of: IPAddress("198.51.100.7")!) == sources.source(of: IPAddress("198.51.100.8")!))
        #expect(sources.source(of: alice!) != sources.source(of: bob!))
        var places = SourcePlaces<Int>()
        for number in 0..<SourcePlaces<Int>.mostOfOne {
            guard case .admitted = places.enter(.address(bob!), number) else {
                Issue.record("\(number)")
                return
            }
        }
        guard case .refused = places.enter(.address(bob!), 0) else {
            Issue.record("one more")
            return
        }
        // Many sources take all places; one that has fewer than another gets one of that.
        var other: UInt32 = 0x0A00_0000
        while places.count < SourcePlaces<Int>.most {
            other += 1
            _ = places.enter(.address(IPAddress(ipv4: other)), -1)
        }
        guard case .inPlaceOf(let number, 0) = places.enter(.address(alice!), 1) else {
            Issue.record("alice is shut out")
            return
        }
        #expect(places.count == SourcePlaces<Int>.most)
        places.leave(number)
        places.leave(number)
        #expect(places.count == SourcePlaces<Int>.most - 1)
    }
}
