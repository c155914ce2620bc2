import Forwarding
import Wire

/// The impaired links of one worker, and the frames that wait on them. Its memory is as large from the beginning as it ever
/// gets: the engine's main thread makes it when the first links come, and it stays.
struct ImpairedTraffic: ~Copyable {
    /// How many pieces of frames may wait: 32 MiB, which are 80 ms of 3 Gbit/s, or 2 s of 128 Mbit/s.
    static let pieces = 16_384
    /// The octets that one worker needs for frames that wait, in whole pages.
    static let memorySize = (FrameStore.size(pieces: pieces) + 4_095) & ~4_095
    /// Octets that hold all headers that decide about a flow.
    private static let headers = 512
    /// The octets of due frames in one batch; one more frame fits behind them.
    private static let batchOctets = 512 * 1_024

    private var order: ImpairmentOrder?
    private var counted: ImpairmentCounters?
    /// The counters of drops and of interfaces.
    private var drops: CounterBlock?
    private var links: UnsafeMutablePointer<ImpairedLink>
    private var linkCount = 0
    private var store: FrameStore
    private var outgoing: DelayLine
    private var incoming: DelayLine
    private var now: UInt64 = 0
    /// Memory for due frames that were received.
    private let batchMemory: UnsafeMutableRawPointer
    /// Memory for a superframe that is put together, for one of its segments, and for a frame with a flipped bit.
    private let whole: UnsafeMutableRawPointer
    private let scratch: UnsafeMutableRawPointer
    private let edited: UnsafeMutableRawPointer
    private var due = WriteList()
    private var passing = WriteList()
    /// The frames of the last batch that were lost.
    private let lost: UnsafeMutablePointer<LostFrame>
    /// The place of each passing write in the list that it came in.
    private let places: UnsafeMutablePointer<Int32>

    /// - Parameter memory: `memorySize` octets for frames that wait.
    init(memory: UnsafeMutableRawPointer) {
        store = FrameStore(memory: memory, pieces: Self.pieces)
        outgoing = DelayLine(capacity: Self.pieces)
        incoming = DelayLine(capacity: Self.pieces)
        links = UnsafeMutablePointer(bitPattern: MemoryLayout<ImpairedLink>.alignment)!
        batchMemory = .allocate(byteCount: Self.batchOctets + frameSlotSize, alignment: 64)
        whole = .allocate(byteCount: frameSlotSize, alignment: 64)
        scratch = .allocate(byteCount: frameSlotSize, alignment: 64)
        edited = .allocate(byteCount: frameSlotSize, alignment: 64)
        places = .allocate(capacity: WriteList.capacity)
        lost = .allocate(capacity: FrameBatch.capacity)
    }

    deinit {
        batchMemory.deallocate()
        whole.deallocate()
        scratch.deallocate()
        edited.deallocate()
        places.deallocate()
        lost.deallocate()
    }

    /// True while frames wait.
    var holds: Bool { outgoing.count > 0 || incoming.count > 0 }

    /// True if there is nothing to do any more.
    var isOver: Bool { order == nil && !holds }

    /// When the next frame is due; nil: none waits.
    var nextDue: UInt64? {
        switch (outgoing.nextDue, incoming.nextDue) {
        case (nil, let due), (let due, nil): due
        case (let first?, let second?): min(first, second)
        }
    }

    /// A turn begins.
    mutating func begin(at now: UInt64) { self.now = now }

    /// True if received frames are due.
    var hasReceived: Bool { incoming.nextDue.map { $0 <= now } ?? false }

    // MARK: - Links

    /// Has other links from now on. A link of a slot whose epoch is the same goes on where it was.
    mutating func take(_ order: ImpairmentOrder?, worker: Int, counters: CounterBlock) {
        drops = counters
        guard let order else {
            (self.order, linkCount) = (nil, 0)
            return
        }
        let fresh = order.workerLinks[worker]
        // An order about something else comes with the links that are in force.
        if self.order != nil, fresh.links == links { return }
        for place in 0..<fresh.count { keep(fresh, place, order.links) }
        (links, linkCount) = (fresh.links, fresh.count)
        let isFirst = counted == nil
        counted = ImpairmentCounters(memory: order.counters, block: order.firstBlock + worker)
        if isFirst { counted?.begin() }
        self.order = order
    }

    /// Takes over the present link in place of a fresh one, if they are the same. The fresh one goes where it was.
    private func keep(_ fresh: WorkerLinks, _ place: Int, _ set: ImpairmentSet) {
        guard let present = order?.links else { return }
        let (slot, rule) = (set.rule(place).slot, set.rule(place).rule)
        for old in 0..<linkCount where present.rule(old).slot == slot && links[old].rule.epoch == rule.epoch {
            let kept = (links + old).move()
            (links + old).moveInitialize(from: fresh.links + place, count: 1)
            (fresh.links + place).initialize(to: kept)
            fresh.links[place].move(to: rule, trace: set.trace)
            return
        }
    }

    // MARK: - Frames to nodes

    /// True if a link concerns one of the writes.
    func concerns(_ list: borrowing WriteList) -> Bool {
        guard let order else { return false }
        for index in 0..<list.count where order.links.impairs(.toNodes, list.writes[index].interface) { return true }
        return false
    }

    /// Sends what passes, and keeps or loses the rest.
    mutating func send<Base: FrameIO & ~Copyable>(_ list: borrowing WriteList, _ base: inout Base) {
        passing.removeAll()
        let queueIndex = base.queueIndex
        for index in 0..<list.count {
            let write = list.writes[index]
            let rule = rule(.toNodes, write.interface, write.header, write.headerLength, write.body, write.bodyLength)
            guard rule >= 0 else {
                places[passing.count] = Int32(truncatingIfNeeded: index)
                passing.add(
                    interface: write.interface, header: write.header, headerLength: write.headerLength,
                    body: write.body, bodyLength: write.bodyLength, packets: write.packets, octets: write.octets)
                continue
            }
            let frame = TakenFrame(
                direction: .toNodes, rule: rule, interface: write.interface, queueIndex: queueIndex,
                packets: write.packets)
            list.writes[index].failure = take(frame, write.header, write.headerLength, write.body, write.bodyLength)
        }
        guard passing.count > 0 else { return }
        base.send(passing)
        for place in 0..<passing.count { list.writes[Int(places[place])].failure = passing.writes[place].failure }
    }

    /// Writes the frames that are due.
    mutating func sendDue<Base: FrameIO & ~Copyable>(_ base: inout Base) {
        while let time = outgoing.nextDue, time <= now {
            let queueIndex = Int(outgoing.first.queueIndex)
            due.removeAll()
            while let time = outgoing.nextDue, time <= now, Int(outgoing.first.queueIndex) == queueIndex,
                due.isComfortable, let place = due.compose(Int(outgoing.first.length))?.baseAddress
            {
                let frame = outgoing.removeFirst()
                due.keepComposed(Int(frame.length))
                store.take(frame.piece, length: Int(frame.length), to: place)
                release(frame)
                due.add(
                    interface: Int(frame.interface), header: place, headerLength: Int(frame.length),
                    body: UnsafeRawPointer(place), bodyLength: 0, packets: Int(frame.packets))
            }
            base.queueIndex = queueIndex
            base.send(due)
            drops?.countWrites(due)
        }
    }

    // MARK: - Frames from nodes

    /// Keeps in the batch what no link concerns.
    ///
    /// - Returns: The frames that were lost, all of each.
    mutating func takeReceived(_ batch: inout FrameBatch, queueIndex: Int) -> UnsafeBufferPointer<LostFrame> {
        guard batch.count > 0, let order, order.links.impairs(.fromNodes, batch.interface) else {
            return UnsafeBufferPointer(start: nil, count: 0)
        }
        var kept = 0
        var losses = 0
        for index in 0..<batch.count {
            let received = batch.frames[index]
            let rule = rule(
                .fromNodes, batch.interface, received.start, received.length, UnsafeRawPointer(received.start), 0)
            guard rule >= 0 else {
                batch.frames[kept] = received
                kept &+= 1
                continue
            }
            let frame = TakenFrame(
                direction: .fromNodes, rule: rule, interface: batch.interface, queueIndex: queueIndex, packets: 1)
            let outcome = take(frame, received.start, received.length, UnsafeRawPointer(received.start), 0)
            guard outcome != WriteOutcome.held else { continue }
            (lost + losses).initialize(to: LostFrame(frame: received, failure: outcome))
            losses &+= 1
        }
        batch.count = kept
        return UnsafeBufferPointer(start: lost, count: losses)
    }

    /// A batch of received frames that are due, of one interface and queue index.
    mutating func receiveDue<Base: FrameIO & ~Copyable>(into batch: inout FrameBatch, _ base: inout Base) {
        batch.count = 0
        batch.truncated = 0
        batch.closed = false
        guard hasReceived else { return }
        let (interface, queueIndex) = (incoming.first.interface, incoming.first.queueIndex)
        batch.interface = Int(interface)
        base.queueIndex = Int(queueIndex)
        var used = 0
        while hasReceived, batch.count < FrameBatch.capacity, used <= Self.batchOctets,
            incoming.first.interface == interface, incoming.first.queueIndex == queueIndex
        {
            let frame = incoming.removeFirst()
            let place = batchMemory + used
            store.take(frame.piece, length: Int(frame.length), to: place)
            release(frame)
            batch.frames[batch.count] = ReceivedFrame(start: place, length: Int(frame.length))
            batch.count &+= 1
            used &+= (Int(frame.length) &+ 63) & ~63
        }
    }

    // MARK: - One frame

    /// A frame on its way to a link.
    private struct TakenFrame {
        var direction: ImpairedPlace.Direction
        var rule: Int
        var interface: Int
        var queueIndex: Int
        var packets: Int
    }

    /// The rule for a frame; -1: none.
    private func rule(
        _ direction: ImpairedPlace.Direction, _ interface: Int, _ header: UnsafeRawPointer, _ headerLength: Int,
        _ body: UnsafeRawPointer, _ bodyLength: Int
    ) -> Int {
        guard let order, order.links.impairs(direction, interface), headerLength >= VirtioNetHeader.length else {
            return -1
        }
        let start = header + VirtioNetHeader.length
        let first = headerLength &- VirtioNetHeader.length
        if bodyLength == 0 || first >= Self.headers {
            return order.links.rule(direction, interface, UnsafeRawBufferPointer(start: start, count: first))
        }
        let rest = min(bodyLength, Self.headers &- first)
        scratch.copyMemory(from: start, byteCount: first)
        (scratch + first).copyMemory(from: body, byteCount: rest)
        return order.links.rule(direction, interface, UnsafeRawBufferPointer(start: scratch, count: first &+ rest))
    }

    /// A frame crosses its link. A superframe is cut first, if packets are decided one by one.
    ///
    /// - Returns: For the frame's `failure`: all of it was lost, or found no room, or not.
    private mutating func take(
        _ frame: TakenFrame, _ header: UnsafeRawPointer, _ headerLength: Int, _ body: UnsafeRawPointer,
        _ bodyLength: Int
    ) -> Int32 {
        let length = headerLength &+ bodyLength
        guard links[frame.rule].rule.cuts == 1, length <= frameSlotSize,
            header.load(fromByteOffset: VirtioNetHeader.gsoType.offset, as: UInt8.self) != VirtioNetHeader.gsoNone
        else { return cross(frame, header, headerLength, body, bodyLength) }
        whole.copyMemory(from: header, byteCount: headerLength)
        (whole + headerLength).copyMemory(from: body, byteCount: bodyLength)
        let octets = UnsafeRawBufferPointer(
            start: whole + VirtioNetHeader.length, count: length &- VirtioNetHeader.length)
        guard let offload = VirtioNetHeader(UnsafeRawBufferPointer(start: whole, count: length).bytes),
            let shape = Segmentation.Shape(octets.bytes, offload)
        else { return cross(frame, header, headerLength, body, bodyLength) }
        var segment = frame
        segment.packets = 1
        var outcome = WriteOutcome.held
        var isWhole = true
        for index in 0..<shape.count {
            scratch.initializeMemory(as: UInt8.self, repeating: 0, count: VirtioNetHeader.length)
            let count = shape.write(
                index, of: UnsafeRawPointer(whole + VirtioNetHeader.length), to: scratch + VirtioNetHeader.length)
            let result = cross(
                segment, scratch, VirtioNetHeader.length &+ count, UnsafeRawPointer(scratch), 0)
            if index == 0 { outcome = result } else if result != outcome { isWhole = false }
        }
        return isWhole ? outcome : WriteOutcome.held
    }

    /// A packet crosses its link.
    private mutating func cross(
        _ frame: TakenFrame, _ header: UnsafeRawPointer, _ headerLength: Int, _ body: UnsafeRawPointer,
        _ bodyLength: Int
    ) -> Int32 {
        guard let slot = order.map({ Int(truncatingIfNeeded: $0.links.rule(frame.rule).slot) }) else {
            return WriteOutcome.held
        }
        let octets = headerLength &+ bodyLength &- VirtioNetHeader.length
        counted?.add(.packets, slot, frame.packets)
        counted?.add(.bytes, slot, octets)
        let fate = links[frame.rule].next()
        guard !fate.isLost else {
            counted?.add(.lost, slot, frame.packets)
            drop(.impairedLoss, frame, header, headerLength)
            return WriteOutcome.impairedLoss
        }
        if fate.isDuplicated { counted?.add(.duplicated, slot, frame.packets) }
        var outcome = WriteOutcome.impairedQueue
        for _ in 0..<(fate.isDuplicated ? 2 : 1) {
            if depart(frame, slot, octets, header, headerLength, body, bodyLength) {
                outcome = WriteOutcome.held
            } else {
                counted?.add(.overflowed, slot, frame.packets)
                drop(.impairedQueue, frame, header, headerLength)
            }
        }
        return outcome
    }

    /// A copy of a packet leaves, and waits until it is due.
    ///
    /// - Returns: False if there is no room for it.
    private mutating func depart(
        _ frame: TakenFrame, _ slot: Int, _ octets: Int, _ header: UnsafeRawPointer, _ headerLength: Int,
        _ body: UnsafeRawPointer, _ bodyLength: Int
    ) -> Bool {
        var free = counted?.clock(slot) ?? 0
        // The memory is shared with other engines, which may have been taken over: no rate is ahead by an hour.
        if free > now &+ 3_600_000_000_000 { free = now }
        guard let departure = links[frame.rule].send(octets: octets, now: now, free: &free) else { return false }
        counted?.setClock(slot, free)
        var (header, headerLength, bodyLength) = (header, headerLength, bodyLength)
        if let bit = departure.flippedBit, octets &+ VirtioNetHeader.length <= frameSlotSize {
            edited.copyMemory(from: header, byteCount: headerLength)
            (edited + headerLength).copyMemory(from: body, byteCount: bodyLength)
            let length = headerLength &+ bodyLength
            FrameCorruption.flip(bit, in: edited, length)
            header = UnsafeRawPointer(edited)
            (headerLength, bodyLength) = (length, 0)
            counted?.add(.corrupted, slot, frame.packets)
        }
        if departure.isReordered { counted?.add(.reordered, slot, frame.packets) }
        let line = frame.direction == .toNodes ? outgoing.hasRoom : incoming.hasRoom
        guard line, let piece = store.keep(header, headerLength, body, bodyLength) else { return false }
        counted?.add(.waiting, slot, frame.packets)
        let waiting = DelayLine.Frame(
            due: departure.due, piece: piece, length: headerLength &+ bodyLength, interface: frame.interface,
            queueIndex: frame.queueIndex, packets: frame.packets, rule: slot)
        if frame.direction == .toNodes { outgoing.add(waiting) } else { incoming.add(waiting) }
        return true
    }

    private func release(_ frame: DelayLine.Frame) {
        counted?.add(.waiting, Int(frame.rule), 0 &- Int(frame.packets))
    }

    private func drop(
        _ reason: DropReason, _ frame: TakenFrame, _ header: UnsafeRawPointer, _ headerLength: Int
    ) {
        guard let drops else { return }
        drops.countDrop(reason, frame.packets)
        if frame.direction == .toNodes {
            drops.countSendDrop(frame.interface, frame.packets)
        } else {
            drops.countReceiveDrop(frame.interface, frame.packets)
        }
        guard drops.isUnnoted(reason, at: now), headerLength >= VirtioNetHeader.length &+ EthernetView.length else {
            return
        }
        let octets = UnsafeRawBufferPointer(
            start: header + VirtioNetHeader.length, count: headerLength &- VirtioNetHeader.length)
        let flow = FlowFields(ofHeaders: octets.bytes)
        drops.note(
            DroppedFrame(
                interface: frame.interface, sourceMAC: EthernetAddresses(of: header + VirtioNetHeader.length).source,
                source: flow?.source, destination: flow?.destination, time: MonotonicTime(nanoseconds: now)),
            for: reason)
    }
}
