import Foundation
import Testing

/// Packets whose answers carry what they carried.
@Suite struct CheckEchoTests {
    private static let echo = """
        import socket, sys, threading
        bound = threading.Barrier(3)
        def datagrams(family, port):
            s = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Answered from the address that was asked.
            level, option, info = (0, 8, 8) if family == socket.AF_INET else (41, 49, 50)
            s.setsockopt(level, option, 1)
            s.bind(("", port))
            bound.wait()
            while True:
                data, control, _, peer = s.recvmsg(65536, 256)
                for l, t, d in control:
                    if (l, t) == (level, info):
                        own = b"\\\\0\\\\0\\\\0\\\\0" + d[8:12] + b"\\\\0\\\\0\\\\0\\\\0" if family == socket.AF_INET else d[:16] + b"\\\\0\\\\0\\\\0\\\\0"
                        s.sendmsg([data], [(level, info, own)], 0, peer)
        for family in (socket.AF_INET, socket.AF_INET6):
            threading.Thread(target=datagrams, args=(family, 7), daemon=True).start()
        # Who reaches the port by TCP finds datagrams taken, too.
        bound.wait()
        t = socket.create_server(("", 7), dualstack_ipv6=True, family=socket.AF_INET6)
        def serve(c):
            while data := c.recv(65536): c.sendall(data)
        while True: threading.Thread(target=serve, args=(t.accept()[0],), daemon=True).start()
        """.replacingOccurrences(of: "\\\\0", with: "\\0")

    /// Asks the server behind it over a connection of its own.
    private static let proxy = """
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_IP, 15, 1)
        s.bind(("203.0.113.3", 7))
        print("listening", flush=True)
        while True:
            data, peer = s.recvfrom(65536)
            out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            out.settimeout(20)
            out.sendto(data, ("203.0.113.2", 7))
            s.sendto(out.recvfrom(65536)[0], peer)
        """

    @Test func anEchoIsAnAnswer() throws {
        let topology = """
            name: echoes
            interfaces:
              outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
              middle:  { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
              behind:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
              proxied: { address: 198.18.5.1/24 }
              inside:  { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
            customers:
              alice: { interface: outside }
            applications:
              firewall: { attach: { in: middle, out: behind } }
              translator: { attach: { in: middle, out: behind }, setup: "nft 'add table ip t; add chain ip t post { type nat hook postrouting priority 100; }; add rule ip t post oifname \\"behind\\" masquerade random'" }
              proxy: { attach: { in: proxied, out: behind }, run: exec python3 proxy.py, ready: { log: listening } }
              plain: { attach: inside, run: exec python3 echo.py, ready: { tcp: 7 } }
              hidden: { attach: inside, send: network, run: exec python3 echo.py, ready: { tcp: 7 } }
            services:
              chained:   { address: [203.0.113.1, "2001:db8:cb::1"], ports: [udp/7, tcp/7], sequence: [firewall, plain] }
              rewritten: { address: [203.0.113.2, "2001:db8:cb::2"], ports: [udp/7, tcp/7], from: [alice, proxy], sequence: hidden }
              relayed:   { address: 203.0.113.3, ports: udp/7, from: alice, sequence: proxy }
              translated: { address: 203.0.113.4, ports: udp/7, sequence: [translator, plain] }

            """
        var checks = ""
        var names: [String] = []
        func check(_ name: String, _ packet: String, _ reaches: String, _ answer: String) {
            checks +=
                "- { name: \(name), packet: { from: alice, \(packet) }, reaches: [\(reaches)], answer: [\(answer)] }\n"
            names.append(name)
        }
        for (family, first, second) in [
            ("IPv4", "203.0.113.1", "203.0.113.2"), ("IPv6", "\"2001:db8:cb::1\"", "\"2001:db8:cb::2\""),
        ] {
            check("chained \(family)", "to: \(first), port: udp/7", "firewall, plain", "firewall, alice")
            check("rewritten \(family)", "to: \(second), port: udp/7", "hidden", "alice")
            check("one port \(family)", "to: \(second), port: udp/7, source-port: 7", "hidden", "alice")
            check("short \(family)", "to: \(first), port: udp/7, payload: hi", "firewall, plain", "firewall, alice")
            check("echo request \(family)", "to: \(first)", "firewall, plain", "firewall, alice")
            check(
                "first segment \(family)", "to: \(first), port: tcp/7, payload: hello", "firewall, plain",
                "firewall, alice")
        }
        check("translated", "to: 203.0.113.4, port: udp/7", "translator, plain", "translator, alice")
        check("relayed", "to: 203.0.113.3, port: udp/7", "proxy, hidden", "proxy, alice")
        let run = try CheckedTopology(topology, checks: checks, files: ["echo.py": Self.echo, "proxy.py": Self.proxy])
        for name in names { run.expectHeld(name) }
    }

    @Test func aRefusalOfWhatASegmentCarriesIsAnAnswer() throws {
        let topology = """
            name: refusing
            interfaces:
              outside: { address: 192.0.2.1/24 }
              inside:  { address: 198.18.4.1/24 }
            customers: { alice: { interface: outside } }
            applications: { web: { attach: inside } }
            services: { site: { address: 203.0.113.80, ports: tcp/80, sequence: web } }

            """
        let run = try CheckedTopology(
            topology,
            checks:
                "- { name: refused, packet: { from: alice, to: 203.0.113.80, port: tcp/80, payload: hello }, reaches: web, answer: alice }\n",
            files: [:])
        run.expectHeld("refused")
    }
}
