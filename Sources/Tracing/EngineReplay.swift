import Engine
import Forwarding
import Wire

/// A worker of the engine itself over memory, which is asked again what it does with a frame.
///
/// The engine keeps nothing per flow, so the same frame and the same table give the same answer. What it has learnt of
/// neighbours is not in the table: it is given the neighbour messages that were captured. The limits on the engine's own
/// errors do not count, because time passes between two questions.
final class EngineReplay {
    /// What the engine does with a frame.
    enum Answer: Hashable {
        /// It drops the frame, or a copy of it, for this reason.
        case dropped(DropReason)
        /// It forwards or answers the frame.
        case taken
        /// The frame waits for a neighbour that is not known here.
        case waits
    }

    let snapshot: Snapshot
    private var worker: Worker<MemoryFrameIO>
    private var counters = CounterReader()
    /// The drops that were counted so far, by the reason's raw value.
    private var counted = [UInt64](repeating: 0, count: DropReason.count)
    /// The frame at hand. What was cut off is zeros.
    private let slot: UnsafeMutableRawPointer
    /// The octets of `slot` that may not be zeros.
    private var used = 0
    private let memories: [UnsafeMutableRawPointer]
    /// The frames that the engine takes, by what it decides by.
    private var taken: Set<FrameShape> = []
    private static let mostShapes = 4_096
    private static let reasons = DropReason.allCases
    /// What is drops of frames that the engine itself would have sent.
    private static let ownFrames: Set<DropReason> = [.errorRateLimited, .errorForbidden, .answerRateLimited]

    /// - Throws: `SnapshotError` or `EngineError` if the engine would not take the table.
    init(_ image: TableImage) throws {
        func allocate(_ count: Int) -> UnsafeMutableRawPointer {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 4_096)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            return memory
        }
        func copied(_ bytes: [UInt8]) -> UnsafeMutableRawBufferPointer {
            let memory = UnsafeMutableRawBufferPointer(start: allocate(bytes.count), count: bytes.count)
            memory.copyBytes(from: bytes)
            return memory
        }
        let table = copied(image.table)
        let groups = image.groups.map(copied)
        do {
            let own = try Snapshot(validating: UnsafeRawBufferPointer(table))
            snapshot = try groups.map { try Snapshot(own, groups: UnsafeRawBufferPointer($0)) } ?? own
        } catch {
            table.deallocate()
            groups?.deallocate()
            throw error
        }
        let layout = CounterLayout(
            workers: 1, interfaces: snapshot.interfaceCount, entries: snapshot.counterCount,
            rules: snapshot.ruleCounterCount)
        let block = allocate(layout.size)
        layout.initialize(block)
        let known = allocate(NeighbourTable.memorySize)
        let neighbours = NeighbourTable(memory: known)
        neighbours.initialize()
        memories = [table.baseAddress!, block, known] + (groups.map { [$0.baseAddress!] } ?? [])
        let published = try PublishedTable(snapshot: snapshot, counters: block, layout: layout)
        worker = Worker(io: MemoryFrameIO(), table: published, neighbours: neighbours, worker: 0)
        counters.add(memory: block, layout: layout)
        slot = allocate(frameSlotSize)
    }

    deinit {
        for memory in memories { memory.deallocate() }
        slot.deallocate()
    }

    /// The counter of the rule of an access list that denied a packet last.
    var lastDenial: Int { worker.lastDenial }

    /// Why the engine drops a frame before it asks the table; nil if the frame gets that far.
    func refusal(of frame: CapturedFrame) -> DropReason? {
        refusal(frame.octets, length: frame.length, on: frame.interface)
    }

    private func refusal(_ octets: [UInt8], length: Int, on interface: Int) -> DropReason? {
        let captured = min(octets.count, length, frameSlotSize)
        octets.withUnsafeBytes { octets in
            guard let start = octets.baseAddress else { return }
            slot.copyMemory(from: start, byteCount: captured)
        }
        if used > captured { (slot + captured).initializeMemory(as: UInt8.self, repeating: 0, count: used - captured) }
        used = captured
        return worker.refusal(of: ReceivedFrame(start: slot, length: min(length, frameSlotSize)), on: interface)
    }

    /// What the engine does with a frame that it read from an interface. From neighbour messages the replay learns.
    ///
    /// If the engine took a frame, later frames with the same shape are not replayed.
    ///
    /// - Parameters:
    ///   - octets: The captured octets, the `virtio_net_hdr` among them.
    ///   - length: The octets that the frame had. The missing ones are zeros.
    func answer(_ octets: [UInt8], length: Int, on interface: Int) -> Answer {
        guard let shape = FrameShape(octets, length: length, on: interface) else {
            return newAnswer(octets, length: length, on: interface)
        }
        if taken.contains(shape), refusal(octets, length: length, on: interface) == nil { return .taken }
        let answer = newAnswer(octets, length: length, on: interface)
        if case .taken = answer {
            if taken.count >= Self.mostShapes { taken.removeAll(keepingCapacity: true) }
            taken.insert(shape)
        }
        return answer
    }

    private func newAnswer(_ octets: [UInt8], length: Int, on interface: Int) -> Answer {
        // The senders' limits are fresh.
        worker.io.time += .milliseconds(10)
        if worker.hasWaitingFrames {
            // What waited is given up.
            worker.io.time += .seconds(60)
            worker.turn(wait: false)
            _ = newDrops()
        }
        _ = worker.io.takeOutput()
        let unjoined = counters.drops(.noMember)
        let sent = take(octets, length: length, on: interface)
        if let reason = newDrops() { return .dropped(reason) }
        // Who is in a group is not in the table, and the reports may have come before.
        if counters.drops(.noMember) != unjoined { return .taken }
        return sent.isEmpty || sent.allSatisfy { Self.isQuestion($0.bytes) } ? .waits : .taken
    }

    /// The first reason by which frames were dropped since the last call.
    private func newDrops() -> DropReason? {
        var first: DropReason?
        for reason in Self.reasons {
            let count = counters.drops(reason)
            guard count != counted[Int(reason.rawValue)] else { continue }
            counted[Int(reason.rawValue)] = count
            if first == nil, reason != .noMember, !Self.ownFrames.contains(reason) { first = reason }
        }
        return first
    }

    private func take(_ octets: [UInt8], length: Int, on interface: Int) -> [MemoryFrameIO.Frame] {
        var bytes = Array(octets.prefix(length))
        bytes += [UInt8](repeating: 0, count: max(0, min(length, frameSlotSize) - bytes.count))
        worker.io.input = [MemoryFrameIO.Frame(interface: interface, bytes: bytes)]
        worker.turn(wait: false)
        return worker.io.takeOutput()
    }

    /// True for ARP and neighbour solicitations, which the engine sends for a frame that waits.
    private static func isQuestion(_ bytes: [UInt8]) -> Bool {
        var fields = PacketFields()
        let verdict = bytes.dropFirst(VirtioNetHeader.length).withUnsafeBytes { fields.parse($0.bytes) }
        return verdict == .arp || verdict == .packet && fields.message == .neighbourDiscovery
    }
}
