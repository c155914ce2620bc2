import CLinux
import Forwarding
import Wire

extension CircuitTraffic {
    /// True if one of the writes is for a circuit.
    func concerns(_ list: borrowing WriteList) -> Bool {
        guard let table else { return false }
        for index in 0..<list.count where table.circuit(of: list.writes[index].interface) >= 0 { return true }
        return false
    }

    /// Sends all writes in their order, those for circuits behind their headers.
    mutating func send<Base: FrameIO & ~Copyable>(_ list: borrowing WriteList, _ base: inout Base) {
        guard let table else { return base.send(list) }
        writes.removeAll()
        for index in 0..<list.count {
            if !writes.isComfortable { flush(list, &base) }
            let write = list.writes + index
            write.pointee.failure = 0
            let found = table.circuit(of: write.pointee.interface)
            if found < 0 {
                note(index)
                writes.add(
                    interface: write.pointee.interface, header: write.pointee.header,
                    headerLength: write.pointee.headerLength, body: write.pointee.body,
                    bodyLength: write.pointee.bodyLength, packets: write.pointee.packets, octets: write.pointee.octets)
                continue
            }
            if found != place { take(found, table) }
            encapsulate(write, index)
        }
        flush(list, &base)
    }

    /// The next write of `writes` is for the one at `index`.
    @inline(__always)
    private func note(_ index: Int) { places[writes.count] = Int32(truncatingIfNeeded: index) }

    /// Sends what is ready. A write of which a part failed has failed.
    private mutating func flush<Base: FrameIO & ~Copyable>(_ list: borrowing WriteList, _ base: inout Base) {
        guard writes.count > 0 else { return }
        base.send(writes)
        if devices != nil { devices?.capture(writes, at: base.now()) }
        for place in 0..<writes.count where writes.writes[place].failure != 0 {
            list.writes[Int(places[place])].failure = writes.writes[place].failure
        }
        writes.removeAll()
    }

    private mutating func encapsulate(_ write: UnsafeMutablePointer<FrameWrite>, _ index: Int) {
        guard let record else { return }
        let header = write.pointee.header
        let offloads =
            header.load(fromByteOffset: VirtioNetHeader.gsoType.offset, as: UInt8.self)
            | header.load(as: UInt8.self) & VirtioNetHeader.needsChecksum
        let failure =
            offloads == 0
            ? add(
                record, index, header + VirtioNetHeader.length, write.pointee.headerLength &- VirtioNetHeader.length,
                write.pointee.body, write.pointee.bodyLength)
            : finish(record, write, index)
        guard let failure else { return }
        write.pointee.failure = WriteOutcome.dropped(failure)
        counters?.countDrop(failure, write.pointee.packets)
        counters?.countSendDrop(write.pointee.interface, write.pointee.packets)
    }

    /// Adds a frame behind the headers of a circuit.
    ///
    /// - Returns: Why not; nil if it was added.
    private mutating func add(
        _ record: CircuitRecord, _ index: Int, _ frame: UnsafeMutableRawPointer, _ count: Int, _ body: UnsafeRawPointer,
        _ bodyLength: Int
    ) -> DropReason? {
        guard count >= EthernetView.length else { return .sendFailed }
        let next = writes.nextHeader
        let offset = record.circuit.link == .ethernet ? VirtioNetHeader.length : 0
        next.storeBytes(of: 0, as: UInt64.self)
        next.storeBytes(of: 0, toByteOffset: 8, as: UInt16.self)
        var target = UnsafeMutableRawBufferPointer(start: next + offset, count: Circuit.mostOctets).mutableBytes
        let octets = UnsafeRawBufferPointer(start: frame, count: count)
        guard
            let (written, replaced) = record.circuit.write(
                &target, before: octets.bytes, length: count &+ bodyLength)
        else { return .notCarried }
        let length = offset &+ written
        note(index)
        if length &+ count &- replaced <= WriteList.headerCapacity {
            (next + length).copyMemory(from: frame + replaced, byteCount: count &- replaced)
            writes.add(
                interface: record.carrier, header: next, headerLength: length &+ count &- replaced, body: body,
                bodyLength: bodyLength, packets: 1)
        } else if bodyLength == 0 {
            writes.add(
                interface: record.carrier, header: next, headerLength: length, body: frame + replaced,
                bodyLength: count &- replaced, packets: 1)
        } else {
            guard let place = writes.compose(count &- replaced &+ bodyLength)?.baseAddress else {
                return .sendFailed
            }
            place.copyMemory(from: frame + replaced, byteCount: count &- replaced)
            (place + count - replaced).copyMemory(from: body, byteCount: bodyLength)
            writes.keepComposed(count &- replaced &+ bodyLength)
            writes.add(
                interface: record.carrier, header: next, headerLength: length, body: place,
                bodyLength: count &- replaced &+ bodyLength, packets: 1)
        }
        return nil
    }

    /// Does what an offload header leaves to the device, and adds the frames: the device could not do it behind the headers of
    /// a circuit.
    private mutating func finish(
        _ record: CircuitRecord, _ write: UnsafeMutablePointer<FrameWrite>, _ index: Int
    ) -> DropReason? {
        let (first, rest) = (write.pointee.headerLength, write.pointee.bodyLength)
        let length = first &+ rest &- VirtioNetHeader.length
        let header = UnsafeRawBufferPointer(start: write.pointee.header, count: VirtioNetHeader.length)
        guard first >= Self.headroom, length <= frameSlotSize, let offload = VirtioNetHeader(header.bytes),
            let whole = writes.compose(length)?.baseAddress
        else { return .sendFailed }
        let early = first &- VirtioNetHeader.length
        whole.copyMemory(from: write.pointee.header + VirtioNetHeader.length, byteCount: early)
        (whole + early).copyMemory(from: write.pointee.body, byteCount: rest)
        writes.keepComposed(length)
        let octets = UnsafeMutableRawBufferPointer(start: whole, count: length)
        guard let shape = Segmentation.Shape(UnsafeRawBufferPointer(octets).bytes, offload) else {
            var frame = octets.mutableBytes
            guard offload.gsoType == VirtioNetHeader.gsoNone,
                InternetChecksum.complete(
                    &frame, start: Int(offload.checksumStart), offset: Int(offload.checksumOffset), end: length)
            else { return .badOffloadHeader }
            return add(record, index, whole, length, UnsafeRawPointer(whole), 0)
        }
        // With room for so many writes, `send` begins.
        guard shape.count <= Self.mostSegments else { return .sendFailed }
        for number in 0..<shape.count {
            guard let segment = writes.compose(shape.length(of: number))?.baseAddress else { return .sendFailed }
            let count = shape.write(number, of: whole, to: segment)
            writes.keepComposed(count)
            if let failure = add(record, index, segment, count, UnsafeRawPointer(segment), 0) { return failure }
        }
        return nil
    }

    private static let mostSegments = 250

    // MARK: - Questions of frame relay

    /// True if questions wait for answers.
    var hasAnswers: Bool { questions > 0 }

    /// Answers the questions of the batch.
    @inline(never)
    mutating func answer<Base: FrameIO & ~Copyable>(_ base: inout Base) {
        writes.removeAll()
        for number in 0..<questions {
            switch question[number] {
            case .status(let status): add(status)
            case .address(let asked, let own):
                guard let place = writes.compose(Circuit.tunLength &+ InverseARP.length) else { continue }
                var target = place.mutableBytes
                asked.writeReply(&target, at: Circuit.tunLength, from: own)
                addAnswer(place, Circuit.tunLength &+ InverseARP.length)
            }
        }
        questions = 0
        base.send(writes)
        if devices != nil { devices?.capture(writes, at: base.now()) }
        counters?.countWrites(writes)
        writes.removeAll()
    }

    private mutating func add(_ status: FrameRelayStatus) {
        guard let table else { return }
        let circuits = range.prefix(status.dialect.mostCircuits)
        let length = Circuit.tunLength &+ status.length(circuits: circuits.count)
        guard let place = writes.compose(length) else { return }
        var target = place.mutableBytes
        var offset = Circuit.tunLength &+ status.write(&target, at: Circuit.tunLength)
        if status.isFull {
            for circuit in circuits {
                status.write(&target, at: offset, circuit: table.circuit(at: circuit).circuit.key.low)
                offset &+= status.dialect.circuitLength
            }
        }
        addAnswer(place, length)
    }

    private mutating func addAnswer(_ place: UnsafeMutableRawBufferPointer, _ length: Int) {
        guard let start = place.baseAddress else { return }
        var target = place.mutableBytes
        Circuit.writeTunInformation(&target, .frameRelay)
        writes.keepComposed(length)
        writes.add(
            interface: answerInterface, header: start, headerLength: length, body: UnsafeRawPointer(start),
            bodyLength: 0, packets: 1)
    }
}
