import Testing

/// "No other node may see it" holds only if every node was watched.
@Suite("checks: canaries", .serialized)
struct CheckCanaryTests {
    /// Fills the ring of whoever watches the detector's device, until the check ends it.
    private static let flood = """
        import os, socket, time
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        s.bind(("inspection", 0))
        frame = bytes.fromhex("0200000000ff0200000000fe88b5") + bytes(1400)
        open(os.environ["TAPLINE_DIR"] + "/flooding", "w").close()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try: s.send(frame)
            except OSError: pass
        """

    private static let checks = """
          - { name: all are watched, packet: &packet { from: alice, to: 203.0.113.80, port: udp/7 }, reaches: [[ids, firewall], web], answer: [firewall, [ids, alice]] }
          - name: a capture shows no canary
            steps:
              - { capture: ids }
              - { packet: *packet, reaches: [[ids, firewall], web] }
              - { captured: ids, where: { contains: tapline canary }, frames: 0 }
          - name: a fault of the check is known
            steps:
              - { link-down: ids }
              - { packet: *packet, reaches: [firewall, web] }
          - name: a device is down that no fault has taken down
            steps:
              - { on: ids, run: ip link set inspection down, alters: true }
              - { packet: *packet, reaches: [firewall, web] }
          - name: a watcher is flooded
            steps:
              - { start: flood, on: ids, run: python3 flood.py & python3 flood.py }
              - { on: ids, run: 'until [ -e "$TAPLINE_DIR/flooding" ]; do sleep 0.05; done' }
              - { packet: *packet, reaches: [[ids, firewall], web] }

        """

    @Test("a watcher that was not watching makes the check fail, and says that it cannot tell")
    func blindWatchers() throws {
        let run = try CheckedTopology(
            ProbedTopology.chain, checks: Self.checks,
            files: ProbedTopology.files.merging(["flood.py": Self.flood]) { $1 })
        let failed = Set(run.checks.filter { !$0.value.passed }.keys)
        #expect(
            failed == ["a device is down that no fault has taken down", "a watcher is flooded"], "\(run.output)")
        let down = run.checks["a device is down that no fault has taken down"]?.details ?? ""
        #expect(down.contains("that every node is watched"), "\(down)")
        #expect(down.contains("cannot tell whether ids saw it on inspection: a canary before the packet"), "\(down)")
        let flooded = run.checks["a watcher is flooded"]?.details ?? ""
        #expect(flooded.contains("cannot tell whether"), "\(flooded)")
    }

    @Test("a packet that its sender's own tunnel takes is not sent on any device of the file, and the message says why")
    func tunnels() throws {
        let run = try CheckedTopology(
            ProbedTopology.chain,
            checks: """
                  - name: it goes into a tunnel
                    steps:
                      - on: alice
                        alters: true
                        run: |
                          ip tuntap add tunnel mode tun
                          ip link set tunnel up
                          ip route add 203.0.113.80 dev tunnel
                      - { packet: { from: alice, to: 203.0.113.80, port: udp/7 }, reaches: [[ids, firewall], web] }

                """, files: ProbedTopology.files)
        let check = run.checks["it goes into a tunnel"]
        #expect(check?.passed == false, "\(run.output)")
        let details = check?.details ?? ""
        #expect(
            details.contains("alice did not send it on any device of the file; it has tunnel, a device"), "\(details)")
    }
}
