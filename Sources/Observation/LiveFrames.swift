import ApplianceClient
import ControlAPI
import Engine
import EventLoop
import Fabric
import Reporting
import Tracing
import Wire

/// The frames of a running topology that one capture or trace wants, as they come.
///
/// They come from shared memory. A caller that does not read loses frames (`lost`), and holds up nobody. One that is paced leaves
/// the processors to the packets where it cannot keep up with them (`ReaderPace`).
package final class LiveFrames {
    /// What came.
    package enum News {
        /// Frames in the order of their times; empty if none came within the time.
        case frames([CapturedFrame])
        /// Another table is in force, or the same one by other names: frames may name it from now on.
        case table(TableImage, isNamedAnew: Bool)
        /// The topology goes away.
        case end
    }

    /// The table that was in force at the beginning.
    package let table: TableImage
    /// What was captured before this time was given, or is counted as lost.
    package private(set) var horizon = MonotonicTime(nanoseconds: 0)
    private let connection: CaptureConnection
    private let feed: CaptureFeed
    private let isPaced: Bool
    private var pace = ReaderPace()
    private var spare = SpareProcessors()
    private var phase = Phase.free
    private var lostBefore: UInt64 = 0
    /// The generation of the newest table that the caller knows, and the version of the plan that named it.
    private var newest: UInt64
    private var version: Int
    /// Frames that wait for a table that they name.
    private var held: (frames: [CapturedFrame], horizon: MonotonicTime)?

    /// What a paced reader does.
    private enum Phase {
        /// It reads all.
        case free
        /// It reads the span from a time on; `own` is the thread's processor time then.
        case span(from: MonotonicTime, own: Duration)
        /// It reads nothing until then.
        case rest(until: MonotonicTime)
    }

    /// True while this reader, which is paced, cannot keep up and leaves frames out.
    package var isBehind: Bool { pace.allowance != nil }

    /// How long the rings are left alone after a reading. Each reading takes the processor and its caches from whoever has them, so
    /// few large ones cost a busy machine less than many small ones. An engine at full speed fills no ring within the longest.
    private static func pause(after fullness: Double) -> Duration {
        fullness < 1 / 32 ? .milliseconds(20) : fullness < 1 / 8 ? .milliseconds(5) : .zero
    }
    private var nextReading = monotonicTime()

    /// How long a worker may take from reading its clock to writing a record, in nanoseconds.
    private static let settling: UInt64 = 3_000_000

    /// Begins to copy, and waits until every engine does.
    ///
    /// - Parameter isPaced: Leaves frames out where the caller cannot keep up.
    /// - Throws: `ApplianceError` if no such topology runs, or if its control process refuses.
    package init(
        _ client: ApplianceClient, _ request: CaptureRequest, isPaced: Bool = false
    ) throws(ApplianceError) {
        self.isPaced = isPaced
        connection = try client.capture(request)
        guard
            let feed = CaptureFeed(
                rings: connection.rings.bytes, count: connection.ringCount, number: connection.number)
        else {
            throw ApplianceError(
                .failed, "the control process of '\(client.directory.name)' sent rings of another size")
        }
        self.feed = feed
        table = Self.image(connection.table)
        (newest, version) = (connection.table.generation, connection.table.version)
    }

    /// How long frames wait for a table that they name: its news were sent before it was in force.
    private static let patience = Duration.seconds(1)

    /// Frames that were overwritten before they were read.
    package var lost: UInt64 { feed.lost }

    /// The next frames that were captured before a time, without waiting; empty if all were given.
    package func rest(before time: MonotonicTime) -> [CapturedFrame] {
        defer { held = nil }
        return (held?.frames ?? []) + feed.frames(before: time)
    }

    /// Counts the frames that were overwritten by now; what was not read is given up.
    package func giveUp() { _ = feed.frames(before: .now) }

    /// What came next.
    ///
    /// - Parameter time: How long to wait while nothing comes.
    /// - Throws: `ApplianceError` if the control process answers with an error.
    package func next(within time: Duration) throws(ApplianceError) -> News {
        if let held {
            self.held = nil
            return try told(held.frames, before: held.horizon)
        }
        if case .rest(let end) = phase {
            let left = end - MonotonicTime.now
            if left > .zero { return try news(within: min(left, time)) ?? .frames([]) }
            feed.giveUp()
            phase = .span(from: .now, own: SpareProcessors.own)
        }
        if let news = try news(within: max(.zero, nextReading - monotonicTime())) { return news }
        var horizon = MonotonicTime(nanoseconds: MonotonicTime.now.nanoseconds - Self.settling)
        if case .span(let start, _) = phase { horizon = min(horizon, start + ReaderPace.span) }
        let frames = feed.frames(before: horizon)
        nextReading = monotonicTime() + Self.pause(after: feed.fullness)
        if isPaced, !isOver { keepPace(isEmpty: frames.isEmpty, before: horizon) }
        guard frames.isEmpty else { return try told(frames, before: horizon) }
        self.horizon = horizon
        guard !isOver else { return .end }
        return try news(within: time) ?? .frames([])
    }

    /// Frames, or first the news of a table that they name.
    private func told(_ frames: [CapturedFrame], before horizon: MonotonicTime) throws(ApplianceError) -> News {
        if let last = frames.lazy.map(\.generation).max(), last > newest {
            switch try news(within: Self.patience) {
            case .table(let image, let isNamedAnew)?:
                held = (frames, horizon)
                return .table(image, isNamedAnew: isNamedAnew)
            case .frames(let more)?: return .frames(frames + more)
            case .end?, nil: newest = last
            }
        }
        self.horizon = horizon
        return .frames(frames)
    }

    /// Begins to leave frames out where some were lost, and rests where a span was read.
    private func keepPace(isEmpty: Bool, before horizon: MonotonicTime) {
        let measured = spare.measured()
        switch phase {
        case .free:
            guard feed.lost > lostBefore else { return }
            pace.lost(spare: measured)
            feed.giveUp()
            phase = .span(from: .now, own: SpareProcessors.own)
        case .span(let start, let own):
            guard isEmpty, horizon >= start + ReaderPace.span else { return }
            let work = SpareProcessors.own - own
            lostBefore = feed.lost
            guard let rest = pace.rest(after: ReaderPace.span, work: work, spare: measured) else {
                phase = .free
                return
            }
            phase = .rest(until: .now + rest)
        case .rest: break
        }
    }

    /// What came over the connection; nil if nothing did within the time, or if the topology had already gone.
    ///
    /// - Throws: `ApplianceError` if the control process answers with an error.
    package func news(within time: Duration) throws(ApplianceError) -> News? {
        guard !isOver else { return nil }
        switch try connection.news(within: time) {
        case .nothing: return nil
        case .table(let table):
            defer { (newest, version) = (max(newest, table.generation), table.version) }
            return .table(Self.image(table), isNamedAnew: table.version != version)
        case .end:
            isOver = true
            // What engines wrote last is older than the end.
            horizon = .now
            return .frames(feed.frames(before: horizon))
        }
    }

    private var isOver = false

    private static func image(_ table: CaptureConnection.Table) -> TableImage {
        TableImage(
            table: Array(table.table.bytes), groups: table.groups.map { Array($0.bytes) },
            generation: table.generation)
    }
}
