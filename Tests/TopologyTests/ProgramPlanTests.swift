import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// Several programs of a node, what is asked of them, and who they are.
@Suite struct ProgramPlanTests {
    private func web(_ keys: String) -> String {
        picture.replacing("attach: servers }", with: "attach: servers, \(keys) }")
    }

    @Test func questionsAreReadForReadinessAndHealthAlike() throws {
        let here = IPAddress(ipv4: 0x7F00_0001)
        let name = try #require(DNSQuestion(name: "www.example.test", type: .a))
        let mail = try #require(DNSQuestion(name: "example.test", type: .mx))
        let questions: [(written: String, question: NodeQuestion, name: String)] = [
            (
                "udp: { port: 7, send: ping }",
                .datagram(address: here, port: 7, send: Array("ping".utf8), expect: nil),
                "udp 7"
            ),
            (
                "udp: { port: 123, send: { hex: \"1b 00\" }, expect: { hex: 1C }, address: \"::1\" }",
                .datagram(address: IPAddress("::1")!, port: 123, send: [0x1B, 0], expect: .octets([0x1C])), "udp 123"
            ),
            (
                "udp: { port: 7, send: a, expect: { matches: '^a$' } }",
                .datagram(address: here, port: 7, send: [97], expect: .matches("^a$")), "udp 7"
            ),
            ("log: Engine started", .log(.contains("Engine started"), program: nil), "log"),
            ("log: { matches: 'start(ed|ing)' }", .log(.matches("start(ed|ing)"), program: nil), "log"),
            ("file: web.pid", .file("web.pid"), "file web.pid"), ("file: /run/x", .file("/run/x"), "file /run/x"),
            (
                "dns: www.example.test", .dns(server: here, port: 53, question: name, expect: nil),
                "dns www.example.test A"
            ),
            (
                "dns: { name: example.test., type: MX, expect: 10 mail.example.test, address: 192.0.2.53, port: 5353 }",
                .dns(server: IPAddress("192.0.2.53")!, port: 5353, question: mail, expect: "10 mail.example.test"),
                "dns example.test MX"
            ),
        ]
        for (written, question, name) in questions {
            let plan = try plan(web("run: x, ready: { \(written) }, health: { \(written) }"))
            #expect(plan.node("web").process.ready == .question(question), "\(written)")
            let check = try #require(plan.applications.first?.health.first)
            #expect(check.probe == .question(question) && check.name == name, "\(written)")
        }
    }

    @Test func programsStartInTheOrderOfTheirDependencies() throws {
        let plan = try plan(
            web(
                "environment: { A: 1, B: 1 }, user: proxy, "
                    + "programs: { last: { run: c, depends: [second, first] }, second: { run: b, depends: first, "
                    + "environment: { B: 2 }, restart: never, ready-timeout: 2s, user: 7, capabilities: CAP_NET_RAW }, "
                    + "first: { run: a, health: [{ tcp: 99 }, { log: up }], ready: { log: up } } }, after: [x, y], "
                    + "health: { tcp: 80 }"))
        let process = plan.node("web").process
        #expect(process.run == nil && process.after == ["x", "y"] && process.hasPrograms && !process.isNothing)
        #expect(process.programLevels.map { $0.map(\.name) } == [["first"], ["second"], ["last"]])
        let second = try #require(process.programs.first { $0.name == "second" })
        #expect(second.restart == .never && second.readyTimeout == 2000)
        #expect(second.confinement.user == "7" && second.confinement.capabilities?.names == ["net_raw"])
        let checks = try #require(plan.applications.first).health
        #expect(checks.map(\.name) == ["tcp 80", "first: tcp 99", "first: log"])
        #expect(checks.last?.probe == .question(.log(.contains("up"), program: "first")))
    }

    @Test func healthOfAProgramMakesItsApplicationOneThatIsLookedAfter() throws {
        let plan = try plan(web("programs: { a: { run: x, health: { file: a.pid } } }"))
        #expect(plan.applications.first?.health.map(\.name) == ["a: file a.pid"])
    }

    @Test func instancesHaveProgramsOfTheirOwn() throws {
        let plan = try plan(
            web(
                "programs: { a: { run: x, health: { tcp: 9 } } }, "
                    + "instances: { web-1: {}, web-2: { programs: { b: { run: y } }, capabilities: none } }"))
        #expect(plan.node("web-1").process.programs.map(\.name) == ["a"])
        #expect(plan.node("web-2").process.programs.map(\.name) == ["b"])
        #expect(plan.node("web-2").process.confinement.capabilities?.bits == 0)
        #expect(plan.node("web-1").process.confinement.capabilities == nil)
    }

    @Test func whatIsAwaitedOfANodeIsItsHealthToo() throws {
        let text = web("run: x, health: { tcp: 80 }").replacing(
            "passive: true,", with: "passive: true, depends: { web: healthy, fw: ready },")
        let process = try plan(text).node("ids").process
        #expect(process.depends == ["web", "fw"] && process.healthy == ["web"])
    }

    @Test func theDefaultCapabilitiesAreWhatIsLeftOfAll() {
        let usual = CapabilitySet.networkApplications
        #expect(usual.names.count == CapabilitySet.names.count - CapabilitySet.notForNetworks.count)
        #expect(Set(usual.names).isDisjoint(with: CapabilitySet.notForNetworks))
        #expect(usual.names.contains("net_admin") && usual.names.contains("net_bind_service"))
        // linux/capability.h: these numbers never change.
        for (number, name) in [
            (0, "chown"), (10, "net_bind_service"), (12, "net_admin"), (21, "sys_admin"), (40, "checkpoint_restore"),
        ] {
            #expect(CapabilitySet.names[number] == name)
        }
    }

    @Test func limitsAreOfTheNodeAndOfItsPrograms() throws {
        let process = try plan(
            web(
                "run: x, limits: { memory: 256M, processor: 50%, processes: 100, files: 1024 }, "
                    + "programs: { a: { run: y, limits: { memory: 64 MiB } } }")
        ).node("web").process
        let limits = process.confinement.limits
        #expect(limits.memory == 256 << 20 && limits.processor == 50 && limits.processes == 100 && limits.files == 1024)
        let own = try #require(process.programs.first).confinement.limits
        #expect(own.memory == 64 << 20 && own.processor == nil && own.needsGroup)
    }

    @Test func amountsHaveUnits() {
        for (text, octets) in [("1K", 1 << 10), ("1 KiB", 1 << 10), ("256M", 256 << 20), ("2GB", 2 << 30)]
            as [(String, UInt64)]
        {
            #expect(LimitsPlan.octets(text) == octets, "\(text)")
        }
        for text in ["", "1", "M", "-1M", "1.5G", "1T", "1 M B", "99999999999999999999G", "18014398509481984G"] {
            #expect(LimitsPlan.octets(text) == nil, "\(text)")
        }
        #expect(LimitsPlan.text(octets: 3 << 29) == "1536 MiB" && LimitsPlan.text(octets: 7) == "7 octets")
    }

    @Test func changesOfProgramsRestartTheirNodeAlone() throws {
        let before = try plan(web("run: x, programs: { a: { run: y } }"))
        for keys in ["run: x, programs: { a: { run: z } }", "run: x, programs: { a: { run: y } }, capabilities: none"] {
            let change = try NodeChange(from: before.node("web"), to: plan(web(keys)).node("web"))
            #expect(change.restart.count == 1 && change.rebuild.isEmpty && change.inPlace.isEmpty, "\(keys): \(change)")
        }
        let after = try plan(web("run: x, programs: { a: { run: y } }, after: w"))
        #expect(NodeChange(from: before.node("web"), to: after.node("web")).restart == ["its after"])
    }

    /// Each with the beginning of its text, where it is told, and what is said.
    @Test(arguments: [
        ("ready: { udp: { port: 7 } }", "`udp` of `ready` has no `send`"),
        ("ready: { udp: { port: 7, send: { hex: 0a0 } } }", "`hex` is \"0a0\""),
        ("ready: { udp: { port: 0, send: x } }", "the port of `udp` is \"0\""),
        ("ready: { udp: { port: 7, send: x, expect: {} } }", "must have one of"),
        ("ready: { log: { matches: '(' } }", "is not a regular expression"),
        ("ready: { log: {} }", "`log` of `ready` must have one of `contains`, `matches`"),
        ("ready: { log: \"\" }", "is an empty text"),
        ("ready: { dns: a..b }", "is no name of a domain"),
        ("ready: { dns: { name: a.test, type: AXFR } }", "`type` is \"AXFR\""),
        ("ready: { dns: { name: a.test, expect: b.test } }", "which no record of this type has"),
        ("ready: { dns: { type: A } }", "has no `name`"),
        ("ready: { log: x, tcp: 80 }", "`ready` must have one of `run`, `tcp`, `http`, `udp`, `log`, `file`, `dns`"),
        ("health: { udp: { port: 7, send: x }, address: 192.0.2.1 }", "`address` has no meaning beside `udp`"),
        ("programs: { a: {} }", "program \"a\" has no `run`"),
        ("programs: [a]", "must be a mapping"),
        ("programs: { a: { run: x, depends: b } }", "depends on \"b\", which is no program of the node"),
        (
            "programs: { a: { run: x, depends: b }, b: { run: x, depends: a } }",
            "the programs wait for each other: a, b"
        ),
        ("programs: { a: { run: x, depends: a } }", "the programs wait for each other: a"),
        ("programs: { a: { run: x, setup: y } }", "has no key \"setup\""),
        ("programs: { a: { run: x, health: { tcp: 0 } } }", "the port of a health check is \"0\""),
        ("group: proxy", "has a `group` and no `user`"),
        ("user: a:b", "`user` is \"a:b\""),
        ("user: 4294967295", "`user` is \"4294967295\""),
        ("capabilities: [net_bind]", "there is no capability \"net_bind\""),
        ("capabilities: every", "there is no capability \"every\""),
        ("limits: { memory: 64 }", "`memory` is \"64\""), ("limits: { memory: 1K }", "`memory` is \"1K\""),
        ("limits: { memory: 18446744073709551615G }", "`memory` is"),
        ("limits: { processor: 0% }", "`processor` is \"0%\""),
        ("limits: { processes: 0 }", "`processes` is \"0\""), ("limits: { files: 3 }", "`files` is \"3\""),
        ("limits: { swap: 1G }", "`limits` of application \"web\" has no key \"swap\""),
        ("depends: { fw: healthy }", "\"fw\" has no health checks"),
        ("depends: { fw: well }", "what is awaited of \"fw\" is \"well\""),
    ])
    func mistakesAreToldWhereTheyAre(_ keys: String, _ message: String) throws {
        let found = problems(web(keys))
        #expect(found.count == 1, "\(found.map(\.summary))")
        let first = try #require(found.first)
        #expect(first.message.contains(message), "\(first.summary)")
        #expect(first.line == 13 && first.column > 20 && first.hint != nil, "\(first.summary)")
    }

    @Test func aCustomersProgramHasNoHealth() throws {
        let text = picture.replacing(
            "bob:   { interface: customers }",
            with: "bob: { interface: customers, programs: { a: { run: x, health: { tcp: 9 } } } }")
        #expect(
            problems(text).map(\.message).contains { $0.contains("nobody acts on its health") }, "\(problems(text))")
    }
}
