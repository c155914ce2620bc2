import Foundation
import Testing

/// Nodes whose application is a container image, on the machine that the scenario `guests` plays.
@Suite(.serialized) struct ContainerImageTests {
    private static let folder = Product.root.appendingPathComponent("Topologies/guests").path

    /// What a script begins with: the program, the process numbers of a topology's, and what is left of one.
    private static let beginning = """
        t=\(Product.tapline); f=\(folder)/topology.yaml
        recorded() { python3 -c "
        import json
        state = json.load(open('/run/tapline/guests/state.json'))
        print(*[p['pid'] for p in [state['control']] + state['processes'] if p['what'].startswith('$1')])"; }
        left() { echo "left after $1: $(podman ps --all --quiet | wc -l) containers, $(ls /run/netns | grep -c guests) namespaces"; }
        up() { $t up $f -d >/run/up 2>&1 || { cat /run/up; exit 1; }; }

        """

    private func played(_ script: String) throws -> String {
        let finished = try run("\(Self.folder)/machine.sh", ["sh", "-c", Self.beginning + script], timeout: 200)
        #expect(finished.status == 0, "\(finished.output)")
        return finished.output
    }

    @Test("a container goes with its topology, however that ends, and no other one does")
    func life() throws {
        let output = try played(
            """
            podman run --detach --name other --network none localhost/shop:1 >/dev/null 2>&1
            up; echo "runs: $(podman ps --format '{{.Names}}' | sort | tr '\\n' ' ')"; $t down guests; left down
            up; kill -9 $(recorded tapline); for i in $(seq 300); do [ $(podman ps --all -q | wc -l) = 1 ] && break; sleep 0.1; done
            echo "by itself: $(podman ps --all -q | wc -l) containers"; $t down guests; left death
            dead() { up; kill -9 $(recorded 'keeper of') $(recorded tapline); sleep 0.3; echo "orphans: $(podman ps --all -q | wc -l)"; }
            dead; $t down guests; left down; dead; $t prune; left prune
            dead; up; echo "again: $(podman ps --all -q | wc -l)"; $t down guests; left up
            dead; rm -r /run/tapline; $t prune; left stateless
            podman rm --force --time 0 other >/dev/null 2>&1
            """)
        #expect(output.contains("runs: guests-web other"), "\(output)")
        #expect(output.contains("by itself: 1 containers"), "\(output)")
        #expect(output.components(separatedBy: "orphans: 2\n").count == 5, "\(output)")
        #expect(output.contains("again: 2\n"), "\(output)")
        for way in ["down", "death", "prune", "up", "stateless"] {
            #expect(output.contains("left after \(way): 1 containers, 0 namespaces"), "\(way): \(output)")
        }
    }

    @Test("its end is told as a program's, and its processes are the node's")
    func asAProgram() throws {
        let output = try played(
            """
            up; podman kill guests-web >/dev/null; for i in $(seq 300); do $t events guests --json | grep -q application-restarted && break; sleep 0.1; done
            $t events guests --json | grep application-restarted
            for i in $(seq 300); do curl=$($t exec guests alice -- curl -s -m 5 http://203.0.113.80/) && break; sleep 0.1; done; echo "again: $curl"
            $t stop guests web; $t exec guests alice -- curl -s -m 1 http://203.0.113.80/; echo "stopped: $?"
            $t continue guests web; $t exec guests alice -- curl -s -m 20 http://203.0.113.80/; echo "continued: $?"
            $t restart guests web && echo "restarted: $(podman ps -q | wc -l)"
            echo "measured: $($t top guests --json --once 2>/dev/null | grep -c web)"
            $t down guests; left down
            """)
        #expect(output.contains("it ended with status 137, and was restarted"), "\(output)")
        #expect(output.contains("again: hello from an image"), "\(output)")
        #expect(output.contains("stopped: 28"), "\(output)")
        #expect(output.contains("continued: 0"), "\(output)")
        #expect(output.contains("restarted: 1"), "\(output)")
        #expect(output.contains("left after down: 0 containers, 0 namespaces"), "\(output)")
    }

    @Test("what cannot run is refused, with what podman said, and leaves nothing")
    func refusals() throws {
        let output = try played(
            """
            cd \(Self.folder)
            try() { sed "$2" topology.yaml >/run/$1.yaml; cp -r pages firewall.nft /run/; timeout 60 $t up /run/$1.yaml -d; echo "$1: status $?"; left $1; }
            try absent 's|localhost/shop:1|localhost/nothing:1|'
            try unfetched 's|localhost/shop:1, pull: never|registry.invalid/nothing:1, pull: always|'
            try command 's|pull: never|pull: never, command: [nothing]|'
            try unhealthy 's|pull: never|pull: never, command: [sleep, "1000"]|; s|^    health:|    ready-timeout: 2s\\n    health:|'
            podman run --detach --name guests-web --network none localhost/shop:1 >/dev/null 2>&1
            try taken ''; podman rm --force --time 0 guests-web >/dev/null 2>&1
            mount --bind /dev/null $(command -v podman); $t up topology.yaml -d; echo "engine: status $?"
            $t doctor topology.yaml | grep podman; $t validate topology.yaml; echo "validate: status $?"
            """)
        for words in [
            "there is no image localhost/nothing:1 on this machine, and `pull` is never", "absent: status 4",
            "the image registry.invalid/nothing:1 was not fetched", "unfetched: status 2",
            "its application ended with status 127", "`nothing` not found", "command: status 2",
            "the container does not run, or its image's health check fails", "unhealthy: status 2",
            "taken: status 2", "left after taken: 1 containers, 0 namespaces",
            "podman is not installed, and would run its image localhost/shop:1", "engine: status 4",
            "validate: status 0",
        ] {
            #expect(output.contains(words), "\(words): \(output)")
        }
        for what in ["absent", "unfetched", "command", "unhealthy"] {
            #expect(output.contains("left after \(what): 0 containers, 0 namespaces"), "\(what): \(output)")
        }
    }
}
