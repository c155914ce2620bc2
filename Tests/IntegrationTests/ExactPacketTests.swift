import Foundation
import Seeds
import Testing

/// An application sees exactly the packets that were sent: bursts that invite coalescing are captured at every
/// application's device, and judged packet by packet, with coalescing on and off and with both ways of writing.
@Suite(.serialized) struct ExactPacketTests {
    static let programs = Product.root.appendingPathComponent("Tests/IntegrationTests/ExactPackets")

    /// Two firewalls and two detectors, one of each with offload, and a server of each kind; the third is sent to by
    /// its address, the fourth has other ports.
    static func topology(_ engine: String) -> String {
        """
        name: exact
        engine: { \(engine) }
        interfaces:
          outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          middle:  { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          behind:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          beyond:  { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
          inside:  { address: [198.18.5.1/24, "2001:db8:15::1/64"] }
        customers:
          alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
        applications:
          ids-plain: { passive: true, attach: middle }
          ids-large: { passive: true, attach: middle, offload: on }
          first:  { attach: { in: middle, out: behind }, offload: off }
          second: { attach: { in: behind, out: beyond }, offload: on }
          web-plain: { attach: inside, offload: off, setup: nft -f server.nft }
          web-large: { attach: inside, offload: on, setup: nft -f server.nft }
          web-rewritten:
            attach: { in: { interface: inside, address: [198.18.5.82/24, "2001:db8:15::82/64"] } }
            offload: off
            send: network
            setup: nft -f server.nft
          web-translated: { attach: inside, offload: off, setup: nft -f server.nft }
        services:
        \(["plain", "large", "rewritten", "translated"].enumerated().map { number, kind in
            """
              \(kind):
                address: [203.0.113.8\(number), "2001:db8:cb::8\(number)"]
                distribute: [ids-plain, ids-large, first]
                sequence: [first, second, web-\(kind)]
            \(kind == "translated" ? "    ports: [udp/7-8 -> 1007-1008, tcp/9 -> 1009, tcp/80 -> 1080]" : "")
            """
        }.joined(separator: "\n"))
        """
    }

    /// Segments of connections that nobody made are looked at, and not answered.
    static let silence =
        "table inet t { chain c { type filter hook input priority 0; tcp dport { 9, 1009 } drop; }; }\n"

    static var files: [String: String] {
        get throws {
            var files = ["server.nft": silence]
            for name in ["packets", "send", "capture", "receive", "judge"] {
                files["\(name).py"] = try String(
                    contentsOf: programs.appendingPathComponent("\(name).py"), encoding: .utf8)
            }
            return files
        }
    }

    /// A device that is captured on: its node, how many kernels have passed on what it gets, and the services.
    struct Leg {
        var node: String
        var device: String
        var hops: Int
        var isSplit: Bool
        var services = "plain,large,rewritten,translated"
    }

    static let legs = [
        Leg(node: "ids-plain", device: "middle", hops: 0, isSplit: true),
        Leg(node: "ids-large", device: "middle", hops: 0, isSplit: false),
        Leg(node: "first", device: "middle", hops: 0, isSplit: true),
        Leg(node: "second", device: "behind", hops: 1, isSplit: false),
        Leg(node: "web-plain", device: "inside", hops: 2, isSplit: true, services: "plain"),
        Leg(node: "web-large", device: "inside", hops: 2, isSplit: false, services: "large"),
        Leg(node: "web-rewritten", device: "inside", hops: 2, isSplit: true, services: "rewritten"),
        Leg(node: "web-translated", device: "inside", hops: 2, isSplit: true, services: "translated"),
    ]

    /// What one run of the traffic came to.
    struct Outcome {
        /// For each leg the judge's line: packets, superframes, packets that were in them, a digest of all.
        var legs: [String: [String]] = [:]
        /// What the sockets of each server were given, flow by flow.
        var sockets: [String: String] = [:]
        /// What the engine says that it has coalesced.
        var coalesced = 0
    }

    /// Sends the traffic of `seed` through a topology of its own, and judges every capture.
    static func outcome(_ engine: String, seed: UInt64) throws -> Outcome {
        var outcome = Outcome()
        try Lab.with(topology(engine), files: files) { lab in
            func start(_ node: String, _ program: String) throws {
                let log = "\(lab.directory(of: node))/\(program.split(separator: ".")[0]).log"
                let pid = log.replacing(".log", with: ".pid")
                let started = try lab.exec(node, "python3 -B \(program) >\(log) 2>&1 & echo $! >\(pid)")
                try #require(started.status == 0, "\(started.output)")
            }
            func end(_ node: String, _ program: String, until condition: String) throws {
                let folder = lab.directory(of: node)
                let ended = try lab.exec(
                    node,
                    "kill -TERM $(cat \(folder)/\(program).pid); for i in $(seq 400); do \(condition) && exit; sleep 0.1; done;"
                        + " cat \(folder)/\(program).log; exit 1")
                #expect(ended.status == 0, "\(node): \(ended.output)")
            }
            let servers = legs.map(\.node).filter { $0.hasPrefix("web") }
            for node in servers {
                let shift = node == "web-translated" ? 1_000 : 0
                try start(node, "receive.py \(lab.directory(of: node))/sockets \(shift)")
            }
            for leg in legs { try start(leg.node, "capture.py \(leg.device) \(lab.directory(of: leg.node))/frames") }
            for leg in legs {
                try TwoEnginesTests.eventually("\(leg.node) captures") {
                    try lab.exec(leg.node, "cat \(lab.directory(of: leg.node))/capture.log").output.contains(
                        "capturing")
                }
            }
            for node in servers {
                try TwoEnginesTests.eventually("\(node) listens") {
                    try lab.exec(node, "grep -q -e ':0050 ' -e ':0438 ' /proc/net/tcp6").status == 0
                }
            }
            try lab.exec("alice", "ping -n -c 1 -W 20 192.0.2.1; ping -n -c 1 -W 20 2001:db8:2::1")
            let sent = try lab.exec("alice", "python3 -B send.py \(seed) outside", timeout: 240)
            try #require(sent.status == 0, "seed \(seed): \(sent.output)")

            for leg in legs {
                try end(leg.node, "capture", until: "grep -q '^dropped 0$' \(lab.directory(of: leg.node))/capture.log")
            }
            for node in servers {
                let path = "\(lab.directory(of: node))/sockets"
                try end(node, "receive", until: "test -e \(path)")
                outcome.sockets[node] = try String(contentsOfFile: path, encoding: .utf8)
            }
            let arguments = legs.map {
                "\($0.node):\($0.hops):\($0.isSplit ? "plain" : "large"):\($0.services):\(lab.directory(of: $0.node))/frames"
            }
            let judged = try run(
                "/usr/bin/python3", ["-B", programs.appendingPathComponent("judge.py").path, "\(seed)"] + arguments,
                timeout: 240)
            #expect(judged.status == 0, "\(engine), seed \(seed): \(judged.output)")
            // The judge judges: of another seed's packets it says that they are not those that were sent.
            let other = try run(
                "/usr/bin/python3",
                ["-B", programs.appendingPathComponent("judge.py").path, "\(seed + 1)", arguments[0]])
            #expect(other.status == 1 && other.output.contains("the first that differs"), "\(other.output)")
            for line in judged.output.split(separator: "\n") {
                let words = line.split(separator: " ").map(String.init)
                if words.count == 5 { outcome.legs[words[0]] = Array(words.dropFirst()) }
            }
            try read(lab.status(), into: &outcome)
        }
        return outcome
    }

    private static func read(_ status: [String: Any], into outcome: inout Outcome) throws {
        let engine = try #require(status["engine"] as? [String: Any])
        outcome.coalesced = try #require(engine["joined"] as? Int)
        // The nodes' kernels have things of their own to say; besides, everything is forwarded.
        let drops = try #require(status["drops"] as? [[String: Any]]).compactMap { $0["reason"] as? String }
        #expect(
            Set(drops).isSubset(of: ["passive-emission", "multicast-not-served", "neighbour-not-ours", "housekeeping"]),
            "\(drops)")
    }

    /// The last is kept: behind the rewrite of its address one TCP checksum of it comes to zero, and is sent as zero.
    @Test(arguments: [("io_uring", nil), ("write", nil), ("write", 791_965)])
    func everyApplicationSeesThePacketsThatWereSent(io: String, kept: UInt64?) throws {
        let seed = kept ?? Seed.drawn(in: 1...1_000_000)
        let coalescing = try Self.outcome("coalescing: on, io: \(io)", seed: seed)
        let plain = try Self.outcome("coalescing: off, io: \(io)", seed: seed)
        print("exact packets: seed \(seed), \(io): \(coalescing.coalesced) frames coalesced;", coalescing.legs)
        // Each leg was judged by what was sent; the two agree in everything but superframes as well.
        for leg in Self.legs {
            let with = try #require(coalescing.legs[leg.node], "\(leg.node)")
            let without = try #require(plain.legs[leg.node], "\(leg.node)")
            #expect([with[0], with[3]] == [without[0], without[3]], "\(leg.node), seed \(seed)")
            #expect(try #require(Int(with[0])) > (leg.hops == 2 ? 4_000 : 13_000), "\(leg.node), seed \(seed)")
            if leg.isSplit { #expect(with[1] == "0") }
        }
        #expect(coalescing.sockets == plain.sockets, "seed \(seed)")
        #expect(coalescing.sockets.values.allSatisfy { $0.split(separator: "\n").count > 100 })
        // Coalescing did happen, and came to the devices that take superframes.
        #expect(plain.coalesced == 0)
        #expect(coalescing.coalesced > 2_000, "seed \(seed)")
        for node in ["ids-large", "second", "web-large"] {
            let leg = try #require(coalescing.legs[node])
            let superframes = try #require(Int(leg[2]))
            #expect(superframes > 20, "\(node) got no superframes, seed \(seed)")
        }
    }
}
