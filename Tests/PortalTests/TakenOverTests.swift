import Foundation
import Testing

/// The page's process may be taken over: it holds nothing by which the topology, or the machine, could be changed.
@Suite(.serialized) struct TakenOverTests {
    /// A program of somebody else's in the place of the page's process can look, and change nothing.
    @Test func aTakenOverPageCanOnlyLook() throws {
        let lab = try PortalLab()
        try lab.up()
        let program = lab.folder.appendingPathComponent("taken-over").path
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("taken-over.py")
        try ("#!/usr/bin/python3\n" + String(contentsOf: source, encoding: .utf8)).write(
            toFile: program, atomically: true, encoding: .utf8)
        chmod(program, 0o755)
        let before = try lab.status()
        try lab.serve(environment: ["TAPLINE_PORTAL_PROGRAM": program])
        let path = lab.folder.appendingPathComponent("report.json").path
        try Programs.eventually("it has tried everything") {
            try #require(try #require(lab.server).process.isRunning, "\(lab.server?.text ?? "")")
            return FileManager.default.fileExists(atPath: path)
        }
        let data = try #require(FileManager.default.contents(atPath: path))
        let report = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        for attempt in ["refused", "again", "fresh"] {
            let answers = try #require(report[attempt] as? [String: [String: Any]])
            #expect(answers.count == 10)
            for (command, answer) in answers {
                let message = (answer["error"] as? [String: Any])?["message"] as? String
                #expect(message == "this connection may only look, so '\(command)' is refused", "\(attempt) \(answer)")
            }
        }
        let allowed = try #require(report["allowed"] as? [String: Bool])
        #expect(allowed.count == 6 && allowed.values.allSatisfy { $0 })
        let piped = try #require(report["piped"] as? [[String: Any]])
        #expect(piped.map { $0["error"] != nil } == [false, true, true])
        // It takes half of the places at most, so commands have theirs.
        let streams = try #require(report["streams"] as? Int)
        #expect((1...16).contains(streams))
        let after = try lab.status()
        #expect(after["run"] as? String == before["run"] as? String && after["state"] as? String == "up")
        let restarts = { (status: [String: Any]) in
            (status["engines"] as? [[String: Any]])?.map { $0["starts"] as? Int }
        }
        #expect(restarts(after) == restarts(before))
        #expect(try lab.ping(5))
        let events = try Programs.run(Programs.tapline, "events", lab.name)
        #expect(events.status == 0 && !events.output.contains("instance-weighed"))
    }

    /// The true process holds no privilege, sees no file, process or network, and makes the system calls of a web server alone.
    @Test func thePageHoldsNoPrivilege() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        let portal = try lab.portal()
        let text = try String(contentsOfFile: "/proc/\(portal)/status", encoding: .utf8)
        func value(_ key: String) throws -> String {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(key):") })
            return line.dropFirst(key.count + 1).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        }
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            #expect(UInt64(try value(set), radix: 16) == 0, "\(set)")
        }
        #expect(try value("NoNewPrivs") == "1")
        #expect(try value("Seccomp") == "2")
        #expect(try value("Groups") == "")
        let users = try value("Uid").split(separator: " ") + (try value("Gid").split(separator: " "))
        #expect(Set(users).count == 1 && users[0] != "0")
        #expect(try value("NSpid").hasSuffix(" 1"))
        for kind in ["pid", "mnt", "net", "ipc", "uts"] {
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(kind)")
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(portal)/ns/\(kind)") != own,
                "\(kind)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(portal)/root/").isEmpty)
        // It holds sockets and what its event loop needs; of files, /dev/null and where its errors go.
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(portal)/fd") where Int(name)! > 2 {
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(portal)/fd/\(name)")
            else { continue }
            #expect(["socket:", "pipe:", "anon_inode:", "/memfd:"].contains { target.hasPrefix($0) }, "\(target)")
        }
    }

    /// The page goes with the command, however that ends.
    @Test func thePageEndsWithItsCommand() throws {
        let lab = try PortalLab()
        try lab.serve()
        let portal = try lab.portal()
        kill(try #require(lab.server).process.processIdentifier, SIGKILL)
        try Programs.eventually("the page's process is gone") { kill(portal, 0) != 0 }
        try lab.serve()
        let other = try lab.portal()
        // A page's process that dies ends the command, which says so.
        kill(other, SIGKILL)
        let end = try #require(lab.server).finish()
        #expect(end.status == 2 && end.output.contains("the live page's process ended"), "\(end.output)")
    }

    @Test func aMissingProgramIsNamed() throws {
        let lab = try PortalLab()
        let result = try Programs.run(
            Programs.tapline, "serve", lab.name, environment: ["TAPLINE_PORTAL_PROGRAM": "/nowhere/portal"])
        #expect(result.status == 4 && result.output.contains("TAPLINE_PORTAL=1 swift build"), "\(result.output)")
    }
}
