import Foundation
import Testing

/// Customers cannot pose as each other: neither beside others on a bridge, nor alone on their interface.
@Suite(.serialized) struct AntiSpoofingTests {
    private static func topology(_ key: String = "", interface: String = "") -> String {
        """
        name: spoofing
        interfaces:
          shared:  { address: [192.0.2.1/24, "2001:db8:2::1/64"]\(interface) }
          single:  { address: [192.0.3.1/24, "2001:db8:3::1/64"]\(interface) }
          servers: { address: [198.18.4.1/24, "2001:db8:4::1/64"] }
        customers:
          alice: { interface: shared, address: [192.0.2.10/24, "2001:db8:2::10/64"], prefixes: [10.1.0.0/16]\(key) }
          bob:   { interface: shared, address: [192.0.2.20/24, "2001:db8:2::20/64"] }
          carol: { interface: single, address: [192.0.3.10/24, "2001:db8:3::10/64"]\(key) }
        applications:
          web: { type: server, attach: servers, run: exec python3 count.py, ready: { run: test -e "$TAPLINE_DIR/ready" } }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], ports: [udp/7, icmp], sequence: web }
        """
    }

    private static let files = [
        // Notes what each datagram says.
        "count.py": """
        import os, socket
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind(('::', 7))
        open(os.environ['TAPLINE_DIR'] + '/ready', 'w')
        with open(os.environ['TAPLINE_DIR'] + '/seen', 'a') as seen:
            while True:
                print(s.recv(64).decode(), file=seen, flush=True)
        """,
        // send.py DEVICE ENGINE KIND MAC ADDRESS TEXT: five of KIND from a MAC address and a network address.
        "send.py": """
        import socket, struct, sys
        device, engine, kind, mac, address, text = sys.argv[1:]
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind((device, 0))
        own = raw.getsockname()[4]
        mac = own if mac == 'own' else bytes.fromhex(mac.replace(':', ''))
        engine = bytes.fromhex(engine.replace(':', ''))
        six = ':' in address
        source = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
        def check(data):
            data += bytes(len(data) % 2)
            total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
            while total >> 16: total = (total & 0xFFFF) + (total >> 16)
            return ~total & 0xFFFF or 0xFFFF
        def packet(number, upper, destination, hops, field):
            pseudo = source + destination + struct.pack('>II', len(upper), number)
            upper = upper[:field] + struct.pack('>H', check(pseudo + upper)) + upper[field + 2:]
            if six:
                return b'\\x86\\xdd' + struct.pack('>IHBB', 6 << 28, len(upper), number, hops) + source + destination + upper
            head = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(upper), 1, 0x4000, hops, number, 0) + source + destination
            return b'\\x08\\x00' + head[:10] + struct.pack('>H', check(head)) + head[12:] + upper
        if kind == 'udp':
            shop = socket.inet_pton(socket.AF_INET6, '2001:db8:cb::80') if six else socket.inet_aton('203.0.113.80')
            data = text.encode()
            frame = engine + mac + packet(17, struct.pack('>HHHH', 4000, 7, 8 + len(data), 0) + data, shop, 64, 6)
        elif kind in ('question', 'announcement', 'answer'):
            target = source if kind == 'announcement' else socket.inet_aton(text)
            op = 2 if kind == 'answer' else 1
            frame = (engine if kind == 'answer' else b'\\xff' * 6) + mac + bytes.fromhex('0806000108000604') \\
                + struct.pack('>H', op) + mac + source + (engine if kind == 'answer' else bytes(6)) + target
        elif kind == 'advertisement':
            target = socket.inet_pton(socket.AF_INET6, text)
            frame = engine + mac + packet(58, bytes([136, 0, 0, 0, 0x60, 0, 0, 0]) + source + b'\\x02\\x01' + mac, target, 255, 2)
        for _ in range(5): raw.send(frame)
        """,
    ]

    /// Sends five frames from a node.
    private func send(
        _ lab: Lab, _ node: String, _ interface: String, _ kind: String, mac: String, _ address: String, _ text: String
    ) throws {
        let interfaces = try #require(try lab.status()["interfaces"] as? [[String: Any]])
        let engine = try #require(interfaces.first { $0["name"] as? String == interface }?["mac"] as? String)
        let script = lab.folder.appendingPathComponent("send.py").path
        let sent = try lab.exec(node, "python3 \(script) \(interface) \(engine) \(kind) \(mac) \(address) \(text)")
        try #require(sent.status == 0, "\(sent.output)")
    }

    /// How many datagrams with a text have come.
    private func seen(_ lab: Lab, _ text: String) throws -> Int {
        let file = URL(fileURLWithPath: lab.directory(of: "web")).appendingPathComponent("seen")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        return lines.count { $0 == text }
    }

    private func spoofed(_ lab: Lab) throws -> (frames: Int, last: [String: Any]?) {
        let drops = try #require(try lab.status()["drops"] as? [[String: Any]])
        let found = drops.first { $0["reason"] as? String == "spoofed-source" }
        return (found?["frames"] as? Int ?? 0, found?["last"] as? [String: Any])
    }

    private func mac(_ lab: Lab, of node: String, _ device: String) throws -> String {
        try lab.exec(node, "cat /sys/class/net/\(device)/address").output.trimmingCharacters(
            in: .whitespacesAndNewlines)
    }

    @Test func nobodyPosesAsAnother() throws {
        try Lab.with(Self.topology(), files: Self.files) { lab in
            let bob = try mac(lab, of: "bob", "shared")
            let stranger = "02:00:00:00:99:99"
            // What reaches the engine with somebody's own MAC address, it drops; other MAC addresses end at the bridge.
            let judged: [(String, String, String, String, String)] = [
                ("alice", "shared", "udp", "192.0.2.20", "a4"), ("alice", "shared", "udp", "2001:db8:2::20", "a6"),
                ("alice", "shared", "udp", "198.51.100.1", "n4"),
                ("alice", "shared", "question", "192.0.2.20", "192.0.2.1"),
                ("alice", "shared", "announcement", "192.0.2.20", "-"),
                ("alice", "shared", "answer", "192.0.2.20", "192.0.2.1"),
                ("alice", "shared", "advertisement", "2001:db8:2::20", "2001:db8:2::1"),
                ("carol", "single", "udp", "192.0.2.20", "c4"), ("carol", "single", "udp", "2001:db8:2::20", "c6"),
            ]
            var expected = 0
            for (node, interface, kind, address, text) in judged {
                try send(lab, node, interface, kind, mac: "own", address, text)
                expected += 5
                try TwoEnginesTests.eventually("\(kind) from \(address) by \(node) is dropped") {
                    try spoofed(lab).frames == expected
                }
                let last = try #require(try spoofed(lab).last)
                #expect(last["node"] as? String == node && last["source"] as? String == address)
            }
            // Alone on its interface a customer has no bridge: there the engine judges the MAC address.
            for (kind, address, text) in [
                ("udp", "192.0.3.10", "cm4"), ("udp", "2001:db8:3::10", "cm6"), ("question", "192.0.3.10", "192.0.3.1"),
            ] {
                try send(lab, "carol", "single", kind, mac: stranger, address, text)
                expected += 5
                try TwoEnginesTests.eventually("\(kind) by a stranger is dropped") {
                    try spoofed(lab).frames == expected
                }
            }
            for (address, text) in [("192.0.2.10", "am4"), ("192.0.2.20", "ab4"), ("2001:db8:2::20", "ab6")] {
                for mac in [bob, stranger] { try send(lab, "alice", "shared", "udp", mac: mac, address, text) }
            }
            // Their own, and what is behind them, arrives.
            for (node, interface, address) in [
                ("alice", "shared", "192.0.2.10"), ("alice", "shared", "2001:db8:2::10"),
                ("alice", "shared", "10.1.2.3"),
                ("bob", "shared", "192.0.2.20"), ("bob", "shared", "2001:db8:2::20"),
                ("carol", "single", "192.0.3.10"), ("carol", "single", "2001:db8:3::10"),
            ] {
                try send(lab, node, interface, "udp", mac: "own", address, "own-\(address)")
                try TwoEnginesTests.eventually("what \(node) sends from \(address) arrives") {
                    try seen(lab, "own-\(address)") == 5
                }
            }
            for text in ["a4", "a6", "n4", "c4", "c6", "cm4", "cm6", "am4", "ab4", "ab6"] {
                #expect(try seen(lab, text) == 0, "\(text)")
            }
            #expect(try spoofed(lab).frames == expected)
            for (node, way) in [
                ("bob", "192.0.2.1"), ("bob", "2001:db8:2::1"), ("carol", "192.0.3.1"), ("bob", "203.0.113.80"),
            ] {
                let ping = try lab.exec(node, "fping -q -c 2 -p 200 -t 20000 \(way)")
                #expect(ping.status == 0, "\(node) to \(way): \(ping.output)")
            }
            #expect(try lab.exec("alice", "ping -n -6 -c 2 -i 0.2 -W 20 fe80::1%shared").status == 0)
            let shown = try lab.tapline("status", lab.name).output
            #expect(shown.contains("spoofed-source") && shown.contains("anti-spoofing: off"), "\(shown)")
        }
    }

    @Test(arguments: [(", anti-spoofing: off", ""), ("", ", anti-spoofing: off")])
    func theFileCanAllowIt(_ key: String, _ interface: String) throws {
        try Lab.with(Self.topology(key, interface: interface), files: Self.files) { lab in
            let bob = try mac(lab, of: "bob", "shared")
            for (node, device, mac, address, text) in [
                ("alice", "shared", "own", "192.0.2.20", "a4"), ("alice", "shared", "own", "2001:db8:2::20", "a6"),
                ("alice", "shared", bob, "192.0.2.20", "b4"),
                ("alice", "shared", "02:00:00:00:99:99", "192.0.2.10", "m4"),
                ("carol", "single", "02:00:00:00:99:99", "2001:db8:77::1", "m6"),
                ("bob", "shared", "own", "192.0.2.20", "own"),
            ] {
                try send(lab, node, device, "udp", mac: mac, address, text)
                try TwoEnginesTests.eventually("\(text) arrives") { try seen(lab, text) == 5 }
            }
            #expect(try spoofed(lab).frames == 0)
        }
    }

    /// The key changes while the topology runs, and so does what a customer may send.
    @Test func applyChangesIt() throws {
        try Lab.with(Self.topology(), files: Self.files) { lab in
            func apply(_ topology: String) throws {
                let path = lab.folder.appendingPathComponent("topology.yaml")
                try topology.write(to: path, atomically: true, encoding: .utf8)
                let applied = try lab.tapline("apply", lab.name, path.path)
                try #require(applied.status == 0, "\(applied.output)")
            }
            let bob = try mac(lab, of: "bob", "shared")
            try apply(Self.topology(", anti-spoofing: off"))
            try send(lab, "alice", "shared", "udp", mac: bob, "192.0.2.20", "open")
            try TwoEnginesTests.eventually("it arrives") { try seen(lab, "open") == 5 }
            try apply(Self.topology())
            try send(lab, "alice", "shared", "udp", mac: bob, "192.0.2.20", "closed")
            try send(lab, "alice", "shared", "udp", mac: "own", "192.0.2.20", "closed")
            try TwoEnginesTests.eventually("it is dropped") { try spoofed(lab).frames == 5 }
            try send(lab, "alice", "shared", "udp", mac: "own", "192.0.2.10", "own")
            try TwoEnginesTests.eventually("its own arrives") { try seen(lab, "own") == 5 }
            #expect(try seen(lab, "closed") == 0)
        }
    }
}
