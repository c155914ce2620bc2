import Foundation
import Testing

/// Far ends that do not do what they should: they send on another's tunnel, pose as others inside of their own, and send packets in
/// circles.
@Suite(.serialized) struct TunnelAbuseTests {
    /// Returns what the tunnel 2 brings through the tunnel 1, as requests of the customers there: as another engine would whose
    /// topology leads back to this one. The hops of packets stay as they are.
    private static let site = """
        import socket, struct, sys

        def total(data):
            value = sum(struct.unpack(f"!{len(data) // 2}H", data))
            while value >> 16:
                value = (value & 0xFFFF) + (value >> 16)
            return ~value & 0xFFFF

        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind(("198.18.64.2", 4789))
        print("the site is up", flush=True)
        while True:
            data, sender = own.recvfrom(65535)
            number, frame = data[4:7].hex(), data[8:]
            if number != "000002" or frame[12:14] != b"\\x08\\x00":
                continue
            print(f"hops {frame[22]}.", flush=True)
            header = bytearray(frame[14:34])
            header[10:12] = b"\\0\\0"
            header[12:16] = bytes([10, 9, 0, 1])
            header[10:12] = struct.pack("!H", total(bytes(header)))
            macs = bytes.fromhex("020000000702" "020000000701")
            own.sendto(bytes.fromhex("0800000000000100") + macs + b"\\x08\\x00" + bytes(header) + frame[34:], ("198.18.64.1", 4789))
        """

    /// usage: send.py FROM ID SOURCE: a datagram of VXLAN with an echo request from SOURCE in it.
    private static let send = """
        import socket, struct, sys

        def total(data):
            value = sum(struct.unpack(f"!{len(data) // 2}H", data))
            while value >> 16:
                value = (value & 0xFFFF) + (value >> 16)
            return struct.pack("!H", ~value & 0xFFFF)

        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind((sys.argv[1], 0))
        echo = struct.pack("!BBHHH", 8, 0, 0, 7, 1)
        echo = echo[:2] + total(echo) + echo[4:]
        ends = socket.inet_aton(sys.argv[3]) + socket.inet_aton("203.0.113.80")
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 1, 0)
        ip = ip[:10] + total(ip + ends) + ends
        macs = bytes.fromhex("020000000702" "020000000701")
        vxlan = struct.pack("!II", 0x08000000, int(sys.argv[2]) << 8)
        own.sendto(vxlan + macs + b"\\x08\\x00" + ip + echo, ("198.18.64.1", 4789))
        """

    private static let topology = """
        name: abused
        interfaces:
          customers: { address: 192.0.2.1/24 }
          underlay: { address: 198.18.64.1/24 }
        customers:
          alice: { interface: customers }
          far:
            remote:
              interface: underlay
              vxlan: { id: 1, peer: 198.18.64.2 }
              gateway: 198.18.7.1/24
              gateway-mac: "02:00:00:00:07:02"
              address: 198.18.7.7
              mac: "02:00:00:00:07:01"
            prefixes: 10.9.0.0/16
        routers:
          site:
            interface: underlay
            address: [198.18.64.2, 198.18.64.3]
            files: [site.py, send.py]
            run: exec python3 site.py
            ready: { log: the site is up }
        applications:
          loop:
            remote: { interface: underlay, vxlan: { id: 2, peer: 198.18.64.2 }, gateway: 198.18.8.1/24, address: 198.18.8.7 }
          ids: { passive: true, remote: { interface: underlay, vxlan: { id: 3, peer: 198.18.64.3 }, via: site } }
        services:
          shop: { address: 203.0.113.80, ports: icmp, from: [alice, far], distribute: [ids, loop], sequence: loop }
        """

    private func drops(_ lab: Lab) throws -> [String: Int] {
        let drops = try #require(try lab.status()["drops"] as? [[String: Any]])
        return Dictionary(
            drops.compactMap { drop in
                // The detector's port is closed, which its host says.
                guard let reason = drop["reason"] as? String, let frames = drop["frames"] as? Int,
                    reason != "to-the-engine"
                else { return nil }
                return (reason, frames)
            }, uniquingKeysWith: +)
    }

    /// Waits until frames were dropped for a reason.
    private func wait(_ lab: Lab, for reason: String) throws -> [String: Int] {
        for _ in 0..<400 {
            let found = try drops(lab)
            if found[reason] != nil { return found }
        }
        return try drops(lab)
    }

    /// A packet that two ends send each other in a circle comes round once for each of its hops.
    @Test func aLoopOfTunnelsEnds() throws {
        try Lab.with(Self.topology, files: ["site.py": Self.site, "send.py": Self.send]) { lab in
            _ = try lab.exec("alice", "ping -n -c 1 -W 1 -t 40 203.0.113.80")
            #expect(try wait(lab, for: "bad-network-header")["bad-network-header"] == 1)
            let log = try lab.tapline("logs", lab.name, "site").output
            let hops = log.split(separator: "\n").filter { $0.contains("hops ") }
            #expect(hops.count == 40 && hops.last?.contains("hops 1.") == true, "\(log)")
        }
    }

    @Test func farEndsPoseAsNobodyElse() throws {
        try Lab.with(Self.topology, files: ["site.py": Self.site, "send.py": Self.send]) { lab in
            func send(_ from: String, _ id: Int, _ source: String) throws {
                let sent = try lab.exec("site", "python3 -B \"$TAPLINE_DIR/send.py\" \(from) \(id) \(source)")
                #expect(sent.status == 0, "\(sent.output)")
            }
            // One end on the tunnel of the other, the other way around, and on none.
            try send("198.18.64.3", 1, "10.9.0.1")
            #expect(try wait(lab, for: "wrong-tunnel-peer") == ["wrong-tunnel-peer": 1])
            try send("198.18.64.2", 3, "10.9.0.1")
            for _ in 0..<400 where try drops(lab)["wrong-tunnel-peer"] != 2 {}
            try send("198.18.64.2", 99, "10.9.0.1")
            #expect(try wait(lab, for: "unknown-tunnel") == ["wrong-tunnel-peer": 2, "unknown-tunnel": 1])
            // In its own tunnel, as a customer who is not behind it.
            let alice = try lab.exec("alice", "printf %s \"$TAPLINE_IN_ADDRESS\"").output
            try send("198.18.64.2", 1, alice)
            let all = try wait(lab, for: "spoofed-source")
            #expect(all == ["wrong-tunnel-peer": 2, "unknown-tunnel": 1, "spoofed-source": 1])
        }
    }

    /// A far end that never answers is told of at once; one that goes silent later, the topology `remote` has.
    @Test func aSilentFarEndIsTold() throws {
        let quiet = Self.topology.replacing(
            "applications:\n",
            with: """
                applications:
                  quiet:
                    remote: { interface: underlay, vxlan: { id: 4, peer: 198.18.64.3 }, gateway: 198.18.9.1/24, address: 198.18.9.7 }
                    health: { echo: true, interval: 200ms }

                """
        ).replacing("distribute: [ids, loop], sequence: loop", with: "sequence: quiet")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-quiet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in [("topology.yaml", quiet), ("site.py", Self.site), ("send.py", Self.send)] {
            try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }
        let name = "q\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        let up = try run(
            Product.tapline, ["up", folder.appendingPathComponent("topology.yaml").path, "--name", name, "-d"])
        #expect(up.status != 0)
        #expect(
            up.output.contains("its health check 'echo quiet'")
                && up.output.contains("no reply from 198.18.9.7 on quiet"), "\(up.output)")
        #expect(!FileManager.default.fileExists(atPath: "/run/tapline/\(name)"))
    }
}
