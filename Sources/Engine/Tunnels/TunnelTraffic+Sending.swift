import Forwarding
import Wire

extension TunnelTraffic {
    /// True if one of the writes is for a tunnel.
    func concerns(_ list: borrowing WriteList) -> Bool {
        guard let table else { return false }
        for index in 0..<list.count where table.tunnel(of: list.writes[index].interface) >= 0 { return true }
        return false
    }

    /// Sends all writes in their order, those for tunnels inside packets of the underlay.
    mutating func send<Base: FrameIO & ~Copyable>(_ list: borrowing WriteList, _ base: inout Base) {
        guard let table else { return base.send(list) }
        writes.removeAll()
        for index in 0..<list.count {
            if !writes.isComfortable { flush(list, &base) }
            let write = list.writes + index
            write.pointee.failure = 0
            let found = table.tunnel(of: write.pointee.interface)
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
        if wire != nil { wire?.capture(writes, places, of: list, at: base.now()) }
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

    /// Adds a packet of the underlay with a frame in it.
    ///
    /// - Returns: Why not; nil if it was added.
    private mutating func add(
        _ record: TunnelRecord, _ index: Int, _ frame: UnsafeMutableRawPointer, _ count: Int, _ body: UnsafeRawPointer,
        _ bodyLength: Int
    ) -> DropReason? {
        guard count >= EthernetView.length else { return .sendFailed }
        let next = writes.nextHeader
        next.storeBytes(of: 0, as: UInt64.self)
        next.storeBytes(of: 0, toByteOffset: 8, as: UInt16.self)
        let room = UnsafeMutableRawBufferPointer(start: next + VirtioNetHeader.length, count: Tunnel.mostOctets)
        var target = room.mutableBytes
        let octets = UnsafeRawBufferPointer(start: frame, count: count)
        guard
            let written = record.tunnel.write(&target, before: octets.bytes, length: count &+ bodyLength)
        else { return .tooBig }
        let length = VirtioNetHeader.length &+ written
        note(index)
        // Over IPv6 the datagram has a checksum, so it must lie in one piece.
        let isWhole = record.tunnel.kind != .ethernet && record.tunnel.local.family == .ipv6
        if !isWhole, length &+ count <= WriteList.headerCapacity {
            (next + length).copyMemory(from: frame, byteCount: count)
            writes.add(
                interface: record.carrier, header: next, headerLength: length &+ count, body: body,
                bodyLength: bodyLength, packets: 1)
            return nil
        }
        if !isWhole, bodyLength == 0 {
            writes.add(
                interface: record.carrier, header: next, headerLength: length, body: frame, bodyLength: count,
                packets: 1)
            return nil
        }
        let before = isWhole ? length : 0
        let whole = before &+ count &+ bodyLength
        guard let memory = writes.compose(whole)?.baseAddress else { return .sendFailed }
        memory.copyMemory(from: next, byteCount: before)
        (memory + before).copyMemory(from: frame, byteCount: count)
        (memory + before + count).copyMemory(from: body, byteCount: bodyLength)
        writes.keepComposed(whole)
        guard isWhole else {
            writes.add(
                interface: record.carrier, header: next, headerLength: length, body: memory, bodyLength: whole,
                packets: 1)
            return nil
        }
        var packet = UnsafeMutableRawBufferPointer(
            start: memory + VirtioNetHeader.length, count: whole &- VirtioNetHeader.length
        ).mutableBytes
        Tunnel.complete(&packet)
        writes.add(
            interface: record.carrier, header: memory, headerLength: whole, body: UnsafeRawPointer(memory),
            bodyLength: 0, packets: 1)
        return nil
    }

    /// Does what an offload header leaves to the device, and adds the frames: the device could not do it inside a tunnel.
    private mutating func finish(
        _ record: TunnelRecord, _ write: UnsafeMutablePointer<FrameWrite>, _ index: Int
    ) -> DropReason? {
        let (first, rest) = (write.pointee.headerLength, write.pointee.bodyLength)
        let length = first &+ rest &- VirtioNetHeader.length
        let header = UnsafeRawBufferPointer(start: write.pointee.header, count: VirtioNetHeader.length)
        guard first >= CircuitTraffic.headroom, length <= frameSlotSize,
            let offload = VirtioNetHeader(header.bytes), let whole = writes.compose(length)?.baseAddress
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
}
