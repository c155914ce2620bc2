import Foundation
import Seeds
import Testing

/// The engine is replaced, its table is replaced, and hostile frames reach it, all under traffic.
@Suite(.serialized) struct EngineLifeTests {
    static let topology = """
        name: life
        interfaces:
          outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          middle:  { address: [198.18.2.1/24] }
          behind:  { address: [198.18.3.1/24] }
          inside:  { address: [198.18.4.1/24] }
        customers:
          alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
        applications:
          ids: { type: intrusion-detection, passive: true, attach: { in: middle } }
          firewall: { type: firewall, attach: { in: middle, out: behind } }
          sink: { type: server, attach: inside, run: exec sh sink.sh, ready: { tcp: 5201 } }
        services:
          bulk: { address: 203.0.113.80, ports: [tcp/5201, udp/7], distribute: [ids, firewall], sequence: [firewall, sink] }
        """

    static let sink = """
        iperf3 -s &
        exec python3 -c "
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        s.bind(('', 7))
        seen = {}
        while True:
            data, peer = s.recvfrom(64)
            if data == b'how many?':
                s.sendto(('%d %d' % (len(seen), sum(seen.values()))).encode(), peer)
                continue
            seen[data] = seen.get(data, 0) + 1
        "
        """

    /// Sends 20,000 numbered datagrams within about four seconds, then asks how many came, and how often.
    static let count = """
        import socket, time
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(('203.0.113.80', 7))
        s.settimeout(20)
        for i in range(20000):
            s.send(b'%d' % i)
            if i % 10 == 9: time.sleep(0.001)
        # The last ones may be on their way for a while.
        for _ in range(200):
            s.send(b'how many?')
            counted = s.recv(64).decode()
            if counted.startswith('20000 '): break
            time.sleep(0.1)
        print(counted)
        """

    static func engine(_ lab: Lab) throws -> [String: Any] {
        try #require(try lab.status()["engine"] as? [String: Any])
    }

    @Test func aTablePublishedUnderTrafficCostsNoPacket() throws {
        try Lab.with(Self.topology, files: ["sink.sh": Self.sink, "count.py": Self.count]) { lab in
            let counted = try TwoEnginesTests.beside(lab, ["python3", "count.py"]) { () throws in
                for _ in 1...20 {
                    let reload = try lab.tapline("reload", lab.name)
                    #expect(reload.status == 0, "\(reload.output)")
                    usleep(100_000)
                }
            }
            #expect(counted.output.trimmingCharacters(in: .whitespacesAndNewlines) == "20000 20000")
        }
    }

    @Test func aKilledEngineIsReplacedAndConnectionsLiveOn() throws {
        try Lab.with(Self.topology, files: ["sink.sh": Self.sink]) { lab in
            let devices = try lab.exec("alice", "cat /sys/class/net/outside/ifindex").output
            let client = Process()
            client.executableURL = URL(fileURLWithPath: Product.tapline)
            client.arguments = [
                "exec", lab.name, "alice", "--", "iperf3", "-c", "203.0.113.80", "-C", "cubic", "-t", "4",
            ]
            client.standardOutput = FileHandle.nullDevice
            try client.run()
            usleep(700_000)
            for _ in 1...3 {
                let before = try #require(try Self.engine(lab)["pid"] as? Int)
                kill(Int32(before), SIGKILL)
                var after = before
                for _ in 1...1_000 where after == before {
                    usleep(20_000)
                    after = try Self.engine(lab)["pid"] as? Int ?? before
                }
                #expect(after != before, "no engine took over")
                usleep(500_000)
            }
            client.waitUntilExit()
            #expect(client.terminationStatus == 0, "the TCP connection did not survive")
            #expect(try lab.exec("alice", "cat /sys/class/net/outside/ifindex").output == devices)
        }
    }

    /// Frames of every malformed kind, made by scapy on alice's own device, cost the others nothing.
    @Test func malformedFramesAreDroppedWithAReason() throws {
        let hostile = """
            import random, socket, sys
            from scapy.all import *
            seed = int(sys.argv[1]); print('seed', seed); random.seed(seed)
            gateway = sys.argv[2]; mine = get_if_hwaddr('outside')
            e = Ether(dst=gateway, src=mine)
            good = [
                e/IP(src='192.0.2.10', dst='203.0.113.80')/TCP(sport=4000, dport=5201, flags='S'),
                e/IP(src='192.0.2.10', dst='203.0.113.80', options=[IPOption(b'\\x94\\x04\\x00\\x00')])/UDP(sport=1, dport=7)/b'data',
                e/IP(src='192.0.2.10', dst='203.0.113.80')/ICMP()/b'data',
                e/IP(src='192.0.2.10', dst='203.0.113.80')/ICMP(type=3, code=3)/IP(src='203.0.113.80', dst='192.0.2.10')/UDP(sport=7, dport=1),
                e/IPv6(src='2001:db8:2::10', dst='2001:db8:cb::80')/IPv6ExtHdrHopByHop()/IPv6ExtHdrDestOpt()/TCP(dport=5201),
                e/IPv6(src='2001:db8:2::10', dst='2001:db8:2::1')/ICMPv6EchoRequest(),
                Ether(dst='ff:ff:ff:ff:ff:ff', src=mine)/ARP(op=1, psrc='192.0.2.10', pdst='192.0.2.1'),
                Ether(dst='33:33:ff:00:00:01', src=mine)/IPv6(src='2001:db8:2::10', dst='ff02::1:ff00:1')/ICMPv6ND_NS(tgt='2001:db8:2::1')/ICMPv6NDOptSrcLLAddr(lladdr=mine),
            ]
            lies = [
                Ether(dst=gateway, src=mine)/ARP(op=2, psrc='192.0.2.1', hwsrc=mine, pdst='192.0.2.1'),
                Ether(dst=gateway, src=mine)/ARP(op=2, psrc='203.0.113.80', hwsrc=mine, pdst='192.0.2.1'),
                Ether(dst=gateway, src=mine)/IPv6(src='2001:db8:2::1', dst='ff02::1')/ICMPv6ND_NA(tgt='2001:db8:2::1', O=1)/ICMPv6NDOptDstLLAddr(lladdr=mine),
            ]
            chain = e/IPv6(src='2001:db8:2::10', dst='2001:db8:cb::80')
            for _ in range(60): chain = chain/IPv6ExtHdrDestOpt()
            frames = [bytes(p) for p in good + lies + [chain/TCP(dport=5201)]]
            for f in [bytes(p) for p in good]:
                frames += [f[:n] for n in range(14, len(f))]
                for _ in range(200):
                    b = bytearray(f)
                    for _ in range(random.randint(1, 6)): b[random.randrange(12, len(b))] = random.randrange(256)
                    frames.append(bytes(b))
                frames.append(f + b'\\0' * (1514 - len(f)))
            frames += [bytes(e/IP(src='192.0.2.10', dst='203.0.113.80', proto=17, id=9, flags='MF', frag=o)/(b'c' * 64)) for o in (0, 4, 8, 8, 8189)]
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('outside', 0))
            for f in frames: s.send(f)
            print(len(frames), 'frames')
            """
        try Lab.with(Self.topology, files: ["sink.sh": Self.sink, "hostile.py": hostile]) { lab in
            let before = try #require(try Self.engine(lab)["pid"] as? Int)
            try lab.exec("alice", "ping -n -c 1 -W 20 192.0.2.1")
            let neighbour = try lab.exec("alice", "cat /proc/net/arp").output
            let line = try #require(neighbour.split(separator: "\n").first { $0.hasPrefix("192.0.2.1 ") })
            let gateway = String(line.split(separator: " ")[3])
            let seed = Seed.drawn(in: 1...1_000_000)
            let sent = try lab.exec("alice", "/usr/bin/python3 hostile.py \(seed) \(gateway)")
            #expect(sent.status == 0, "\(sent.output)")
            #expect(try Self.engine(lab)["pid"] as? Int == before, "the engine did not survive seed \(seed)")
            let ping = try lab.exec("alice", "fping -q -c 2 -p 200 -t 20000 203.0.113.80")
            #expect(ping.output.contains("/0%"), "seed \(seed): \(ping.output)")
            let arp = try lab.exec("alice", "ping -n -c 1 -W 20 192.0.2.1")
            #expect(arp.status == 0)
            let drops = try lab.tapline("status", lab.name).output
            for reason in ["truncated", "checksum", "header-chain-too-long", "neighbour-conflict"] {
                #expect(drops.contains(reason), "no drop tells of \(reason): \(drops)")
            }
        }
    }
}
