import Foundation
import Testing

/// Nodes that are each other's neighbours, and addresses that move, with real programs and with hostile ones.
@Suite(.serialized) struct NeighbourhoodTrafficTests {
    /// Announces an address in every way there is: gratuitous requests and replies, and answers that nobody asked for.
    private static let announce = """
        import socket, struct, sys
        device, address, engine = sys.argv[1], socket.inet_aton(sys.argv[2]), sys.argv[3]
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806))
        link.bind((device, 0))
        own = link.getsockname()[4]
        router = socket.inet_aton(engine)
        for operation, target in [(1, address), (2, address), (2, router), (1, router)]:
            body = struct.pack('!HHBBH', 1, 0x800, 6, 4, operation) + own + address + b'\\0' * 6 + target
            link.send(b'\\xff' * 6 + own + b'\\x08\\x06' + body)
        """

    private func drops(_ lab: Lab) throws -> String { try lab.tapline("status", lab.name, "--json").output }

    private func send(_ lab: Lab, _ node: String, _ address: String) throws -> String {
        try ChainShapeTests.ask(lab, address, from: node).output
    }

    /// A lease is asked for by broadcast, and what has it may use it. Nobody else takes it by an announcement.
    @Test func aCustomerGetsItsAddressByDHCP() throws {
        let topology = """
            name: lease
            interfaces:
              lan: { address: 192.0.2.1/24 }
              servers: { address: 198.18.4.1/24 }
            customers:
              alice: { interface: lan, address: [], may-have: 192.0.2.128/26 }
              mallory: { interface: lan, address: 192.0.2.66 }
            applications:
              dhcp:
                attach: lan
                run: exec dnsmasq -k -p 0 -C dnsmasq.conf -x "$TAPLINE_DIR/pid" -l "$TAPLINE_DIR/leases"
                ready: { run: ss -lun | grep -q :67 }
              web: { attach: servers, run: exec python3 echo.py, ready: { tcp: 80 } }
            services:
              lease: { between: [alice, dhcp], address: 255.255.255.255, ports: [udp/67, udp/68] }
              shop: { address: 203.0.113.80, ports: tcp/80, from: lan, sequence: web }
            """
        let configuration = """
            interface=lan
            bind-interfaces
            dhcp-range=192.0.2.130,192.0.2.140,1h
            dhcp-option=option:router,192.0.2.1
            dhcp-broadcast
            log-facility=-
            """
        let script = """
            #!/bin/sh
            [ "$1" = bound ] || exit 0
            ip address add "$ip/$mask" dev "$interface"
            ip route replace default via "$router"
            """
        let files = [
            "echo.py": ChainShapeTests.echo, "dnsmasq.conf": configuration, "bound.sh": script,
            "announce.py": Self.announce,
        ]
        try Lab.with(topology, files: files) { lab in
            let leased = try lab.exec(
                "alice",
                """
                cp bound.sh $TAPLINE_DIR && chmod +x $TAPLINE_DIR/bound.sh &&
                udhcpc -i lan -f -q -n -B -t 20 -T 1 -s $TAPLINE_DIR/bound.sh && ip -4 address show lan
                """
            )
            #expect(leased.output.contains("inet 192.0.2.1"), "\(leased.output)")
            let answer = try send(lab, "alice", "203.0.113.80")
            #expect(answer.contains("you are 192.0.2.1"), "\(answer)")
            let address = try lab.exec(
                "alice", "ip -4 -o address show lan | awk '{ sub(\"/.*\", \"\", $4); print $4 }'"
            ).output.trimmingCharacters(in: .whitespacesAndNewlines)
            _ = try lab.exec("mallory", "python3 announce.py lan \(address) 192.0.2.1")
            try TwoEnginesTests.eventually("the claim is refused") { try drops(lab).contains("neighbour-conflict") }
            let again = try send(lab, "alice", "203.0.113.80")
            #expect(again.contains("you are \(address)"), "\(again)")
        }
    }

    /// Two servers move an address between them, with two engines; a third one, and a customer, cannot take it.
    @Test func anAddressMovesToWhoeverMayAnnounceIt() throws {
        let topology = """
            name: moving
            engines: 2
            interfaces:
              outside: { address: 192.0.2.1/24 }
              servers: { address: 198.18.4.1/24 }
            customers:
              alice: { interface: outside }
              mallory: { interface: servers }
            applications:
              web: { attach: servers, instances: [web-a, web-b], send: announced, run: exec python3 name.py, ready: { tcp: 80 } }
              other: { attach: servers }
            services:
              shop: { address: 198.18.4.100, ports: tcp/80, from: alice, sequence: web }
              other: { address: 203.0.113.7, from: mallory, sequence: other }
            """
        let name = """
            import os, socket
            s = socket.create_server(('', 80))
            while True:
                c, peer = s.accept()
                c.sendall(os.environ['TAPLINE_NODE'].encode())
                c.close()
            """
        try Lab.with(topology, files: ["name.py": name, "announce.py": Self.announce]) { lab in
            var owner = ""
            for node in ["web-a", "web-b", "web-a"] {
                if !owner.isEmpty { _ = try lab.exec(owner, "ip address del 198.18.4.100/32 dev servers") }
                owner = node
                _ = try lab.exec(
                    node,
                    "ip address add 198.18.4.100/32 dev servers && python3 announce.py servers 198.18.4.100 198.18.4.1")
                try TwoEnginesTests.eventually("\(node) is asked") {
                    try send(lab, "alice", "198.18.4.100").contains(node)
                }
                for _ in 0..<4 {
                    let answer = try send(lab, "alice", "198.18.4.100")
                    #expect(answer.contains(node), "\(node): \(answer)")
                }
            }
            for node in ["mallory", "other"] {
                _ = try lab.exec(node, "python3 announce.py servers 198.18.4.100 198.18.4.1")
                let answer = try send(lab, "alice", "198.18.4.100")
                #expect(answer.contains("web-a"), "\(node): \(answer)")
            }
            try TwoEnginesTests.eventually("the claim is refused") { try drops(lab).contains("neighbour-conflict") }
        }
    }

    /// mDNS-like: each neighbour hears the others and not itself, a node beside them hears nothing, and a detector hears
    /// all. Unicast among neighbours of one link needs no route.
    @Test func aGroupReachesItsMembersAlone() throws {
        let topology = """
            name: group
            interfaces:
              lan: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
              far: { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
            customers:
              alice: { interface: lan }
              bob: { interface: lan }
              eve: { interface: lan }
            applications:
              printer: { attach: far }
              ids: { passive: true, attach: far }
            services:
              mdns:
                between: [alice, bob, printer]
                address: [224.0.0.251, "ff02::fb", 255.255.255.255]
                subnet: true
                ports: [udp/5353, icmp]
                distribute: ids
              echo: { address: 203.0.113.9, from: eve, sequence: printer }
            """
        let listen = """
            import select, socket, struct, sys, time
            device = sys.argv[1]
            four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            four.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            four.bind(('', 5353))
            index = socket.if_nametoindex(device)
            four.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack('4s4si', socket.inet_aton('224.0.0.251'), b'\\0' * 4, index))
            six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            six.bind(('::', 5353))
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, 'ff02::fb') + struct.pack('I', index))
            print('ready', flush=True)
            while True:
                for s in select.select([four, six], [], [])[0]:
                    print(s.recv(99).decode(), flush=True)
            """
        let shout = """
            import socket, sys
            index = socket.if_nametoindex('lan')
            four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            four.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            for address in ['224.0.0.251', '255.255.255.255', '192.0.2.255']: four.sendto(('to ' + address).encode(), (address, 5353))
            six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            six.sendto(b'to ff02::fb', ('ff02::fb', 5353, 0, index))
            """
        try Lab.with(topology, files: ["listen.py": listen, "shout.py": shout]) { lab in
            let sent = ["to 224.0.0.251", "to 255.255.255.255", "to 192.0.2.255", "to ff02::fb"]
            let listeners = [("alice", "lan"), ("bob", "lan"), ("eve", "lan"), ("printer", "far")]
            for (node, device) in listeners {
                _ = try lab.exec(
                    node,
                    "nohup setsid python3 listen.py \(device) > $TAPLINE_DIR/heard 2>&1 & until grep -q ready $TAPLINE_DIR/heard; do sleep 0.05; done"
                )
            }
            _ = try lab.exec("alice", "python3 shout.py")
            for (node, heard) in [("bob", sent), ("printer", sent)] {
                // The kernel of another network takes no broadcast of this one for its own.
                let expected = heard.filter { node == "bob" || !$0.hasSuffix(".2.255") }
                for text in expected {
                    let found = try lab.exec(
                        node,
                        "for i in $(seq 600); do grep -F '\(text)' $TAPLINE_DIR/heard && exit; sleep 0.05; done; exit 1"
                    )
                    #expect(found.status == 0, "\(node) did not hear '\(text)'")
                }
            }
            // Receivers see the frames that a wire would show, on a bridge or not (RFC 1112, RFC 2464).
            let macs = [
                "to 224.0.0.251": "01:00:5e:00:00:fb", "to 255.255.255.255": "ff:ff:ff:ff:ff:ff",
                "to 192.0.2.255": "ff:ff:ff:ff:ff:ff", "to ff02::fb": "33:33:00:00:00:fb",
            ]
            for (node, device) in [("bob", "lan"), ("printer", "far"), ("ids", "far")] {
                _ = try lab.exec(
                    node,
                    """
                    nohup setsid tcpdump -Z root -enlAi \(device) port 5353 > $TAPLINE_DIR/seen 2> $TAPLINE_DIR/seen.err &
                    until grep -q listening $TAPLINE_DIR/seen.err; do sleep 0.05; done
                    """)
            }
            _ = try lab.exec("alice", "python3 shout.py")
            for node in ["bob", "printer", "ids"] {
                for (text, mac) in macs {
                    let found = try lab.exec(
                        node,
                        """
                        for i in $(seq 600); do
                            grep -B 4 -F '\(text)' $TAPLINE_DIR/seen | grep '> \(mac)' && exit; sleep 0.05
                        done; cat $TAPLINE_DIR/seen; exit 1
                        """)
                    #expect(found.status == 0, "\(node): '\(text)' was not sent to \(mac): \(found.output)")
                }
            }
            // The sender's own kernel gives its broadcasts to its own sockets, but not its multicasts.
            for (node, unheard) in [("alice", ["224.0.0.251", "ff02::fb"]), ("eve", ["to "])] {
                let heard = try lab.exec(node, "cat $TAPLINE_DIR/heard").output
                for text in unheard { #expect(!heard.contains(text), "\(node): \(heard)") }
            }
            for address in ["192.0.2.3", "2001:db8:2::3"] {
                #expect(try lab.exec("alice", "ping -n -c 1 -W 20 \(address)").status == 0)
            }
            #expect(try lab.exec("eve", "ping -n -c 1 -W 1 192.0.2.3").status != 0)
        }
    }

    /// keepalived with virtual MAC addresses: both servers use the same one, on a device of their own (macvlan).
    @Test func anAddressMovesWithItsVirtualMACAddress() throws {
        let topology = """
            name: vmac
            interfaces:
              outside: { address: 192.0.2.1/24 }
              servers: { address: 198.18.4.1/24 }
            customers:
              alice: { interface: outside }
              mallory: { interface: servers }
            applications:
              web:
                attach: servers
                instances: [web-a, web-b]
                send: announced
                may-have: { address: 198.18.4.100, mac: "00:00:5e:00:01:33" }
                run: exec keepalived -n -l -f "$TAPLINE_NODE.conf" -p "$TAPLINE_DIR/pid" -r "$TAPLINE_DIR/vrrp.pid"
                programs: { server: { run: exec python3 name.py, ready: { tcp: 80 } } }
              other: { attach: servers }
            services:
              shop: { address: 198.18.4.100, ports: tcp/80, from: alice, sequence: web }
              vrrp: { between: web, address: 224.0.0.18, ports: protocol/112 }
              other: { address: 203.0.113.7, from: mallory, sequence: other }
            """
        func configuration(_ priority: Int) -> String {
            """
            global_defs {
                vrrp_version 3
            }
            vrrp_instance shop {
                state BACKUP
                interface servers
                use_vmac vrrp.51
                virtual_router_id 51
                priority \(priority)
                advert_int 0.2
                virtual_ipaddress {
                    198.18.4.100/32
                }
            }
            """
        }
        let name = """
            import os, socket
            s = socket.create_server(('', 80))
            while True:
                c, peer = s.accept()
                c.sendall(os.environ['TAPLINE_NODE'].encode())
                c.close()
            """
        let steal = """
            import socket, struct
            link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806))
            link.bind(('servers', 0))
            virtual, address = bytes.fromhex('00005e000133'), socket.inet_aton('198.18.4.100')
            for source in (virtual, link.getsockname()[4]):
                for claimed in (virtual, link.getsockname()[4]):
                    body = struct.pack('!HHBBH', 1, 0x800, 6, 4, 1) + claimed + address + b'\\0' * 6 + address
                    link.send(b'\\xff' * 6 + source + b'\\x08\\x06' + body)
            """
        let files = [
            "name.py": name, "steal.py": steal, "web-a.conf": configuration(200), "web-b.conf": configuration(100),
        ]
        try Lab.with(topology, files: files) { lab in
            func awaitAnswer(of node: String) throws {
                var answer = ""
                for _ in 0..<300 {
                    answer = try send(lab, "alice", "198.18.4.100")
                    if answer.contains(node) { return }
                    usleep(100_000)
                }
                Issue.record("\(node) does not answer: \(answer)")
            }
            try awaitAnswer(of: "web-a")
            let link = try lab.exec("web-a", "ip -o link show vrrp.51").output
            #expect(link.contains("00:00:5e:00:01:33"), "\(link)")
            // The server's own device hears frames to the virtual address, as on a wire.
            _ = try lab.exec(
                "web-a",
                """
                nohup setsid tcpdump -Z root -enlp -i vrrp.51 dst host 198.18.4.100 and tcp > $TAPLINE_DIR/seen 2> $TAPLINE_DIR/seen.err &
                until grep -q listening $TAPLINE_DIR/seen.err; do sleep 0.05; done
                """)
            try awaitAnswer(of: "web-a")
            let seen = try lab.exec(
                "web-a",
                "for i in $(seq 600); do grep '> 00:00:5e:00:01:33' $TAPLINE_DIR/seen && exit; sleep 0.05; done; cat $TAPLINE_DIR/seen; exit 1"
            )
            #expect(seen.status == 0, "\(seen.output)")
            for node in ["mallory", "other"] {
                _ = try lab.exec(node, "python3 steal.py")
                let answer = try send(lab, "alice", "198.18.4.100")
                #expect(answer.contains("web-"), "\(node): \(answer)")
            }
            #expect(try lab.tapline("link-down", lab.name, "web-a", "servers").status == 0)
            try awaitAnswer(of: "web-b")
            #expect(try lab.tapline("link-up", lab.name, "web-a", "servers").status == 0)
            try awaitAnswer(of: "web-a")
        }
    }
}
