import Foundation
import Testing

/// What checks can see of instances and engines, and do to them as operators do.
@Suite(.serialized) struct CheckInstanceTests {
    /// Two firewalls, active and standby, that answer for themselves; a server without instances.
    private static let redundant = """
        name: checked
        interfaces:
          customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers, address: [192.0.2.10, "2001:db8:2::10"] }
        applications:
          firewall:
            attach: { in: inspection, out: inspected }
            run: exec sleep 1000
            instances: { fw-a: { priority: 200 }, fw-b: { priority: 100 } }
            health:
              - { heartbeat: true, interval: 50ms, timeout: 500ms }
              - { neighbour: true, interval: 200ms, timeout: 1s }
            drain: 1s
            damping: false
          web: { attach: servers, run: exec python3 web.py, ready: { tcp: 80 } }
        services:
          shop: { address: 203.0.113.80, ports: tcp/80, sequence: [firewall, web] }
        engines: 2

        """

    @Test func everyStepOfInstancesAndEnginesHolds() throws {
        let topology = try CheckedTopology(
            Self.redundant,
            checks: """
                - { name: standings, steps: [{ instance: fw-a, is: active }, { instance: fw-b, is: standby }, { instance: fw-b, is: up, reason: checks }] }
                - { name: it came up, event: instance-up, application: firewall, instance: fw-a, times: 1 }
                - { name: nothing fell, event: instance-down, times: 0 }
                - name: operated
                  steps:
                    - { take-out: fw-a }
                    - { instance: fw-a, is: taken-out }
                    - { instance: fw-b, is: active }
                    - { packet: { from: alice, to: 203.0.113.80, port: tcp/80 }, reaches: [fw-b, web], answer: [fw-b, alice] }
                    - { put-back: fw-a }
                    - { instance: fw-a, is: active }
                    - { drain: fw-a, for: 200ms }
                    - { event: instance-drained, instance: fw-a, since: check, within: 20s }
                    - { instance: fw-a, is: drained }
                    - { undrain: fw-a }
                    - { packet: { from: alice, to: 203.0.113.80, port: tcp/80 }, reaches: [fw-a, web], answer: [fw-a, alice] }
                - name: left to be put back
                  steps:
                    - { drain: fw-a }
                    - { take-out: fw-b }
                    - { drain: engine 2 }
                - { name: all is as before, steps: [{ instance: fw-a, is: active }, { instance: fw-b, is: standby }, { event: engine-undrained, engine: 2 }] }
                - name: a process ends
                  steps:
                    - { kill: fw-a }
                    - { event: instance-down, instance: fw-a, since: check, within: 20s }
                    - { instance: fw-a, is: active, within: 20s }
                - name: engines
                  steps:
                    - { kill: engine 2 }
                    - { event: engine-ended, engine: 2, since: check, within: 20s }
                    - { replace: engine }
                    - { event: engine-replaced, engine: 1, since: check, within: 20s }
                    - { on: alice, run: curl -fsS -m 20 http://203.0.113.80/, within: 20s }
                """)
        topology.expectHeld(
            "standings", "it came up", "nothing fell", "operated", "left to be put back", "all is as before",
            "a process ends", "engines")
        #expect(topology.status == 0, "\(topology.output)")
    }

    @Test func aStepThatDoesNotHoldSaysWhatThereIs() throws {
        let topology = try CheckedTopology(
            Self.redundant,
            checks: """
                - { name: wrong standing, instance: fw-b, is: active }
                - { name: wrong reason, instance: fw-b, is: standby, reason: nobody knows }
                - { name: no such event, event: check-failed, instance: fw-b, check: heartbeat, reason: bent, since: check }
                """)
        topology.expectFailed("wrong standing", "that fw-b is active", "fw-b is standby: all its checks pass")
        topology.expectFailed("wrong reason", "that the reason contains 'nobody knows'", "all its checks pass")
        topology.expectFailed(
            "no such event", "the event check-failed of fw-b, check heartbeat because of 'bent'",
            "0 such events since the check began")
        #expect(topology.status != 0)
    }
}
