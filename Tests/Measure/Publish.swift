import CLinux
import Engine
import Forwarding
import Synchronization
import Wire

/// Prints how long forwarding stands still while a table of a million entries is published, and while nothing is: a worker
/// goes round without end on one thread, another one maps, checks and hands over a table and unmaps the one before, as the
/// engine's main thread does. One line of JSON for each kind, of several rounds.
///
/// A turn forwards 64 frames, so its length says how long a frame waits that comes in its midst. Where the machine has
/// other work for its processors, what `none` prints beside is the machine's own.
public func measurePublish() throws {
    let entries = 1_000_000
    var random = Draw(state: 3)
    let table = LookupCase.hosts4.table(entries, &random)
    let layout = CounterLayout(workers: 2, interfaces: 1, entries: entries)
    let descriptors = try (1...2).map { generation -> (Int32, Int) in
        let bytes = try TableCompiler.compile(table, generation: UInt64(generation))
        return (
            try bytes.withUnsafeBytes { bytes throws(EngineError) in try SharedMapping.makeTable(bytes) }, bytes.count
        )
    }
    let worker = PacedWorker(try publication(descriptors[0], counters(layout), layout, rests: false), layout)
    var number = 0
    for kind in ["none", "table, without a rest", "table"] {
        let publishes = kind != "none"
        let rests = kind == "table"
        // As the engine's main thread has them.
        if rests { _ = clinux_take_short_slices(100_000) }
        var longest: [Double] = []
        var typical: [Double] = []
        var published: [Double] = []
        for _ in 0..<15 {
            worker.beginRound()
            let start = MonotonicTime.now.nanoseconds
            if publishes {
                number += 1
                let next = try publication(descriptors[number % 2], counters(layout), layout, rests: rests)
                worker.handOver(next, rests: rests)
                published.append(Double(MonotonicTime.now.nanoseconds - start) / 1e6)
            } else {
                usleep(60_000)
            }
            let round = worker.endRound()
            longest.append(Double(round.longest) / 1e3)
            typical.append(Double(round.total) / Double(max(1, round.turns)) / 1e3)
        }
        longest.sort()
        print(
            "{\"entries\":\(entries),\"publication\":\"\(kind)\""
                + ",\"turn_microseconds\":\(short(typical.sorted()[7]))"
                + ",\"longest_turn_microseconds\":{\"least\":\(short(longest[0])),\"median\":\(short(longest[7]))"
                + ",\"greatest\":\(short(longest[14]))}"
                + (publishes ? ",\"publication_milliseconds\":\(short(published.sorted()[7]))}" : "}"))
    }
    worker.end()
    for (descriptor, _) in descriptors { close(descriptor) }
}

/// Fresh counters: the worst case, in which the worker touches pages that nobody has touched.
private func counters(_ layout: CounterLayout) throws -> UnsafeMutableRawPointer {
    let descriptor = try SharedMapping.makeCounters(layout)
    defer { close(descriptor) }
    return try SharedMapping(mapping: descriptor, size: layout.size, writable: true).leak()
}

/// Maps and checks a table.
private func publication(
    _ table: (descriptor: Int32, size: Int), _ counters: UnsafeMutableRawPointer, _ layout: CounterLayout,
    rests: Bool
) throws -> Publication {
    let mapping = try SharedMapping(mapping: table.descriptor, size: table.size, writable: false)
    let snapshot = try Snapshot(
        validating: UnsafeRawBufferPointer(start: mapping.base, count: mapping.size),
        resting: { if rests { SharedMapping.rest() } })
    let published = try PublishedTable(snapshot: snapshot, counters: counters, layout: layout)
    return Publication(table: published, size: mapping.size, base: mapping.leak())
}

/// A table and what it is mapped at.
private final class Publication: Sendable {
    let table: PublishedTable
    let size: Int
    nonisolated(unsafe) let base: UnsafeMutableRawPointer

    init(table: PublishedTable, size: Int, base: UnsafeMutableRawPointer) {
        self.table = table
        self.size = size
        self.base = base
    }
}

/// A worker on a thread of its own, and the lengths of its turns.
private final class PacedWorker: @unchecked Sendable {
    /// The lengths of turns, in nanoseconds.
    struct Round {
        var turns = 0
        var total: UInt64 = 0
        var longest: UInt64 = 0
    }

    private let next = Atomic<UInt>(0)
    private let rounds = Atomic<Int>(0)
    private let ended = Atomic<Int>(0)
    private let isEnding = Atomic<Bool>(false)
    private var round = Round()
    private var current: Publication
    private let layout: CounterLayout
    private var thread = pthread_t()

    init(_ first: Publication, _ layout: CounterLayout) {
        current = first
        self.layout = layout
        let context = Unmanaged.passRetained(self).toOpaque()
        pthread_create(
            &thread, nil,
            { context in
                Unmanaged<PacedWorker>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, context)
    }

    /// Starts to note the lengths of turns.
    func beginRound() { rounds.store(rounds.load(ordering: .relaxed) + 1, ordering: .sequentiallyConsistent) }

    /// Hands over a table; returns when the worker decides by it and the one before is unmapped.
    func handOver(_ publication: Publication, rests: Bool) {
        let before = current
        current = publication
        next.store(UInt(bitPattern: Unmanaged.passUnretained(publication).toOpaque()), ordering: .releasing)
        while next.load(ordering: .acquiring) != 0 { usleep(50) }
        for (base, size) in [(before.base, before.size), (before.table.counters, layout.size)] {
            if rests { SharedMapping.unmap(base, size: size) } else { munmap(base, size) }
        }
    }

    /// Ends the round, and returns what was noted.
    func endRound() -> Round {
        rounds.store(rounds.load(ordering: .relaxed) + 1, ordering: .sequentiallyConsistent)
        let number = rounds.load(ordering: .relaxed)
        while ended.load(ordering: .acquiring) != number { usleep(100) }
        return round
    }

    /// Ends the thread.
    func end() {
        isEnding.store(true, ordering: .releasing)
        pthread_join(thread, nil)
    }

    private func run() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: NeighbourTable.memorySize, alignment: 4_096)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: NeighbourTable.memorySize)
        let neighbours = NeighbourTable(memory: memory)
        neighbours.initialize()
        var worker = Worker(
            io: ReplayFrameIO(interface: 0, frames: Self.frames), table: current.table, neighbours: neighbours,
            worker: 0)
        var noted = Round()
        var last = MonotonicTime.now.nanoseconds
        while !isEnding.load(ordering: .relaxed) {
            let number = rounds.load(ordering: .acquiring)
            if number != ended.load(ordering: .relaxed) {
                if number % 2 == 0 { round = noted }
                noted = Round()
                ended.store(number, ordering: .releasing)
                last = MonotonicTime.now.nanoseconds
            }
            let address = next.load(ordering: .acquiring)
            if let pointer = UnsafeRawPointer(bitPattern: address) {
                worker.take(Unmanaged<Publication>.fromOpaque(pointer).takeUnretainedValue().table)
                next.store(0, ordering: .releasing)
            }
            worker.replay(turns: 1)
            let now = MonotonicTime.now.nanoseconds
            noted.turns += 1
            noted.total += now - last
            noted.longest = max(noted.longest, now - last)
            last = now
        }
        memory.deallocate()
    }

    /// 64 UDP datagrams to service addresses all over the table.
    private static var frames: [[UInt8]] {
        var random = Draw(state: 11)
        return (0..<64).map { _ in
            let number = random.below(1_000_000)
            let octets = [UInt8](repeating: 0, count: VirtioNetHeader.length)
            let ethernet: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0]
            let destination = [10, UInt8(number >> 16), UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)]
            let header: [UInt8] = [0x45, 0, 0, 60, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1] + destination
            var sum = stride(from: 0, to: 20, by: 2).reduce(0) { $0 + Int(header[$1]) << 8 + Int(header[$1 + 1]) }
            sum = (sum & 0xFFFF) + sum >> 16
            sum = ~((sum & 0xFFFF) + sum >> 16) & 0xFFFF
            var packet = header
            (packet[10], packet[11]) = (UInt8(sum >> 8), UInt8(sum & 0xFF))
            let tcp: [UInt8] = [0xC3, 0x50, 1, 0xBB] + [0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]
            return octets + ethernet + packet + tcp + [UInt8](repeating: 0, count: 20)
        }
    }
}
