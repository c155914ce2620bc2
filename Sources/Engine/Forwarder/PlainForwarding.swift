import Forwarding
import Wire

// The fast path, which nearly all frames take: plain packets whose copies need no error, no waiting and no answer. All
// other frames take the slow path, `forward(_:from:into:)`.

extension Forwarder {
    /// Takes a batch: finds the runs in it.
    mutating func begin(_ batch: borrowing FrameBatch) {
        joiner.removeAll()
        for index in 0..<batch.count {
            let frame = batch.frames + index
            joiner.add(frame.pointee.start, frame.pointee.length)
        }
        stations.isValid = false
        if joiner.isInterleaved { arrivals.removeAll() }
    }

    /// Counts the packets and octets of a batch's runs.
    mutating func end(from interface: Int) {
        guard received.packets > 0 else { return }
        counters.countReceived(interface, packets: received.packets, bytes: received.octets)
        if received.joined > 0 { counters.countJoined(received.joined) }
        received = ReceivedSum()
    }

    /// Forwards a run of the batch as one. If runs are interleaved, the copies for passive applications are only noted.
    /// They are made frame by frame, each in its turn (ArrivalOrder.swift).
    ///
    /// - Returns: False if nothing was done. Then its frames have to be forwarded one by one.
    @inline(__always)
    mutating func forwardRun(_ index: Int, from interface: Int, into writes: inout WriteList) -> Bool {
        decided[index] = -1
        let run = joiner.runs + index
        let (start, length, kind) = (run.pointee.start, run.pointee.length, run.pointee.kind)
        guard kind != .other, !isHeartbeat(start, length), areStationsPlain(start, on: interface),
            plain.read(start, length, kind, at: run.pointee.networkOffset), isGenuine(plain.flow.source)
        else { return false }
        let entry: Int
        let twin = run.pointee.twin
        if twin >= 0, decided[Int(twin)] >= 0 {
            entry = Int(decided[Int(twin)])
        } else {
            guard isForeign(plain.flow.destination),
                case .forward(let found) = table.decide(
                    plain.flow, from: stations.sender, receivedInterface: interface, remembering: &prefixes)
            else { return false }
            entry = found
        }
        guard let plan = plan(entry), plain.packetLength <= plan.pointee.mtu,
            plan.pointee.family ?? kind.family == kind.family
        else { return false }
        let copies = plans.copies(of: plan)
        let count = Int(run.pointee.count)
        let octets = run.pointee.octets
        let waits = joiner.isInterleaved && plan.pointee.passive > 0
        if count == 1 {
            sendFrame(start, length, plan, copies, octets, waits ? .others : .all, into: &writes)
        } else {
            guard sendSuperframe(run.pointee, plan, copies, octets, waits ? .others : .all, into: &writes) else {
                return false
            }
            received.joined &+= count &- 1
        }
        if waits { arrivals.owe(index, of: joiner) }
        decided[index] = Int32(truncatingIfNeeded: entry)
        counters.countEntry(plan.pointee.counter, packets: count, bytes: octets)
        received.packets &+= count
        received.octets &+= octets
        return true
    }

    /// True if the frame is from one other station to the engine. Then `stations` says which station sent it.
    @inline(__always)
    private mutating func areStationsPlain(_ start: UnsafeRawPointer, on interface: Int) -> Bool {
        let addresses = EthernetAddresses(of: start + Self.frameOffset)
        if stations.isValid, stations.addresses == addresses { return true }
        return lookUpStations(addresses, on: interface)
    }

    @inline(never)
    private mutating func lookUpStations(_ addresses: EthernetAddresses, on interface: Int) -> Bool {
        let (destination, source) = (addresses.destination, addresses.source)
        guard !destination.isMulticast, table.isOwnMAC(destination, on: interface),
            !table.isOwnMAC(source, on: interface)
        else { return false }
        stations = Stations(
            isValid: true, addresses: addresses, sender: table.sender(of: source, on: interface))
        return true
    }

    /// True if the sender of the frame may send from an address.
    @inline(__always)
    private mutating func isGenuine(_ source: IPAddress) -> Bool {
        stations.sender.maySendFromAnywhere || stations.genuine == source || lookUpGenuine(source)
    }

    @inline(never)
    private mutating func lookUpGenuine(_ source: IPAddress) -> Bool {
        guard table.maySend(stations.sender, from: source) else { return false }
        stations.genuine = source
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
        _ copies: UnsafeMutablePointer<PlainCopy>, _ octets: Int, _ wanted: WantedCopies,
        into writes: inout WriteList
    ) {
        if plan.pointee.count == 1, wanted == .all {
            edit(start, plan, copies, plain.checksum)
            writes.add(
                interface: copies.pointee.interface, header: start, headerLength: length,
                body: UnsafeRawPointer(start), bodyLength: 0, packets: 1, octets: octets)
            return
        }
        for index in 0..<plan.pointee.count {
            let copy = copies + index
            guard wanted.contains(copy) else { continue }
            let rewrites = plan.pointee.rewritesSource || copy.pointee.rewrites
            let leading = Self.frameOffset &+ (rewrites ? plain.headerLength : EthernetView.length)
            let header = writes.nextHeader
            if rewrites {
                header.copyMemory(from: start, byteCount: leading)
            } else {
                // For a constant number of octets this compiles to a few instructions.
                header.copyMemory(from: start, byteCount: Self.frameOffset &+ EthernetView.length)
            }
            edit(header, plan, copy, plain.checksum)
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
        _ run: borrowing FlowJoiner.Run, _ plan: UnsafeMutablePointer<CopyPlan>,
        _ copies: UnsafeMutablePointer<PlainCopy>, _ octets: Int, _ wanted: WantedCopies, into writes: inout WriteList
    ) -> Bool {
        var final = plan.pointee.count &- 1
        while final >= 0, !wanted.contains(copies + final) { final &-= 1 }
        guard final >= 0 else { return true }
        let length = joiner.superframeLength(of: run)
        guard let start = writes.compose(length)?.baseAddress else { return false }
        writes.keepComposed(length)
        joiner.write(run, to: start)
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
        _ copy: UnsafeMutablePointer<PlainCopy>, _ checksum: ChecksumState
    ) {
        PlainPacket.address(start, to: copy.pointee.destination, from: copy.pointee.source)
        if plan.pointee.rewritesSource {
            plain.rewriteSource(to: plan.pointee.source, in: start, checksum: checksum)
        }
        if copy.pointee.rewrites {
            plain.rewriteDestination(to: copy.pointee.address, in: start, checksum: checksum)
        }
    }
}

/// The Ethernet addresses of a frame from one other station to the engine, and the node behind the source.
struct Stations {
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
    var joined = 0
}
