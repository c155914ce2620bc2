import Foundation
import Testing

/// The topology `access-circuits` as commands show it: what its interfaces are, and its frames as on the wire.
@Suite(.serialized) struct CircuitCaptureTests {
    private static let folder = Product.root.appendingPathComponent("Topologies/access-circuits")

    private func with(_ body: (Lab) throws -> Void) throws {
        func text(_ name: String) throws -> String {
            try String(contentsOf: Self.folder.appendingPathComponent(name), encoding: .utf8)
        }
        let files = try ["endpoint.py", "firewall.nft", "nginx.conf"].map { ($0, try text($0)) }
        try Lab.with(try text("topology.yaml"), files: Dictionary(uniqueKeysWithValues: files), body)
    }

    /// Captures one interface into a file while `body` runs.
    private func capture(
        _ lab: Lab, _ interface: String, _ more: [String] = [], _ body: () throws -> Void
    ) throws -> String {
        let path = lab.folder.appendingPathComponent("\(UUID().uuidString).pcapng").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Product.tapline)
        process.arguments = ["capture", lab.name, "--interface", interface, "-w", path, "--for", "300s"] + more
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer { process.waitUntilExit() }
        for _ in 0..<1_500 where !FileManager.default.fileExists(atPath: path) { usleep(20_000) }
        try body()
        // Frames are told some milliseconds after they came.
        try process.waitForLooks()
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return path
    }

    private func fetch(_ lab: Lab, _ names: [String]) throws {
        for name in names {
            let page = try lab.exec(name, "curl -4 -sS -m 20 http://203.0.113.80/")
            #expect(page.status == 0 && page.output.contains("hello"), "\(name): \(page.output)")
        }
    }

    /// The fields of all frames, one line each.
    private func tshark(_ path: String, _ decoding: [String] = [], _ fields: [String]) throws -> [String] {
        let options = ["-r", path, "-T", "fields", "-E", "separator=|"] + decoding + fields.flatMap { ["-e", $0] }
        let finished = try run(
            "/usr/bin/env", ["HOME=/nonexistent", "sh", "-c", "exec tshark \"$@\" 2>/dev/null", "tshark"] + options)
        #expect(finished.status == 0, "\(finished.output)")
        return finished.output.split(separator: "\n").map(String.init)
    }

    @Test func statusNamesEachEncapsulation() throws {
        try with { lab in
            let status = try lab.status()
            let interfaces = try #require(status["interfaces"] as? [[String: Any]])
            let found = interfaces.map {
                [$0["name"], $0["encapsulation"], $0["carrier"]].map { $0 as? String ?? "-" }.joined(separator: "|")
            }
            #expect(
                found == [
                    "access|-|-", "serial device|-|-", "cells device|-|-", "inspection|-|-", "inspected|-|-",
                    "servers|-|-",
                    "tagged|vlan 100|access", "double|qinq 100.200|access", "labels|mpls 16001/16002|access",
                    "wire|mpls 16003/16004 ethernet|access", "wire-fr|mpls 16005/16006 dlci 200|access",
                    "wire-atm|mpls 16007/16008 atm 2/200 llc|access", "serial|dlci 100|serial device",
                    "cells|atm 1/100 llc|cells device",
                ])
            let nodes = try #require(status["nodes"] as? [[String: Any]])
            let legs = nodes.compactMap { ($0["legs"] as? [[String: Any]])?.first?["encapsulation"] as? String }
            #expect(legs.prefix(2) == ["vlan 100", "qinq 100.200"] && legs.count == 8)
            let text = try lab.tapline("status", lab.name).output
            #expect(text.contains("ENCAPSULATION") && text.contains("vlan 100 on access"), "\(text)")
        }
    }

    /// Each kind as Wireshark decodes it, both ways; what is inside at the circuit.
    @Test func devicesAreCapturedAsOnTheWire() throws {
        try with { lab in
            let decoding = [
                "-d", "mpls.label==16003,pwethcw", "-d", "mpls.label==16004,pwethcw", "-d", "mpls.label==16005,pwfr",
                "-d",
                "mpls.label==16006,pwfr", "-d", "mpls.label==16007,mplspwatmaal5sdu", "-d",
                "mpls.label==16008,mplspwatmaal5sdu",
            ]
            let access = try capture(lab, "access") {
                try fetch(lab, ["alice", "bob", "carol", "dora", "erin", "frank"])
            }
            let protocols = try tshark(access, decoding, ["frame.protocols", "http.response.code"])
            for start in [
                "eth:ethertype:vlan:ethertype:ip:tcp", "eth:ethertype:ieee8021ad:ethertype:vlan:ethertype:ip:tcp",
                "eth:ethertype:mpls:ip:tcp", "eth:ethertype:mpls:eth:ethertype:ip:tcp", "eth:ethertype:mpls:fr:ip:tcp",
                "eth:ethertype:mpls:mplspwatmcontrolword:atm:llc:ip:tcp",
            ] {
                let own = protocols.filter { $0.hasPrefix(start) }
                let isAnswered = own.contains { $0.hasSuffix("|200") }
                #expect(isAnswered, "\(start): \(protocols)")
            }
            // tshark takes the length of short frames in frame relay's control word for another one (RFC 4385).
            let isMalformed = "_ws.malformed && !(mpls.label == 16005 || mpls.label == 16006)"
            let malformed = try tshark(access, decoding + ["-Y", isMalformed], ["frame.number", "frame.protocols"])
            #expect(malformed.isEmpty, "\(malformed)")
            let serial = try capture(lab, "serial device") { try fetch(lab, ["gina"]) }
            let relay = try tshark(serial, [], ["frame.protocols", "fr.dlci", "http.response.code"])
            #expect(
                relay.contains {
                    $0.hasPrefix("fr:ip:tcp:http|100|200")
                        || $0.hasPrefix("fr:ip:tcp:http:") && $0.hasSuffix("|100|200")
                }, "\(relay)")
            #expect(relay.allSatisfy { $0.hasPrefix("fr:") }, "\(relay)")
            let cells = try capture(lab, "cells device") { try fetch(lab, ["hugo"]) }
            let atm = try tshark(cells, [], ["frame.protocols", "atm.vpi", "atm.vci", "http.response.code"])
            #expect(atm.contains { $0.hasPrefix("atm:llc:ip:tcp:http") && $0.hasSuffix("|1|100|200") }, "\(atm)")
            #expect(try wrongChecksums(in: access).wrong.isEmpty)
            // At the circuit, frames are without headers.
            let tagged = try capture(lab, "tagged") { try fetch(lab, ["alice", "bob"]) }
            let inner = try tshark(tagged, [], ["frame.protocols", "ip.addr"])
            #expect(
                !inner.isEmpty && inner.allSatisfy { $0.hasPrefix("eth:ethertype:ip:tcp") && $0.contains("192.0.2.2") },
                "\(inner)")
        }
    }

    /// Filters know the link, and options that need the way of packets are refused.
    @Test func aFilterMatchesTheWholeFrame() throws {
        try with { lab in
            let one = try capture(lab, "access", ["vlan 100 and tcp port 80"]) {
                for name in ["alice", "bob", "carol"] { try lab.exec(name, "curl -4 -sS -m 20 http://203.0.113.80/") }
            }
            let tags = try tshark(one, [], ["vlan.id", "ieee8021ad.id"])
            #expect(!tags.isEmpty && tags.allSatisfy { $0 == "100|" }, "\(tags)")
            let serial = try capture(lab, "serial device", ["tcp port 80"]) {
                try lab.exec("gina", "curl -4 -sS -m 20 http://203.0.113.80/; ping -c 1 -W 1 203.0.113.80")
            }
            let relay = try tshark(serial, [], ["frame.protocols"])
            #expect(!relay.isEmpty && relay.allSatisfy { $0.hasPrefix("fr:ip:tcp") }, "\(relay)")
            for words in [["alice"], ["--service", "shop"], ["--dropped"]] {
                let refused = try run(
                    Product.tapline,
                    ["capture", lab.name] + words + [
                        "--interface", "access", "-w", lab.folder.appendingPathComponent("no").path,
                    ])
                #expect(refused.status != 0 && refused.output.contains("as on the wire"), "\(refused.output)")
            }
        }
    }
}
