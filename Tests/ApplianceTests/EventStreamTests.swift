import Foundation
import Plan
import Testing

@testable import Appliance
@testable import ApplianceClient
@testable import ControlAPI
@testable import EventLoop
@testable import Fabric
@testable import Reporting

@Suite("Events on the control socket", .serialized)
struct EventStreamTests {
    /// A control server alone, that answers questions about events.
    private final class Served {
        let loop: EventLoop
        let log = EventLog()
        let directory: StateDirectory
        private var server: ControlServer?

        init() throws {
            loop = try EventLoop()
            directory = try StateDirectory(name: "e" + String(UInt32.random(in: .min ... .max), radix: 36))
            try directory.create()
            let (loop, log, path) = (loop, log, directory.socketPath)
            server = try loop.sync {
                try ControlServer(
                    loop: loop, path: path, stream: { request in log.stream(request) },
                    answer: { _, lines in lines.reply(to: CancelRequest())(CancelReport(isUnderWay: false)) })
            }
            let pumped = Box(server)
            log.listen { loop.submit { pumped.value?.pump() } }
        }

        func close() {
            loop.sync { [server] in server?.close() }
            directory.remove()
        }
    }

    private func event(_ number: Int) -> ApplianceEvent {
        ApplianceEvent(.checkFailed, instance: "fw-a", count: number, reason: String(repeating: "x", count: 200))
    }

    @Test("past events first, then those that come, in order and none twice", .enabled(if: isRoot))
    func following() throws {
        let served = try Served()
        defer { served.close() }
        for number in 0..<500 { served.log.append(event(number)) }
        let request = EventsRequest(count: 300, follow: true)
        var seen: [Int] = []
        let isHeard = try ControlClient(directory: served.directory).follow(request) { events in
            if seen.isEmpty { for number in 500..<700 { served.log.append(event(number)) } }
            seen += events.compactMap(\.count)
            return seen.count < 500
        }
        #expect(isHeard)
        #expect(seen == Array(200..<700))
    }

    @Test("a listener that does not read holds nothing up, and learns how much it has lost", .enabled(if: isRoot))
    func slowListener() throws {
        let served = try Served()
        defer { served.close() }
        let request = EventsRequest(follow: true)
        var numbers: [Int] = []
        var lost = 0
        let all = 50_000
        served.log.append(event(0))
        _ = try ControlClient(directory: served.directory).follow(request) { events in
            if numbers.isEmpty {
                // Nothing is read meanwhile: far more comes than socket and log hold, and others are still answered.
                for number in 1..<all { served.log.append(event(number)) }
                let answer = try? ControlClient(directory: served.directory).ask(CancelRequest())
                #expect((answer ?? nil) != nil)
            }
            for event in events {
                if event.event == .eventsLost { lost += event.count ?? 0 } else { numbers.append(event.count ?? -1) }
            }
            return numbers.last != all - 1
        }
        #expect(lost > 0)
        #expect(numbers.count + lost == all)
        #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
    }
}
