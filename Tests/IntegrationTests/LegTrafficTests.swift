import Testing

/// Nodes with more legs than a near and a far side, with real programs in them.
@Suite(.serialized) struct LegTrafficTests {
    private static let interfaces = """
        interfaces:
          wan: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          dmz: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          lan: { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
        """

    /// nftables tells outside, DMZ and inside by their devices.
    @Test func aFirewallHasThreeLegs() throws {
        let topology = """
            name: three-legs
            \(Self.interfaces)
            customers:
              alice: { interface: wan }
              carol: { interface: lan }
            applications:
              firewall:
                attach: { outside: wan, dmz: dmz, inside: lan }
                setup: nft -f firewall.nft
              web: { attach: dmz, run: exec python3 echo.py, ready: { tcp: 80 } }
            routers:
              uplink:
                interface: wan
                setup: ip address add 198.51.100.7/32 dev lo
                run: exec python3 echo.py
                ready: { tcp: 80 }
            services:
              shop:
                address: [203.0.113.80, "2001:db8:cb::80"]
                from: alice
                sequence: [{ firewall: { in: outside, out: dmz } }, web]
              shop-inside:
                address: [203.0.113.80, "2001:db8:cb::80"]
                from: lan
                sequence: [{ firewall: { in: inside, out: dmz } }, web]
              internet:
                address: 0.0.0.0/0
                from: lan
                sequence: [{ firewall: { in: inside, out: outside } }, uplink]
            """
        let rules = """
            table inet filter {
              chain forward {
                type filter hook forward priority 0; policy drop;
                ct state established,related accept
                iifname "lan" accept
                iifname "wan" oifname "dmz" tcp dport 80 accept
              }
              chain translate {
                type nat hook postrouting priority 100;
                oifname "wan" masquerade
              }
            }
            """
        try Lab.with(topology, files: ["echo.py": ChainShapeTests.echo, "firewall.nft": rules]) { lab in
            for address in ["203.0.113.80", "2001:db8:cb::80"] {
                for node in ["alice", "carol"] {
                    let answer = try ChainShapeTests.ask(lab, address, from: node)
                    #expect(answer.output.contains("you are"), "\(answer.output)")
                }
            }
            let abroad = try ChainShapeTests.ask(lab, "198.51.100.7", from: "carol")
            #expect(abroad.output.contains("you are 192.0.2."), "\(abroad.output)")
            // The firewall lets only carol ping the server, so the packets did enter it by the legs that the file names.
            #expect(try lab.exec("alice", "ping -n -c 1 -W 1 203.0.113.80").status != 0)
            #expect(try lab.exec("carol", "ping -n -c 1 -W 20 203.0.113.80").status == 0)
        }
    }

    /// A detector hears the customers on one leg, reports to a collector by another one, and shows there what it saw. Its
    /// own packets on the first leg, and packets from an address that is not its own, are dropped.
    @Test func aDetectorReportsByALegOfItsOwn() throws {
        let topology = """
            name: reports
            \(Self.interfaces)
            customers:
              alice: { interface: wan }
              admin: { interface: lan }
            applications:
              ids:
                passive: true
                attach: { in: dmz, management: lan }
                run: exec python3 detector.py
                ready: { tcp: 443, address: 203.0.113.43 }
              web: { attach: dmz, run: exec python3 echo.py, ready: { tcp: 80 } }
              collector: { attach: lan, run: exec python3 collector.py, ready: { run: ss -lun | grep -q 514 } }
            services:
              shop: { address: 203.0.113.80, ports: tcp/80, from: wan, distribute: ids, sequence: web }
              reports: { address: 203.0.113.14, ports: udp/514, from: ids, sequence: collector }
              console: { address: 203.0.113.43, ports: tcp/443, from: admin, sequence: { ids: management } }
            """
        let detector = """
            import os, socket, threading
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
            tap.bind((os.environ['TAPLINE_IN'], 0))
            console = socket.create_server(('203.0.113.43', 443))
            report = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            seen = set()
            def serve():
                while True:
                    caller, _ = console.accept()
                    caller.sendall((' '.join(sorted(seen)) + '\\n').encode())
                    caller.close()
            threading.Thread(target=serve, daemon=True).start()
            while True:
                frame = tap.recv(2000)
                if frame[23] == 6 and socket.inet_ntoa(frame[30:34]) == '203.0.113.80':
                    source = socket.inet_ntoa(frame[26:30])
                    seen.add(source)
                    report.sendto(b'saw ' + source.encode(), ('203.0.113.14', 514))
            """
        let collector = """
            import os, socket
            inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            inbox.bind(('', 514))
            while True:
                text, sender = inbox.recvfrom(999)
                with open(os.environ['TAPLINE_DIR'] + '/log', 'a') as log: log.write(sender[0] + ' ' + text.decode() + '\\n')
            """
        let files = ["echo.py": ChainShapeTests.echo, "detector.py": detector, "collector.py": collector]
        try Lab.with(topology, files: files) { lab in
            let answer = try ChainShapeTests.ask(lab, "203.0.113.80")
            #expect(answer.output.contains("you are 192.0.2.2"), "\(answer.output)")
            let log = try lab.exec(
                "collector", "until grep saw $TAPLINE_DIR/log; do sleep 0.05; done")
            #expect(log.output.contains("198.18.3.3 saw 192.0.2.2"), "\(log.output)")
            let shown = try lab.exec(
                "admin",
                "python3 -c \"import socket; print(socket.create_connection(('203.0.113.43', 443), 20).recv(99).decode())\""
            )
            #expect(shown.output.contains("192.0.2.2"), "\(shown.output)")
            // It cannot speak where it listens, nor in another's name.
            _ = try lab.exec(
                "ids",
                """
                ip address add 203.0.113.99/32 dev lo
                python3 -c "
                import socket
                forged = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                forged.bind(('203.0.113.99', 0))
                forged.sendto(b'forged', ('203.0.113.14', 514))
                heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                heard.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'dmz')
                heard.sendto(b'heard', ('203.0.113.80', 9))
                "
                """)
            try TwoEnginesTests.eventually("what it forged is dropped") {
                try lab.tapline("status", lab.name, "--json").output.contains("spoofed-source")
            }
            let all = try lab.exec("collector", "cat $TAPLINE_DIR/log")
            #expect(!all.output.contains("forged"), "\(all.output)")
        }
    }
}
