import Foundation
import Testing

@testable import ControlAPI
@testable import Reporting
@testable import Verification

/// Durations in JSON: whole milliseconds under the keys that other programs know.
@Suite struct MillisecondsTests {
    private func json(_ value: some Encodable) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(value)) as? [String: Any])
    }

    @Test("a duration is a whole number, and is cut to what that holds")
    func numbers() throws {
        #expect(Milliseconds(.microseconds(1_999)).count == 1)
        #expect(Milliseconds(.microseconds(-1_999)).count == -1)
        #expect(Milliseconds(.seconds(Int64.max)).count == .max)
        #expect(Milliseconds(.seconds(Int64.min)).count == .min)
        #expect(Milliseconds(.milliseconds(1_500)).duration == .milliseconds(1_500))
        let read = try JSONDecoder().decode([Milliseconds].self, from: Data("[0, 86400000]".utf8))
        #expect(read.map(\.duration) == [.zero, .seconds(86_400)])
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([Milliseconds].self, from: Data("[1.5]".utf8))
        }
    }

    @Test("requests keep their keys")
    func requests() throws {
        let drain = try json(InstanceOperation.drain(for: Milliseconds(.seconds(5))))
        #expect(drain["drain"] as? [String: Int] == ["milliseconds": 5_000])
        #expect(try json(InstanceOperation.drain(for: nil))["drain"] as? [String: Int] == [:])
        let line = Data(#"{"drain":{"milliseconds":250}}"#.utf8)
        #expect(
            try JSONDecoder().decode(InstanceOperation.self, from: line)
                == .drain(for: Milliseconds(.milliseconds(250))))
        #expect(try json(ApplyRequest(drain: .milliseconds(1)))["drain"] as? Int == 1)
        #expect(try json(RemoveRequest(instance: "web-2", drain: .zero))["drain"] as? Int == 0)
        #expect(throws: ApplianceError(.usage, "'drain' is 0 to 86400000 milliseconds, and not 86400001")) {
            try ApplyRequest(drain: .milliseconds(86_400_001)).check(.drain)
        }
    }

    @Test("reports keep their keys")
    func reports() throws {
        let time = Duration.milliseconds(12_034)
        let check = CheckReport(
            name: "c", origin: .line(SourcePosition(line: 1, column: 1)), passed: true, time: time, came: [])
        let change = ChangeReport(changes: [], entries: 0, kept: 0, time: time)
        let ready = ReadyReport(name: "t", nodes: 1, interfaces: 1, entries: 1, time: time)
        let file = TestFileReport(
            label: "l", file: "f", outcome: .passed, status: .success, started: 0, time: time, checks: [check],
            notReached: [], notes: [], errorOutput: [], kept: false, nodes: [])
        let reports: [any Encodable] = [check, change, ready, file, TestReport(files: [file], time: time)]
        for report in reports {
            let keys = try json(report)
            #expect(keys["milliseconds"] as? Int == 12_034)
            #expect(keys["time"] == nil)
        }
        #expect(
            Set(try json(file).keys) == [
                "label", "file", "outcome", "status", "started", "milliseconds", "checks", "notReached", "notes",
                "errorOutput", "kept", "nodes", "earlier",
            ])
        #expect(
            Set(try json(TestReport(files: [], time: time)).keys) == ["version", "status", "milliseconds", "files"])
        #expect(
            Set(try json(check).keys) == ["name", "line", "passed", "milliseconds", "came", "evidence", "measured"])
        #expect(Set(try json(change).keys) == ["changes", "notes", "entries", "kept", "milliseconds"])
        #expect(Set(try json(ready).keys) == ["name", "nodes", "interfaces", "entries", "milliseconds"])
    }

    @Test("a duration for a person")
    func texts() {
        #expect(seconds(.seconds(5)) == "5 s")
        #expect(seconds(.milliseconds(1_500)) == "1500 ms")
        #expect(seconds(.zero) == "0 s")
        #expect(DurationText.duration("1.5s") == .milliseconds(1_500))
        #expect(DurationText.duration("24h") == DurationText.longest)
        #expect(DurationText.duration("25h") == nil)
    }
}
