import Foundation
import Testing

/// An ordinary user's page: the same commands without root.
@Suite(.serialized) struct RootlessPageTests {
    /// What a script of a user who is in no list prints. `$T` is tapline.
    private func run(_ script: String, in folder: URL, user: Int) throws -> Finished {
        let file = folder.appendingPathComponent("script.sh").path
        try script.write(toFile: file, atomically: true, encoding: .utf8)
        return try Programs.run(
            "unshare", "-m", "sh", "-c",
            """
            set -e
            mount --make-rprivate /
            mkdir \(folder.path)/bin
            mount --bind \(Programs.folder) \(folder.path)/bin
            mount -t tmpfs -o mode=755 none /dev/net
            mknod /dev/net/tun c 10 200
            chmod 0666 /dev/net/tun
            cd \(folder.path)
            exec setpriv --reuid=\(user) --regid=\(user) --clear-groups env -i PATH="$PATH" \
                T=\(folder.path)/bin/tapline sh \(file)
            """)
    }

    @Test func anOrdinaryUserServesTheirTopology() throws {
        let lab = try PortalLab()
        let user = Int.random(in: 20_000...59_999)
        chmod(lab.folder.path, 0o777)
        let done = try run(
            """
            set -e
            ask() { curl -sS -m 20 --unix-socket page.sock "$@"; }
            # The page is there before the topology, and sees it come.
            $T serve \(lab.name) --socket $PWD/page.sock >serve.out 2>&1 & page=$!
            until grep -q 'is at ' serve.out; do kill -0 $page || { cat serve.out; exit 9; }; sleep 0.05; done
            ask http://localhost/ | grep -o 'This page waits for it' | head -n 1
            $T up topology.yaml -d
            until ask http://localhost/ | grep -q 'id="arrow-0"'; do sleep 0.1; done
            until ask http://localhost/metrics | grep -q '^tapline_topology_up.* 1$'; do sleep 0.1; done
            ask http://localhost/metrics | grep '^tapline_topology_up'
            secret=$(ask http://localhost/ | sed -n 's/.*name="secret" value="\\([0-9a-f]*\\)".*/\\1/p' | head -n 1)
            ask -d "secret=$secret&arrow=0&packets=2&seconds=20" http://localhost/capture -o page.pcapng & capture=$!
            ask -d "secret=$secret&count=1&seconds=20" http://localhost/trace -o trace.html & trace=$!
            while kill -0 $capture 2>/dev/null || kill -0 $trace 2>/dev/null; do
                $T exec \(lab.name) alice -- ping -n -q -c 2 -i 0.05 -W 2 203.0.113.80 >/dev/null
            done
            capinfos -c page.pcapng
            grep -o 'It reached web' trace.html | head -n 1
            # The machine's own view of the page's process.
            for process in /proc/[0-9]*; do
                [ "$(cat $process/comm 2>/dev/null)" = tapline-portal ] || continue
                grep -q "^Uid:[^0-9]*\(user)" $process/status || continue
                grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):' $process/status | tr '\\t' ' '
            done
            $T serve \(lab.name) --socket /run/page.sock || echo "status $?: private"
            $T serve \(lab.name) --listen 127.0.0.1:0 >listen.out 2>&1 & other=$!
            until grep -q '/$' listen.out; do kill -0 $other || { cat listen.out; exit 9; }; sleep 0.05; done
            curl -sS -m 20 "$(sed -n 's/.* is at //p' listen.out)" | grep -o '<h1>\(lab.name)</h1>'
            $T down \(lab.name)
            until ask http://localhost/ | grep -q 'This page waits for it'; do sleep 0.1; done
            kill $page $other; wait $page && echo ended
            $T status
            """, in: lab.folder, user: user)
        #expect(done.status == 0, "\(done.output)")
        for line in [
            "This page waits for it\n", "tapline_topology_up{topology=\"\(lab.name)\"} 1\n", "Number of packets:   2\n",
            "It reached web\n",
            "NoNewPrivs: 1\n", "Seccomp: 2\n", "CapEff: 0000000000000000\n", "private /run", "status 64: private\n",
            "<h1>\(lab.name)</h1>\n", "ended\n", "no topology of this user is up",
        ] { #expect(done.output.contains(line), "\(line) is not in \(done.output)") }
        // Nothing of the user's is left.
        try Programs.eventually("no process of the user's is left") {
            try FileManager.default.contentsOfDirectory(atPath: "/proc").allSatisfy { name in
                var info = stat()
                return Int(name) == nil || stat("/proc/\(name)", &info) != 0 || info.st_uid != uid_t(user)
            }
        }
        #expect(!FileManager.default.fileExists(atPath: "/tmp/tapline-\(user)"))
    }
}
