import Foundation
import Testing

/// Nodes that share a link, or an address, with others: what each may say there, and what reaches whom.
@Suite(.serialized) struct SharedLinkTests {
    /// Customers and servers of every kind on one interface, in both families. Nobody's claim is taken for a conflict
    /// whatever the node's `arp_announce` is, duplicate address detection finds none, and who lies is named.
    @Test func everybodyOnOneInterface() throws {
        let topology = """
            name: one
            interfaces: { one: { address: [10.7.0.1/24, "2001:db8:7::1/64"] } }
            customers: { alice: { interface: one } }
            applications:
              web: { attach: one, run: exec python3 echo.py, ready: { tcp: 80 } }
              net: { attach: one, send: network, run: exec python3 echo.py, ready: { tcp: 80 } }
              proxy: { attach: one, run: exec python3 proxy.py, ready: { tcp: 81 } }
            services:
              shop:  { address: [203.0.113.80, "2001:db8:cb::80", 10.7.0.80], ports: tcp/80, from: [alice, proxy], sequence: [web] }
              net:   { address: [203.0.113.81, "2001:db8:cb::81"], ports: tcp/80, sequence: [net] }
              front: { address: 203.0.113.82, ports: tcp/81, sequence: [proxy] }
            """
        let proxy = """
            import socket
            s = socket.create_server(('', 81))
            while True:
                c, _ = s.accept()
                try:
                    with socket.create_connection(('203.0.113.80', 80), 20) as b: c.sendall(b.recv(99))
                except OSError as e: print(e, flush=True)
                c.close()
            """
        try Lab.with(topology, files: ["echo.py": ChainShapeTests.echo, "proxy.py": proxy]) { lab in
            try lab.exec(
                "web",
                "for c in all default one; do echo 0 > /proc/sys/net/ipv4/conf/$c/arp_announce; done; ip neigh flush all"
            )
            for address in [
                "203.0.113.80", "2001:db8:cb::80", "10.7.0.80", "203.0.113.81", "2001:db8:cb::81",
            ] {
                let answer = try ChainShapeTests.ask(lab, address)
                #expect(answer.output.contains("you are"), "\(address): \(answer.output)")
            }
            let relayed = try lab.exec(
                "alice",
                "python3 -c \"import socket; print(socket.create_connection(('203.0.113.82', 81), 20).recv(99).decode())\""
            )
            let log = try lab.tapline("logs", lab.name, "proxy").output
            #expect(relayed.output.contains("you are"), "\(relayed.output) \(log)")
            let detection = try lab.exec(
                "web",
                "for c in all one; do echo 1 > /proc/sys/net/ipv6/conf/$c/accept_dad; done; "
                    + "ip -6 address add 2001:db8:cb::80/128 dev one; "
                    + "for i in $(seq 300); do ip -6 address show dev one tentative | grep -q . || break; sleep 0.1; done; "
                    + "ip -6 address show dev one")
            #expect(detection.output.contains("2001:db8:cb::80/128"), "\(detection.output)")
            #expect(
                !detection.output.contains("dadfailed") && !detection.output.contains("tentative"),
                "\(detection.output)")
            func conflicts() throws -> [String: Any]? {
                (try lab.status()["drops"] as? [[String: Any]])?.first {
                    $0["reason"] as? String == "neighbour-conflict"
                }
            }
            #expect(try conflicts() == nil)
            try lab.exec(
                "alice",
                """
                python3 -c "
                import socket
                mac = bytes.fromhex(open('/sys/class/net/one/address').read().strip().replace(':', ''))
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                s.bind(('one', 0))
                head = b'\\xff' * 6 + mac + bytes.fromhex('08060001080006040001')
                s.send(head + mac + bytes([203, 0, 113, 80]) + bytes(6) + bytes([10, 7, 0, 1]))
                "
                """)
            try TwoEnginesTests.eventually("it is counted") { try conflicts() != nil }
            let last = try #require(try conflicts()?["last"] as? [String: Any])
            #expect(last["node"] as? String == "alice" && last["interface"] as? String == "one")
            #expect(last["source"] as? String == "203.0.113.80" && last["destination"] as? String == "10.7.0.1")
            #expect(try lab.tapline("status", lab.name).output.contains("last: alice on one, 203.0.113.80"))
        }
    }

    /// Entries by hand between two nodes of one network: each finds the other by the engine's answer, and asks no longer
    /// for what no entry takes.
    @Test func entriesByHandAreFoundOnTheLink() throws {
        let topology = """
            name: hand
            interfaces: { link: { address: [198.18.4.1/24, "2001:db8:4::1/64"] } }
            applications:
              one: { attach: { in: { interface: link, address: [198.18.4.11, "2001:db8:4::11"] } } }
              two:
                attach: { in: { interface: link, address: [198.18.4.12, "2001:db8:4::12"] } }
                run: exec python3 echo.py
                ready: { tcp: 80 }
              three: { attach: { in: { interface: link, address: [198.18.4.13, "2001:db8:4::13"] } } }
            entries:
              distribution:
                - { name: there, received-interface: link, source: one, destination: two, to: two }
              sequencing:
                - { name: back, received-interface: link, source: two, destination: one, to: one }
            """
        try Lab.with(topology, files: ["echo.py": ChainShapeTests.echo]) { lab in
            for address in ["198.18.4.12", "2001:db8:4::12"] {
                let answer = try ChainShapeTests.ask(lab, address, from: "one")
                #expect(answer.output.contains("you are"), "\(address): \(answer.output)")
            }
            // No entry takes what the third one sends, nor what is for it.
            #expect(try lab.exec("three", "ping -n -c 1 -W 1 198.18.4.12").status != 0)
            #expect(try lab.exec("one", "ping -n -c 1 -W 1 198.18.4.13").status != 0)
        }
    }

    /// Two services of one address, each with its own server: datagrams above the MTU reach the right one, there and back,
    /// through a firewall, with two workers, also where their fragments come in the wrong order.
    @Test func fragmentsReachTheServerOfTheirPort() throws {
        let topology = """
            name: fragments
            engine: { workers: 2 }
            \(ChainShapeTests.interfaces)
            customers: { alice: { interface: outside } }
            applications:
              firewall: { attach: { in: middle, out: behind } }
              a: { attach: inside, run: exec python3 echo.py 1, ready: { run: "ss -lun | grep -q :1" } }
              b: { attach: inside, run: exec python3 echo.py 2, ready: { run: "ss -lun | grep -q :2" } }
            services:
              one: { address: [203.0.113.80, "2001:db8:cb::80"], ports: udp/1, sequence: [firewall, a] }
              two: { address: [203.0.113.80, "2001:db8:cb::80"], ports: udp/2, sequence: [firewall, b] }
            """
        let echo = """
            import socket, sys
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            s.bind(('::', int(sys.argv[1])))
            while True:
                d, p = s.recvfrom(65535)
                s.sendto(sys.argv[1].encode() + d, p)
            """
        let ask = """
            import os, socket, struct
            wrong = 0
            for address in ('203.0.113.80', '2001:db8:cb::80'):
                for number in range(40):
                    for port in (1, 2):
                        s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
                        s.settimeout(20)
                        data = os.urandom(1000 + number * 450)
                        s.sendto(data, (address, port))
                        wrong += s.recv(65535) != str(port).encode() + data
            # By hand, the last fragment first.
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(20)
            s.bind(('', 4444))
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            data = os.urandom(2392)
            datagram = struct.pack('>HHHH', 4444, 2, 2400, 0) + data
            for offset in (1600, 800, 0):
                word = offset // 8 | (0x2000 if offset < 1600 else 0)
                head = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 0, 777, word, 64, 17, 0, bytes(4),
                                   socket.inet_aton('203.0.113.80'))
                raw.sendto(head + datagram[offset:offset + 800], ('203.0.113.80', 0))
            wrong += s.recv(65535) != b'2' + data
            print('wrong:', wrong)
            """
        try Lab.with(topology, files: ["echo.py": echo, "ask.py": ask]) { lab in
            let asked = try lab.exec("alice", "python3 \(lab.folder.path)/ask.py")
            #expect(asked.output.contains("wrong: 0"), "\(asked.output)")
            let drops = try lab.status()["drops"] as? [[String: Any]] ?? []
            #expect(!drops.contains { $0["reason"] as? String == "fragment-undecided" }, "\(drops)")
        }
    }

    /// A detector on the firewall's interface sees what a customer sends as it was sent, and the firewall sees none of it.
    @Test func everythingReachesTheDetectorAlone() throws {
        let topology = """
            name: everything
            \(ChainShapeTests.interfaces)
            customers: { alice: { interface: outside, anti-spoofing: off }, bob: { interface: outside } }
            applications:
              ids: { passive: true, copies: everything, attach: middle }
              firewall: { attach: { in: middle, out: behind } }
              web: { attach: inside, run: exec python3 echo.py, ready: { tcp: 80 } }
            services:
              shop: { address: 203.0.113.80, ports: tcp/80, distribute: [ids, firewall], sequence: [firewall, web] }
            """
        let send = """
            import socket, sys
            mac = lambda device: bytes.fromhex(open(f'/sys/class/net/{device}/address').read().strip().replace(':', ''))
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind(('outside', 0))
            engine = bytes.fromhex(sys.argv[1].replace(':', ''))
            firewall = bytes.fromhex(sys.argv[2].replace(':', ''))
            own = mac('outside')
            packet = bytes.fromhex('4500001c00010000401100007f000001cb007150') + bytes.fromhex('0001000200080000')
            for frame in (engine + own + b'\\x08\\x00' + packet,
                          engine + own + b'\\x81\\x00\\x00\\x05\\x08\\x00' + packet,
                          engine + own + b'\\x99\\x99unknown',
                          b'\\xff' * 6 + own + b'\\x99\\x99broadcast',
                          engine + own[:5] + b'\\x77' + b'\\x99\\x99odd source'):
                s.send(frame + bytes(60 - len(frame)))
            """
        try Lab.with(topology, files: ["echo.py": ChainShapeTests.echo, "send.py": send]) { lab in
            let interfaces = try #require(try lab.status()["interfaces"] as? [[String: Any]])
            let engine = try #require(interfaces.first?["mac"] as? String)
            let firewall = try lab.exec("firewall", "cat /sys/class/net/middle/address").output
                .trimmingCharacters(in: .whitespacesAndNewlines)
            var before = ""
            let seen = try lab.capturing("ids", "middle") {
                let other = try lab.capturing("firewall", "middle") {
                    #expect(try ChainShapeTests.ask(lab, "203.0.113.80").output.contains("you are"))
                    let sent = try lab.exec("alice", "python3 \(lab.folder.path)/send.py \(engine) \(firewall)")
                    #expect(sent.status == 0, "\(sent.output)")
                }
                before = try run("/usr/bin/tshark", ["-r", other]).output
            }
            func frames(_ filter: String) throws -> Int {
                try run("/usr/bin/tshark", ["-r", seen, "-Y", filter]).output.split(separator: "\n")
                    .filter { $0.contains("→") || $0.contains("->") }.count
            }
            #expect(try frames("ip.src == 127.0.0.1 && !vlan && eth.dst == \(engine)") == 1)
            #expect(try frames("vlan.id == 5") == 1)
            #expect(try frames("eth.type == 0x9999") == 3)
            #expect(try frames("eth.dst == ff:ff:ff:ff:ff:ff && eth.type == 0x9999") == 1)
            // Requests once, as they came from the customer; answers once, as they came from the firewall.
            #expect(try frames("tcp.flags.syn == 1 && tcp.flags.ack == 0") == 1)
            #expect(try frames("tcp.flags.syn == 1 && tcp.flags.ack == 1") == 1)
            #expect(!before.contains("9999") && !before.contains("127.0.0.1"), "\(before)")
        }
    }
}
