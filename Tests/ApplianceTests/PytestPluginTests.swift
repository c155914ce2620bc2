import Foundation
import Testing

/// The pytest plugin, installed by pip and run by the distribution's pytest.
@Suite("The pytest plugin", .enabled(if: isRoot), .serialized)
struct PytestPluginTests {
    private static let plugin = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Scripts/pytest_tapline").path

    private static let topology = """
        name: small
        variables: { WORD: serving }
        interfaces:
          customers: { address: 192.0.2.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          web: { attach: servers, run: "echo ${WORD}; exec python3 -m http.server 80", ready: { tcp: 80 }, restart: never }
        services:
          shop: { address: 203.0.113.80, ports: [tcp/80], sequence: [web] }
        """

    /// A folder with the plugin, a topology whose names begin with that of the folder, and a file of tests.
    ///
    /// - Parameter options: More words for pytest.
    private func withTests(_ tests: String, options: String = "", _ body: (URL, [String]) throws -> Void) throws {
        let name = "t" + String(UInt32.random(in: .min ... .max), radix: 36)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // pip builds in the folder that it is given.
        let installed = try CommandLineRun.shell(
            "cd '\(folder.path)' && cp -r '\(Self.plugin)' plugin && /usr/bin/python3 -m pip install -q --no-build-isolation "
                + "--no-deps --no-index --root-user-action=ignore --target site ./plugin")
        try #require(installed.status == 0, "\(installed)")
        try Self.topology.write(
            to: folder.appendingPathComponent("topology.yaml"), atomically: true, encoding: .utf8)
        try tests.write(to: folder.appendingPathComponent("test_shop.py"), atomically: true, encoding: .utf8)
        // Foundation gives it a process group of its own, as a terminal does: all of it gets the signals.
        // This thread blocks signals, and a shell's background jobs ignore SIGINT. Children inherit both; a terminal's do not.
        let unblocked =
            "import os, signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, []); "
            + "signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
        let pytest =
            "cd '\(folder.path)' && export TAPLINE='\(CommandLineRun.tapline)' PYTHONPATH=site PYTHONDONTWRITEBYTECODE=1 && "
            + "exec /usr/bin/python3 -c '\(unblocked)' /usr/bin/python3 -m pytest -p no:cacheprovider "
            + "--junitxml report-$$.xml \(options) test_shop.py"
        try body(folder, ["/bin/sh", "-c", pytest])
        try CommandLineRun.eventually("nothing of \(name) is left") { left(name).isEmpty }
    }

    private func left(_ name: String) -> [String] {
        ["/run/tapline", "/run/netns"].flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasPrefix(name) }
        }
    }

    @Test("commands, files, logs and counters of a topology that is ready, for a test and for a module")
    func works() throws {
        let tests = """
            import pytest
            from pytest_tapline import TaplineError

            def test_page(tapline):
                lab = tapline.up("topology.yaml", set={"WORD": "hello"})
                assert "topology.yaml" in lab.exec("alice", "curl -fsS http://203.0.113.80/", check=True).stdout
                assert lab.exec("alice", ["cat", "-"], input="octets").stdout == "octets"
                assert lab.exec("alice", "echo no >&2; exit 3").returncode == 3
                # What goes on in the node, with its output open, is not waited for.
                assert lab.exec("web", "sleep 1000 & echo begun", timeout=30).stdout == "begun\\n"
                assert "hello" in lab.logs("web")
                lab.cp("topology.yaml", "web:/run/copied")
                assert "variables" in lab.exec("web", "cat /run/copied", check=True).stdout
                assert lab.status()["state"] == "up" and lab.tables()["distribution"] and lab.events()
                lab.eventually("alice", "curl -fsS http://203.0.113.80/", within=20)
                with pytest.raises(TaplineError, match="did not succeed within 0.2 s"):
                    lab.eventually("alice", "exit 1", within=0.2)
                other = tapline.up("topology.yaml")
                assert other.name != lab.name
                lab.down()
                assert lab.tapline("status", lab.name, check=False).returncode == 5
                assert other.exec("alice", "true").returncode == 0

            @pytest.fixture(scope="module")
            def lab(tapline_module):
                return tapline_module.up("topology.yaml")

            @pytest.mark.parametrize("number", [1, 2])
            def test_module(lab, number):
                names = lab.exec("web", f"touch /run/{number}; ls /run").stdout.split()
                assert str(number) in names and ("1" in names)
            """
        try withTests(tests) { _, pytest in
            let result = try CommandLineRun.Started(pytest).finish()
            #expect(result.status == 0 && result.output.contains("3 passed"), "\(result)")
        }
    }

    @Test("a failure's text has the events and drops of its topologies, in JUnit too, and nothing stays up")
    func failures() throws {
        let tests = """
            import pytest

            @pytest.fixture
            def lab(tapline):
                return tapline.up("topology.yaml")

            def test_fails(lab):
                lab.exec("alice", ["bash", "-c", "echo x > /dev/udp/203.0.113.80/9"])
                assert 1 == 2

            def test_command(lab):
                lab.exec("alice", "echo out; exit 3", check=True)

            def test_bad(tapline):
                tapline.up("topology.yaml", set={"WORDS": "x"})

            def test_broken(tapline):
                tapline.up("topology.yaml", set={"WORD": "x; exit 4"})
            """
        try withTests(tests) { folder, pytest in
            let result = try CommandLineRun.Started(pytest).finish()
            #expect(result.status == 1 && result.output.contains("4 failed"), "\(result)")
            let reports = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
                $0.hasPrefix("report-")
            }
            let report = try String(
                contentsOf: folder.appendingPathComponent(try #require(reports.first)), encoding: .utf8)
            for text in [result.output, report] {
                #expect(text.contains("events of \(folder.lastPathComponent)-") && text.contains("engine-started"))
                #expect(text.contains("drops of \(folder.lastPathComponent)-") && text.contains("port-not-served: 1"))
                #expect(text.contains("ended with status 3:") && text.contains("exit status 3)"))
                #expect(text.contains("WORDS") && text.contains("node web"))
            }
        }
    }

    @Test(
        "Ctrl-C, twice too, SIGTERM and SIGKILL leave nothing",
        arguments: [[SIGINT], [SIGINT, SIGINT], [SIGTERM], [SIGKILL]])
    func interrupted(_ signals: [Int32]) throws {
        let tests = """
            import pathlib

            def test_waits(tapline):
                lab = tapline.up("topology.yaml")
                pathlib.Path("up").write_text(lab.name)
                lab.exec("alice", "sleep 1000", timeout=1000)
            """
        try withTests(tests) { folder, pytest in
            let started = try CommandLineRun.Started(pytest)
            let mark = folder.appendingPathComponent("up").path
            try CommandLineRun.eventually("it is up") { FileManager.default.fileExists(atPath: mark) }
            for signal in signals { kill(-started.process.processIdentifier, signal) }
            let ended = started.finish()
            #expect(ended.status != 0)
            if signals.first == SIGINT { #expect(ended.output.contains("KeyboardInterrupt"), "\(ended)") }
        }
    }

    @Test("two at once do not disturb each other")
    func together() throws {
        let tests = """
            import pathlib, time

            def test_both(tapline):
                lab = tapline.up("topology.yaml")
                pathlib.Path(f"up-{lab.name}").touch()
                end = time.monotonic() + 60
                while len(list(pathlib.Path().glob("up-*"))) < 2:
                    assert time.monotonic() < end
                    time.sleep(0.05)
                assert "topology.yaml" in lab.exec("alice", "curl -fsS http://203.0.113.80/", check=True).stdout
            """
        try withTests(tests) { _, pytest in
            let both = [try CommandLineRun.Started(pytest), try CommandLineRun.Started(pytest)]
            for run in both {
                let result = run.finish()
                #expect(result.status == 0 && result.output.contains("1 passed"), "\(result)")
            }
        }
    }

    private static let workers = """
        import os, pathlib, time

        import pytest

        def meet(lab, what):
            # Each worker waits for the other one, so both topologies are up at once.
            pathlib.Path(f"{what}-{os.environ['PYTEST_XDIST_WORKER']}").write_text(lab.name)
            end = time.monotonic() + 60
            while len(list(pathlib.Path().glob(f"{what}-gw*"))) < 2:
                assert time.monotonic() < end
                time.sleep(0.05)

        @pytest.fixture(scope="module")
        def shared(tapline_module):
            return tapline_module.up("topology.yaml")

        """

    @Test("the workers of pytest-xdist have topologies of their own, and failures have their events")
    func workers() throws {
        let tests =
            Self.workers + """
                @pytest.mark.parametrize("number", [1, 2])
                def test_both(tapline, shared, number):
                    lab = tapline.up("topology.yaml")
                    meet(lab, "own")
                    meet(shared, "shared")
                    for one in (lab, shared):
                        assert "topology.yaml" in one.exec("alice", "curl -fsS http://203.0.113.80/", check=True).stdout
                        assert one.exec("web", f"test ! -e /run/w && echo {number} > /run/w && cat /run/w").stdout == f"{number}\\n"

                def test_fails(shared):
                    assert shared is None
                """
        try withTests(tests, options: "-n 2") { folder, pytest in
            let result = try CommandLineRun.Started(pytest).finish()
            #expect(result.status == 1 && result.output.contains("1 failed, 2 passed"), "\(result)")
            #expect(result.output.contains("events of \(folder.lastPathComponent)-"), "\(result)")
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
                .filter { $0.hasPrefix("own-gw") || $0.hasPrefix("shared-gw") }
                .map { try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8) }
            #expect(names.count == 4 && Set(names).count == 4, "\(names)")
        }
    }

    @Test(
        "Ctrl-C, SIGTERM and SIGKILL of pytest-xdist leave nothing of its workers",
        arguments: [SIGINT, SIGTERM, SIGKILL])
    func interruptedWorkers(_ signal: Int32) throws {
        let tests =
            Self.workers + """
                @pytest.mark.parametrize("number", [1, 2])
                def test_waits(shared, number):
                    meet(shared, "up")
                    pathlib.Path(f"waits-{number}").touch()
                    shared.exec("alice", "sleep 1000", timeout=1000)
                """
        try withTests(tests, options: "-n 2") { folder, pytest in
            let started = try CommandLineRun.Started(pytest)
            try CommandLineRun.eventually("both wait") {
                [1, 2].allSatisfy {
                    FileManager.default.fileExists(atPath: folder.appendingPathComponent("waits-\($0)").path)
                }
            }
            kill(started.process.processIdentifier, signal)
            #expect(started.finish().status != 0)
        }
    }
}
