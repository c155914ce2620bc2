import ControlAPI
import ApplianceClient
import EventLoop
import Glibc
import NIOCore
import NIOHTTP1
import Observation
import PacketCapture
import Reporting
import Synchronization
import Wire
import WebPages

/// A capture that goes to a browser as it is made, bounded in time, packets and octets.
///
/// Two threads for each: one writes the capture into a pipe, the other takes it from there to the connection, as fast as that
/// reads. A browser that goes closes the pipe, which ends the capture.
enum CaptureDownload {
    private final class Course: Sendable {
        let isEnding = Atomic(false)
    }

    static func start(_ details: Details, arrow index: Int, _ form: FormFields, for handler: RequestHandler) {
        let desk = handler.desk
        guard desk.captures < Desk.mostCaptures else {
            return handler.problem(
                .serviceUnavailable, "\(Desk.mostCaptures) captures run already",
                hint: "wait until one of them has ended")
        }
        let arrow = details.drawing.arrows[index]
        let target = details.drawing.boxes[arrow.to]
        let service = details.drawing.services[arrow.service]
        let seconds = form.number("seconds", 1...Details.mostSeconds, otherwise: 10)
        let packets = form.number("packets", 1...Details.mostPackets, otherwise: 1000)
        let options = LiveCapture.Options(
            node: target.nodes.count == 1 ? target.nodes[0] : nil,
            interface: details.drawing.bars[arrow.sendBar].name,
            // An entry by hand is no service.
            service: details.sample.services.contains { $0.name == service } ? service : nil, onlyDropped: false,
            filter: form["filter"].map { String($0.prefix(1000)) }, snapLength: nil, cutsSegments: false,
            // They are secrets of the nodes, and everybody who sees the page may download.
            hasKeys: false,
            limits: CaptureLimits(
                packets: UInt64(packets), end: monotonicTime() + .seconds(seconds)))
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            return handler.problem(
                .serviceUnavailable, "the page's process has no room for one more capture", hint: nil)
        }
        let pipe = (read: ends[0], write: ends[1])
        _ = fcntl(pipe.write, F_SETFL, O_NONBLOCK)
        desk.captures += 1
        let own = NIOLoopBound(handler, eventLoop: desk.hub.eventLoop)
        let (loop, client, course) = (desk.hub.eventLoop, desk.client, Course())
        handler.gone = { course.isEnding.store(true, ordering: .relaxed) }
        let work: @Sendable () -> Void = {
            do throws(ApplianceError) {
                let capture = try LiveCapture(
                    client, options, to: .descriptor(pipe.write, name: "the page"),
                    isCancelled: { course.isEnding.load(ordering: .relaxed) })
                loop.execute { begin(own.value, name: "\(own.value.desk.hub.name)-\(target.name)") }
                let reader: @Sendable () -> Void = { carry(pipe.read, to: own, on: loop, course) }
                try startThread(reader)
                defer { Glibc.close(pipe.write) }
                do throws(ApplianceError) {
                    while !course.isEnding.load(ordering: .relaxed), !capture.isReaderGone,
                        try capture.turn(within: .milliseconds(20))
                    {}
                    try capture.close()
                } catch {
                    // The browser is gone, or has enough; it has all that is whole.
                }
            } catch {
                for end in [pipe.read, pipe.write] { Glibc.close(end) }
                let shown = error
                loop.execute {
                    own.value.desk.captures -= 1
                    own.value.gone = nil
                    own.value.problem(
                        shown.status == .usage || shown.status == .name ? .badRequest : .serviceUnavailable,
                        shown.message, hint: shown.hint)
                }
            }
        }
        do throws(ApplianceError) { try startThread(work) } catch {
            desk.captures -= 1
            for end in [pipe.read, pipe.write] { Glibc.close(end) }
            handler.problem(.serviceUnavailable, error.message, hint: error.hint)
        }
    }

    private static func begin(_ handler: RequestHandler, name: String) {
        let safe = String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "_" })
        handler.begin(
            type: "application/vnd.tcpdump.pcap",
            headers: [("Content-Disposition", "attachment; filename=\"\(safe).pcapng\"")])
    }

    /// Takes octets from the pipe to the connection until one of them ends.
    private static func carry(
        _ pipe: Int32, to handler: NIOLoopBound<RequestHandler>, on loop: any NIOCore.EventLoop, _ course: Course
    ) {
        var count = 0
        while let bytes = readOnce(pipe), !bytes.isEmpty {
            count += bytes.count
            // What follows is no more than the end of the block, and of what has been read from the engines.
            if count > Details.mostOctets { course.isEnding.store(true, ordering: .relaxed) }
            do {
                try loop.flatSubmit { handler.value.write(bytes) }.wait()
            } catch {
                course.isEnding.store(true, ordering: .relaxed)
                break
            }
        }
        Glibc.close(pipe)
        loop.execute {
            handler.value.desk.captures -= 1
            handler.value.gone = nil
            handler.value.end()
        }
    }
}
