import Foundation
import Testing

/// tshark judges what the engine sends: to a passive application, and to a server that takes single frames, with and
/// without offload where the packets are made, with the packet untouched and with its addresses rewritten.
@Suite(.serialized) struct ChecksumTests {
    static let server = """
        import http.server, socket, threading
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            def do_GET(self):
                body = b'x' * 300000
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *arguments): pass
        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
        def echo():
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            s.setsockopt(socket.IPPROTO_IPV6, 49, 1)
            s.bind(('::', 7))
            while True:
                data, info, _, peer = s.recvmsg(65535, 256)
                s.sendmsg([data], info, 0, peer)
        threading.Thread(target=echo, daemon=True).start()
        Server(('::', 80), Handler).serve_forever()
        """

    static let client = """
        import socket, sys
        for size in (0, 1, 2, 63, 64, 511, 1000, 1400, 3000, 9001):
            s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(20)
            s.connect((sys.argv[1], 7))
            s.send(b'y' * size)
            assert len(s.recv(65535)) == size, size
        """

    static func topology(offload: String, send: String) -> String {
        """
        name: checksums
        interfaces:
          outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          middle:  { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          behind:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          inside:  { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: outside, offload: \(offload) }
        applications:
          ids: { type: intrusion-detection, passive: true, attach: { in: middle } }
          firewall: { type: firewall, attach: { in: middle, out: behind }, offload: \(offload) }
          web:
            type: web-server
            attach: { in: inside }
            offload: \(offload)
            send: \(send)
            run: exec python3 server.py
            ready: { tcp: 80 }
        services:
          site:
            address: [203.0.113.80, "2001:db8:cb::80"]
            ports: [tcp/80, udp/7]
            distribute: [ids, firewall]
            sequence: [firewall, web]
        """
    }

    @Test(arguments: ["on", "off"], ["mac", "network"])
    func everyChecksumIsRight(offload: String, send: String) throws {
        let files = ["server.py": Self.server, "client.py": Self.client]
        try Lab.with(Self.topology(offload: offload, send: send), files: files) { lab in
            func traffic() throws {
                for address in ["203.0.113.80", "2001:db8:cb::80"] {
                    let host = address.contains(":") ? "[\(address)]" : address
                    let page = try lab.exec(
                        "alice", "curl -sS -m 20 -o /dev/null -w '%{size_download}' http://\(host)/")
                    #expect(page.output == "300000", "\(page.output)")
                    let datagrams = try lab.exec("alice", "python3 client.py \(address)")
                    #expect(datagrams.status == 0, "\(datagrams.output)")
                    let echo = try lab.exec("alice", "ping -n -c 1 -W 20 -s 1001 \(address)")
                    #expect(echo.status == 0, "\(echo.output)")
                    let fragments = try lab.exec("alice", "ping -n -c 1 -W 20 -s 5001 \(address)")
                    #expect(fragments.status == 0, "\(fragments.output)")
                    let closed = try lab.exec("alice", "curl -sS -m 2 http://\(host):81/")
                    #expect(closed.status != 0)
                }
            }
            let copies = try lab.capturing("ids", "middle") {
                guard offload == "off" else { return try traffic() }
                let inside = try lab.capturing("web", "inside", traffic)
                let judged = try wrongChecksums(in: inside)
                #expect(judged.wrong.isEmpty, "\(judged.wrong.prefix(5))")
                #expect(judged.frames > 100)
            }
            let judged = try wrongChecksums(in: copies)
            #expect(judged.wrong.isEmpty, "\(judged.wrong.prefix(5))")
            #expect(judged.frames > 300, "the passive node got \(judged.frames) frames")
        }
    }

    @Test func aBulkStreamCrossesTheChainInLargeSegments() throws {
        let topology = Self.topology(offload: "on", send: "mac")
        try Lab.with(topology, files: ["server.py": Self.server]) { lab in
            let capture = try lab.capturing("alice", "outside") {
                for _ in 1...5 { try lab.exec("alice", "curl -sS -o /dev/null http://203.0.113.80/") }
            }
            let sizes = try run(
                "/usr/bin/tshark", ["-r", capture, "-Y", "ip.src==203.0.113.80", "-T", "fields", "-e", "frame.len"])
            let largest = sizes.output.split(separator: "\n").compactMap { Int($0) }.max() ?? 0
            #expect(largest > 20_000, "the largest segment that alice received had \(largest) octets")
        }
    }
}
