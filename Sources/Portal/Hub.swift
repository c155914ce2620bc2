import ControlAPI
import EventLoop
import Metrics
import NIOCore
import Reporting

/// A browser that follows the page.
protocol Viewer: AnyObject {
    /// Takes a message. A viewer that does not read loses its connection here: nothing waits for it without bound.
    func take(_ message: [UInt8])
}

/// All that the page shows now, and those who follow it. On the event loop.
///
/// Whatever happens in the topology, it holds a bounded amount: one sample and the one before, ten minutes of rates, and the
/// last events.
final class Hub {
    /// How many events are kept.
    static let mostEvents = 500

    fileprivate let loop: any NIOCore.EventLoop
    /// The topology.
    let name: String
    private(set) var sample: Sample?
    private(set) var rates: RateReport?
    private(set) var history = RateHistory()
    private(set) var drawing: (version: Int, drawing: TopologyDrawing)?
    /// Why the topology is not seen now, for a person; nil while it is.
    private(set) var trouble: String? = "nothing is known yet"
    private(set) var picture = Fragment()
    private(set) var tables = Fragment()
    /// The number of the page's structure: it rises when more than texts change.
    private(set) var build = 1
    private var happened: [(number: Int, text: String)] = []
    private(set) var lastEvent = 0
    private var viewers: [ObjectIdentifier: any Viewer] = [:]

    init(_ loop: any NIOCore.EventLoop, name: String) {
        self.loop = loop
        self.name = name
    }

    // MARK: - News of the topology

    /// Takes a sample, and the picture if there is another one.
    func take(_ fresh: Sample, _ answer: DrawingAnswer?) {
        loop.preconditionInEventLoop()
        let before = shown
        if let sample, sample.status.run != fresh.status.run { history.clear() }
        rates = sample.flatMap { RateReport(from: $0, to: fresh) }
        if let rates { history.take(rates) }
        sample = fresh
        trouble = nil
        if let answer, let fresh = answer.drawing { drawing = (answer.version, fresh) }
        render(before)
    }

    /// The topology is not seen now.
    func lose(_ reason: String) {
        loop.preconditionInEventLoop()
        let before = shown
        trouble = reason
        rates = nil
        tell(before)
    }

    /// Events happened.
    func take(_ events: [ApplianceEvent]) {
        loop.preconditionInEventLoop()
        guard !events.isEmpty else { return }
        for event in events {
            lastEvent += 1
            happened.append((lastEvent, event.text))
        }
        if happened.count > Self.mostEvents { happened.removeFirst(happened.count - Self.mostEvents) }
        let fresh = happened.suffix(events.count)
        broadcast(Self.happenedMessage(Array(fresh)))
    }

    // MARK: - What is shown

    /// The state of the topology: a word for the style sheet, a sentence for people.
    var state: (word: String, text: String) {
        if let trouble { return ("down", "\(name) is not seen: \(trouble). This page waits for it.") }
        guard let sample else { return ("down", "nothing is known yet") }
        let problems = sample.status.problems
        guard problems.isEmpty else {
            return ("warn", "\(sample.status.state.rawValue); \(problems.joined(separator: "; "))")
        }
        let engines = "\(Plural.counted(sample.status.engines.count, "engine"))"
        let dropped = sample.status.drops.reduce(0) { $0 + $1.frames }
        return (
            sample.status.state == .up ? "up" : "warn",
            "\(sample.status.state.rawValue), \(Plural.nodes(sample.status.nodes.count)), \(engines), table "
                + "\(sample.tableVersion), \(Plural.counted(Int(clamping: dropped), "frame")) dropped"
        )
    }

    private struct Shown {
        var state: (word: String, text: String)
        var picture: Fragment
        var tables: Fragment
    }
    private var shown: Shown { Shown(state: state, picture: picture, tables: tables) }

    private func render(_ before: Shown) {
        guard let sample else { return }
        var tables = Fragment()
        Tables(sample: sample, rates: rates).add(to: &tables)
        self.tables = tables
        var picture = Fragment()
        if let drawing {
            let byName = Dictionary((rates?.rows ?? []).filter { $0.kind == .entry }.map { ($0.name, $0) }) {
                first, _ in
                first
            }
            Picture(drawing: drawing.drawing, version: drawing.version, status: sample.status, rates: byName)
                .add(to: &picture)
        }
        self.picture = picture
        tell(before)
    }

    /// Tells the viewers what differs.
    private func tell(_ before: Shown) {
        var values = tables.changes(since: before.tables).merging(picture.changes(since: before.picture)) { $1 }
        values.merge(stateValues) { $1 }
        var parts: [String: String] = [:]
        if !picture.isLike(before.picture) { parts["picture"] = picture.html }
        if !tables.isLike(before.tables) { parts["lists"] = tables.html }
        if !parts.isEmpty {
            build += 1
            broadcast(Self.message("parts", ["build": "\(build)"].merging(parts) { $1 }))
        }
        broadcast(Self.message("values", values))
    }

    private var stateValues: [String: String] { ["state.word": state.word, "state.text": state.text] }

    /// The last events, newest first, and the number of the newest.
    var events: (lines: [String], last: Int) { (happened.reversed().map(\.text), lastEvent) }

    // MARK: - Viewers

    /// How many browsers follow.
    var viewerCount: Int { viewers.count }

    /// A browser follows from now on.
    ///
    /// - Parameters:
    ///   - known: The number of the structure that it has.
    ///   - event: The number of the last event that it has.
    func add(_ viewer: any Viewer, known: Int?, after event: Int) {
        loop.preconditionInEventLoop()
        viewers[ObjectIdentifier(viewer)] = viewer
        if known != build {
            viewer.take(
                Self.message("parts", ["build": "\(build)", "picture": picture.html, "lists": tables.html]))
        }
        viewer.take(
            Self.message("values", tables.values.merging(picture.values) { $1 }.merging(stateValues) { $1 }))
        // A number from the future is of another process than this one.
        let missed = event > lastEvent ? happened : happened.filter { $0.number > event }
        if !missed.isEmpty { viewer.take(Self.happenedMessage(missed)) }
    }

    /// A browser is gone.
    func remove(_ viewer: any Viewer) {
        loop.preconditionInEventLoop()
        viewers[ObjectIdentifier(viewer)] = nil
    }

    private func broadcast(_ message: [UInt8]) { for viewer in Array(viewers.values) { viewer.take(message) } }

    private static func message(_ kind: String, _ values: [String: String]) -> [UInt8] {
        // JSON of texts has no ends of lines, and its own is the message's.
        let line = (try? JSONLine.encode(values)) ?? []
        return Array("event: \(kind)\ndata: ".utf8) + line + [10]
    }

    private static func happenedMessage(_ events: [(number: Int, text: String)]) -> [UInt8] {
        guard let last = events.last, let line = try? JSONLine.encode(events.map(\.text)) else { return [] }
        return Array("id: \(last.number)\nevent: happened\ndata: ".utf8) + line + [10]
    }
}

extension Hub {
    /// The loop that everything here runs on.
    var eventLoop: any NIOCore.EventLoop { loop }

    /// The future of a write to a connection that is gone.
    func failed() -> EventLoopFuture<Void> { loop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
}
