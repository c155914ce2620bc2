import Foundation
import Testing

/// Files that must not be changed, and rows that no release has written: each is told in a sentence with the path, and the
/// customers' packets go on by the last table.
@Suite(.serialized) struct DamagedDatabaseTests {
    /// A topology whose database is on a file system of its own, where files can be made immutable.
    private final class Lab: Sendable {
        let lab: RecordsLab
        let folder: String
        var database: String { folder + "/lab.db" }
        init() throws {
            lab = try RecordsLab(RecordsLab.usual)
            folder = lab.folder.appendingPathComponent("disk").path
            try lab.down()
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let mounted = try lab.run(["mount", "-t", "tmpfs", "tmpfs", folder])
            try #require(mounted.status == 0, "\(mounted.output)")
            try lab.write(
                RecordsLab.usual.replacing("{ database: lab.db }", with: "{ database: disk/lab.db }").replacing(
                    "out: inspected } }", with: "out: inspected }, access: engine }"))
            try lab.up()
        }
        deinit {
            _ = try? lab.tapline("down", lab.name)
            for name in ["", "/lab.db", "/lab.db-wal"] { _ = try? lab.run(["chattr", "-i", folder + name]) }
            _ = try? lab.run(["umount", folder])
        }

        func chattr(_ change: String, _ path: String) throws {
            let done = try lab.run(["chattr", change, path])
            try #require(done.status == 0, "\(done.output)")
        }

        func sql(_ text: String) throws {
            let done = try lab.run(["sqlite3", database, text])
            try #require(done.status == 0, "\(done.output)")
        }

        /// What `up` says; nothing is left of the topology.
        func refusal() throws -> String {
            let up = try lab.tapline("up", lab.file, "-d")
            #expect(up.status == 2, "\(up.output)")
            #expect(!FileManager.default.fileExists(atPath: lab.state))
            return up.output.split(separator: "\n").last { $0.hasPrefix("tapline: ") }.map(String.init) ?? up.output
        }

        func log() -> String {
            (try? String(contentsOfFile: "\(lab.state)/appliance.log", encoding: .utf8)) ?? ""
        }
    }

    private static let rule = #"{"rules": [{"action": "allow", "protocol": "icmp"}], "default": {"action": "deny"}}"#

    @Test func whatMustNotBeChangedIsToldByItsPath() throws {
        let disk = try Lab()
        let lab = disk.lab
        #expect(try lab.ask("PUT", "/v1/services/shop?tenant=alice", RecordsLab.service()).status == 200)
        // Whatever is forbidden while the file is open does not take away what is in force.
        try disk.chattr("+i", disk.database)
        let meanwhile = try lab.ask("PUT", "/v1/services/shop?tenant=alice", RecordsLab.service("203.0.113.98"))
        #expect([200, 503].contains(meanwhile.status), "\(meanwhile.text)")
        #expect(try lab.answers(meanwhile.status == 200 ? "203.0.113.98" : "203.0.113.97"))
        // A process that is started now cannot write, and the log says why.
        let keeper = try lab.keeper()
        kill(keeper, SIGKILL)
        let sentence =
            "the database \(disk.database) cannot be written: \(disk.database) must not be changed (chattr +i)"
        try lab.eventually("the log tells why") { disk.log().contains(sentence) }
        #expect(
            try lab.answers("203.0.113.80") && lab.answers(meanwhile.status == 200 ? "203.0.113.98" : "203.0.113.97"))
        try disk.chattr("-i", disk.database)
        try lab.eventually("the API is back") { (try? lab.ask("GET", "/v1/services"))?.status == 200 }
        try lab.down()
        // Without its log, which `sqlite3` brings into it, the folder must be written.
        try disk.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        for (path, name) in [(disk.database, disk.database), (disk.folder, disk.folder + "/")] {
            try disk.chattr("+i", path)
            let said = try disk.refusal()
            #expect(
                said.contains(
                    "the database \(disk.database) cannot be written: \(name) must not be changed (chattr +i)")
                    && said.contains("; chattr -i \(name)"), "\(said)")
            try disk.chattr("-i", path)
        }
        #expect(try lab.run(["mount", "-o", "remount,ro", disk.folder]).status == 0)
        let readOnly = try disk.refusal()
        #expect(
            readOnly.contains(
                "the database \(disk.database) cannot be written: its file system is mounted for reading alone"),
            "\(readOnly)")
        #expect(try lab.run(["mount", "-o", "remount,rw", disk.folder]).status == 0)
        try lab.up()
        #expect(try lab.answers(meanwhile.status == 200 ? "203.0.113.98" : "203.0.113.97"))
    }

    @Test func aRowThatCannotBeReadIsNamed() throws {
        let disk = try Lab()
        let lab = disk.lab
        #expect(try lab.ask("PUT", "/v1/services/shop?tenant=alice", RecordsLab.service()).status == 200)
        #expect(try lab.ask("PUT", "/v1/access/firewall?tenant=alice", Self.rule).status == 200)
        try lab.down()
        for (change, back, what) in [
            (
                "UPDATE access_rules SET body = '{'",
                #"UPDATE access_rules SET body = '{"action":"allow","protocol":"icmp"}'"#,
                "rule 1 of the access list of alice for firewall"
            ),
            (
                "UPDATE access_rules SET body = '{}'",
                #"UPDATE access_rules SET body = '{"action":"allow","protocol":"icmp"}'"#,
                "rule 1 of the access list of alice for firewall"
            ),
            (
                "UPDATE access_lists SET otherwise = ''", #"UPDATE access_lists SET otherwise = '{"action":"deny"}'"#,
                "the default of the access list of alice for firewall"
            ),
            (
                "UPDATE services SET body = '[' || body", "UPDATE services SET body = substr(body, 2)",
                "the service alice/shop"
            ),
        ] {
            try disk.sql(change)
            let said = try disk.refusal()
            #expect(
                said.contains("the database \(disk.database) is damaged: \(what) cannot be read; restore a copy of it"),
                "\(said)")
            try disk.sql(back)
        }
        try lab.up()
        #expect(try lab.answers("203.0.113.97"))
    }

    /// Another program takes the database in the moment in which no process has it, and leaves a row that is no rule.
    private static let thief = """
        import os, signal, sqlite3, sys, time
        end = time.monotonic() + 30
        os.kill(int(sys.argv[2]), signal.SIGKILL)
        while time.monotonic() < end:
            database = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
            try: database.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error: print(error, file=sys.stderr, flush=True)
            else: break
            database.close()
            time.sleep(0.001)
        print("taken", flush=True)
        sys.stdin.readline()
        database.execute("UPDATE access_rules SET body = 'no rule'")
        database.execute("COMMIT")
        database.close()
        print("left", flush=True)
        """

    @Test func aDatabaseThatIsTakenOrDamagedWhileTheTopologyIsUpStopsNoPackets() throws {
        let disk = try Lab()
        let lab = disk.lab
        let alice = try lab.token("alice")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, Self.rule).status == 200)
        let thief = try NodeTalk(["python3", "-c", Self.thief, disk.database, "\(try lab.keeper())"])
        #expect(try thief.line() == "taken")
        try lab.eventually("the log tells who has it") {
            disk.log().contains(
                "cannot be started again: another process has the database \(disk.database) open; each topology needs a database of its own; 'fuser \(disk.database)' shows who has it"
            )
        }
        #expect(try lab.answers("203.0.113.80") && lab.answers("203.0.113.97"))
        try thief.go()
        #expect(try thief.line() == "left")
        thief.end()
        try lab.eventually("the log tells what is damaged") {
            disk.log().contains(
                "cannot be started again: the database \(disk.database) is damaged: rule 1 of the access list of alice for firewall cannot be read"
            )
        }
        // The list that was in force stays so, and so do the services.
        #expect(try lab.answers("203.0.113.80") && lab.answers("203.0.113.97"))
        try lab.eventually("the row is mended between two attempts") {
            try lab.run([
                "sqlite3", disk.database, #"UPDATE access_rules SET body = '{"action":"allow","protocol":"icmp"}'"#,
            ]).status == 0
        }
        try lab.eventually("the API is back") {
            (try? lab.ask("GET", "/v1/access/firewall", token: alice))?.status == 200
        }
        #expect(try lab.answers("203.0.113.80") && lab.answers("203.0.113.97"))
    }
}
