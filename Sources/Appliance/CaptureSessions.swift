import ControlAPI
import Engine
import EngineControl
import EventLoop
import Forwarding
import Reporting
import Wire

/// The captures of a topology: what the engines copy is what all of them want together. On the loop's thread.
///
/// A capture lives as long as its connection. Frames go from the engines to its reader through shared memory; this process
/// touches none of them, and a reader that stalls holds up neither the engines nor another reader.
final class CaptureSessions {
    /// One capture.
    private final class Session {
        var observer: CaptureObserver
        /// Why it was refused, or nil.
        var failure: ApplianceError?
        /// True when every engine copies for it.
        var isInForce = false
        /// The generation of the newest table that its reader was told of, or will be; 0 before the first answer.
        var newest: UInt64 = 0
        /// Tables that its reader has yet to be told of, the oldest first.
        var coming: [EngineFleet.CaptureMemory] = []
        /// The version of the plan that its reader was told.
        var version = 0
        var isOver = false

        init(_ observer: CaptureObserver) { self.observer = observer }
    }

    /// The memory that an answer's descriptors are of.
    struct Source {
        var fleet: EngineFleet
        /// The names of the interfaces, in the table's order.
        var interfaces: [String]
        /// True if addresses are rewritten on the way.
        var rewrites: Bool
        /// True if engines translate service ports.
        var translates: Bool
        /// The kinds of their devices that carry circuits.
        var links: [Encapsulation.Link?]
        /// The version of the plan, which has the nodes' names.
        var version: Int
    }

    /// How many tables wait for a reader that does not read. It knows no more of them.
    private static let mostComing = 16

    private let loop: EventLoop
    /// nil while there are no engines.
    private let source: () -> Source?
    /// Asks for the streams' next lines.
    private let pump: () -> Void
    private var sessions: [Int: Session] = [:]

    init(loop: EventLoop, source: @escaping () -> Source?, pump: @escaping () -> Void) {
        self.loop = loop
        self.source = source
        self.pump = pump
    }

    /// The number of captures.
    var count: Int { sessions.count }

    /// Begins a capture.
    ///
    /// - Throws: `ApplianceError` if an interface or the filter is wrong, or if there are too many captures.
    func begin(_ request: CaptureRequest) throws(ApplianceError) -> ControlStream {
        loop.preconditionCurrent()
        guard let source = source() else {
            throw ApplianceError(.failed, "the topology has no engine now", hint: "try again when it is up")
        }
        let session = Session(try observer(request, source))
        let number = session.observer.number
        sessions[number] = session
        publish()
        return ControlStream(
            hasDescriptors: true, next: { [unowned self] in line(of: session) },
            closed: { [weak self] in self?.end(number) })
    }

    /// Engines are about to decide by another table. Readers get each one, before the first frame that names it.
    func tableChanges() {
        loop.preconditionCurrent()
        guard !sessions.isEmpty, let memory = source()?.fleet.captureMemory else { return }
        for session in sessions.values where session.newest != 0 && session.newest != memory.generation {
            session.newest = memory.generation
            session.coming.append(memory)
            if session.coming.count > Self.mostComing { session.coming.removeFirst() }
        }
        pump()
    }

    /// Another plan is the running one: readers ask for its names.
    func namesChanged() {
        loop.preconditionCurrent()
        if !sessions.isEmpty { pump() }
    }

    private func observer(_ request: CaptureRequest, _ source: Source) throws(ApplianceError) -> CaptureObserver {
        guard let number = (0..<CaptureObserver.most).first(where: { sessions[$0] == nil }) else {
            throw ApplianceError(
                .failed, "\(CaptureObserver.most) captures and traces already run",
                hint: "end one of them first")
        }
        var observer = CaptureObserver(number: number)
        for name in request.interfaces ?? [] {
            guard let index = source.interfaces.firstIndex(of: name), !TableInterface.isVacant(name) else {
                throw ApplianceError(
                    .name, "there is no interface '\(ControlText.shown(name, most: 64))'",
                    hint: "the interfaces are: "
                        + source.interfaces.filter { !TableInterface.isVacant($0) }.joined(separator: ", "))
            }
            observer.interfaces.append(index)
        }
        if request.wire == true { observer.layer = try layer(observer.interfaces, source) }
        observer.hasOuter = request.outer == true
        if request.sent == false { observer.directions.remove(.sent) }
        if request.received == false { observer.directions.remove(.received) }
        observer.sample = FlowSample(
            oneIn: UInt32(clamping: request.oneIn ?? 1), ignoresAddresses: source.rewrites,
            ignoresServicePorts: source.translates)
        observer.snapLength = request.snapLength ?? CaptureRequest.longestFrame
        guard let program = try request.program() else { return observer }
        let instructions = program.withUnsafeBytes { bytes in
            (0..<bytes.count / 8).map { index in
                ClassicBPFInstruction(
                    code: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt16.self),
                    jumpTrue: bytes[index * 8 + 2], jumpFalse: bytes[index * 8 + 3],
                    k: bytes.loadUnaligned(fromByteOffset: index * 8 + 4, as: UInt32.self))
            }
        }
        do throws(ClassicBPFError) {
            observer.filter = try ClassicBPFProgram(instructions).instructions
        } catch {
            throw ApplianceError(.usage, "\(error)", hint: "let libpcap compile the filter for Ethernet")
        }
        return observer
    }

    /// The layer of devices that carry circuits.
    private func layer(_ interfaces: [Int], _ source: Source) throws(ApplianceError) -> CaptureLayer {
        let links = interfaces.map { source.links.indices.contains($0) ? source.links[$0] : nil }
        guard let first = links.first, let link = first, links.allSatisfy({ $0 == link }) else {
            throw ApplianceError(
                .usage, "'wire' needs interfaces whose devices carry circuits, all of one kind",
                hint: "name such an interface, or leave 'wire' out")
        }
        return link == .ethernet ? .ethernet : .tun
    }

    private func end(_ number: Int) {
        guard sessions.removeValue(forKey: number) != nil else { return }
        publish()
    }

    /// Has the engines copy what all sessions want.
    private func publish() {
        guard let fleet = source()?.fleet else { return }
        let observers = sessions.values.map(\.observer).sorted { $0.number < $1.number }
        let waiting = sessions.values.filter { !$0.isInForce && $0.failure == nil }
        fleet.observe(observers) { [weak self] result in
            guard let self else { return }
            for session in waiting {
                switch result {
                case .success: session.isInForce = true
                case .failure(let error): session.failure = error
                }
            }
            if !waiting.isEmpty { pump() }
        }
    }

    private func line(of session: Session) -> ControlStream.Line? {
        guard !session.isOver else { return nil }
        if let failure = session.failure {
            session.isOver = true
            let answer = ControlAnswer<CaptureAnswer>.error(failure)
            return (try? JSONLine.encode(answer)).map { ControlStream.Line(bytes: $0, isLast: true) }
        }
        guard session.isInForce, let source = source() else { return nil }
        let isFirst = session.newest == 0
        let isNamedAnew = session.version != source.version
        let next = session.coming.isEmpty ? nil : session.coming.removeFirst()
        guard let memory = next ?? (isFirst || isNamedAnew ? source.fleet.captureMemory : nil) else { return nil }
        session.version = source.version
        session.newest = max(session.newest, memory.generation)
        let answer = CaptureAnswer(
            number: session.observer.number, rings: memory.rings, ringSize: CaptureRing.size,
            generation: memory.generation, tableSize: memory.table.size, groupsSize: memory.groups?.size ?? 0,
            version: source.version)
        guard let bytes = try? JSONLine.encode(ControlAnswer.answer(answer)) else { return nil }
        return ControlStream.Line(
            bytes: bytes,
            descriptors: (isFirst ? [memory.descriptor] : []) + [memory.table.descriptor]
                + (memory.groups.map { [$0.descriptor] } ?? []), owners: memory.owners)
    }
}
