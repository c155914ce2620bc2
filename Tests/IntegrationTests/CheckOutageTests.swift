import Testing

/// Outages over real faults, and whether every bound can fail.
@Suite("checks: outages", .serialized)
struct CheckOutageTests {
    private static let checks = """
          - { name: nothing happens, outage: { while: [{ wait: 200ms }], from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, lost: 0, longest-gap: 60s, reordered: 0, duplicated: 0 } }
          - { name: one way, outage: { while: [{ wait: 200ms }], from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, lost: 0, answered: no } }
          - { name: nobody answers, outage: { while: [{ wait: 200ms }], from: alice, to: 203.0.113.80, port: udp/9, rate: 200Hz, lost: 0 } }
          - { name: answers are missed, outage: { while: [{ wait: 200ms }], from: alice, to: 203.0.113.80, port: udp/9, rate: 200Hz, lost: any, longest-gap: 60s, answered: yes } }
          - name: the link is down
            outage: { while: &down [{ link-down: web }, { wait: 500ms }, { link-up: web }], from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, lost: ">= 50", longest-gap: ">= 450ms" }
          - { name: few are lost, outage: { while: *down, from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, lost: "<= 3" } }
          - { name: the gap is short, outage: { while: *down, from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, longest-gap: "<= 40ms" } }
          - { name: the gap is long one way, outage: { while: [{ stop: firewall }, { wait: 500ms }, { continue: firewall }], from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, longest-gap: "<= 40ms", answered: no } }
          - name: what stands still loses nothing, and is late
            outage: { while: [{ stop: firewall }, { wait: 500ms }, { continue: firewall }], from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, lost: 0, longest-gap: ">= 450ms" }
          - { name: the engine is killed, outage: { while: [{ kill: engine }, { event: engine-started, since: check, within: 20s }, { wait: 200ms }], from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, lost: "<= 4000", longest-gap: "< 30s" } }
          - { name: a step fails, outage: { while: [{ on: alice, run: exit 3 }], from: alice, to: 203.0.113.80, port: udp/7, lost: any, longest-gap: 60s } }
          - { name: nothing arrives at all, outage: { while: [{ wait: 10ms }], from: alice, to: 203.0.113.81, port: udp/7, rate: 200Hz, longest-gap: 60s } }
          - name: it is repeated
            steps:
              - { on: firewall, run: 'echo repeat > "$TAPLINE_DIR/mode"' }
              - { outage: { while: [{ wait: 10ms }], from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, duplicated: 0, answered: no } }
          - name: it is swapped
            steps:
              - { on: firewall, run: 'echo swap > "$TAPLINE_DIR/mode"' }
              - { outage: { while: [{ wait: 10ms }], from: alice, to: 203.0.113.80, port: udp/7, rate: 200Hz, reordered: 0, answered: no } }

        """

    @Test("an outage is measured over faults, and every bound can fail")
    func outages() throws {
        let run = try CheckedTopology(
            ProbedTopology.chain, checks: Self.checks, files: ProbedTopology.files)
        let failed = Set(run.checks.filter { !$0.value.passed }.keys)
        #expect(
            failed == [
                "answers are missed", "few are lost", "the gap is short", "the gap is long one way", "a step fails",
                "nothing arrives at all",
                "it is repeated", "it is swapped",
            ], "\(run.output)")
        func expect(_ name: String, _ parts: String...) {
            let details = run.checks[name]?.details ?? ""
            for part in parts { #expect(details.contains(part), "\(name): no '\(part)' in \(details)") }
        }
        expect("nothing happens", "0 lost (there and back)", "longest gap", "before: alice → ids, firewall → web")
        expect("one way", "(one way)")
        expect("nobody answers", "(one way)")
        expect("answers are missed", "an answer before the steps began")
        expect(
            "few are lost", "expected lost <= 3",
            "of the lost packets reached the end of the chain, and were not answered")
        expect(
            "the gap is short", "expected longest-gap <= 40ms", "trace of a packet that was not answered",
            "trace of the first packet answered behind the longest gap", "delivered: It reached web.")
        expect("the gap is long one way", "trace of the first packet behind the longest gap", " inside")
        expect("a step fails", "(on alice: exit 3): status 0")
        expect("nothing arrives at all", "that packets arrive before the steps begin", "no-service")
        expect("it is repeated", "expected in the step", "duplicated == 0")
        expect("it is swapped", "reordered == 0")
    }
}
