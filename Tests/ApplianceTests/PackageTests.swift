import Foundation
import Testing

/// The Debian package, and the action that installs it, on a root file system of their own.
@Suite("The package and the action", .enabled(if: isRoot), .serialized)
struct PackageTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// Built once, from the programs of this build: these need Swift's libraries, which are here.
    private static let package: (path: String, log: String) = {
        let built = try? CommandLineRun.shell(
            "env -u DEBFULLNAME -u DEBEMAIL '\(root)/Scripts/package' --built '\(CommandLineRun.products)' --with-swift-needed "
                + "--output '\(CommandLineRun.products)/package'")
        let path = built?.output.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        return (path, "\(built.map { "\($0)" } ?? "")")
    }()

    private func withPackage(_ body: (String) throws -> Void) throws {
        try #require(FileManager.default.fileExists(atPath: Self.package.path), "\(Self.package.log)")
        try body(Self.package.path)
    }

    /// Runs a script whose changes of /usr, /etc, /var and /opt nobody else sees.
    private func aside(_ folder: URL, _ script: String) throws -> RunResult {
        let place = folder.appendingPathComponent("aside").path
        let file = folder.appendingPathComponent("aside.sh").path
        try """
        set -e
        mount --make-rprivate /
        mkdir -p '\(place)'
        mount -t tmpfs none '\(place)'
        for name in usr etc var; do
            mkdir '\(place)'/$name '\(place)'/$name.work
            mount -t overlay none -o lowerdir=/$name,upperdir='\(place)'/$name,workdir='\(place)'/$name.work /$name
        done
        \(script)
        """.write(toFile: file, atomically: true, encoding: .utf8)
        return try CommandLineRun.shell("unshare -m bash '\(file)'")
    }

    @Test("lintian has nothing to say, and everything is where Debian has it")
    func contents() throws {
        try withPackage { package in
            let version = try CommandLineRun.run("--version").output.trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(package.contains("/tapline_\(version)_") && package.hasSuffix(".deb"))
            let maintainer = try CommandLineRun.shell("dpkg-deb -f '\(package)' Maintainer").output
            #expect(maintainer == "Tapline maintainers <maintainers@tapline.example>\n")
            let list = try CommandLineRun.shell("dpkg-deb -c '\(package)' | awk '{ print $1, $2, $6, $7, $8 }'").output
            for line in [
                "-rwxr-xr-x root/root ./usr/libexec/tapline/tapline",
                "-rwxr-xr-x root/root ./usr/libexec/tapline/tapline-engine",
                "lrwxrwxrwx root/root ./usr/bin/tapline -> ../libexec/tapline/tapline",
                "-rw-r--r-- root/root ./usr/lib/systemd/system/tapline@.service",
                "-rw-r--r-- root/root ./usr/share/man/man1/tapline-cp.1.gz",
                "-rw-r--r-- root/root ./usr/share/bash-completion/completions/tapline",
                "-rw-r--r-- root/root ./usr/share/zsh/vendor-completions/_tapline",
                "-rw-r--r-- root/root ./usr/share/fish/vendor_completions.d/tapline.fish",
                "-rw-r--r-- root/root ./usr/share/tapline/topology.schema.json",
                "-rw-r--r-- root/root ./usr/share/tapline/topologies/four-interface/topology.yaml",
                "-rw-r--r-- root/root ./usr/share/tapline/pytest_tapline/pyproject.toml",
                "-rw-r--r-- root/root ./usr/share/doc/tapline/FORMAT.md",
                "-rw-r--r-- root/root ./usr/share/doc/tapline/QuickStart.md",
            ] {
                #expect(list.contains("\n\(line)"), "\(line)")
            }
            let depends = try CommandLineRun.shell("dpkg-deb -f '\(package)' Depends").output
            for library in ["libc6 (>= ", "libnl-3-200", "libnl-route-3-200", "libpcap0.8"] {
                #expect(depends.contains(library), "\(depends)")
            }
        }
    }

    @Test("programs that need Swift's libraries are refused, unless they are asked for")
    func refusal() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        let refused = try CommandLineRun.shell(
            "'\(Self.root)/Scripts/package' --built '\(CommandLineRun.products)' --output '\(folder)'")
        #expect(refused.status == 1 && refused.errors.contains("needs Swift's libraries (libswift"), "\(refused)")
        #expect(!FileManager.default.fileExists(atPath: folder))
        for words in ["--nonsense", "--built", "--with-swift-needed"] {
            #expect(try CommandLineRun.shell("'\(Self.root)/Scripts/package' \(words)").status == 64, "\(words)")
        }
    }

    @Test("it installs, runs a topology as its unit says, and goes again")
    func install() throws {
        try withPackage { package in
            let topology = try ScratchTopology(small: nil)
            let result = try aside(
                topology.folder,
                """
                dpkg -i '\(package)' >/dev/null
                tapline --version
                systemd-analyze verify --man=no 'tapline@\(topology.name).service' 2>&1 | sed 's/^/verify: /'
                mkdir -p /etc/tapline/'\(topology.name)'
                cp '\(topology.file)' /etc/tapline/'\(topology.name)'/topology.yaml
                unit=/usr/lib/systemd/system/tapline@.service
                line() { sed -n "s/^$1=//p" "$unit" | sed 's/%i/\(topology.name)/g'; }
                $(line ExecStart) >/dev/null 2>&1 &
                started=$!
                # Whatever fails below, nothing that this shell started holds up who waits for it.
                trap 'kill -9 "$started" 2>/dev/null || true' EXIT
                for i in $(seq 600); do tapline status '\(topology.name)' 2>/dev/null | grep -q ': up,' && break; sleep 0.1; done
                tapline exec '\(topology.name)' alice ping -n -c 1 -W 20 203.0.113.80 | grep 'bytes from'
                kill -9 "$started"
                $(line ExecStopPost) >/dev/null; echo "down $?"
                status=0; $(line ExecStopPost) 2>/dev/null || status=$?
                echo "again $status, and that is success: $(line SuccessExitStatus)"
                dpkg -r tapline >/dev/null
                hash -r
                command -v tapline || echo gone
                find /usr -path '*tapline*' ! -path '\(Self.root)/*' -newer '\(topology.file)' -type f
                """)
            let version = try CommandLineRun.run("--version").output
            #expect(result.status == 0 && result.output.hasPrefix(version), "\(result)")
            #expect(result.output.contains("64 bytes from 203.0.113.80"), "\(result)")
            #expect(result.output.hasSuffix("down 0\nagain 5, and that is success: 5\ngone\n"), "\(result)")
            #expect(!result.output.contains("verify:"), "\(result)")
            try topology.expectGone()
        }
    }

    @Test("the action installs the package, looks at the machine, runs the checks, and keeps what it finds")
    func action() throws {
        try withPackage { package in
            let topology = try ScratchTopology(
                checks: "  - { name: it holds, on: alice, run: echo right, expect: right }\n"
                    + "  - { name: it fails, on: bob, run: echo wrong, expect: right }\n")
            let work = topology.folder.appendingPathComponent("work").path
            let lab = "\(work)/workspace/lab"
            try FileManager.default.createDirectory(atPath: lab, withIntermediateDirectories: true)
            for name in ["topology.yaml", "echo.py", "client.py"] {
                try FileManager.default.copyItem(
                    atPath: topology.folder.appendingPathComponent(name).path, toPath: "\(lab)/\(name)")
            }
            let runner = "\(Self.root)/Tests/ApplianceTests/run-action.py"
            let result = try aside(
                topology.folder,
                "/usr/bin/python3 '\(runner)' '\(Self.root)/.github/actions/tapline' '\(work)' package='\(package)' files=lab "
                    + "retries=1 'arguments=--filter=it' 2>&1 || echo \"status $?\"")
            #expect(result.output.hasSuffix("status 1\n"), "\(result)")
            let lines = try String(contentsOfFile: "\(lab)/topology.yaml", encoding: .utf8).components(
                separatedBy: "\n")
            let line = try #require(lines.firstIndex { $0.contains("it fails") }) + 1
            #expect(result.output.contains("\n::error file=lab/topology.yaml,line=\(line),title="), "\(result)")
            #expect(result.output.contains("topologies can run here"))
            let summary = try String(contentsOfFile: "\(work)/summary.md", encoding: .utf8)
            #expect(summary.contains("❌ 1 topology, 2 checks, 1 failed"))
            let artifact = "\(work)/artifacts/tapline-evidence"
            #expect(try junitMistakes("\(artifact)/junit.xml") == nil)
            #expect(FileManager.default.fileExists(atPath: "\(artifact)/\(topology.name)/capture.pcapng"))
            #expect(FileManager.default.fileExists(atPath: "\(artifact)/\(topology.name)-try-2/traces.txt"))
            #expect(result.output.contains("output junit=\(work)/temp/tapline-evidence-"))
            // What is wrong with the inputs is told in the job's page, and an earlier failure keeps later steps from running.
            let wrong = try aside(
                topology.folder,
                "/usr/bin/python3 '\(runner)' '\(Self.root)/.github/actions/tapline' '\(work)-2' package=/no/such.deb "
                    + "files=lab 2>&1 || echo \"status $?\"")
            #expect(wrong.output.contains("::error title=Tapline::there is no package '/no/such.deb'"), "\(wrong)")
            #expect(wrong.output.hasSuffix("status 64\n") && !wrong.output.contains("Run the checks"))
        }
    }
}
