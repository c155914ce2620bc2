import ControlAPI
import ApplianceClient
import EventLoop
import NIOCore
import NIOHTTP1
import Observation
import Reporting
import Synchronization
import Tracing
import Wire
import WebPages

/// A trace that goes to a browser as packets end: for a script as events with the arrows of the picture, else as text.
enum TraceFeed {
    /// One packet, for the script.
    private struct Shown: Encodable {
        struct Hop: Encodable {
            /// The indices of the arrows that the hop's copies took.
            var arrows: [Int]
            var text: String
        }
        var title: String
        var end: String
        var hops: [Hop]
    }

    private final class Course: Sendable {
        let isEnding = Atomic(false)
    }

    /// How long an answer is waited for after the last packet.
    private static let patience = Duration.milliseconds(1_100)

    static func start(_ drawing: TopologyDrawing, _ form: FormFields, for handler: RequestHandler) {
        let desk = handler.desk
        guard desk.traces < Desk.mostTraces else {
            return handler.problem(
                .serviceUnavailable, "\(Desk.mostTraces) traces run already", hint: "wait until one of them has ended")
        }
        let count = form.number("count", 1...TraceForm.mostPackets, otherwise: 5)
        let seconds = form.number("seconds", 1...TraceForm.mostSeconds, otherwise: 20)
        let options = LiveTraces.Options(
            selection: TraceSelection(first: count, from: form["from"], service: form["service"], via: form["via"]),
            filter: form["filter"].map { String($0.prefix(1000)) })
        let isScript = form["as"] == "events"
        desk.traces += 1
        let own = NIOLoopBound(handler, eventLoop: desk.hub.eventLoop)
        let (loop, client, course) = (desk.hub.eventLoop, desk.client, Course())
        handler.gone = { course.isEnding.store(true, ordering: .relaxed) }
        let work: @Sendable () -> Void = {
            do throws(ApplianceError) {
                let traces = try LiveTraces(client, options)
                loop.execute {
                    own.value.begin(type: isScript ? "text/event-stream; charset=utf-8" : "text/plain; charset=utf-8")
                }
                let sentence = follow(traces, until: monotonicTime() + .seconds(seconds), most: count, course) {
                    trace in
                    let bytes = isScript ? event(trace, drawing) : text(trace)
                    do { try loop.flatSubmit { own.value.write(bytes) }.wait() } catch {
                        course.isEnding.store(true, ordering: .relaxed)
                    }
                }
                loop.execute {
                    own.value.desk.traces -= 1
                    own.value.gone = nil
                    let line = (try? JSONLine.encode([sentence])) ?? []
                    own.value.write(
                        isScript ? Array("event: end\ndata: ".utf8) + line + [10] : Array("\(sentence)\n".utf8))
                    own.value.end()
                }
            } catch {
                let shown = error
                loop.execute {
                    own.value.desk.traces -= 1
                    own.value.gone = nil
                    own.value.problem(
                        shown.status == .usage || shown.status == .name ? .badRequest : .serviceUnavailable,
                        ([shown.message] + shown.details).joined(separator: "; "), hint: shown.hint)
                }
            }
        }
        do throws(ApplianceError) { try startThread(work) } catch {
            desk.traces -= 1
            handler.problem(.serviceUnavailable, error.message, hint: error.hint)
        }
    }

    /// Follows packets to the end of the trace, and says why it ended.
    private static func follow(
        _ traces: LiveTraces, until end: MonotonicTime, most: Int, _ course: Course, _ show: (PacketTrace) -> Void
    ) -> String {
        var shown = 0
        var answersUntil: MonotonicTime?
        do throws(ApplianceError) {
            while !traces.isOver, !course.isEnding.load(ordering: .relaxed), monotonicTime() < end {
                if traces.isFull {
                    let until = answersUntil ?? monotonicTime() + patience
                    answersUntil = until
                    if monotonicTime() >= until { break }
                }
                // Each packet that was asked for may have an answer.
                for trace in try traces.next(within: .milliseconds(20)) where shown < 4 * most {
                    show(trace)
                    shown += 1
                }
            }
            for trace in traces.finish() where shown < 4 * most {
                show(trace)
                shown += 1
            }
        } catch {
            return "The trace ended early: \(error.message). \(Plural.counted(shown, "packet")) shown."
        }
        let reason = traces.isOver ? "The topology went away. " : ""
        return "\(reason)The trace has ended: \(Plural.counted(shown, "packet")) shown."
    }

    private static func text(_ trace: PacketTrace) -> [UInt8] {
        Array((TraceText.lines(trace, width: 100).joined(separator: "\n") + "\n\n").utf8)
    }

    private static func event(_ trace: PacketTrace, _ drawing: TopologyDrawing) -> [UInt8] {
        let boxes = Dictionary(
            drawing.boxes.enumerated().flatMap { index, box in box.nodes.map { ($0, index) } }
        ) { first, _ in first }
        let bars = Dictionary(drawing.bars.enumerated().map { ($1.name, $0) }) { first, _ in first }
        let hops = trace.hops.map { hop -> Shown.Hop in
            var arrows: [Int] = []
            for copy in hop.copies {
                guard let from = boxes[hop.from], let to = boxes[copy.to], let received = bars[hop.interface],
                    let send = bars[copy.interface]
                else { continue }
                let found = drawing.arrows.firstIndex {
                    $0.from == from && $0.to == to && $0.receivedBar == received && $0.sendBar == send
                        && (hop.entry.map($0.entries.contains) ?? true)
                }
                if let found, !arrows.contains(found) { arrows.append(found) }
            }
            let targets = hop.copies.map { "\($0.to) by \($0.interface)" }.joined(separator: ", ")
            let inside = hop.inside.map { " after \(TraceText.time($0)) inside" } ?? ""
            let fate = hop.drop.map { "dropped: \($0)" } ?? "to \(targets.isEmpty ? "nobody" : targets)"
            return Shown.Hop(
                arrows: arrows,
                text: "+\(TraceText.time(hop.at)) from \(hop.from)\(inside) on \(hop.interface), "
                    + "\(hop.entry.map { "entry \($0), " } ?? "")\(fate)")
        }
        let shown = Shown(
            title: "\(trace.packet.protocol) \(trace.packet.ends)"
                + (trace.direction.map { ", \($0)" } ?? ""), end: trace.end.sentence, hops: hops)
        guard let line = try? JSONLine.encode(shown) else { return [] }
        return Array("event: trace\ndata: ".utf8) + line + [10]
    }
}
