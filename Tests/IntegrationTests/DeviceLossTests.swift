import Foundation
import Testing

/// Devices that other hands switch off or delete under load: it is told, and everyone else's traffic goes on.
@Suite(.serialized) struct DeviceLossTests {
    private func problems(_ lab: Lab) throws -> [String] {
        try #require(try lab.status()["problems"] as? [String])
    }

    /// Does something to alice's device while alice floods, and returns how many of bob's 300 questions were answered
    /// meanwhile.
    private func answers(_ lab: Lab, while body: () throws -> Void) throws -> Int {
        let flood = try OverloadTests.start(lab, "alice", "flood.py")
        let asker = try OverloadTests.start(lab, "bob", "ask.py")
        usleep(200_000)
        try body()
        let answered = try OverloadTests.number(asker)
        _ = FileManager.default.createFile(atPath: lab.folder.appendingPathComponent("enough").path, contents: nil)
        flood.process.waitUntilExit()
        try FileManager.default.removeItem(at: lab.folder.appendingPathComponent("enough"))
        return answered
    }

    @Test func aTapThatIsSwitchedOffAndOnIsToldAndServesAgain() throws {
        try Lab.with(OverloadTests.topology, files: OverloadTests.files) { lab in
            let engine = try #require(try EngineLifeTests.engine(lab)["pid"] as? Int)
            #expect(try problems(lab) == [])
            let answered = try answers(lab) {
                for _ in 1...3 {
                    try lab.exec("alice", "ip link set flood down")
                    let summary = try problems(lab)
                    #expect(summary.count == 1)
                    #expect(summary.first?.contains("flood in node alice is switched off") == true, "\(summary)")
                    try lab.exec("alice", "ip link set flood up; ip route replace default via 192.0.2.1")
                    #expect(try problems(lab) == [])
                }
            }
            #expect(answered >= 285)
            let ping = try lab.exec("alice", "fping -q -c 2 -p 200 -t 20000 203.0.113.70")
            #expect(ping.output.contains("/0%"), "\(ping.output)")
            #expect(try EngineLifeTests.engine(lab)["pid"] as? Int == engine)
        }
    }

    @Test func aTapThatIsDeletedIsToldAndTheOthersGoOn() throws {
        try Lab.with(OverloadTests.topology, files: OverloadTests.files) { lab in
            let engine = try #require(try EngineLifeTests.engine(lab)["pid"] as? Int)
            let answered = try answers(lab) {
                let deleted = try lab.exec("alice", "ip link delete flood")
                #expect(deleted.status == 0, "\(deleted.output)")
                let summary = try problems(lab)
                #expect(summary.first?.contains("of interface flood in node alice is gone") == true, "\(summary)")
            }
            #expect(answered >= 285)
            // What is to go out of a device that is gone is dropped with its reason.
            try lab.exec("web", "ip link delete servers")
            try lab.exec("bob", "fping -q -c 2 -p 200 -t 1000 203.0.113.80")
            let drops = try #require(try lab.status()["drops"] as? [[String: Any]])
            #expect(drops.contains { $0["reason"] as? String == "interface-gone" }, "\(drops)")
            #expect(try problems(lab).count == 2)
            let status = try lab.status()
            let closed = try #require((status["engine"] as? [String: Any])?["closedQueues"] as? Int)
            #expect(closed >= 1)
            #expect((status["remarks"] as? [String])?.contains { $0.contains("found \(closed) queue") } == true)
            #expect(try EngineLifeTests.engine(lab)["pid"] as? Int == engine)
        }
    }
}
