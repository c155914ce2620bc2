import Foundation
import Testing

/// Chains of every kind of application that an engineer may draw, with real programs in them.
@Suite(.serialized) struct ChainShapeTests {
    static let interfaces = """
        interfaces:
          outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          middle:  { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          behind:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          inside:  { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        """

    static let echo = """
        import socket, sys
        s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('::', 80))
        s.listen()
        while True:
            c, peer = s.accept()
            c.sendall(('you are ' + peer[0].replace('::ffff:', '') + '\\n').encode())
            c.close()
        """

    static func ask(_ lab: Lab, _ address: String, from node: String = "alice", for seconds: Int = 20) throws
        -> Finished
    {
        try lab.exec(
            node,
            "python3 -c \"import socket; "
                + "s=socket.create_connection(('\(address)', 80), \(seconds)); print(s.recv(99).decode())\""
        )
    }

    /// The server knows nothing of the service address; the customer sees nothing else, in ICMP errors neither.
    @Test func aNetworkSendAddressHidesTheServer() throws {
        let topology = """
            name: network
            \(Self.interfaces)
            customers:
              alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
            applications:
              firewall: { type: firewall, attach: { in: middle, out: behind } }
              web: { type: web-server, attach: { in: inside }, send: network, run: exec python3 echo.py, ready: { tcp: 80 } }
            services:
              site:
                address: [203.0.113.80, "2001:db8:cb::80"]
                ports: [tcp/80, udp/9]
                sequence: [firewall, web]
            """
        try Lab.with(topology, files: ["echo.py": Self.echo]) { lab in
            for (service, customer) in [("203.0.113.80", "192.0.2.10"), ("2001:db8:cb::80", "2001:db8:2::10")] {
                let answer = try Self.ask(lab, service)
                #expect(answer.output.contains("you are \(customer)"), "\(answer.output)")
                #expect(try lab.exec("alice", "ping -n -c 1 -W 20 \(service)").status == 0)
                // Nothing listens on UDP port 9: the server's port unreachable must reach the customer's socket, which
                // only takes it if the packet quoted in it has the service address for its destination.
                let refused = try lab.exec(
                    "alice",
                    """
                    python3 -c "
                    import socket
                    s = socket.socket(socket.AF_INET6 if ':' in '\(service)' else socket.AF_INET, socket.SOCK_DGRAM)
                    s.settimeout(20)
                    s.connect(('\(service)', 9))
                    s.send(b'anyone?')
                    try: s.recv(1)
                    except ConnectionRefusedError: print('refused')
                    "
                    """)
                #expect(refused.output.contains("refused"), "\(refused.output)")
            }
            let addresses = try lab.exec("web", "cat /proc/net/fib_trie /proc/net/if_inet6")
            #expect(!addresses.output.contains("203.0.113.80"))
        }
    }

    /// A bridge is the smallest bump in the wire: frames run through it and come out as they went in.
    @Test func aTransparentApplicationIsABumpInTheWire() throws {
        let topology = """
            name: transparent
            \(Self.interfaces)
            customers:
              alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
            applications:
              bump:
                type: intrusion-prevention
                transparent: true
                attach: { in: middle, out: behind }
                setup:
                  - ip link add name bump type bridge
                  - ip link set dev "$TAPLINE_IN" master bump
                  - ip link set dev "$TAPLINE_OUT" master bump
                  - ip link set dev bump up
              web: { type: web-server, attach: { in: inside }, run: exec python3 echo.py, ready: { tcp: 80 } }
            services:
              site: { address: [203.0.113.80, "2001:db8:cb::80"], ports: [tcp/80], sequence: [bump, web] }
            """
        try Lab.with(topology, files: ["echo.py": Self.echo]) { lab in
            for (service, customer) in [("203.0.113.80", "192.0.2.10"), ("2001:db8:cb::80", "2001:db8:2::10")] {
                let answer = try Self.ask(lab, service)
                #expect(answer.output.contains("you are \(customer)"), "\(answer.output)")
            }
            let cut = try lab.exec("bump", "ip link set dev bump down; sleep 0.1")
            #expect(cut.status == 0, "\(cut.output)")
            #expect(try Self.ask(lab, "203.0.113.80", for: 3).status != 0, "the packets did not run through the bump")
        }
    }

    /// A firewall with one interface in mid-chain: requests and responses leave it where they came in.
    @Test func aOneArmedApplicationInMidChain() throws {
        let topology = """
            name: one-armed
            \(Self.interfaces)
            customers:
              alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
            applications:
              filter: { type: firewall, attach: { in: middle }, setup: nft -f filter.nft }
              web: { type: web-server, attach: { in: inside }, run: exec python3 echo.py, ready: { tcp: 80 } }
            services:
              site: { address: [203.0.113.80, "2001:db8:cb::80"], ports: [tcp/80, tcp/81], sequence: [filter, web] }
            """
        let rules = """
            table inet filter {
                chain forwarding {
                    type filter hook forward priority filter; policy drop;
                    ct state established,related accept
                    tcp dport 80 ct state new accept
                }
            }
            """
        try Lab.with(topology, files: ["echo.py": Self.echo, "filter.nft": rules]) { lab in
            for (service, customer) in [("203.0.113.80", "192.0.2.10"), ("2001:db8:cb::80", "2001:db8:2::10")] {
                let answer = try Self.ask(lab, service)
                #expect(answer.output.contains("you are \(customer)"), "\(answer.output)")
                let counted = try lab.exec("filter", "cat /proc/net/nf_conntrack 2>/dev/null | grep -c dport=80; true")
                #expect(counted.status == 0)
            }
            let blocked = try lab.exec("alice", "curl -sS -m 2 http://203.0.113.80:81/")
            #expect(blocked.status == 28, "a dropped port times out: \(blocked.output)")
        }
    }

    /// Everything that alice sends out passes the firewall to a router, and comes back the same way.
    @Test func aPrefixServiceEndsAtARouter() throws {
        let topology = """
            name: egress
            \(Self.interfaces)
            customers:
              alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
            applications:
              ids: { type: intrusion-detection, passive: true, attach: { in: middle } }
              firewall: { type: firewall, attach: { in: middle, out: behind } }
            routers:
              internet:
                interface: inside
                setup:
                  - ip address add 203.0.113.1/32 dev lo
                  - ip address add 2001:db8:ffff::1/128 dev lo
                run: exec python3 echo.py
                ready: { tcp: 80 }
            services:
              out:
                address: [0.0.0.0/0, "::/0"]
                from: alice
                distribute: [ids, firewall]
                sequence: [firewall, internet]
            """
        try Lab.with(topology, files: ["echo.py": Self.echo]) { lab in
            for (server, customer) in [("203.0.113.1", "192.0.2.10"), ("2001:db8:ffff::1", "2001:db8:2::10")] {
                let answer = try Self.ask(lab, server)
                #expect(answer.output.contains("you are \(customer)"), "\(answer.output)")
                #expect(try lab.exec("alice", "ping -n -c 1 -W 20 \(server)").status == 0)
            }
            let nowhere = try lab.exec("alice", "ping -n -c 1 -W 2 203.0.113.200")
            #expect(nowhere.status != 0)
        }
    }

    /// The customer and the server alone, each the only node of its interface.
    @Test func aChainWithoutAnyApplicationBetween() throws {
        let topology = """
            name: direct
            interfaces:
              outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"], mtu: 9000 }
              inside:  { address: [198.18.4.1/24], mtu: 9000 }
            customers:
              alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
            applications:
              web: { type: web-server, attach: inside, run: exec python3 echo.py, ready: { tcp: 80 } }
            services:
              site: { address: [203.0.113.80, "2001:db8:cb::80"], ports: [tcp/80], sequence: [web] }
            """
        try Lab.with(topology, files: ["echo.py": Self.echo]) { lab in
            for (service, customer) in [("203.0.113.80", "192.0.2.10"), ("2001:db8:cb::80", "2001:db8:2::10")] {
                let answer = try Self.ask(lab, service)
                #expect(answer.output.contains("you are \(customer)"), "\(answer.output)")
            }
            #expect(try lab.exec("alice", "ping -n -c 1 -W 20 -M do -s 8900 203.0.113.80").status == 0)
        }
    }

    /// Everything runs through an application with one interface, to a router and on to a server; what one customer sends
    /// to another turns round at it. And a prefix ends at a server, which answers for each of its addresses.
    @Test func prefixesPassOneArmAndEndAtAServer() throws {
        let topology = """
            name: arm
            interfaces:
              outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
              net:     { address: [198.51.100.1/24, "2001:db8:3::1/64"] }
              middle:  { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
              inside:  { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
            customers:
              alice: { interface: outside }
              bob:   { interface: net }
            applications:
              filter: { attach: middle, setup: "nft add table inet t" }
              web: { attach: inside, run: exec python3 echo.py, ready: { tcp: 80 } }
            routers:
              gate: { interface: middle }
            services:
              egress: { address: [0.0.0.0/0, "::/0"], from: [outside, net], sequence: [filter, gate] }
              site: { address: [203.0.113.0/24, "2001:db8:cb::/64"], from: gate, sequence: web }
            """
        try Lab.with(topology, files: ["echo.py": Self.echo]) { lab in
            for address in ["203.0.113.1", "203.0.113.200", "2001:db8:cb::7"] {
                let answer = try Self.ask(lab, address)
                let customer = address.contains(":") ? "2001:db8:2::2" : "192.0.2.2"
                #expect(answer.output.contains("you are \(customer)"), "\(answer.output)")
            }
            // An interface may have any name, and its device the settings of every node's.
            #expect(try lab.exec("bob", "cat /proc/sys/net/ipv6/conf/net/accept_dad").output == "0\n")
            // Three hops to the server, and two to the other customer: the filter passes each packet on once.
            let far = try lab.exec("alice", "traceroute -n -I -q 1 -w 5 -m 9 203.0.113.9")
            #expect(far.output.contains(" 3  203.0.113.9"), "\(far.output)")
            for other in ["198.51.100.2", "2001:db8:3::2"] {
                let near = try lab.exec("alice", "traceroute -n -I -q 1 -w 5 -m 9 \(other)")
                #expect(near.output.contains(" 2  \(other)"), "\(near.output)")
            }
        }
    }

    /// A proxy that sends from its customers' addresses: the server's answers are steered to it, not to the customers.
    @Test func aTransparentProxyKeepsTheCustomersAddress() throws {
        let topology = """
            name: tproxy
            \(Self.interfaces)
            customers:
              alice: { interface: outside, address: 192.0.2.10/24 }
            applications:
              proxy:
                attach: { in: middle, out: behind }
                prefixes: 192.0.2.0/24
                setup:
                  - ip rule add fwmark 1 lookup 100 && ip route add local default dev lo table 100
                  - nft -f proxy.nft
                run: exec nginx -p "$TAPLINE_DIR" -c "$PWD/nginx.conf" -g "pid $TAPLINE_DIR/nginx.pid;"
                ready: { tcp: 80 }
              web: { attach: inside, run: exec python3 -u -m http.server 80, ready: { tcp: 80 } }
            services:
              front: { address: 203.0.113.80, ports: tcp/80, sequence: proxy }
              back:  { address: 203.0.113.90, ports: tcp/80, from: proxy, sequence: web }
            """
        let files = [
            "proxy.nft": """
            table inet proxy {
                chain incoming {
                    type filter hook prerouting priority mangle;
                    iifname "behind" meta l4proto tcp socket transparent 1 meta mark set 1 accept
                }
            }

            """,
            "nginx.conf": """
            daemon off;
            user root;
            error_log stderr warn;
            events { worker_connections 64; }
            http {
                access_log off;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
                scgi_temp_path scgi;
                server {
                    listen 80;
                    location / { proxy_bind $remote_addr transparent; proxy_pass http://203.0.113.90; }
                }
            }

            """,
        ]
        try Lab.with(topology, files: files) { lab in
            let answer = try lab.exec("alice", "curl -fsS -m 20 http://203.0.113.80/proxy.nft")
            #expect(answer.output.contains("chain incoming"), "\(answer.output)")
            let log = try lab.tapline("logs", lab.name, "web")
            #expect(log.output.contains("192.0.2.10 - - "), "\(log.output)")
        }
    }
}
