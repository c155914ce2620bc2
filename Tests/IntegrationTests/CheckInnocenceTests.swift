import Foundation
import Testing

/// What others than a check's commands do to a node while the check runs, and what ends by itself: it is neither told nor
/// undone, while what the commands did is.
@Suite struct CheckInnocenceTests {
    /// How often the application changes its node by everything that `ip` has.
    private static let rounds = 120
    /// Each thing has its number; some are made, taken away and made once more under the same name.
    private static let churn = """
        # While a check has its link down there is no way to the gateway.
        ways() {
            until ip route replace 10.1.$1.0/24 via 192.0.2.1; do down=yes; sleep 0.01; done
            until ip -6 route replace 2001:db8:2:$1::/64 via 2001:db8::1; do down=yes; sleep 0.01; done
        }
        i=0
        while [ $i -lt \(rounds) ]; do
            i=$((i + 1)) down=
            ways $i
            # The kernel drops routes with the link. Those made just before that nobody can have noted.
            if [ -n "$down" ]; then
                ways $i
                [ $i -eq 1 ] || ways $((i - 1))
            fi
            ip -force -batch - <<END
        address add 10.2.$i.1/32 dev outside
        address add 2001:db8:1::$i/128 dev lo
        rule add from 10.3.$i.0/24 table 77
        link add v$i type veth peer name w$i
        link set v$i up
        link del v$i
        link add v$i type veth peer name w$i
        link set v$i up
        link set v$i mtu 1300
        address del 2001:db8:1::$i/128 dev lo
        address add 2001:db8:1::$i/128 dev lo
        route add 10.4.$i.0/24 dev lo
        route replace 10.4.$i.0/24 dev v$i
        END
        done
        echo done; exec sleep 1000
        """
    private static let everything = Array(repeating: "\(rounds)", count: 9).joined(separator: " ")
    private static let counted = """
        echo $(ip route | grep -c '^10\\.1\\.') $(ip -6 route | grep -c '^2001:db8:2:') $(ip address | grep -c 'inet 10\\.2\\.') \
        $(ip -6 address | grep -c 2001:db8:1::) $(ip rule | grep -c 'from 10\\.3\\.') $(ip -br link | grep -c '^v.*UP') \
        $(ip link | grep -c '^[0-9]*: v.*mtu 1300') $(ip -br link | grep -c '^w') $(ip route | grep -c '^10\\.4\\..*dev v')
        """

    /// Sets the MTU and adds a route as ifconfig(8) and route(8) do (SIOCSIFMTU, SIOCADDRT).
    private static let byCalls = """
        import fcntl, socket, struct
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        fcntl.ioctl(s, 0x8922, struct.pack("16si20x", b"outside", 1400))
        def address(a): return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(a))
        to, by, mask = address("10.9.7.0"), address("192.0.2.1"), address("255.255.255.0")
        fcntl.ioctl(s, 0x890b, struct.pack("=8x16s16s16sH62x", to, by, mask, 3))
        """

    @Test func whatAnApplicationDoesIsItsOwn() throws {
        let topology = """
            name: innocent
            interfaces: { outside: { address: [192.0.2.1/24, "2001:db8::1/64"] } }
            customers:
              alice: { interface: outside, run: exec sh churn.sh }
              bob: { interface: outside, run: "sleep 1", restart: never }
              carol: { interface: outside, run: exec sleep 1000 }

            """
        let run = try CheckedTopology(
            topology,
            checks: #"""
                - { name: an application ends by itself, on: bob, run: sleep 1.5 }
                - { name: one that only looks, on: alice, run: "for i in 1 2 3 4 5 6 7 8; do ip -br link; ip route get 192.0.2.1; ip -6 address; sleep 0.05; done" }
                - { name: one that changes, on: alice, run: "ip route add 10.9.0.0/24 via 192.0.2.1; sleep 0.1; ip link set outside mtu 1400; ip -6 address add 2001:db8:9::9/128 dev outside; ip link add mine type veth peer name yours" }
                - { name: one whose requests fail, on: alice, run: "for i in 1 2 3 4 5 6 7 8 9; do ip link add lo type veth peer name yours; ip link add v1 type veth peer name w1; ip -6 address add ::1/128 dev lo; ip route add 10.1.1.0/24 via 192.0.2.1; ip link set absent up; done; true" }
                - { name: one that may, on: alice, alters: yes, run: "ip route add 10.9.1.0/24 via 192.0.2.1; ip link set outside mtu 1400; ip address del 192.0.2.2/24 dev outside" }
                - name: one that breaks the link
                  steps:
                    - { link-down: alice }
                    - { wait: 100ms }
                    - { link-up: alice }
                    - { on: alice, run: sleep 0.1 }
                - { name: all that the application made is there, on: alice, run: "until grep -q done $TAPLINE_DIR/output.log; do sleep 0.1; done; sh counted.sh", timeout: 120s, expect: { matches: '^\#(Self.everything)$' } }
                - { name: nothing of the checks' is, on: alice, run: "ip route; ip link; ip address", expect: { output: 192.0.2.2/24, lacks: [10.9.0.0, 10.9.1.0, mtu 1400, "2001:db8:9::9", mine] } }
                - name: a started command ends by itself
                  steps:
                    - { start: short, on: bob, run: sleep 0.2 }
                    - { on: bob, run: sleep 0.5 }
                    - { finish: short }
                - name: a started command may change what the step beside it may not
                  steps:
                    - { start: changing, on: carol, alters: yes, run: "sleep 0.1; ip route add 10.9.0.0/24 via 192.0.2.1" }
                    - { on: carol, run: sleep 0.4 }
                    - { finish: changing }
                - name: a started command changes what it may not
                  steps:
                    - { start: changing, on: carol, run: "ip route add 10.9.0.0/24 via 192.0.2.1; sleep 0.2" }
                    - { finish: changing }
                - { name: by calls, on: carol, run: exec python3 calls.py }
                - { name: what calls did is gone, on: carol, run: "ip route; ip link", expect: { output: 192.0.2., lacks: [10.9.7.0, mtu 1400] } }
                - { name: by a setting, on: bob, run: "echo 1 > /proc/sys/net/ipv6/conf/outside/disable_ipv6" }
                """#,
            files: ["churn.sh": Self.churn, "counted.sh": Self.counted, "calls.py": Self.byCalls])
        run.expectHeld("one that only looks", "one whose requests fail")
        let details = run.checks["one that changes"]?.details ?? run.output
        run.expectFailed(
            "one that changes", "there is a new route 10.9.0.0/24", "the MTU of outside is 1400", "2001:db8:9::9",
            "mine", "yours")
        for part in ["10.1.", "10.2.", "10.4.", "2001:db8:1::", "2001:db8:2:", "device v", "device w"] {
            #expect(!details.contains(part), "\(details)")
        }
        run.expectHeld(
            "one that may", "one that breaks the link", "all that the application made is there",
            "nothing of the checks' is", "an application ends by itself", "a started command ends by itself",
            "a started command may change what the step beside it may not")
        run.expectFailed("a started command changes what it may not", "there is a new route 10.9.0.0/24")
        run.expectFailed("by calls", "there is a new route 10.9.7.0/24", "the MTU of outside is 1400")
        run.expectHeld("what calls did is gone")
        run.expectFailed("by a setting", "2001:db8::")
    }
}
