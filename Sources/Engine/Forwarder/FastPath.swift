import Forwarding
import Wire

// The fast path, which nearly all frames take: plain packets whose copies need no error, no waiting and no answer. All
// other frames take the slow path, `forward(_:from:into:)`.

extension Forwarder {
    /// Takes a batch: finds the runs in it.
    mutating func begin(_ batch: borrowing FrameBatch) {
        coalescer.removeAll()
        for index in 0..<batch.count {
            let frame = batch.frames + index
            coalescer.add(frame.pointee.start, frame.pointee.length)
        }
        ends.isValid = false
        if coalescer.isInterleaved { arrivals.removeAll() }
    }

    /// Counts the packets and octets of a batch's runs.
    mutating func end(from interface: Int) {
        guard received.packets > 0 else { return }
        counters.countReceived(interface, packets: received.packets, bytes: received.octets)
        if received.coalesced > 0 { counters.countCoalesced(received.coalesced) }
        received = ReceivedSum()
    }

    /// Forwards a run of the batch as one. If runs are interleaved, the copies for passive applications are only noted.
    /// They are made frame by frame, each in its turn (ArrivalOrder.swift).
    ///
    /// - Returns: False if nothing was done. Then its frames have to be forwarded one by one.
    @inline(__always)
    mutating func forwardRun(_ index: Int, from interface: Int, into writes: inout WriteList) -> Bool {
        decided[index] = -1
        let run = coalescer.runs + index
        let (start, length, kind) = (run.pointee.start, run.pointee.length, run.pointee.kind)
        guard kind != .other, !isHeartbeat(start, length), isToTheEngine(start, on: interface),
            fast.read(start, length, kind, at: run.pointee.networkOffset), isGenuine(fast.flow.source)
        else { return false }
        let entry: Int
        let twin = run.pointee.twin
        if twin >= 0, decided[Int(twin)] >= 0 {
            entry = Int(decided[Int(twin)])
        } else {
            guard isForeign(fast.flow.destination),
                case .forward(let found) = table.decide(
                    fast.flow, from: ends.sender, receivedInterface: interface, remembering: &prefixes)
            else { return false }
            entry = found
        }
        guard let plan = plan(entry), fast.packetLength <= plan.pointee.mtu,
            plan.pointee.family ?? kind.family == kind.family
        else { return false }
        let copies = plans.copies(of: plan)
        // A denied packet takes the slow path, which counts and answers it.
        guard plan.pointee.judged == 0 || verdicts.judge(fast.flow, plan, copies, by: table) else { return false }
        let count = Int(run.pointee.count)
        let octets = run.pointee.octets
        let waits = coalescer.isInterleaved && plan.pointee.passive > 0
        if count == 1 {
            sendFrame(start, length, plan, copies, octets, waits ? .others : .all, into: &writes)
        } else {
            guard sendSuperframe(run.pointee, plan, copies, octets, waits ? .others : .all, into: &writes) else {
                return false
            }
            received.coalesced &+= count &- 1
        }
        if waits { arrivals.owe(index, of: coalescer) }
        decided[index] = Int32(truncatingIfNeeded: entry)
        counters.countEntry(plan.pointee.counter, packets: count, bytes: octets)
        if plan.pointee.judged != 0 {
            let headers = count &* run.pointee.networkOffset
            verdicts.count(packets: count, octets: octets &- headers, in: counters)
        }
        received.packets &+= count
        received.octets &+= octets
        return true
    }

    /// True if the frame is from another station to the engine. Then `ends` says which station sent it.
    @inline(__always)
    private mutating func isToTheEngine(_ start: UnsafeRawPointer, on interface: Int) -> Bool {
        let addresses = EthernetAddresses(of: start + Self.frameOffset)
        if ends.isValid, ends.addresses == addresses { return true }
        return lookUpEnds(addresses, on: interface)
    }

    @inline(never)
    private mutating func lookUpEnds(_ addresses: EthernetAddresses, on interface: Int) -> Bool {
        let (destination, source) = (addresses.destination, addresses.source)
        guard !destination.isMulticast, table.isOwnMAC(destination, on: interface),
            !table.isOwnMAC(source, on: interface)
        else { return false }
        ends = FrameEnds(
            isValid: true, addresses: addresses, sender: table.sender(of: source, on: interface))
        return true
    }

    /// True if the sender of the frame may send from an address.
    @inline(__always)
    private mutating func isGenuine(_ source: IPAddress) -> Bool {
        ends.sender.maySendFromAnywhere || ends.genuine == source || lookUpGenuine(source)
    }

    @inline(never)
    private mutating func lookUpGenuine(_ source: IPAddress) -> Bool {
        guard table.maySend(ends.sender, from: source) else { return false }
        ends.genuine = source
        return true
    }

    /// True if an address is not one of the engine's own, which answer.
    @inline(__always)
    private mutating func isForeign(_ address: IPAddress) -> Bool {
        if foreign == address { return true }
        if table.isOwnAddress(address) { return false }
        foreign = address
        return true
    }

    /// Sends one frame. With one copy it is edited in place, else each copy gets headers of its own.
    @inline(__always)
    mutating func sendFrame(
        _ start: UnsafeMutableRawPointer, _ length: Int, _ plan: UnsafeMutablePointer<CopyPlan>,
        _ copies: UnsafeMutablePointer<FastPathCopy>, _ octets: Int, _ wanted: WantedCopies,
        into writes: inout WriteList
    ) {
        if plan.pointee.count == 1, wanted == .all {
            edit(start, plan, copies, fast.checksum)
            writes.add(
                interface: copies.pointee.interface, header: start, headerLength: length,
                body: UnsafeRawPointer(start), bodyLength: 0, packets: 1, octets: octets)
            return
        }
        for index in 0..<plan.pointee.count {
            let copy = copies + index
            guard wanted.contains(copy) else { continue }
            let edits = copy.pointee.edits
            let leading = Self.frameOffset &+ (edits ? fast.headerLength : EthernetView.length)
            let header = writes.nextHeader
            if edits {
                header.copyMemory(from: start, byteCount: leading)
            } else {
                // For a constant number of octets this compiles to a few instructions.
                header.copyMemory(from: start, byteCount: Self.frameOffset &+ EthernetView.length)
            }
            edit(header, plan, copy, fast.checksum)
            writes.add(
                interface: copy.pointee.interface, header: header, headerLength: leading,
                body: UnsafeRawPointer(start + leading), bodyLength: length &- leading, packets: 1, octets: octets)
        }
    }

    /// Sends one frame for a whole run. The payload is put together once, and each copy but the last has headers of its
    /// own.
    ///
    /// - Returns: False if there is no room for it.
    mutating func sendSuperframe(
        _ run: borrowing FrameCoalescer.Run, _ plan: UnsafeMutablePointer<CopyPlan>,
        _ copies: UnsafeMutablePointer<FastPathCopy>, _ octets: Int, _ wanted: WantedCopies,
        into writes: inout WriteList
    ) -> Bool {
        var final = plan.pointee.count &- 1
        while final >= 0, !wanted.contains(copies + final) { final &-= 1 }
        guard final >= 0 else { return true }
        let length = coalescer.superframeLength(of: run)
        guard let start = writes.compose(length)?.baseAddress else { return false }
        writes.keepComposed(length)
        coalescer.write(run, to: start)
        let packets = Int(run.count)
        let leading = Self.frameOffset &+ Int(run.headers)
        for index in 0..<final where wanted.contains(copies + index) {
            let header = writes.nextHeader
            header.copyMemory(from: start, byteCount: leading)
            edit(header, plan, copies + index, .partial)
            writes.add(
                interface: copies[index].interface, header: header, headerLength: leading,
                body: UnsafeRawPointer(start + leading), bodyLength: length &- leading, packets: packets, octets: octets
            )
        }
        edit(start, plan, copies + final, .partial)
        writes.add(
            interface: copies[final].interface, header: start, headerLength: length, body: UnsafeRawPointer(start),
            bodyLength: 0, packets: packets, octets: octets)
        return true
    }

    /// Writes the headers that differ in a copy.
    @inline(__always)
    private func edit(
        _ start: UnsafeMutableRawPointer, _ plan: UnsafeMutablePointer<CopyPlan>,
        _ copy: UnsafeMutablePointer<FastPathCopy>, _ checksum: ChecksumState
    ) {
        FastPathPacket.address(start, to: copy.pointee.destination, from: copy.pointee.source)
        guard copy.pointee.edits else { return }
        if plan.pointee.rewritesSource {
            fast.rewriteSource(to: plan.pointee.source, in: start, checksum: checksum)
        }
        if copy.pointee.rewrites {
            fast.rewriteDestination(to: copy.pointee.address, in: start, checksum: checksum)
        }
        if !copy.pointee.portShift.isNone {
            fast.shiftPort(plan.pointee.portSide, by: copy.pointee.portShift, in: start, checksum: checksum)
        }
    }
}

/// The Ethernet addresses of a frame from another station to the engine, and the node behind the source.
struct FrameEnds {
    var isValid = false
    var addresses = EthernetAddresses()
    var sender: Sender
    /// A source address that this sender may have.
    var genuine: IPAddress?
}

/// The sums over the runs of a batch so far.
struct ReceivedSum {
    var packets = 0
    var octets = 0
    var coalesced = 0
}
