import Foundation
import Testing

/// A bridge of the kernel's in a transparent node passes frames on as they came, whether or not the machine has br_netfilter.
@Suite struct TransparentBridgeTests {
    private static let topology = """
        name: bumps
        interfaces:
          outside: { address: 192.0.2.1/24 }
          middle:  { address: 198.18.2.1/24 }
          behind:  { address: 198.18.3.1/24 }
          inside:  { address: 198.18.4.1/24 }
        customers:
          alice: { interface: outside }
        applications:
          bump:
            transparent: true
            attach: { in: middle, out: behind }
            setup:
              - ip link add name bump type bridge
              - ip link set dev "$TAPLINE_IN" master bump
              - ip link set dev "$TAPLINE_OUT" master bump
              - ip link set dev bump up
          web: { attach: inside }
        services:
          site: { address: 203.0.113.80, ports: udp/53, sequence: [bump, web] }
        """

    /// Sends, or prints what is sent: a short packet with a trailer behind it, as padding that is not zeros; a datagram in
    /// fragments, the last one first; two datagrams whose fragments are mixed.
    private static let send = """
        import socket, struct, sys
        def packet(identification, offset, more, payload):
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identification, (0x2000 if more else 0) | offset // 8,
                64, 17, 0, socket.inet_aton("192.0.2.2"), socket.inet_aton("203.0.113.80"))
            total = sum(struct.unpack("!10H", header))
            while total >> 16: total = (total & 0xffff) + (total >> 16)
            return header[:10] + struct.pack("!H", ~total & 0xffff) + header[12:] + payload
        def datagram(identification, octets):
            whole = struct.pack("!HHHH", 4242, 53, 8 + octets, 0) + bytes(n % 251 for n in range(octets))
            parts = [(at, whole[at:at + 400]) for at in range(0, len(whole), 400)]
            return [packet(identification, at, at + 400 < len(whole), part) for at, part in parts]
        one, two = datagram(3, 1500), datagram(4, 1100)
        packets = [packet(1, 0, False, struct.pack("!HHHH", 4242, 53, 8, 0)) + b"a trailer that is no padding"]
        packets += reversed(datagram(2, 1500))
        packets += [one[1], two[2], one[0], two[0], two[1], one[3], one[2]]
        if sys.argv[1] == "print":
            for p in packets: print(p.hex())
        else:
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind((sys.argv[1], 0))
            mac = bytes.fromhex(sys.argv[2].replace(":", ""))
            for p in packets: s.send(mac + s.getsockname()[4] + b"\\x08\\x00" + p)
        """
    private static let receive = """
        import socket, sys
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((sys.argv[1], 3))
        s.settimeout(60)
        print("listening", flush=True)
        seen = 0
        while seen < int(sys.argv[2]):
            frame, address = s.recvfrom(65536)
            if address[2] == socket.PACKET_OUTGOING or frame[12:14] != b"\\x08\\x00" or frame[30:34] != socket.inet_aton("203.0.113.80"): continue
            print(frame[14:].hex(), flush=True)
            seen += 1
        """

    @Test func framesComeOutAsTheyWentIn() throws {
        try Lab.with(Self.topology, files: ["send.py": Self.send, "receive.py": Self.receive]) { lab in
            let wanted = try lab.exec("alice", "python3 send.py print").output.split(separator: "\n").map(String.init)
            #expect(wanted.count == 12)
            let mac = try lab.exec("alice", "ping -c 1 -W 20 192.0.2.1 >/dev/null; ip neighbour show 192.0.2.1").output
            let words = mac.split(separator: " ").map(String.init)
            let engine = words[try #require(words.firstIndex(of: "lladdr"), "\(mac)") + 1]
            let log = lab.directory(of: "web") + "/seen"
            try lab.exec(
                "web",
                "python3 receive.py inside \(wanted.count) >\(log) 2>&1 & "
                    + "until grep -q listening \(log); do sleep 0.05; done")
            #expect(try lab.exec("alice", "python3 send.py outside \(engine)").status == 0)
            let waiting =
                "for i in $(seq 600); do [ $(wc -l <\(log)) -gt \(wanted.count) ] && break; sleep 0.05; done; cat \(log)"
            let seen = try lab.exec("web", waiting).output.split(separator: "\n").map(String.init).dropFirst()
            #expect(Array(seen) == wanted)
        }
    }

    /// What the file says of a node comes after what all nodes get. A kernel without br_netfilter has no such setting.
    @Test func aFileMayAskForTheHooks() throws {
        let name = "net.bridge.bridge-nf-call-iptables"
        let file = "/proc/sys/" + name.replacingOccurrences(of: ".", with: "/")
        let isThere = FileManager.default.fileExists(atPath: file)
        let topology = """
            name: hooks
            interfaces: { outside: { address: 192.0.2.1/24 } }
            customers:
              alice: { interface: outside, sysctls: { \(isThere ? name : "net.ipv4.ip_forward"): 1 } }
              bob: { interface: outside }
            """
        try Lab.with(topology) { lab in
            let look = "cat \(file) 2>/dev/null || echo none"
            let seen = [try lab.exec("alice", look).output, try lab.exec("bob", look).output]
            #expect(seen == (isThere ? ["1\n", "0\n"] : ["none\n", "none\n"]))
        }
    }
}
