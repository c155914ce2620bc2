import Foundation
import Testing

/// TCP streams through an application at another site, whose tunnels the kernel's own VXLAN ends: every octet arrives, in both
/// directions, over IPv4 and IPv6 outside and inside, in segments of 64 KiB with `offload: on` at the site, and else of a packet each.
@Suite(.serialized) struct TunnelStreamTests {
    private static func topology(_ offload: String) -> String {
        """
        name: streams
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          servers: { address: [198.18.4.1/24, "2001:db8:4::1/64"] }
          underlay: { address: [198.18.64.1/24, "2001:db8:64::1/64"] }
        customers:
          alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"], files: client.py }
        routers:
          site:
            interface: underlay
            \(offload)
            address: [198.18.64.2/24, "2001:db8:64::2/64"]
            sysctls: { net.ipv4.conf.all.rp_filter: 0, net.ipv4.conf.default.rp_filter: 0, net.ipv6.conf.default.accept_dad: 0 }
            files: site.sh
            setup: sh site.sh
        applications:
          four:
            remote:
              interface: underlay
              in:  { vxlan: { id: 10, peer: 198.18.64.2 }, gateway: [198.18.10.1/24, "2001:db8:10::1/64"], address: [198.18.10.2, "2001:db8:10::2"], mac: "02:00:00:00:10:02" }
              out: { vxlan: { id: 11, peer: 198.18.64.2 }, gateway: [198.18.11.1/24, "2001:db8:11::1/64"], address: [198.18.11.2, "2001:db8:11::2"], mac: "02:00:00:00:11:02" }
          six:
            remote:
              interface: underlay
              in:  { vxlan: { id: 12, peer: "2001:db8:64::2" }, gateway: [198.18.12.1/24, "2001:db8:12::1/64"], address: [198.18.12.2, "2001:db8:12::2"], mac: "02:00:00:00:12:02" }
              out: { vxlan: { id: 13, peer: "2001:db8:64::2" }, gateway: [198.18.13.1/24, "2001:db8:13::1/64"], address: [198.18.13.2, "2001:db8:13::2"], mac: "02:00:00:00:13:02" }
          web: { attach: servers, files: server.py, run: exec python3 server.py, ready: { tcp: 80 } }
        services:
          by-four: { address: [203.0.113.4, "2001:db8:cb::4"], ports: [tcp/80], from: alice, distribute: [four], sequence: [four, web] }
          by-six: { address: [203.0.113.6, "2001:db8:cb::6"], ports: [tcp/80], from: alice, distribute: [six], sequence: [six, web] }
        """
    }

    /// Two pairs of tunnels. What comes by one of a pair goes on by the other.
    private static let site = """
        set -e
        # ID LOCAL REMOTE TABLE OTHER
        tunnel() {
            ip link add "t$1" address "02:00:00:00:$1:02" type vxlan id "$1" local "$2" remote "$3" dstport 4789 dev "$TAPLINE_IN"
            ip link set "t$1" up
            ip address add "198.18.$1.2/24" dev "t$1"
            ip address add "2001:db8:$1::2/64" dev "t$1" nodad
        }
        tunnel 10 198.18.64.2 198.18.64.1
        tunnel 11 198.18.64.2 198.18.64.1
        tunnel 12 2001:db8:64::2 2001:db8:64::1
        tunnel 13 2001:db8:64::2 2001:db8:64::1
        for pair in "10 11" "12 13"; do
            set -- $pair
            ip rule add iif "t$1" lookup "1$1"
            ip rule add iif "t$2" lookup "1$2"
            ip route add default via "198.18.$2.1" dev "t$2" table "1$1"
            ip route add default via "198.18.$1.1" dev "t$1" table "1$2"
            ip -6 rule add iif "t$1" lookup "1$1"
            ip -6 rule add iif "t$2" lookup "1$2"
            ip -6 route add default via "2001:db8:$2::1" dev "t$2" table "1$1"
            ip -6 route add default via "2001:db8:$1::1" dev "t$1" table "1$2"
        done
        """

    /// Takes so many octets and answers with their digest, and with as many of its own and theirs.
    private static let server = """
        import hashlib, os, socket, threading
        def serve(one):
            with one:
                stream = one.makefile("rb")
                count = int.from_bytes(stream.read(8), "big")
                one.sendall(hashlib.sha256(stream.read(count)).digest())
                octets = os.urandom(count)
                one.sendall(octets + hashlib.sha256(octets).digest())
        listener = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],)).start()
        """

    private static let client = """
        import hashlib, os, socket, sys
        count = 24 << 20
        octets = os.urandom(count)
        one = socket.create_connection((sys.argv[1], 80), timeout=30)
        one.sendall(count.to_bytes(8, "big") + octets)
        stream = one.makefile("rb")
        there = stream.read(32) == hashlib.sha256(octets).digest()
        octets = stream.read(count)
        back = stream.read(32) == hashlib.sha256(octets).digest() and len(octets) == count
        print("there", there, "back", back)
        """

    /// Runs a program on a kernel that knows no segments in tunnels: TUNSETOFFLOAD with their flags is refused with EINVAL.
    private static let older = """
        import ctypes, os, struct, sys
        # linux/filter.h: the call, its second and its third argument are compared; then EINVAL.
        code = ctypes.create_string_buffer(b''.join(struct.pack('<HBBI', *step) for step in (
            (0x20, 0, 0, 0), (0x15, 0, 5, int(sys.argv[1])), (0x20, 0, 0, 24), (0x15, 0, 3, 0x400454d0),
            (0x20, 0, 0, 32), (0x15, 0, 1, 0x1e7), (0x06, 0, 0, 0x50016), (0x06, 0, 0, 0x7fff0000))))
        program = ctypes.create_string_buffer(struct.pack('<HxxxxxxQ', 8, ctypes.addressof(code)))
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        # PR_SET_NO_NEW_PRIVS, and PR_SET_SECCOMP with SECCOMP_MODE_FILTER
        if prctl(38, 1, 0, 0, 0) != 0 or prctl(22, 2, ctypes.addressof(program), 0, 0) != 0:
            sys.exit(f'prctl: {os.strerror(ctypes.get_errno())}')
        os.execvp(sys.argv[2], sys.argv[2:])
        """

    @Test func whatTheKernelDoesIsTold() throws {
        let plain = try run(Product.tapline, ["doctor"])
        #expect(plain.output.contains("ok    offload in tunnels"), "\(plain.output)")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("older-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Self.older.write(to: folder.appendingPathComponent("older.py"), atomically: true, encoding: .utf8)
        let older = try run("/usr/bin/env", ["-C", folder.path] + Self.launcher + [Product.tapline, "doctor"])
        #expect(older.output.contains("warn  offload in tunnels"), "\(older.output)")
        #expect(older.output.contains("use a kernel of version 6.18 or later"), "\(older.output)")
    }

    #if arch(arm64)
        private static let launcher = ["/usr/bin/python3", "older.py", "29"]
    #else
        private static let launcher = ["/usr/bin/python3", "older.py", "16"]
    #endif

    @Test(arguments: ["offload: on", "", "refused"]) func everyOctetArrives(_ offload: String) throws {
        let files = [
            "site.sh": Self.site, "server.py": Self.server, "client.py": Self.client, "older.py": Self.older,
        ]
        let isRefused = offload == "refused"
        let topology = Self.topology(isRefused ? "offload: on" : offload)
        try Lab.with(topology, files: files, launcher: isRefused ? Self.launcher : []) { lab in
            let told = try lab.tapline("status", lab.name).output.contains(
                "segments for the tunnels on underlay are cut")
            #expect(told == isRefused)
            let device = try lab.exec("site", "echo \"$TAPLINE_IN\"").output.trimmingCharacters(
                in: .whitespacesAndNewlines)
            for address in ["203.0.113.4", "2001:db8:cb::4", "203.0.113.6", "2001:db8:cb::6"] {
                let capture = try lab.capturing("site", device) {
                    let stream = try lab.exec("alice", "python3 client.py \(address)")
                    #expect(stream.output.contains("there True back True"), "\(address): \(stream.output)")
                }
                // The lengths of the outer packets, from the engine and to it.
                let wire =
                    address.hasSuffix("4")
                    ? ("ip.src==198.18.64.1", "ip.dst==198.18.64.1")
                    : ("ipv6.src==2001:db8:64::1", "ipv6.dst==2001:db8:64::1")
                for filter in [wire.0, wire.1] {
                    let shown = try run(
                        "/usr/bin/tshark",
                        ["-r", capture, "-Y", "udp.port==4789 && \(filter)", "-T", "fields", "-e", "frame.len"])
                    let lengths = shown.output.split(separator: "\n").compactMap { Int($0) }
                    let most = lengths.max() ?? 0
                    #expect(offload == "offload: on" ? most > 30_000 : most <= 1_514, "\(address) \(filter): \(most)")
                }
                try? FileManager.default.removeItem(atPath: capture)
            }
            let status = try lab.status()
            let drops = try #require(status["drops"] as? [[String: Any]]).compactMap { $0["reason"] as? String }
            // The senders are told the MTU inside the tunnels once.
            #expect(drops.allSatisfy { $0 == "too-big" || $0 == "packet-too-big" }, "\(drops)")
        }
    }
}
