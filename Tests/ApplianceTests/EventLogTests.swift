import Foundation
import Plan
import Testing

@testable import Appliance
@testable import ControlAPI
@testable import Reporting

@Suite("Events are kept, bounded, and told to whoever listens")
struct EventLogTests {
    private func event(_ number: Int, time: Int? = nil) -> ApplianceEvent {
        var event = ApplianceEvent(.checkFailed, reason: "\(number)")
        event.time = time ?? number
        return event
    }

    @Test("places by time and by count")
    func places() {
        let log = EventLog()
        for number in 0..<10 { log.append(event(number, time: number * 100)) }
        var place = log.place(since: 301, count: nil)
        #expect(log.read(&place).map(\.reason) == (4..<10).map { "\($0)" })
        #expect(log.read(&place).isEmpty)
        log.append(event(10))
        #expect(log.read(&place).map(\.reason) == ["10"])
        place = log.place(since: nil, count: 2)
        #expect(log.read(&place).map(\.reason) == ["9", "10"])
        place = log.place(since: 0, count: 0)
        #expect(log.read(&place).isEmpty)
    }

    @Test("whoever falls behind is told how many were lost, and the rest is whole")
    func lagging() {
        let log = EventLog()
        for number in 0..<10 { log.append(event(number)) }
        var place = log.place(since: nil, count: nil)
        #expect(log.read(&place, most: 4).map(\.reason) == ["0", "1", "2", "3"])
        for number in 10..<(EventLog.capacity + 100) { log.append(event(number)) }
        let summary = log.read(&place, most: 3)
        #expect(summary[0].event == .eventsLost && summary[0].count == 96)
        #expect(summary.dropFirst().map(\.reason) == ["100", "101", "102"])
        let rest = log.read(&place)
        #expect(rest.map(\.reason) == (103..<(EventLog.capacity + 100)).map { "\($0)" })
    }

    @Test("a reason of megabytes is cut")
    func longReasons() {
        let log = EventLog()
        log.append(ApplianceEvent(.checkFailed, reason: String(repeating: "x", count: 5 << 20)))
        var place = 0
        #expect((log.read(&place)[0].reason?.utf8.count ?? .max) < 2000)
    }

    @Test("lines of JSON carry both times; times are read back")
    func text() throws {
        var event = ApplianceEvent(.flowsMoved, application: "web", share: 0.256, reason: "a \"reason\"\nof two lines")
        event.time = 1_795_748_445_012_345
        let line = try event.jsonLine()
        #expect(!line.contains("\n"))
        let value = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(value["at"] as? String == "2026-11-27T03:00:45.012345Z")
        #expect(value["time"] as? Int == event.time)
        #expect(value["event"] as? String == "flows-moved")
        #expect(value["share"] as? Double == 0.256)
        #expect(value["reason"] as? String == "a \"reason\"\nof two lines")
        #expect(try JSONDecoder().decode(ApplianceEvent.self, from: Data(line.utf8)) == event)
        #expect(event.text.hasPrefix("2026-11-27T03:00:45.012345Z flows-moved web 25.6% of its flows: a "))
        #expect(ApplianceEvent.time(event.at) == event.time)
        #expect(ApplianceEvent.time("2026-11-27T03:00:45Z") == 1_795_748_445_000_000)
        #expect(ApplianceEvent.time("1795748445012345") == event.time)
        #expect(ApplianceEvent.time("1m").map { abs(ApplianceEvent.now - 60_000_000 - $0) < 10_000_000 } == true)
        for wrong in ["yesterday", "2026-11-27", "2026-11-27T03:00:45.1Z", "-5", "", "99h"] {
            #expect(ApplianceEvent.time(wrong) == nil, "\(wrong)")
        }
    }
}
