import Foundation
import Testing

/// Impaired links of a running topology, with real programs on both sides.
@Suite(.serialized) struct ImpairTests {
    private static func topology(_ rest: String = "") -> String {
        """
        name: impaired
        interfaces:
          customers: { address: 192.0.2.1/24 }
          servers:   { address: 198.18.2.1/24 }
        customers:
          alice: { interface: customers }
          bob:   { interface: customers }
        applications:
          web: { attach: servers, run: exec iperf3 -s, ready: { tcp: 5201 } }
        services:
          shop: { address: 203.0.113.80, ports: [tcp/5201, icmp], sequence: [web] }
        \(rest)
        """
    }

    /// Milliseconds until each echo request's answer, none where it was lost.
    private func echoes(_ lab: Lab, _ count: Int, every period: Int, patience: Int = 20_000) throws -> [Double?] {
        let command = "fping -q -C \(count) -p \(period) -t \(patience) 203.0.113.80"
        let output = try lab.exec("alice", command).output
        let times = try #require(output.split(separator: "\n").last?.split(separator: " ").dropFirst(2), "\(output)")
        try #require(times.count == count, "\(output)")
        return times.map { Double($0) }
    }

    /// The numbers of the echo requests that were answered.
    private func answered(_ lab: Lab, _ count: Int = 60) throws -> [Int] {
        try echoes(lab, count, every: 10, patience: 3_000).enumerated().filter { $0.element != nil }.map {
            $0.offset + 1
        }
    }

    private func impair(_ lab: Lab, _ words: String...) throws {
        let done = try run(Product.tapline, ["impair", lab.name] + words)
        try #require(done.status == 0, "\(done.output)")
    }

    private func links(_ lab: Lab) throws -> [[String: Any]] {
        let listed = try lab.tapline("impair", lab.name, "--json")
        let json = try JSONSerialization.jsonObject(with: Data(listed.output.utf8)) as? [String: Any]
        return try #require(json?["links"] as? [[String: Any]], "\(listed.output)")
    }

    @Test func theSamePacketsAreLostAgainAndAreCounted() throws {
        try Lab.with(Self.topology()) { lab in
            #expect(try answered(lab) == Array(1...60))
            var lost: [[Int]] = []
            for seed in ["7", "7", "8"] {
                // Only requests of the service cross this link, so that no question for an address is in its sequence.
                try impair(lab, "service/shop", "--direction", "from-nodes", "--loss", "30%", "--seed", seed)
                lost.append(try answered(lab))
                let link = try #require(try links(lab).first)
                #expect(link["packets"] as? Int == 60)
                #expect(link["lost"] as? Int == 60 - lost[lost.count - 1].count, "\(link)")
                #expect(link["waiting"] as? Int == 0)
                // The second time, the same is asked for once more without an end between.
                if lost.count == 1 { continue }
                try impair(lab, "service/shop", "--clear")
                #expect(try links(lab).isEmpty)
            }
            #expect(lost[0] == lost[1])
            #expect(lost[0] != lost[2])
            #expect(lost[0].count > 10 && lost[0].count < 59)
            let drops = try lab.status()["drops"] as? [[String: Any]]
            let counted = drops?.first { $0["reason"] as? String == "impaired-loss" }
            #expect(counted?["frames"] as? Int == 180 - lost.reduce(0) { $0 + $1.count })
            let events = try lab.tapline("events", lab.name).output
            #expect(events.contains("link-impaired"), "\(events)")
        }
    }

    @Test func aRateIsKeptWithSuperframesAndWithSeveralWorkersAndEngines() throws {
        for engines in ["", "engine: { workers: 2 }", "engines: 2"] {
            try Lab.with(Self.topology(engines)) { lab in
                func rate() throws -> Double {
                    let output = try lab.exec("alice", "iperf3 -c 203.0.113.80 -C cubic -t 1 -J").output
                    let json = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
                    let sums = (json?["end"] as? [String: Any])?["sum_received"] as? [String: Any]
                    return try #require(sums?["bits_per_second"] as? Double, "\(output)")
                }
                try impair(lab, "customers", "--rate", "20mbit", "--queue", "50", "--delay", "5ms")
                let limited = try rate()
                // A machine under load makes it slower, never faster.
                #expect(limited > 0 && limited < 20e6, "\(limited)")
                try impair(lab, "customers", "--clear")
                // One stall of this machine may make any second slow.
                var free = 0.0
                for _ in 1...5 where free <= 40e6 { free = try rate() }
                #expect(free > 40e6)
            }
        }
    }

    @Test func linksOfTheFileAreThereAfterAnEngineWasKilled() throws {
        let file = Self.topology().replacingOccurrences(
            of: "bob:   { interface: customers }", with: "bob: { interface: customers, impair: { loss: 100% } }")
        try Lab.with(file) { lab in
            #expect(try answered(lab, 5) == Array(1...5))
            #expect(try lab.exec("bob", "ping -c 3 -i 0.05 -W 1 203.0.113.80").output.contains("100% packet loss"))
            let engine = try #require(try lab.status()["engine"] as? [String: Any])
            let pid = try #require(engine["pid"] as? Int)
            kill(pid_t(pid), SIGKILL)
            var now: Int?
            for _ in 0..<200 where now == nil || now == pid {
                usleep(50_000)
                now = (try lab.status()["engine"] as? [String: Any])?["pid"] as? Int
            }
            #expect(now != nil && now != pid)
            #expect(try answered(lab, 5).last == 5)
            #expect(try lab.exec("bob", "ping -c 3 -i 0.05 -W 1 203.0.113.80").output.contains("100% packet loss"))
            // What a command asks for ends when the file is applied.
            try impair(lab, "bob", "--clear")
            // Its kernel has given up its next hop for a while.
            let back = "for i in $(seq 50); do ping -c 1 -W 1 203.0.113.80 && exit 0; sleep 0.1; done; exit 1"
            #expect(try lab.exec("bob", back).status == 0)
            let applied = try lab.tapline("apply", lab.name)
            #expect(applied.status == 0 && applied.output.contains("bob/customers"), "\(applied.output)")
            #expect(try lab.exec("bob", "ping -c 3 -i 0.05 -W 1 203.0.113.80").output.contains("100% packet loss"))
        }
    }

    @Test func aDelayIsNeverShorterThanAsked() throws {
        try Lab.with(Self.topology()) { lab in
            try impair(lab, "alice", "--delay", "30ms", "--jitter", "10ms")
            let times = try echoes(lab, 20, every: 20).compactMap { $0 }
            #expect(times.count == 20, "\(times)")
            #expect(times.allSatisfy { $0 >= 40 }, "\(times)")
            #expect(Set(times).count > 10, "\(times)")
        }
    }

    @Test func aTraceIsReadFromTheCallersFile() throws {
        try Lab.with(Self.topology()) { lab in
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            func write(_ text: String) throws {
                try text.write(to: folder.appendingPathComponent("delays.txt"), atomically: true, encoding: .utf8)
            }
            // The command's folder counts, not that of the control process.
            func impair(_ words: String) throws -> (status: Int32, output: String) {
                let command = "cd '\(folder.path)' && exec '\(Product.tapline)' impair \(lab.name) alice \(words)"
                let done = try run("/bin/sh", ["-c", command])
                return (done.status, done.output)
            }
            try write("# of a satellite\n30ms\n45.5ms\n\n30ms\n")
            let done = try impair("--trace delays.txt --loss 0%")
            #expect(done.status == 0, "\(done)")
            let settings = try links(lab).compactMap { $0["settings"] as? String }
            #expect(settings.count == 2 && settings.allSatisfy { $0.hasPrefix("trace: 3 delays") }, "\(settings)")
            let times = try echoes(lab, 10, every: 20).compactMap { $0 }
            #expect(times.count == 10 && times.allSatisfy { $0 >= 60 }, "\(times)")
            try write("30ms\n1 ms\n")
            let wrong = try impair("--trace delays.txt")
            #expect(wrong.status != 0 && wrong.output.contains("line 2 has 2 words"), "\(wrong)")
            let none = try impair("--trace nowhere.txt")
            #expect(none.status != 0 && none.output.contains("cannot be read"), "\(none)")
            let both = try impair("--trace delays.txt --delay 1ms")
            #expect(both.status != 0, "\(both)")
        }
    }

    @Test func mistakesSayWhatToDo() throws {
        try Lab.with(Self.topology()) { lab in
            for (words, part) in [
                (["nothing", "--loss", "1%"], "there is no link 'nothing'"),
                (["customers", "--loss", "1 %%"], "'loss' is"),
                (["customers", "--jitter", "5ms"], "the jitter is larger than the delay"),
                (["customers"], "Say what happens"),
                (["customers", "--clear", "--loss", "1%"], "With --clear"),
                (["--loss", "1%"], "Name the link"),
                (["alice/servers", "--loss", "1%"], "there is no link 'alice/servers'"),
            ] {
                let done = try run(Product.tapline, ["impair", lab.name] + words)
                #expect(done.status != 0 && done.output.contains(part), "\(words): \(done.output)")
            }
            #expect(try links(lab).isEmpty)
        }
    }
}
