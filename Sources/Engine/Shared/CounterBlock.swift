import Forwarding
import Synchronization
import Wire

/// The counters that one worker writes. Only its worker may call mutating functions.
///
/// A count is a relaxed load, an addition and a relaxed store. There is one writer, and readers see whole values.
public struct CounterBlock: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let interfacesBase: UnsafeMutableRawPointer
    let entriesBase: UnsafeMutableRawPointer
    let rulesBase: UnsafeMutableRawPointer
    let interfaces: Int
    let entries: Int
    let rules: Int

    /// The block of `worker` in a counters' memory of this layout.
    public init(memory: UnsafeMutableRawPointer, layout: CounterLayout, worker: Int) {
        precondition(worker >= 0 && worker < layout.workers)
        base = memory + layout.block(worker)
        interfacesBase = base + layout.interfacesOffset
        entriesBase = base + layout.entriesOffset
        rulesBase = base + layout.rulesOffset
        interfaces = layout.interfaces
        entries = layout.entries
        rules = layout.rules
    }

    @inline(__always)
    private static func add(_ place: UnsafeMutableRawPointer, _ amount: UInt64) {
        let counter = place.assumingMemoryBound(to: Atomic<UInt64>.self)
        counter.pointee.store(counter.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// The generation of the table that the worker decides by.
    var generation: UInt64 {
        get { base.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .acquiring) }
        nonmutating set {
            base.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.store(newValue, ordering: .releasing)
        }
    }

    @inline(__always)
    func countTurn() { Self.add(base + 8, 1) }

    @inline(__always)
    func countHeartbeat() { Self.add(base + 16, 1) }

    /// Notes how frames are written from now on, and the errno if io_uring was refused or has failed.
    func noteWriting(_ way: EngineTuning.Writing, failure: Int32) {
        base.advanced(by: 32).assumingMemoryBound(to: Atomic<UInt64>.self)
            .pointee.store(UInt64(UInt32(bitPattern: failure)), ordering: .relaxed)
        base.advanced(by: 24).assumingMemoryBound(to: Atomic<UInt64>.self)
            .pointee.store(UInt64(way.rawValue), ordering: .releasing)
    }

    @inline(__always)
    func countCoalesced(_ frames: Int) { Self.add(base + 40, UInt64(truncatingIfNeeded: frames)) }

    func countClosedQueue() { Self.add(base + 48, 1) }

    @inline(__always)
    func countDrop(_ reason: DropReason, _ packets: Int = 1) {
        Self.add(base + CounterLayout.dropsOffset + Int(reason.rawValue) &* 8, UInt64(truncatingIfNeeded: packets))
    }

    /// True if a frame dropped for `reason` was not yet noted in the turn that began at `now`.
    @inline(__always)
    func isUnnoted(_ reason: DropReason, at now: UInt64) -> Bool {
        DroppedFrame.time(at: base + CounterLayout.lastsOffset + Int(reason.rawValue) &* DroppedFrame.size) != now
    }

    /// Notes a dropped frame.
    func note(_ frame: DroppedFrame, for reason: DropReason) {
        frame.write(at: base + CounterLayout.lastsOffset + Int(reason.rawValue) &* DroppedFrame.size)
    }

    @inline(__always)
    func countReceived(_ interface: Int, packets: Int, bytes: Int) {
        let place = interfacesBase + interface &* CounterLayout.interfaceSize
        Self.add(place, UInt64(truncatingIfNeeded: packets))
        Self.add(place + 8, UInt64(truncatingIfNeeded: bytes))
    }

    @inline(__always)
    func countReceiveDrop(_ interface: Int, _ packets: Int = 1) {
        Self.add(interfacesBase + interface &* CounterLayout.interfaceSize + 16, UInt64(truncatingIfNeeded: packets))
    }

    @inline(__always)
    func countSent(_ interface: Int, packets: Int, bytes: Int) {
        let place = interfacesBase + interface &* CounterLayout.interfaceSize + 24
        Self.add(place, UInt64(truncatingIfNeeded: packets))
        Self.add(place + 8, UInt64(truncatingIfNeeded: bytes))
    }

    @inline(__always)
    func countSendDrop(_ interface: Int, _ packets: Int) {
        Self.add(
            interfacesBase + interface &* CounterLayout.interfaceSize + 40, UInt64(truncatingIfNeeded: packets))
    }

    /// Counts for an entry. Every entry has a place here: the table was checked against the layout when it was taken.
    @inline(__always)
    func countEntry(_ counter: Int, packets: Int, bytes: Int) {
        guard UInt(bitPattern: counter) < UInt(bitPattern: entries) else { return }
        let place = entriesBase + counter &* CounterLayout.entrySize
        Self.add(place, UInt64(truncatingIfNeeded: packets))
        Self.add(place + 8, UInt64(truncatingIfNeeded: bytes))
    }

    /// Counts for a rule of an access list, or for a list's default. A negative counter is none.
    ///
    /// - Parameter bytes: Of network packets.
    @inline(__always)
    func countRule(_ counter: Int, packets: Int, bytes: Int) {
        guard UInt(bitPattern: counter) < UInt(bitPattern: rules) else { return }
        let place = rulesBase + counter &* CounterLayout.entrySize
        Self.add(place, UInt64(truncatingIfNeeded: packets))
        Self.add(place + 8, UInt64(truncatingIfNeeded: bytes))
    }
}

/// Packets and bytes.
public struct TrafficCount: Sendable, Hashable {
    /// The number of packets. A GSO frame counts as the packets that it is cut into.
    public var packets: UInt64
    /// The octets of the frames from the Ethernet header on, as they were read. A GSO frame counts as one frame. Frames
    /// that the engine coalesced count one by one.
    public var bytes: UInt64

    /// Memberwise.
    public init(packets: UInt64, bytes: UInt64) {
        self.packets = packets
        self.bytes = bytes
    }
}

/// The traffic of an interface, summed over workers.
public struct InterfaceCount: Sendable, Hashable {
    /// From the nodes.
    public var received: TrafficCount
    /// Packets received that were dropped.
    public var receivedDrops: UInt64
    /// To the nodes.
    public var sent: TrafficCount
    /// Packets that could not be written.
    public var sentDrops: UInt64
}

extension InterfaceCount {
    /// What was counted since `before` was read. Engines write these values, so a difference wraps and never traps.
    public func since(_ before: InterfaceCount) -> InterfaceCount {
        func difference(_ now: TrafficCount, _ then: TrafficCount) -> TrafficCount {
            TrafficCount(packets: now.packets &- then.packets, bytes: now.bytes &- then.bytes)
        }
        return InterfaceCount(
            received: difference(received, before.received), receivedDrops: receivedDrops &- before.receivedDrops,
            sent: difference(sent, before.sent), sentDrops: sentDrops &- before.sentDrops)
    }
}

/// Reads counters of engines, living or dead. It sums over workers, and over the memories that replaced one another as
/// tables grew.
public struct CounterReader: ~Copyable {
    private var regions: [CounterRegion] = []

    private struct CounterRegion {
        let memory: UnsafeRawPointer
        let layout: CounterLayout
    }

    /// Reads nothing yet.
    public init() {}

    /// Adds a memory of this layout to the sum. It must stay mapped as long as the reader is used.
    public mutating func add(memory: UnsafeRawPointer, layout: CounterLayout) {
        regions.append(CounterRegion(memory: memory, layout: layout))
    }

    static func load(_ place: UnsafeRawPointer) -> UInt64 {
        UnsafeMutableRawPointer(mutating: place).assumingMemoryBound(to: Atomic<UInt64>.self)
            .pointee.load(ordering: .relaxed)
    }

    private func sum(blocks: Range<Int>? = nil, _ offset: (CounterLayout) -> Int?) -> UInt64 {
        var total: UInt64 = 0
        for region in regions {
            guard let inner = offset(region.layout) else { continue }
            let all = 0..<region.layout.workers
            for worker in blocks?.clamped(to: all) ?? all {
                total &+= Self.load(region.memory + region.layout.block(worker) + inner)
            }
        }
        return total
    }

    /// The number of frames dropped for a reason.
    public func drops(_ reason: DropReason) -> UInt64 {
        sum { _ in CounterLayout.dropsOffset + Int(reason.rawValue) * 8 }
    }

    /// The number of frames dropped for each reason, without reasons of 0 frames.
    public func drops() -> [(reason: DropReason, frames: UInt64)] {
        DropReason.allCases.map { ($0, drops($0)) }.filter { $0.1 > 0 }
    }

    /// The last frame that was dropped for a reason, if it could be read.
    public func lastDrop(_ reason: DropReason) -> DroppedFrame? {
        var last: DroppedFrame?
        for region in regions {
            for worker in 0..<region.layout.workers {
                let place = region.memory + region.layout.block(worker) + CounterLayout.lastsOffset
                guard let found = DroppedFrame(reading: place + Int(reason.rawValue) * DroppedFrame.size),
                    found.time >= last?.time ?? MonotonicTime(nanoseconds: 0)
                else { continue }
                last = found
            }
        }
        return last
    }

    /// Packets and bytes of the entry with this counter.
    public func entry(_ counter: Int) -> TrafficCount {
        TrafficCount(packets: entry(counter, 0), bytes: entry(counter, 8))
    }

    /// Packets and bytes that a rule of an access list, or a list's default, with this counter matched: allowed or denied.
    public func rule(_ counter: Int) -> TrafficCount {
        TrafficCount(packets: rule(counter, 0), bytes: rule(counter, 8))
    }

    private func rule(_ counter: Int, _ field: Int) -> UInt64 {
        sum {
            counter >= 0 && counter < $0.rules ? $0.rulesOffset + counter * CounterLayout.entrySize + field : nil
        }
    }

    /// The traffic of an interface.
    public func interface(_ index: Int) -> InterfaceCount {
        InterfaceCount(
            received: TrafficCount(packets: interface(index, 0), bytes: interface(index, 8)),
            receivedDrops: interface(index, 16),
            sent: TrafficCount(packets: interface(index, 24), bytes: interface(index, 32)),
            sentDrops: interface(index, 40))
    }

    /// The number of packets that the workers with these blocks have received, on all interfaces.
    public func received(blocks: Range<Int>) -> UInt64 {
        let interfaces = regions.map(\.layout.interfaces).max() ?? 0
        return (0..<interfaces).reduce(0) { total, index in
            total
                &+ sum(blocks: blocks) {
                    index < $0.interfaces ? $0.interfacesOffset + index * CounterLayout.interfaceSize : nil
                }
        }
    }

    private func entry(_ counter: Int, _ field: Int) -> UInt64 {
        sum {
            counter >= 0 && counter < $0.entries
                ? $0.entriesOffset + counter * CounterLayout.entrySize + field : nil
        }
    }

    private func interface(_ index: Int, _ field: Int) -> UInt64 {
        sum {
            index >= 0 && index < $0.interfaces
                ? $0.interfacesOffset + index * CounterLayout.interfaceSize + field : nil
        }
    }

    /// For each block of the newest memory, the generation that its worker decides by, or decided by last; 0 if it had
    /// no worker.
    public func generations() -> [UInt64] {
        guard let region = regions.last else { return [] }
        return (0..<region.layout.workers).map { Self.load(region.memory + region.layout.block($0)) }
    }

    /// The number of health checks' own packets that came in.
    public func heartbeats() -> UInt64 { sum { _ in 16 } }

    /// The number of frames that were coalesced with frames before them, by the workers with these blocks; nil: by all.
    public func coalesced(blocks: Range<Int>? = nil) -> UInt64 { sum(blocks: blocks) { _ in 40 } }

    /// The number of queues that were gone when they were read: their device was deleted, or they were detached.
    public func closedQueues() -> UInt64 { sum { _ in 48 } }

    /// How the worker with this block writes frames, and the errno if io_uring was refused or has failed, else 0; nil
    /// if the block had no worker.
    public func writing(block: Int) -> (way: EngineTuning.Writing, failure: Int32)? {
        // It is noted when it changes, so a newer memory does not have it until then.
        for region in regions.reversed() where (0..<region.layout.workers).contains(block) {
            let base = region.memory + region.layout.block(block)
            guard let way = EngineTuning.Writing(rawValue: UInt8(truncatingIfNeeded: Self.load(base + 24))),
                way != .automatic
            else { continue }
            return (way, Int32(bitPattern: UInt32(truncatingIfNeeded: Self.load(base + 32))))
        }
        return nil
    }

    /// The number of turns of the workers with these blocks; nil: of all.
    public func turns(blocks: Range<Int>? = nil) -> UInt64 { sum(blocks: blocks) { _ in 8 } }
}
