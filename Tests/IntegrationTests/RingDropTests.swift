import Foundation
import Testing

/// Frames that come while the engine does not read are dropped by the kernel, and `status` and checks tell how many.
@Suite(.serialized) struct RingDropTests {
    /// alice's device is a TAP; bob and carol share one by way of a bridge.
    static let topology = """
        name: rings
        interfaces:
          outside: { address: 192.0.2.1/24, queue: 1000 }
          shared:  { address: 192.0.3.1/24, queue: 1000 }
          inside:  { address: 198.18.4.1/24 }
        customers:
          alice: { interface: outside, address: 192.0.2.10/24 }
          bob:   { interface: shared, address: 192.0.3.10/24 }
          carol: { interface: shared, address: 192.0.3.11/24 }
        applications:
          sink: { type: server, attach: inside }
        services:
          bulk: { address: 203.0.113.80, ports: [udp/7], sequence: [sink] }
        """

    /// Sends datagrams as fast as it can.
    static let flood = """
        import socket, sys
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for i in range(int(sys.argv[1])): s.sendto(b'%d' % i, ('203.0.113.80', 7))
        """

    /// What `status` says of an interface.
    static func interface(_ lab: Lab, _ name: String) throws -> [String: Any] {
        let interfaces = try #require(try lab.status()["interfaces"] as? [[String: Any]])
        return try #require(interfaces.first { $0["name"] as? String == name })
    }

    static func ringDrops(_ lab: Lab, _ interface: String) throws -> Int {
        try #require(try self.interface(lab, interface)["ringDrops"] as? Int)
    }

    /// What the kernel itself has counted on the TAP of an interface, which is where `namespace` says.
    private func kernelDrops(_ namespace: String) throws -> [Int] {
        let taps = try run("/sbin/ip", ["-n", namespace, "-d", "-s", "-j", "link", "show", "type", "tun"])
        let links = try #require(try JSONSerialization.jsonObject(with: Data(taps.output.utf8)) as? [[String: Any]])
        return try links.map { link in
            let statistics = try #require(link["stats64"] as? [String: Any] ?? link["stats"] as? [String: Any])
            return try #require((statistics["tx"] as? [String: Any])?["dropped"] as? Int)
        }
    }

    @Test(arguments: [("outside", "alice", "alice"), ("shared", "bob", "fabric")])
    func whatAStoppedEngineDoesNotReadIsCounted(_ interface: String, _ sender: String, _ place: String) throws {
        try Lab.with(Self.topology, files: ["flood.py": Self.flood]) { lab in
            try #require(try lab.exec(sender, "ping -n -c 1 -W 20 203.0.113.80").status == 0)
            #expect(try Self.ringDrops(lab, interface) == 0)
            func received() throws -> Int { try Self.interface(lab, interface)["receivedPackets"] as? Int ?? 0 }
            var before = try received()
            try flood(lab, from: sender)
            // The ring has room for a thousand frames; what was in it is forwarded.
            try TwoEnginesTests.eventually("what waited in the ring is forwarded") { try received() - before >= 990 }
            let drops = try Self.ringDrops(lab, interface)
            let came = try received() - before
            #expect(drops >= 1_490, "\(came) frames came in")
            #expect(try kernelDrops("\(lab.name)-\(place)").contains(drops))
            let summary = try lab.tapline("status", lab.name).output
            #expect(summary.contains("ring of interface \(interface) was full"), "\(summary)")
            for other in ["outside", "shared", "inside"] where other != interface {
                #expect(try Self.ringDrops(lab, other) == 0)
            }
            // With a longer queue, which it gets while it runs, nothing is lost.
            let file = lab.folder.appendingPathComponent("topology.yaml")
            try Self.topology.replacing("queue: 1000", with: "queue: 3000")
                .write(to: file, atomically: true, encoding: .utf8)
            let applied = try lab.tapline("apply", lab.name)
            #expect(applied.status == 0 && applied.output.contains("3000 frames"), "\(applied.output)")
            before = try received()
            try flood(lab, from: sender)
            try TwoEnginesTests.eventually("all that waited is forwarded") { try received() - before >= 2_500 }
            #expect(try Self.ringDrops(lab, interface) == drops)
        }
    }

    /// Has a node send 2,500 datagrams while the engine does not read.
    private func flood(_ lab: Lab, from sender: String) throws {
        let control = Int32(try #require(try lab.status()["pid"] as? Int))
        let engine = Int32(try #require(try EngineLifeTests.engine(lab)["pid"] as? Int))
        // The control process would have the spare read at once.
        kill(control, SIGSTOP)
        kill(engine, SIGSTOP)
        defer {
            kill(engine, SIGCONT)
            kill(control, SIGCONT)
        }
        let flood = lab.folder.appendingPathComponent("flood.py").path
        let sent = try run("/sbin/ip", ["netns", "exec", "\(lab.name)-\(sender)", "python3", flood, "2500"])
        #expect(sent.status == 0, "\(sent.output)")
    }

    /// A ring of eight frames, which has room for what kernels say by themselves, and datagrams that are cut into forty.
    @Test func checksMayExpectThem() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("rings-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("topology.yaml")
        try
            (Self.topology.replacing(
                "192.0.2.10/24 }", with: "192.0.2.10/24, setup: ip link set outside txqueuelen 8 }") + """

                checks:
                  - { name: none are dropped at first, interface: outside, ring-drops: 0 }
                  - name: a flood overruns the ring
                    steps:
                      - { on: alice, run: python3 big.py }
                      - { interface: outside, ring-drops: ">= 1", since: check }
                      - { interface: shared, ring-drops: "== 0", since: check }
                """).write(to: file, atomically: true, encoding: .utf8)
        try """
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for i in range(100): s.sendto(bytes(60000), ('203.0.113.80', 7))
        """.write(to: folder.appendingPathComponent("big.py"), atomically: true, encoding: .utf8)
        let name = "t" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
        let held = try run(Product.tapline, ["run", file.path, "--name", name])
        #expect(held.status == 0, "\(held.output)")
        // The same with an expectation that cannot hold.
        let text = try String(contentsOf: file, encoding: .utf8)
        try text.replacing("\">= 1\", since", with: "0, since").write(to: file, atomically: true, encoding: .utf8)
        let failed = try run(Product.tapline, ["run", file.path, "--name", name])
        #expect(failed.status == 1, "\(failed.output)")
        #expect(failed.output.contains("ring-drops == 0"), "\(failed.output)")
        #expect(failed.output.contains("ring of interface outside was full"), "\(failed.output)")
    }
}
