import Foundation
import Testing

/// The topology `remote` as captures show it: outer packets on the underlay as on the wire, frames in the tunnels, and one number for
/// both.
@Suite(.serialized) struct TunnelCaptureTests {
    private func with(_ body: (Lab) throws -> Void) throws {
        let folder = Product.root.appendingPathComponent("Topologies/remote")
        func text(_ name: String) throws -> String {
            try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
        }
        let files = try ["site.sh", "firewall.nft", "nginx.conf"].map { ($0, try text($0)) }
        // A page that the rings of a slow machine have room for.
        let topology = try text("topology.yaml").replacing("-c 1048576", with: "-c 100000")
        try Lab.with(topology, files: Dictionary(uniqueKeysWithValues: files), body)
    }

    /// A packet of a capture.
    private struct Packet {
        var interface: String
        var protocols: String
        var identifier: String
        var isOut: Bool
        var comments: String
        var status: String
    }

    /// Captures into a file while alice fetches a page, and reads that with Wireshark.
    private func capture(
        _ lab: Lab, _ words: [String], _ page: String = "", decoding: [String] = []
    ) throws -> [Packet] {
        let path = lab.folder.appendingPathComponent("\(UUID().uuidString).pcapng").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Product.tapline)
        process.arguments = ["capture", lab.name] + words + ["-w", path, "--for", "300s"]
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer { process.waitUntilExit() }
        for _ in 0..<1_500 where !FileManager.default.fileExists(atPath: path) { usleep(20_000) }
        let fetched = try lab.exec("alice", "curl -4 -sS -m 20 http://203.0.113.80/\(page) | wc -c")
        #expect(fetched.status == 0 && !fetched.output.hasPrefix("0"), "\(fetched.output)")
        // Frames are told some milliseconds after they came.
        try process.waitForLooks()
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let fields = [
            "frame.interface_name", "frame.protocols", "frame.packet_id", "frame.packet_flags_direction",
            "frame.comment", "http.response.code",
        ].flatMap { ["-e", $0] }
        let finished = try run(
            "/usr/bin/env",
            ["HOME=/nonexistent", "sh", "-c", "exec tshark \"$@\" 2>/dev/null", "tshark", "-r", path, "-T", "fields"]
                + ["-E", "separator=|"] + decoding + fields)
        #expect(finished.status == 0, "\(finished.output)")
        return try finished.output.split(separator: "\n").map { line in
            let parts = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
            try #require(parts.count >= 6, "\(line)")
            return Packet(
                interface: parts[0], protocols: parts[1], identifier: parts[2], isOut: parts[3] == "2",
                comments: parts[4], status: parts[5])
        }
    }

    private static let vxlan = "eth:ethertype:ip:udp:vxlan:eth:ethertype:ip:tcp"

    @Test func anUnderlayIsCapturedAsOnTheWire() throws {
        try with { lab in
            for words in [["--interface", "underlay"], ["transit"]] {
                let packets = try capture(lab, words)
                let outer = packets.filter { $0.protocols.hasPrefix(Self.vxlan) }
                #expect(outer.contains { $0.status == "200" }, "\(packets)")
                #expect(outer.allSatisfy { $0.interface.contains("transit") && !$0.identifier.isEmpty }, "\(outer)")
                for tunnel in ["firewall-in", "firewall-out"] {
                    #expect(outer.contains { $0.comments.contains("tunnel: \(tunnel)") }, "\(outer)")
                }
                // The detector's is over IPv6.
                #expect(
                    packets.contains { $0.protocols.hasPrefix("eth:ethertype:ipv6:udp:vxlan:eth:ethertype:ip:tcp") },
                    "\(packets)")
                #expect(packets.allSatisfy { !$0.protocols.hasPrefix("eth:ethertype:ip:tcp") }, "\(packets)")
            }
        }
    }

    @Test func aRemoteApplicationIsCapturedInside() throws {
        try with { lab in
            for words in [["--interface", "firewall-in"], ["firewall"]] {
                let packets = try capture(lab, words)
                #expect(packets.contains { $0.status == "200" }, "\(packets)")
                #expect(packets.allSatisfy { !$0.protocols.contains("vxlan") }, "\(packets)")
            }
        }
    }

    /// With everything in one file, a packet has one number on the underlay, in the tunnel and beyond.
    @Test func aPacketHasOneNumberInAndOutsideOfATunnel() throws {
        try with { lab in
            for page in ["", "large"] {
                let packets = try capture(lab, [], page)
                let outer = packets.filter { $0.protocols.hasPrefix(Self.vxlan) }
                let inner = packets.filter { $0.interface.contains("firewall-") && $0.protocols.contains("ip:tcp") }
                #expect(outer.count > 10 && inner.count > 10)
                for isOut in [false, true] {
                    let one = Set(outer.filter { $0.isOut == isOut }.map(\.identifier))
                    let other = Set(inner.filter { $0.isOut == isOut }.map(\.identifier))
                    #expect(one == other && !one.contains(""), "\(isOut): \(one) \(other)")
                }
                // Its way begins at alice, or at the server, with the same number. Superframes come back from the firewall as segments.
                guard page.isEmpty else { continue }
                let beginnings = Set(
                    packets.filter { $0.interface.contains("alice") || $0.interface.contains("web") }.map(\.identifier))
                #expect(Set(outer.map(\.identifier)).isSubset(of: beginnings))
            }
        }
    }

    /// A filter is tried on each frame as it is: on the underlay outer headers decide.
    @Test func aFilterSeesOuterHeaders() throws {
        try with { lab in
            let outer = try capture(lab, ["udp port 4789 and ip"])
            #expect(
                !outer.isEmpty && outer.allSatisfy { $0.protocols.hasPrefix("eth:ethertype:ip:udp:vxlan") }, "\(outer)")
            let inner = try capture(lab, ["tcp port 80"])
            #expect(!inner.isEmpty && inner.allSatisfy { !$0.protocols.contains("vxlan") }, "\(inner)")
        }
    }
}
