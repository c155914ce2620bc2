import Foundation
import Testing

/// A database that cannot be opened is told in a sentence with a hint. What happens to one that is in use costs the
/// instructions, and nothing else: the customers' packets go on by the last table, and no process ends for good.
@Suite(.serialized) struct BadDatabaseTests {
    /// A small file system of its own, in the folder of a topology that is not up.
    private final class Disk: Sendable {
        let path: String
        private let lab: RecordsLab
        init(_ lab: RecordsLab, kilobytes: Int) throws {
            self.lab = lab
            path = lab.folder.appendingPathComponent("disk").path
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let mounted = try lab.run(["mount", "-t", "tmpfs", "-o", "size=\(kilobytes)k", "tmpfs", path])
            try #require(mounted.status == 0, "\(mounted.output)")
        }
        deinit {
            _ = try? lab.tapline("down", lab.name)
            _ = try? lab.run(["umount", path])
        }
        func remount(_ options: String) throws {
            let done = try lab.run(["mount", "-o", "remount,\(options)", path])
            try #require(done.status == 0, "\(done.output)")
        }
        var filling: String { path + "/filling" }
        func fill() throws {
            #expect(try lab.run(["dd", "if=/dev/zero", "of=\(filling)", "bs=4k", "count=1000"]).status != 0)
        }
    }

    private static func text(_ database: String) -> String {
        RecordsLab.usual.replacing("{ database: lab.db }", with: "{ database: \(database) }")
    }

    /// What `up` says, and that nothing is left of the topology.
    private func refusal(_ lab: RecordsLab) throws -> String {
        let up = try lab.tapline("up", lab.file, "-d")
        #expect(up.status == 2, "\(up.output)")
        #expect(!FileManager.default.fileExists(atPath: lab.state))
        return up.output.split(separator: "\n").last { $0.hasPrefix("tapline: ") }.map(String.init) ?? up.output
    }

    private func put(_ lab: RecordsLab, _ address: String, token: String? = nil) throws -> RecordsLab.Answer {
        try lab.ask(
            "PUT", "/v1/services/shop\(token == nil ? "?tenant=alice" : "")", token: token, RecordsLab.service(address))
    }

    /// The API is back with a process that is not this one.
    private func another(than keeper: Int32, _ lab: RecordsLab) throws {
        try lab.eventually("another process keeps the records") {
            guard let now = try? lab.keeper(), now != keeper else { return false }
            return (try? lab.ask("GET", "/v1/tenants"))?.status == 200
        }
    }

    /// The database and the engines say the same of alice's service.
    private func isInForceAsKept(_ lab: RecordsLab) throws {
        let kept = try lab.ask("GET", "/v1/services").json["services"] as? [[String: Any]] ?? []
        let addresses = kept.flatMap { $0["addresses"] as? [String] ?? [] }
        for address in ["203.0.113.97", "203.0.113.98", "203.0.113.99"] {
            #expect(
                try addresses.contains(address) ? lab.answers(address) : lab.misses(address),
                "\(address), kept: \(addresses)")
        }
        #expect(kept.allSatisfy { $0["state"] as? String == "in-force" })
    }

    // MARK: - At the start

    @Test func whatCannotBeOpenedIsToldWithAHint() throws {
        let lab = try RecordsLab()
        let version = try lab.run(["sqlite3", lab.database, "SELECT count(*) FROM audit"])
        #expect(version.output.contains("locked"), "\(version.output)")
        try lab.down()
        func holds(_ sentence: String, _ hint: String, _ database: String = "lab.db") throws {
            try lab.write(Self.text(database))
            let said = try refusal(lab)
            #expect(said.contains(sentence) && said.contains(hint), "\(said)")
        }
        // Another process has it.
        let holder = Process()
        holder.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        holder.arguments = [
            "-c",
            "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN EXCLUSIVE'); print(flush=True); time.sleep(600)",
            lab.database,
        ]
        let ready = Pipe()
        holder.standardOutput = ready
        try holder.run()
        _ = ready.fileHandleForReading.availableData
        try holds("another process has the database \(lab.database) open", "fuser")
        kill(holder.processIdentifier, SIGKILL)
        holder.waitUntilExit()
        // A newer release wrote it.
        func sql(_ text: String) throws {
            let done = try lab.run(["sqlite3", lab.database, text])
            #expect(done.status == 0, "\(done.output)")
        }
        try sql("INSERT INTO grdb_migrations VALUES ('99: from the future')")
        try holds("the database \(lab.database) is of a newer release", "use that release")
        try sql("DELETE FROM grdb_migrations WHERE identifier LIKE '99%'")
        // Half of it is there.
        let whole = try Data(contentsOf: URL(fileURLWithPath: lab.database))
        try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: lab.database))
        try holds("the database \(lab.database) is damaged: ", "restore a copy")
        try whole.write(to: URL(fileURLWithPath: lab.database))
        // What is no file.
        try holds("/dev/null is no file, but a device", "name a file", "/dev/null")
        try holds("/dev/zero is no file, but a device", "name a file", "/dev/zero")
        try holds("\(lab.folder.path) is no file, but a folder", "name a file in it", lab.folder.path)
        try holds("absent/lab.db cannot be opened", "make its folder", "absent/lab.db")
        try holds("lab.db/lab.db cannot be opened", "make its folder", "lab.db/lab.db")
        let link = lab.folder.appendingPathComponent("link").path
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: link)
        try holds("link is a symbolic link that leads to itself", "remove the link", "link")
        #expect(try lab.run(["mkfifo", lab.folder.appendingPathComponent("pipe").path]).status == 0)
        try holds("pipe is no file, but a named pipe", "name a file", "pipe")
        // One that leads to a file is as good as the file.
        let good = lab.folder.appendingPathComponent("good").path
        try FileManager.default.createSymbolicLink(atPath: good, withDestinationPath: lab.database)
        try lab.write(Self.text("good"))
        try lab.up()
        #expect(try put(lab, "203.0.113.97").status == 200)
    }

    @Test func aDiskThatIsFullOrReadOnlyIsToldWithAHint() throws {
        let lab = try RecordsLab()
        try lab.down()
        let disk = try Disk(lab, kilobytes: 256)
        try lab.write(Self.text("disk/lab.db"))
        try disk.fill()
        let full = try refusal(lab)
        #expect(full.contains("the disk of \(disk.path)/lab.db is full; make room, and try again"), "\(full)")
        try FileManager.default.removeItem(atPath: disk.filling)
        try lab.up()
        #expect(try put(lab, "203.0.113.97").status == 200)
        try lab.down()
        try disk.remount("ro")
        let unwritable = try refusal(lab)
        #expect(
            unwritable.contains("the database \(disk.path)/lab.db cannot be ") && unwritable.contains("; "),
            "\(unwritable)"
        )
        try disk.remount("rw")
        try lab.up()
        try isInForceAsKept(lab)
        #expect(try lab.answers("203.0.113.97"))
    }

    // MARK: - While it is in use

    @Test func aDiskThatGetsFullRefusesInstructionsUntilThereIsRoom() throws {
        let lab = try RecordsLab()
        try lab.down()
        let disk = try Disk(lab, kilobytes: 512)
        try lab.write(Self.text("disk/lab.db"))
        try lab.up()
        let alice = try lab.token("alice")
        #expect(try put(lab, "203.0.113.97", token: alice).status == 200)
        let keeper = try lab.keeper()
        try disk.fill()
        // Until there is no room in the log, either.
        var refused: RecordsLab.Answer?
        for round in 0..<200 where refused == nil {
            let answer = try put(lab, "203.0.113.9\(7 + round % 2)", token: alice)
            if answer.status != 200 { refused = answer }
        }
        // A tenant is not told of the operator's disks.
        #expect(refused?.status == 503 && refused?.text.contains("disk") == false, "\(refused?.text ?? "never")")
        #expect(refused?.headers["retry-after"] != nil)
        let told = try put(lab, "203.0.113.99")
        #expect(told.status == 503 && told.text.contains("the disk of \(disk.path)/lab.db is full"), "\(told.text)")
        #expect(told.json["hint"] as? String == "make room, and try again")
        #expect(try lab.ask("GET", "/v1/services/shop", token: alice).status == 200)
        try isInForceAsKept(lab)
        // A process that starts now may find no room, and is then tried again. The customers' packets go on.
        kill(keeper, SIGKILL)
        #expect(try lab.answers("203.0.113.80"))
        try FileManager.default.removeItem(atPath: disk.filling)
        try another(than: keeper, lab)
        try isInForceAsKept(lab)
        #expect(try put(lab, "203.0.113.99", token: alice).status == 200)
        try isInForceAsKept(lab)
    }

    /// Every write, and every word to the disk that it shall keep what was written, fails from the first or from a later one on.
    @Test(arguments: [
        ("fdatasync,fsync", "EIO", 1), ("fdatasync,fsync", "EIO", 2), ("pwrite64", "EIO", 1), ("pwrite64", "EIO", 4),
        ("pwrite64", "ENOSPC", 1), ("pwrite64", "EDQUOT", 9),
    ])
    func aDiskThatFailsCostsNothingThatWasAnswered(calls: String, error: String, first: Int) throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        #expect(try put(lab, "203.0.113.97", token: alice).status == 200)
        let keeper = try lab.keeper()
        let tracer = Process()
        tracer.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        tracer.arguments = [
            "strace", "-f", "-p", "\(keeper)", "-o", lab.folder.path + "/strace", "-e", "trace=\(calls)", "-e",
            "inject=\(calls):error=\(error):when=\(first)+",
        ]
        tracer.standardError = FileHandle.nullDevice
        try tracer.run()
        try lab.eventually("the process is traced") {
            let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(keeper)/task")
            return threads.allSatisfy { thread in
                let status = try? String(contentsOfFile: "/proc/\(keeper)/task/\(thread)/status", encoding: .utf8)
                return status?.contains("TracerPid:\t\(tracer.processIdentifier)\n") == true
            }
        }
        let answer = try? put(lab, "203.0.113.98", token: alice)
        // What was written and cannot be confirmed ends the process: the next one brings both together.
        #expect(answer == nil || answer?.status == 503, "\(answer?.text ?? "")")
        #expect(try lab.answers("203.0.113.80"))
        #expect(try lab.run(["grep", "-c", "INJECTED", lab.folder.path + "/strace"]).output != "0\n")
        kill(tracer.processIdentifier, SIGKILL)
        tracer.waitUntilExit()
        try lab.eventually("the API answers") { (try? lab.ask("GET", "/v1/tenants"))?.status == 200 }
        try isInForceAsKept(lab)
        #expect(try put(lab, "203.0.113.99", token: alice).status == 200)
        try isInForceAsKept(lab)
        #expect(try lab.answers("203.0.113.99"))
        try lab.down()
        #expect(try lab.run(["sqlite3", lab.database, "PRAGMA integrity_check"]).output == "ok\n")
    }

    @Test func aFileThatIsOverwrittenOrTakenAwayStopsNoPackets() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        #expect(try put(lab, "203.0.113.97", token: alice).status == 200)
        // Without its folder's names, the process goes on with what it has open.
        for name in ["lab.db", "lab.db-wal"] {
            try FileManager.default.moveItem(
                at: lab.folder.appendingPathComponent(name), to: lab.folder.appendingPathComponent("moved-\(name)"))
        }
        #expect(try put(lab, "203.0.113.98", token: alice).status == 200)
        try isInForceAsKept(lab)
        // Another process begins without records: so do the engines.
        let first = try lab.keeper()
        kill(first, SIGKILL)
        try another(than: first, lab)
        #expect(try lab.ask("GET", "/v1/services").json["services"] as? [String] == [])
        try isInForceAsKept(lab)
        #expect(try lab.ask("GET", "/v1/services", token: alice).status == 401)
        // Garbage in the place of every page: nothing is read from it as if it were true.
        #expect(try put(lab, "203.0.113.97").status == 200)
        let second = try lab.keeper()
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: lab.database))
        try file.write(contentsOf: Data(repeating: 0xA5, count: 1 << 17))
        try file.close()
        try? FileManager.default.removeItem(atPath: lab.database + "-wal")
        kill(second, SIGKILL)
        try lab.eventually("the log tells why") {
            let log = (try? String(contentsOfFile: "\(lab.state)/appliance.log", encoding: .utf8)) ?? ""
            return log.contains("cannot be started again: the database \(lab.database) is damaged")
        }
        #expect(try lab.answers("203.0.113.80") && lab.answers("203.0.113.97"))
        // The operator brings back the copy.
        for name in ["lab.db", "lab.db-wal"] {
            try? FileManager.default.removeItem(at: lab.folder.appendingPathComponent(name))
            try FileManager.default.moveItem(
                at: lab.folder.appendingPathComponent("moved-\(name)"), to: lab.folder.appendingPathComponent(name))
        }
        try another(than: second, lab)
        try isInForceAsKept(lab)
        #expect(try lab.answers("203.0.113.98"))
        #expect(try lab.ask("GET", "/v1/services", token: alice).status == 200)
    }
}
