import Foundation
import Testing

/// What is left, and comes back, when processes die and files change.
@Suite(.serialized) struct SurvivalTests {
    private func isWhole(_ database: String, _ lab: RecordsLab) throws -> Bool {
        // The lock of a process that was killed goes with it, a moment later.
        try lab.run(["sqlite3", "-cmd", ".timeout 10000", database, "PRAGMA integrity_check"]).output == "ok\n"
    }

    @Test func whatWasAnsweredIsInForceAfterEveryDeath() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        // The process that keeps the records: forwarding goes on, and another one takes its place.
        let first = try lab.keeper()
        kill(first, SIGKILL)
        #expect(try lab.answers("203.0.113.97"))
        try lab.eventually("another process keeps the records") {
            (try? lab.keeper()).map { $0 != first } == true
        }
        #expect(try lab.ask("PUT", "/v1/services/more", token: alice, RecordsLab.service("203.0.113.98")).status == 200)
        // The control process: `up` again finds everything.
        kill(try lab.control(), SIGKILL)
        try lab.eventually("all that it started is gone") { (try? lab.keeper()) == nil }
        #expect(try isWhole(lab.database, lab))
        try lab.up()
        #expect(try lab.answers("203.0.113.97") && lab.answers("203.0.113.98"))
        // An end in order, and a second `up`.
        try lab.down()
        #expect(try isWhole(lab.database, lab))
        #expect(!FileManager.default.fileExists(atPath: lab.state))
        try lab.up()
        #expect(try lab.answers("203.0.113.98"))
        let answer = try lab.ask("GET", "/v1/services", token: alice)
        let list = answer.json["services"] as? [[String: Any]] ?? []
        #expect(list.map { $0["name"] as? String } == ["more", "shop"], "\(answer.text)")
        #expect(list.allSatisfy { $0["state"] as? String == "in-force" })
    }

    @Test func anInstructionThatDiesHalfwayIsInForceOrWasNever() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        var answered: [String: String] = [:]
        for round in 0..<10 {
            let address = "203.0.113.9\(round % 3 + 7)"
            let pid = try lab.keeper()
            let killer = Thread {
                usleep(UInt32.random(in: 0...60_000))
                kill(pid, SIGKILL)
            }
            killer.start()
            let result = try? lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service(address))
            if result?.status == 200 { answered["shop"] = address }
            try lab.eventually("another process keeps the records") {
                guard let now = try? lab.keeper(), now != pid else { return false }
                return (try? lab.ask("GET", "/v1/services", token: alice))?.status == 200
            }
            let kept = try lab.ask("GET", "/v1/services", token: alice).json["services"] as? [[String: Any]] ?? []
            let addresses = kept.first?["addresses"] as? [String]
            if result?.status == 200 { #expect(addresses == [address]) }
            if let now = addresses?.first {
                #expect(try lab.answers(now), "round \(round): \(now) is in the database, and not in force")
                for other in ["203.0.113.97", "203.0.113.98", "203.0.113.99"] where other != now {
                    #expect(try lab.misses(other), "round \(round): \(other) is in force, and not in the database")
                }
            }
        }
        try lab.down()
        #expect(try isWhole(lab.database, lab))
        let open = try lab.run(["sqlite3", lab.database, "SELECT count(*) FROM versions WHERE state = 'written'"])
        #expect(open.output == "0\n")
    }

    @Test func aDatabaseInTheFolderSurvivesTheControlProcess() throws {
        let lab = try RecordsLab(RecordsLab.usual.replacing("{ database: lab.db }", with: "{}"))
        let alice = try lab.token("alice")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        func killControl() throws {
            kill(try lab.control(), SIGKILL)
            try lab.eventually("all that it started is gone") { (try? lab.keeper()) == nil }
        }
        try killControl()
        try lab.up()
        #expect(try lab.answers("203.0.113.97"))
        #expect(try lab.ask("GET", "/v1/services/shop", token: alice).json["state"] as? String == "in-force")
        // One that does not come up leaves it, too.
        try killControl()
        try lab.write(
            RecordsLab.usual.replacing("{ database: lab.db }", with: "{}").replacing(
                "type: web-server, attach: servers", with: "type: web-server, attach: servers, setup: \"false\""))
        let failed = try lab.tapline("up", lab.file, "-d")
        #expect(failed.status != 0, "\(failed.output)")
        #expect(FileManager.default.fileExists(atPath: "\(lab.state)/records.db"))
        try lab.write(RecordsLab.usual.replacing("{ database: lab.db }", with: "{}"))
        try lab.up()
        #expect(try lab.answers("203.0.113.97"))
        try lab.down()
        #expect(!FileManager.default.fileExists(atPath: lab.state))
        try lab.up()
        #expect(try lab.ask("GET", "/v1/services").json["services"] as? [String] == [])
    }

    @Test func whoOnlyLooksDoesNotWaitForAnInstruction() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        let share = lab.folder.appendingPathComponent("go").path
        // A change that goes on until the test lets it: instructions wait for it.
        try lab.write(
            RecordsLab.usual.replacing(
                "type: web-server, attach: servers",
                with: "type: web-server, attach: servers, setup: \"while [ ! -e \(share) ]; do sleep 0.1; done\""))
        var threads: [Thread] = []
        let ended = DispatchSemaphore(value: 0)
        threads.append(
            Thread {
                _ = try? lab.tapline("apply", lab.name)
                ended.signal()
            })
        threads[0].start()
        try lab.eventually("the change is under way") {
            try lab.run(["pgrep", "-f", "while . ! -e \(share)"]).status == 0
        }
        threads.append(
            Thread {
                _ = try? lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service())
                ended.signal()
            })
        threads[1].start()
        // Every description that is kept is too old by now, again and again.
        for _ in 0..<5 {
            usleep(300_000)
            #expect(try lab.ask("GET", "/v1/services", token: alice).status == 200)
        }
        _ = FileManager.default.createFile(atPath: share, contents: nil)
        for _ in threads { ended.wait() }
    }

    @Test func theFileGoesFirst() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        let taken = RecordsLab.usual.replacing(
            "services:\n",
            with:
                "services:\n  mail: { address: 203.0.113.97, ports: [icmp], distribute: [ids, firewall], sequence: [firewall, web] }\n"
        )
        try lab.write(taken)
        let applied = try lab.tapline("apply", lab.name)
        #expect(
            applied.status == 0 && applied.output.contains("service alice/shop is set aside: "), "\(applied.output)")
        let aside = try lab.ask("GET", "/v1/services/shop", token: alice).json
        #expect(aside["state"] as? String == "set-aside" && (aside["reasons"] as? [String])?.isEmpty == false)
        #expect(try lab.tapline("service", "list", lab.name).output.contains("set-aside: "))
        #expect(try lab.tapline("status", lab.name).output.contains("service alice/shop is set aside: "))
        try lab.write(RecordsLab.usual)
        #expect(try lab.tapline("apply", lab.name).status == 0)
        #expect(try lab.answers("203.0.113.97"))
        try lab.write(RecordsLab.usual.replacing("lab.db", with: "other.db"))
        let refused = try lab.tapline("apply", lab.name)
        #expect(
            refused.status == 3 && refused.output.contains("the database of the records is another"),
            "\(refused.output)")
    }

    @Test func theProcessHoldsDescriptorsAlone() throws {
        let lab = try RecordsLab()
        let pid = try lab.keeper()
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8).split(separator: "\n")
        for line in [
            "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            #expect(status.contains { $0 == line }, "\(line)")
        }
        #expect(status.contains { $0.hasPrefix("Uid:") && !$0.contains("\t0\t") })
        let mode = try FileManager.default.attributesOfItem(atPath: lab.database)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/net")
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/net") != own)
    }

    @Test func aDatabaseThatCannotBeOpenedIsToldByUp() throws {
        let lab = try RecordsLab()
        try lab.down()
        // The log has everything that the database has had.
        try? FileManager.default.removeItem(atPath: lab.database + "-wal")
        try Data("this is no database, but a text that is longer than a header".utf8).write(
            to: URL(fileURLWithPath: lab.database))
        let up = try lab.tapline("up", lab.file, "-d")
        #expect(up.status == 2 && up.output.contains("is damaged: it is no database"), "\(up.output)")
        #expect(!FileManager.default.fileExists(atPath: lab.state))
        let absent = try lab.run(
            [RecordsLab.programs.path + "/tapline", "up", lab.file, "-d"],
            environment: ["TAPLINE_RECORDS_PROGRAM": "/nowhere/records"])
        #expect(absent.status == 4 && absent.output.contains("TAPLINE_RECORDS=1 swift build"), "\(absent.output)")
    }
}
