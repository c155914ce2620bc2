import Foundation
import Testing

@testable import Appliance
@testable import EventLoop
@testable import Nodes
@testable import Reporting

@Suite("The loop waits for what is there, and by a clock that never steps")
struct EventLoopTests {
    private func makePipe() -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        return (ends[0], ends[1])
    }

    @Test("what was told of a descriptor that is closed by now is not told of another that has its number")
    func reused() throws {
        let loop = try EventLoop()
        for _ in 0..<20 {
            let pipes = [makePipe(), makePipe()]
            let fresh = makePipe()
            var stale = 0
            var heard = 0
            let flag = RaisedFlag()
            loop.sync {
                // Both are readable when the loop looks; whichever is heard first puts another in the other's place.
                for index in 0..<2 {
                    loop.watch(pipes[index].read) { _ in
                        heard += 1
                        let other = pipes[1 - index].read
                        loop.unwatch(pipes[index].read)
                        loop.unwatch(other)
                        dup2(fresh.read, other)
                        loop.watch(other) { _ in if readOnce(other) == nil { stale += 1 } }
                        loop.after(.milliseconds(5)) {
                            loop.unwatch(other)
                            flag.raise()
                        }
                    }
                    _ = write(pipes[index].write, "x", 1)
                }
            }
            flag.wait()
            #expect(loop.sync { heard } == 1)
            #expect(loop.sync { stale } == 0)
            for end in pipes + [fresh] {
                close(end.read)
                close(end.write)
            }
        }
    }

    @Test("a descriptor that was closed under its watch is watched no more")
    func closed() throws {
        let loop = try EventLoop()
        let ends = makePipe()
        let summary = Box<[Int32]>([])
        loop.sync {
            loop.closedUnderWatch = { summary.value.append($0) }
            loop.watch(ends.read) { _ in }
        }
        close(ends.read)
        let flag = RaisedFlag()
        loop.sync { _ = loop.after(.milliseconds(1)) { flag.raise() } }
        flag.wait()
        #expect(loop.sync { summary.value } == [ends.read])
        close(ends.write)
    }

    @Test("who waits for the loop gets what the body returns or throws, on the loop's own thread too")
    func waiting() throws {
        let loop = try EventLoop()
        #expect(loop.sync { loop.isCurrent } && !loop.isCurrent)
        #expect(loop.sync { loop.sync { 7 } } == 7)
        let error = #expect(throws: ApplianceError.self) {
            try loop.sync { () throws(ApplianceError) in throw ApplianceError.cancelled }
        }
        #expect(error == .cancelled)
    }

    @Test("what belongs to the loop ends a program that touches it from elsewhere")
    func belonging() async {
        await #expect(processExitsWith: .failure) { try EventLoop().unwatch(5) }
        await #expect(processExitsWith: .failure) { _ = try EventLoop().after(.milliseconds(1)) {} }
        await #expect(processExitsWith: .failure) {
            try OutputLog(loop: try EventLoop(), path: "/dev/null").note("from elsewhere")
        }
        await #expect(processExitsWith: .success) {
            let loop = try EventLoop()
            loop.sync { loop.unwatch(5) }
            exit(EXIT_SUCCESS)
        }
    }

    private static let times: [Duration] = [
        .seconds(Int64.max), .seconds(Int64.min), .milliseconds(-1), .zero, .milliseconds(20),
    ]

    @Test("times of any length are none that a sum runs over with")
    func times() throws {
        let loop = try EventLoop()
        loop.sync { for time in Self.times { _ = loop.after(time) {} } }
        let flag = RaisedFlag()
        for time in Self.times where time < .seconds(1) { #expect(!flag.wait(atMost: time)) }
        let waiting = Thread { if flag.wait(atMost: .seconds(Int64.max)) { flag.raise() } }
        waiting.start()
        flag.raise()
        flag.wait()
        for time in Self.times { #expect(flag.wait(atMost: time)) }
    }

    /// Setting the machine's clock is no test's business, so this looks at what is called.
    @Test("no wait goes by the wall clock")
    func wallClock() throws {
        let sources = "\(#filePath)".split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/Sources"
        let names = try FileManager.default.subpathsOfDirectory(atPath: sources).filter {
            $0.hasSuffix(".swift") || $0.hasSuffix(".c")
        }
        #expect(names.count > 100)
        for name in names {
            let text = try String(contentsOfFile: "\(sources)/\(name)", encoding: .utf8)
            for call in ["sem_timedwait", "gettimeofday", "pthread_mutex_timedlock", "Date()", "mq_timed"] {
                let code = text.split(separator: "\n").filter { !$0.contains("//") }
                #expect(!code.contains { $0.contains(call) }, "\(name) calls \(call)")
            }
            if text.contains("pthread_cond_timedwait") {
                #expect(text.contains("setclock(&attributes, CLOCK_MONOTONIC)"))
            }
        }
    }
}
