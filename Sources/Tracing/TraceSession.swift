import Engine
import Forwarding
import Wire

/// What one reader of a topology's records wants: its packets are followed, selected and summed up.
package struct TraceSession: ~Copyable {
    private var tracer: PacketTracer
    private var selection: TraceSelection
    private var summary = TraceSummary()
    /// The numbers of the last wanted packets, whose answers are wanted, too.
    private var wanted = RecentNumbers()
    /// What nftables in nodes told; nil: nobody asked.
    package var rules: RuleTraces?
    /// Finished traces that nft may still tell something of, with the time until which they wait for it.
    private var waiting: [(trace: PacketTrace, until: MonotonicTime)] = []
    private var time = MonotonicTime(nanoseconds: 0)
    private var isFinished = false

    /// How much later than engines nft may tell of a packet.
    private static let patience = Duration.milliseconds(200)

    /// A session without a table; see `take(_:network:)`.
    ///
    /// - Parameter wants: Says of a packet's first frame whether the packet is wanted. An answer is wanted if its question
    ///   was, and what an application let out again if that was. nil: every packet is.
    package init(
        _ selection: TraceSelection = TraceSelection(), limits: PacketTracer.Limits = .init(),
        wants: ((CapturedFrame) -> Bool)? = nil
    ) {
        self.selection = selection
        tracer = PacketTracer(limits, wants: wants)
    }

    /// Knows a version of the table from now on.
    ///
    /// - Throws: `SnapshotError` or `EngineError` if an engine would not take the table.
    package mutating func take(_ image: TableImage, network: TracedNetwork) throws {
        selection.resolve(in: network)
        try tracer.take(image, network: network)
    }

    /// Takes a captured frame of a running topology.
    package mutating func add(_ frame: CapturedFrame) { tracer.add(frame) }

    /// Knows a version of the table from now on.
    ///
    /// - Throws: `TableError`, `SnapshotError` or `EngineError` if an engine would not take the table.
    package mutating func take(_ table: ForwardingTable, generation: UInt64, network: TracedNetwork) throws {
        selection.resolve(in: network)
        try tracer.take(table, generation: generation, network: network)
    }

    /// Takes a captured frame; see `PacketTracer.add`.
    package mutating func add(_ frame: CapturedFrame, worker: Int, sequence: UInt64, generation: UInt64) {
        tracer.add(frame, worker: worker, sequence: sequence, generation: generation)
    }

    /// Lets time pass without records.
    package mutating func advance(to time: MonotonicTime) {
        self.time = time
        tracer.advance(to: time)
    }

    /// Records from the last one to a time were given up.
    package mutating func missed(before time: MonotonicTime) { tracer.missed(before: time) }

    /// Ends every trace with what is known.
    package mutating func finish() {
        isFinished = true
        tracer.finish()
    }

    /// Removes and returns the finished traces that are wanted. They are in the summary from then on.
    package mutating func takeTraces() -> [PacketTrace] {
        var taken: [PacketTrace] = []
        for trace in ended() {
            guard tracer.wants != nil else {
                if selection.takes(trace) {
                    summary.add(trace)
                    taken.append(trace)
                }
                continue
            }
            let isWanted = tracer.isWanted(trace)
            // What an application let out again may have other addresses than what went in.
            let again = trace.beginning == .duplicate ? trace.follows : nil
            let isMore = [trace.answers, again].contains { $0.map { wanted.contains($0.trace) } ?? false }
            guard isWanted || isMore else { continue }
            wanted.insert(trace.id)
            guard selection.takes(trace) else { continue }
            summary.add(trace)
            taken.append(trace)
        }
        return taken
    }

    /// The traces that nothing more will be known of.
    private mutating func ended() -> [PacketTrace] {
        guard rules != nil else { return tracer.takeFinished() }
        waiting += tracer.takeFinished().map { ($0, time + Self.patience) }
        let count = isFinished ? waiting.count : waiting.firstIndex { $0.until > time } ?? waiting.count
        let ended = waiting.prefix(count).map { waiting in
            var trace = waiting.trace
            if rules != nil { trace.explain(&rules!) }
            return trace
        }
        waiting.removeFirst(count)
        for drop in rules?.takeOwnDrops() ?? [] { summary.add(own: drop) }
        return ended
    }

    /// Why packets may be lost from sight where applications change them; nil: they cannot.
    package var blindness: PacketTracer.Blindness? {
        get { tracer.blindness }
        set { tracer.blindness = newValue }
    }

    /// True if all packets that were asked for are finished; only answers to them may follow.
    package var isFull: Bool { selection.isFull }

    /// The summary of the traces that were taken, with what the tracer has counted.
    package var report: TraceSummaryReport { summary.report(tracer.totals) }
}

/// The last numbers that were put in.
struct RecentNumbers {
    private var numbers: Set<UInt64> = []
    private var order: [UInt64] = []
    private static let capacity = 16_384

    mutating func insert(_ number: UInt64) {
        guard numbers.insert(number).inserted else { return }
        order.append(number)
        guard order.count > Self.capacity else { return }
        for old in order.prefix(Self.capacity / 4) { numbers.remove(old) }
        order.removeFirst(Self.capacity / 4)
    }

    func contains(_ number: UInt64) -> Bool { numbers.contains(number) }
}

/// Shares of all flows as commands give them: `1/64`.
package enum SampleText {
    /// The largest number of flows of which one is followed.
    package static let largest = 1_000_000
    /// The hint for a text that is no share.
    package static let hint = "write 1/N, such as 1/64: one flow of N is followed; N is 1 to 1000000"

    /// Of how many flows one is followed; nil if the text is no share.
    package static func flows(_ text: some StringProtocol) -> Int? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "1", !parts[1].isEmpty,
            parts[1].utf8.allSatisfy({ (48...57).contains($0) }),
            let flows = Int(parts[1]), (1...largest).contains(flows)
        else { return nil }
        return flows
    }
}
