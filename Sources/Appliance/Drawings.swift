import ControlAPI
import EventLoop
import Plan
import Planning
import Reporting
import TopologyFiles

/// Draws the running topology, once for each of its plans. On the loop's thread.
///
/// A picture shows proved paths, so the file is proved again: beside the loop, and once for all callers.
final class Drawings {
    private let topology: RunningTopology
    private let loop: EventLoop
    private var drawn: (version: Int, result: Result<TopologyDrawing, ApplianceError>)?
    private var isDrawing = false
    private var waiting: [(DrawingRequest, ControlReply<DrawingAnswer>)] = []

    init(_ topology: RunningTopology, loop: EventLoop) {
        self.topology = topology
        self.loop = loop
    }

    /// Answers with the picture of the present plan.
    func answer(_ request: DrawingRequest, _ reply: ControlReply<DrawingAnswer>) {
        loop.preconditionCurrent()
        let version = topology.version
        if request.known == version { return reply(DrawingAnswer(version: version, drawing: nil)) }
        if let drawn, drawn.version == version { return give(drawn.version, drawn.result, to: reply) }
        waiting.append((request, reply))
        if !isDrawing { draw(version) }
    }

    private func give(
        _ version: Int, _ result: Result<TopologyDrawing, ApplianceError>, to reply: ControlReply<DrawingAnswer>
    ) {
        reply(result.map { DrawingAnswer(version: version, drawing: $0) })
    }

    private func draw(_ version: Int) {
        isDrawing = true
        let (source, plan, own, loop) = (topology.source, topology.plan, Box(self), loop)
        let work: @Sendable () -> Void = {
            let result: Result<TopologyDrawing, ApplianceError>
            do throws(TopologyError) {
                let proved = try Planner.prove(
                    source, name: plan.name, keeping: plan, changes: plan.changes, leavesPlaces: false)
                result = .success(TopologyDrawing(Diagram(proved).picture))
            } catch {
                result = .failure(
                    ApplianceError(.failed, "the topology cannot be drawn", details: ["\(error)"]))
            }
            loop.submit { own.value.finish(version, result) }
        }
        do throws(ApplianceError) { try startThread(work) } catch { work() }
    }

    private func finish(_ version: Int, _ result: Result<TopologyDrawing, ApplianceError>) {
        isDrawing = false
        drawn = (version, result)
        let asked = waiting
        waiting = []
        for (request, reply) in asked { answer(request, reply) }
    }
}

extension TopologyDrawing {
    fileprivate init(_ picture: Diagram.Picture) {
        self.init(
            width: picture.size.width, height: picture.size.height, top: picture.top,
            bars: picture.bars.map { Bar(name: $0.name, details: $0.details, x: $0.x) },
            boxes: picture.boxes.map { box in
                Box(
                    name: box.name, caption: box.caption, addresses: box.addresses, nodes: box.members,
                    isCustomer: box.isCustomer, bars: box.bars, x: box.place.x, y: box.place.y,
                    width: box.place.width, height: box.place.height)
            },
            arrows: picture.arrows.map { arrow in
                Arrow(
                    from: arrow.ends.from, to: arrow.ends.to, receivedBar: arrow.bars.received,
                    sendBar: arrow.bars.send, service: arrow.service, isResponse: arrow.isResponse,
                    isCopy: arrow.isCopy, entries: arrow.entries, course: arrow.course, labelX: arrow.label.x,
                    labelY: arrow.label.y)
            }, services: picture.services, serviceAddresses: picture.serviceAddresses)
    }
}
