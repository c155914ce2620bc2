import Engine
import Forwarding
import Wire

/// Follows packets through a topology by the heads of the frames that its engines read and wrote.
///
/// Captured frames go in, finished traces come out. A packet is known again by what no chain rewrites. What the engine
/// decided is computed again from the frame and the table; what it wrote is what the records of sent frames say. Its
/// memory is bounded: if too many packets are under way, the oldest are given up and counted.
///
/// Time is what the records say. A tracer that gets no more records is told the time by `advance(to:)`.
package struct PacketTracer: ~Copyable {
    /// The bounds of a tracer.
    package struct Limits: Sendable, Hashable {
        /// How long a packet may stay in one place before it counts as lost there.
        package var stay: Duration
        /// How much later than others a worker's records may come.
        package var reorder: Duration
        /// The most packets under way.
        package var open: Int

        /// Memberwise.
        package init(stay: Duration = .seconds(1), reorder: Duration = .milliseconds(5), open: Int = 16_384) {
            self.stay = stay
            self.reorder = reorder
            self.open = max(1, open)
        }
    }

    /// Why engines may not copy a packet any more that an application has changed.
    package enum Blindness: Sendable, Hashable {
        /// They copy what a filter matches.
        case filter
        /// They copy a share of all flows.
        case sample
    }

    /// What a tracer has counted.
    package struct Counts: Codable, Sendable, Hashable {
        /// Records taken.
        package var records: UInt64 = 0
        /// Records that the engines' rings had no room for.
        package var lost: UInt64 = 0
        /// Packets that were given up because too many were under way.
        package var evicted: UInt64 = 0
        /// Frames that the engine wrote, and of which no beginning was seen.
        package var strays: UInt64 = 0
        /// Finished traces.
        package var traces: UInt64 = 0
    }

    let limits: Limits
    var counts = Counts()
    private var reader = FrameReader()
    private var window: ReorderWindow
    private var tables: [UInt64: TracedTable] = [:]
    private var newest: UInt64 = 0
    /// The nodes of all versions of the table.
    private var numbers: [String: Int] = [:]
    var flights: [UInt64: Flight] = [:]
    var room = WaitingRoom()
    var questions: Questions
    var lost = LostRecords()
    var origins: [Origin: Flight] = [:]
    var recent: RecentExits
    /// For each node, when it last sent a fragment of a datagram that is not known to have come to it.
    var looseFragments: [Int: UInt64] = [:]
    /// For each node, the packet that came to it last.
    var lastInto: [Int: (flight: UInt64, time: UInt64)] = [:]
    var nextFlight: UInt64 = 1
    var nextStage: UInt64 = 1
    var now: UInt64 = 0
    /// Packets that the engine has dropped or taken for itself, with the time.
    var endings: [(time: UInt64, flight: Flight)] = []
    private var deadlines: [(time: UInt64, flight: UInt64)] = []
    private var firstDeadline = 0
    var finished: [PacketTrace] = []
    var texts = FlowTexts()
    /// For the number of each node, its place.
    var nodePlaces: [[WaitingPlace]] = []
    /// Why the engine drops the frame at hand before it asks the table; nil if that was not asked yet.
    var refusal: DropReason??
    /// Says of a packet's first frame whether the packet is wanted; nil: every packet is.
    let wants: ((CapturedFrame) -> Bool)?
    /// Why packets may be lost from sight where applications change them; nil: they cannot.
    package var blindness: Blindness?
    /// The numbers of packets under way, or just finished, that are not wanted.
    var unwanted: Set<UInt64> = []

    /// Where the fragments of a datagram begin.
    struct Origin: Hashable {
        var interface: Int
        var source: MACAddress
        var flow: FlowFields
        var identification: UInt32
    }

    /// A tracer without a table; see `take(_:generation:network:)`.
    ///
    /// - Parameter wants: Says of a packet's first frame whether the packet is wanted; see `isWanted(_:)`.
    package init(_ limits: Limits = Limits(), wants: ((CapturedFrame) -> Bool)? = nil) {
        self.limits = limits
        self.wants = wants
        window = ReorderWindow(
            window: UInt64(clamping: limits.reorder.wholeNanoseconds), capacity: max(1_024, limits.open))
        questions = Questions(capacity: max(1_024, limits.open))
        recent = RecentExits(capacity: max(1_024, limits.open))
    }

    /// Knows a version of the table from now on. The last sixteen versions are kept.
    ///
    /// - Parameter network: The words for it.
    /// - Throws: `SnapshotError` or `EngineError` if an engine would not take the table.
    package mutating func take(_ image: TableImage, network: TracedNetwork) throws {
        let generation = image.generation
        for node in network.nodes where numbers[node.name] == nil { numbers[node.name] = numbers.count }
        tables[generation] = try TracedTable(
            image, network: network, numbers: network.nodes.map { numbers[$0.name] ?? 0 })
        newest = max(newest, generation)
        if tables.count > 16, let oldest = tables.keys.min() { tables[oldest] = nil }
    }

    /// Compiles a table and knows it from now on, as `take(_:network:)` does.
    ///
    /// - Throws: `TableError`, `SnapshotError` or `EngineError` if an engine would not take the table.
    package mutating func take(_ table: ForwardingTable, generation: UInt64, network: TracedNetwork) throws {
        let image = try TableCompiler.compile(table, generation: generation)
        try take(TableImage(table: image, groups: nil, generation: generation), network: network)
    }

    /// Takes a captured frame of a running topology.
    package mutating func add(_ frame: CapturedFrame) {
        add(frame, worker: frame.worker, sequence: frame.sequence, generation: frame.generation)
    }

    /// Takes a captured frame.
    ///
    /// - Parameters:
    ///   - worker: Who captured it: a number that no other worker of any engine has.
    ///   - sequence: The number of the record among the worker's. A gap means lost records.
    ///   - generation: The table that the worker decided by; an unknown one stands for the newest.
    package mutating func add(_ frame: CapturedFrame, worker: Int, sequence: UInt64, generation: UInt64) {
        counts.records += 1
        lost.note(worker: worker, sequence: sequence, time: frame.time.nanoseconds)
        window.insert(.init(frame: frame, worker: worker, sequence: sequence, generation: generation))
        drain()
    }

    /// Lets time pass without records.
    package mutating func advance(to time: MonotonicTime) {
        window.advance(to: time.nanoseconds)
        drain()
        let settled = time.nanoseconds - min(time.nanoseconds, window.window)
        if settled > now { now = settled }
        expire()
    }

    /// Records from the last one to a time were given up.
    package mutating func missed(before time: MonotonicTime) { lost.missed(before: time.nanoseconds) }

    /// Ends: takes all records that wait, and ends every trace with what is known.
    package mutating func finish() {
        drain(all: true)
        for flight in flights.values.sorted(by: { $0.id < $1.id }) { settle(flight, isExpired: true) }
    }

    /// Removes and returns the finished traces, in the order of their ends.
    package mutating func takeFinished() -> [PacketTrace] {
        defer { finished = [] }
        return finished
    }

    /// Whether the packet of a trace that was just taken is wanted by its first frame.
    package mutating func isWanted(_ trace: PacketTrace) -> Bool { unwanted.remove(trace.id) == nil }

    /// What was counted so far.
    package var totals: Counts {
        var totals = counts
        totals.lost = lost.count
        return totals
    }

    /// The number of packets under way.
    package var open: Int { flights.count }

    private mutating func drain(all: Bool = false) {
        while let record = window.take(all: all) {
            now = max(now, record.frame.time.nanoseconds)
            process(record)
            expire()
        }
    }

    func table(_ generation: UInt64) -> TracedTable? { tables[generation] ?? tables[newest] }

    private mutating func process(_ record: ReorderWindow.Record) {
        let frame = record.frame
        guard let table = table(record.generation), table.has(frame.interface) else {
            counts.strays += 1
            return
        }
        refusal = nil
        let reading = reader.read(frame)
        let fields = reader.fields
        switch (reading, frame.direction) {
        case (.packets(let packets), .received):
            for packet in packets { received(packet, fields, record, table) }
        // A write that failed left nothing behind: the copy is missing, and why is known.
        case (.packets(let packets), .sent) where frame.failure != 0:
            for packet in packets { failed(packet, fields, frame) }
        case (.packets(let packets), .sent):
            for packet in packets { sent(packet, fields, record, table) }
        // An impaired link lost it before the engine saw it.
        case (.neighbour, .received) where frame.failure != 0, (.unread, .received) where frame.failure != 0: break
        case (.neighbour, .received), (.unread, .received): unread(fields, record, table)
        case (.neighbour, .sent), (.unread, .sent): break
        }
    }

    // MARK: - Time

    mutating func watch(_ flight: Flight) {
        deadlines.append((now + stay, flight.id))
        guard flights.count > limits.open else { return }
        while firstDeadline < deadlines.count, flights.count > limits.open {
            let oldest = flights[deadlines[firstDeadline].flight]
            firstDeadline += 1
            guard let oldest else { continue }
            guard !oldest.isEnding else {
                settle(oldest, isExpired: true)
                continue
            }
            counts.evicted += 1
            oldest.notes.append("Too many packets were under way, so this one was followed no further.")
            settle(oldest, isExpired: true, isEvicted: true)
        }
        compact()
    }

    var stay: UInt64 { UInt64(clamping: max(.zero, limits.stay).wholeNanoseconds) }

    /// How long an answer of the engine is waited for, in nanoseconds.
    private static let answering: UInt64 = 10_000_000

    private mutating func expire() {
        let ended = endings.firstIndex { $0.time + Self.answering >= now } ?? endings.count
        if ended > 0 {
            let over = endings.prefix(ended).map(\.flight)
            endings.removeFirst(ended)
            for flight in over { settle(flight, isExpired: true) }
        }
        while firstDeadline < deadlines.count, deadlines[firstDeadline].time < now {
            let id = deadlines[firstDeadline].flight
            firstDeadline += 1
            guard let flight = flights[id] else { continue }
            if flight.last + stay < now {
                settle(flight, isExpired: true)
            } else {
                deadlines.append((flight.last + stay, id))
            }
        }
        compact()
        let kept = 3 * stay + window.window
        lost.forget(before: now - min(now, kept))
        recent.forget(before: now - min(now, stay))
    }

    private mutating func compact() {
        guard firstDeadline > 4_096 else { return }
        deadlines.removeFirst(firstDeadline)
        firstDeadline = 0
    }
}
