import Foundation
import Testing

/// Nodes whose application is a virtual machine, on the machine that the scenario `guests` plays.
@Suite(.serialized) struct VirtualMachineTests {
    private static let folder = Product.root.appendingPathComponent("Topologies/guests").path

    private func played(_ script: String) throws -> String {
        let beginning = """
            t=\(Product.tapline); f=\(Self.folder)/topology-machine.yaml; n=guests-machine
            page() { $t exec $n alice -- curl -sS -m "${1:-2}" http://203.0.113.80/; }
            again() { for i in $(seq 300); do page && return; sleep 0.2; done; echo no page; exit 1; }
            left() { echo "left after $1: $(pgrep -c qemu) machines, $(ls /run/netns | grep -c $n) namespaces"; }
            # The file with changes, at a place where it finds the same files.
            variant() { sed "s|\\.\\./\\.\\./\\.build|\(Product.root.path)/.build|g; $2" $f >/run/$1.yaml; cp \(Self.folder)/firewall.nft /run/; }

            """
        let guest = try run("\(Self.folder)/guest.sh", [], timeout: 120)
        #expect(guest.status == 0, "\(guest.output)")
        let finished = try run("\(Self.folder)/machine.sh", ["sh", "-c", beginning + script], timeout: 280)
        #expect(finished.status == 0, "\(finished.output)")
        return finished.output
    }

    @Test("a machine goes with its topology, is restarted as a program, and changes with the file")
    func life() throws {
        let output = try played(
            """
            $t up $f -d || exit 1
            echo "first: $(page 20)"; pkill -9 qemu; again; $t events $n --json | grep application-restarted
            echo "bridge: $($t exec $n web -- ip -br link show type bridge | wc -l)"
            head -c 1048576 /dev/zero >/run/disk.raw; sum=$(md5sum </run/disk.raw)
            variant more 's|memory: 128M|memory: 160M, disk: /run/disk.raw|'
            cp /run/disk.raw /var/tmp/tapline-test-disk.raw; sed -i 's|/run/disk.raw|/var/tmp/tapline-test-disk.raw|' /run/more.yaml
            $t apply $n /run/more.yaml --dry-run; $t apply $n /run/more.yaml || exit 1; again
            tr '\\0' ' ' </proc/$(pgrep qemu)/cmdline | grep -o -e '-m 160M'
            [ "$sum" = "$(md5sum </var/tmp/tapline-test-disk.raw)" ] && echo the disk is as it was; rm /var/tmp/tapline-test-disk.raw
            sed -i 's|attach: servers|attach: { in: { interface: servers, address: 198.18.4.77 } }|' /run/more.yaml
            sed -i 's|, disk: [^,]*||' /run/more.yaml
            $t apply $n /run/more.yaml || exit 1; again; echo "moved: $($t exec $n web -- curl -sS -m 20 http://198.18.4.77/)"
            kill -9 $(python3 -c "import json; print(json.load(open('/run/tapline/$n/state.json'))['control']['pid'])")
            for i in $(seq 300); do [ $(pgrep -c qemu) = 0 ] && break; sleep 0.1; done; echo "by itself: $(pgrep -c qemu) machines"
            $t down $n; left death
            """)
        for words in [
            "first: hello from a machine", "it was ended by signal 9 (Killed), and was restarted", "bridge: 1",
            "-m 160M",
            "the disk is as it was", "moved: hello from a machine", "by itself: 0 machines",
            "left after death: 0 machines, 0 namespaces",
        ] {
            #expect(output.contains(words), "\(words): \(output)")
        }
    }

    @Test("segments larger than the MTU cross the leg only if it has offload, and come whole in both cases")
    func offloads() throws {
        let output = try played(
            """
            for offload in on off; do
                variant $offload "s|ready: |offload: $offload\\n    ready: |"
                $t up /run/$offload.yaml -d >/run/up 2>&1 || { cat /run/up; exit 1; }
                ip netns exec $n-web tcpdump -lni servers -c 3000 tcp port 80 >/run/frames 2>/run/listening & seen=$!
                until grep -q listening /run/listening; do sleep 0.05; done; echo "$offload: $($t exec $n alice -- curl -sS -m 30 http://203.0.113.80/large | wc -c) octets"
                kill $seen; wait $seen
                echo "$offload: $(sed -n 's/.*length \\([0-9]*\\).*/\\1/p' /run/frames | awk '$1 > 1460 { more++ } END { print more ? "larger" : "none larger" }')"
                $t down $n
            done
            """)
        for words in ["on: 8388608 octets", "on: larger", "off: 8388608 octets", "off: none larger"] {
            #expect(output.contains(words), "\(words): \(output)")
        }
    }

    @Test("a machine that cannot start is refused, and leaves nothing")
    func refusals() throws {
        let output = try played(
            """
            try() { variant $1 "$2"; timeout 60 $t up /run/$1.yaml -d; echo "$1: status $?"; left $1; }
            try absent 's|guest/kernel|guest/no-kernel|'
            echo no kernel >/var/tmp/tapline-test-kernel; try broken 's|kernel: [^,]*|kernel: /var/tmp/tapline-test-kernel|'
            rm /var/tmp/tapline-test-kernel
            try late 's|ready-timeout: 60s|ready-timeout: 1s|'
            [ ! -e /dev/kvm ] || { : >/run/kvm; mount --bind /run/kvm /dev/kvm; mount -o remount,bind,ro /dev/kvm; }; try kvm 's|accelerator: tcg|accelerator: kvm|'
            mount --bind /dev/null $(command -v qemu-system-x86_64)
            $t up $f -d; echo "engine: status $?"; $t doctor $f | grep qemu; $t validate $f >/dev/null; echo "validate: status $?"
            """)
        for words in [
            "guest/no-kernel, which its machine starts from, is not there", "absent: status 4", "broken: status 2",
            "no answer with status 200 for / from 198.18.4.2 port 80", "late: status 2",
            "its machine has `accelerator: kvm`, and /dev/kvm cannot be opened", "kvm: status 4",
            "qemu-system-x86_64 is not installed, and would run its machine; install qemu-system-x86",
            "engine: status 4",
            "validate: status 0",
        ] {
            #expect(output.contains(words), "\(words): \(output)")
        }
        for what in ["absent", "broken", "late"] {
            #expect(output.contains("left after \(what): 0 machines, 0 namespaces"), "\(what): \(output)")
        }
    }
}
