import Foundation
import Testing

/// Checks that misbehave: each fails by itself, and the next one finds everything as it was.
@Suite(.serialized) struct CheckMishapTests {
    private static let lives =
        "curl -fsS -m 20 http://203.0.113.80/ && curl -fsS -m 20 'http://[2001:db8:cb::80]/'"

    @Test func whateverACheckDoesTheNextOneRunsOnAnIntactTopology() throws {
        let bad: [(name: String, check: String, summary: [String])] = [
            (
                "hangs",
                #"on: alice, run: "sleep 7001 & setsid sleep 7002 & env -i setsid sh -c 'sleep 7003 & sleep 7004 &'; trap '' TERM INT; sleep 7005; sleep 7006", timeout: 700ms"#,
                ["that it ends within 700 ms", "ended with all processes that it had started"]
            ),
            ("stops itself", #"on: alice, run: kill -STOP $$, timeout: 500ms"#, ["that it ends within 500 ms"]),
            ("prints a gigabyte", #"on: alice, run: head -c 1000000000 /dev/zero"#, ["its output exceeded 16 MiB"]),
            ("prints for ever", #"on: alice, run: yes gone"#, ["its output exceeded 16 MiB", "gone"]),
            ("kills everybody", #"on: web, run: kill -9 -1"#, ["it changed web: its application has ended"]),
            ("kills the application", #"on: fragile, run: pkill -9 sleep"#, ["fragile: its application has ended"]),
            ("kills and holds its tongue", #"on: web, run: "(sleep 0.1; kill -9 -1) & wait; true""#, ["has ended"]),
            (
                "loses its route", #"on: alice, run: ip route del default"#,
                ["the route default via 192.0.2.1 on customers is gone"]
            ),
            (
                "loses its addresses", #"on: alice, run: ip address flush dev customers"#,
                [
                    "the address 192.0.2.10/24 on customers is gone",
                    "the address 2001:db8:2::10/64 on customers is gone",
                ]
            ),
            (
                "adds routes and rules",
                #"on: firewall, run: "ip route add 203.0.113.80 via 198.18.2.1; ip route add 10.0.0.0/8 dev inspected table 77; ip rule add from 10.0.0.0/8 table 77""#,
                [
                    "there is a new route 203.0.113.80/32 via 198.18.2.1", "route 10.0.0.0/8 in table 77",
                    "a new IPv4 rule",
                ]
            ),
            (
                "takes devices down",
                #"on: firewall, run: "ip link set inspected down; ip link set inspection mtu 1280; ip link add x1 type veth peer name x2""#,
                ["the device inspected is down", "the MTU of inspection is 1280, not 1500", "a new device x1"]
            ),
            (
                "renames a device", #"on: web, run: "ip link set servers down; ip link set servers name spoons""#,
                ["servers is called spoons"]
            ),
            (
                "forks without end", #"on: web, run: "bomb() { bomb | bomb & }; bomb; sleep 60""#,
                ["more than 1024 processes"]
            ),
            (
                "fills its folder",
                #"on: web, run: "for i in 1 2 3 4 5 6; do head -c 60000000 /dev/zero > $TAPLINE_DIR/waste$i; done""#,
                ["its node's folder", "removed"]
            ),
            ("waits for input", #"on: alice, run: "cat; exec 0<&-; read x""#, ["status 0"]),
        ]
        var checks = ""
        for (index, entry) in bad.enumerated() {
            checks += "- { name: \(entry.name), \(entry.check) }\n"
            checks += #"- { name: "after \#(index)", on: alice, run: "\#(Self.lives)", expect: up }"# + "\n"
        }
        checks += #"- { name: nothing runs on, on: alice, run: "! ps ax -o args | grep '^sleep 70'" }"# + "\n"
        checks += #"- { name: nothing is wasted, on: web, run: "! ls $TAPLINE_DIR | grep waste" }"# + "\n"
        checks += #"- { name: all runs, on: fragile, run: pgrep -f 'sleep 1000' }"# + "\n"
        checks +=
            #"- { name: altered, on: firewall, alters: yes, run: "ip link set inspected down; ip route flush table main" }"#
        checks += "\n" + #"- { name: unaltered, on: alice, run: "\#(Self.lives)", expect: up }"# + "\n"
        let topology = try CheckedTopology(checks: checks)
        for (index, entry) in bad.enumerated() {
            topology.expectFailed(entry.name)
            for part in entry.summary {
                #expect(
                    topology.checks[entry.name]?.details.contains(part) == true,
                    "\(entry.name): \(topology.checks[entry.name]?.details ?? "")")
            }
            topology.expectHeld("after \(index)")
        }
        topology.expectHeld("nothing runs on", "nothing is wasted", "all runs", "altered", "unaltered")
        #expect(topology.status == 1)
    }

    @Test func aFailureShowsWhatExplainsIt() throws {
        let topology = try CheckedTopology(
            checks: """
                - name: a step
                  steps:
                    - { capture: ids }
                    - { on: web, run: "echo a word >/proc/1/root/dev/null" }
                    - { on: alice, run: "curl -sS -m 1 http://203.0.113.99/; curl -fsS http://203.0.113.80/" }
                    - { kill: web }
                    - { on: alice, run: "echo this came; exit 4", expect: that }
                    - { on: alice, run: touch /tmp/never }
                """)
        topology.expectFailed(
            "a step", "in the step on line", "(on alice: echo this came; exit 4): status 0; output with 'that'",
            "it ended with status 4", "this came", "web: its application was ended by signal 9",
            "no-service:", "shop.request.firewall:", "capture of ids on inspection:", "TCP SYN", "log of web:")
    }

    @Test func aCancellationEndsEveryStepAtOnce() throws {
        let steps = [
            "- { wait: 60s }", "- { on: alice, run: sleep 60 }",
            "- { start: a, on: alice, run: sleep 60 }\n      - { finish: a, timeout: 60s }",
            "- { packet: { from: alice, to: 203.0.113.80 }, reaches: [fragile], timeout: 60s }",
            "- { stop: web }\n      - { log: web, expect: never, within: 60s }",
        ]
        for step in steps {
            let suffix = String(UInt32.random(in: 0...UInt32.max), radix: 36)
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-checks-\(suffix)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let file = folder.appendingPathComponent("topology.yaml").path
            try (CheckedTopology.chain + "checks:\n  - name: long\n    steps:\n      \(step)\n").write(
                toFile: file, atomically: true, encoding: .utf8)
            try CheckedTopology.server.write(toFile: "\(folder.path)/web.py", atomically: true, encoding: .utf8)
            let script = """
                "$0" run "$1" --name "$2" >"$3" 2>&1 & pid=$!
                for i in $(seq 1200); do grep -q 'checking: long' "$3" && break; sleep 0.05; done
                sleep 0.3
                kill -INT $pid
                wait $pid; echo "status $?"
                """
            let log = folder.appendingPathComponent("log").path
            let finished = try run("/bin/bash", ["-c", script, Product.tapline, file, "t\(suffix)", log], timeout: 180)
            #expect(finished.status == 0, "\(step) did not end: \(finished.output)")
            #expect(finished.output.contains("status ") && !finished.output.contains("status 0"), "\(finished.output)")
            #expect(!FileManager.default.fileExists(atPath: "/run/tapline/t\(suffix)"), "\(step)")
            let left = ((try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []).filter {
                $0.hasPrefix("t\(suffix)")
            }
            #expect(left == [], "\(step)")
        }
    }
}
