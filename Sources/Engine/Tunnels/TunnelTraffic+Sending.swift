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
            if !writes.hasRoom(for: Self.mostScratch) { flush(list, &base) }
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
            encapsulate(write, index, isFinished: record.map { base.finishesTunnels(on: $0.carrier) } ?? false)
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

    /// - Parameter isFinished: The underlay's device finishes what is in tunnels.
    private mutating func encapsulate(_ write: UnsafeMutablePointer<FrameWrite>, _ index: Int, isFinished: Bool) {
        guard let record else { return }
        let header = write.pointee.header
        let offloads =
            header.load(fromByteOffset: VirtioNetHeader.gsoType.offset, as: UInt8.self)
            | header.load(as: UInt8.self) & VirtioNetHeader.needsChecksum
        let inner = gathered(
            Piece(
                start: header + VirtioNetHeader.length, count: write.pointee.headerLength &- VirtioNetHeader.length,
                body: write.pointee.body, bodyLength: write.pointee.bodyLength, packets: write.pointee.packets), record)
        let failure: DropReason?
        if offloads == 0 {
            failure = add(record, index, inner, isFinished: isFinished)
        } else if isFinished, leave(record, index, inner, header) {
            failure = nil
        } else {
            failure = finish(record, write, index, isFinished: isFinished)
        }
        guard let failure else { return }
        write.pointee.failure = WriteOutcome.dropped(failure)
        counters?.countDrop(failure, write.pointee.packets)
        counters?.countSendDrop(write.pointee.interface, write.pointee.packets)
    }

    /// A frame that goes into a tunnel: its first octets, and the rest.
    private struct Piece {
        let start: UnsafeMutableRawPointer
        let count: Int
        let body: UnsafeRawPointer
        let bodyLength: Int
        var packets = 1

        var length: Int { count &+ bodyLength }
        var first: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }
    }

    /// The frame with all of its headers in one piece: the outer source port, the mark of congestion and offloads follow from them.
    /// Of several copies of a frame, only what differs is apart from what they share.
    @inline(__always)
    private func gathered(_ inner: Piece, _ record: TunnelRecord) -> Piece {
        guard inner.count < Self.headersOctets, inner.bodyLength > 0 else { return inner }
        let more = min(Self.headersOctets &- inner.count, inner.bodyLength)
        // Where they will be sent from: the outer headers are as long as the packet grows.
        let place = writes.nextHeader + VirtioNetHeader.length + record.tunnel.overhead
        place.copyMemory(from: inner.start, byteCount: inner.count)
        (place + inner.count).copyMemory(from: inner.body, byteCount: more)
        return Piece(
            start: place, count: inner.count &+ more, body: inner.body + more, bodyLength: inner.bodyLength &- more,
            packets: inner.packets)
    }

    /// The octets that the headers of most frames fit: Ethernet with two tags, IPv6 and TCP with all of its options.
    private static let headersOctets = 124

    /// Writes an offload header of zeros and the outer headers to `place`, the next write's header.
    ///
    /// - Returns: The octets of both; nil if an outer packet has no room for the frame.
    @inline(__always)
    private func begin(_ record: TunnelRecord, _ inner: Piece, at place: UnsafeMutableRawPointer) -> Int? {
        place.storeBytes(of: 0, as: UInt64.self)
        place.storeBytes(of: 0, toByteOffset: 8, as: UInt16.self)
        let room = UnsafeMutableRawBufferPointer(start: place + VirtioNetHeader.length, count: Tunnel.mostOctets)
        var target = room.mutableBytes
        guard let written = record.tunnel.write(&target, before: inner.first.bytes, length: inner.length) else {
            return nil
        }
        return VirtioNetHeader.length &+ written
    }

    /// Adds a packet of the underlay with a frame in it.
    ///
    /// - Returns: Why not; nil if it was added.
    private mutating func add(
        _ record: TunnelRecord, _ index: Int, _ inner: Piece, isFinished: Bool
    ) -> DropReason? {
        guard inner.count >= EthernetView.length else { return .sendFailed }
        let next = writes.nextHeader
        guard let length = begin(record, inner, at: next) else { return .tooBig }
        // Over IPv6 the datagram has a checksum.
        guard record.tunnel.kind != .ethernet, record.tunnel.local.family == .ipv6 else {
            return add(record, index, inner, behind: next, length)
        }
        if isFinished {
            let frame = UnsafeMutableRawBufferPointer(
                start: next + VirtioNetHeader.length, count: length &- VirtioNetHeader.length)
            var outer = frame.mutableBytes
            Tunnel.begin(&outer)
            var offload = VirtioNetHeader()
            offload.flags = VirtioNetHeader.needsChecksum
            offload.checksumStart = Tunnel.checksumStart
            offload.checksumOffset = UInt16(UDPHeader.checksum.offset)
            Self.store(offload, next)
            return add(record, index, inner, behind: next, length)
        }
        // The device does not sum, so the datagram must lie in one piece.
        note(index)
        let whole = length &+ inner.length
        guard let memory = writes.compose(whole)?.baseAddress else { return .sendFailed }
        memory.copyMemory(from: next, byteCount: length)
        (memory + length).copyMemory(from: inner.start, byteCount: inner.count)
        (memory + length + inner.count).copyMemory(from: inner.body, byteCount: inner.bodyLength)
        writes.keepComposed(whole)
        var packet = UnsafeMutableRawBufferPointer(
            start: memory + VirtioNetHeader.length, count: whole &- VirtioNetHeader.length
        ).mutableBytes
        Tunnel.complete(&packet)
        writes.add(
            interface: record.carrier, header: memory, headerLength: whole, body: UnsafeRawPointer(memory),
            bodyLength: 0, packets: 1)
        return nil
    }

    /// Adds a packet whose outer headers are at `next`, `length` octets of them with the offload header.
    private mutating func add(
        _ record: TunnelRecord, _ index: Int, _ inner: Piece, behind next: UnsafeMutableRawPointer, _ length: Int
    ) -> DropReason? {
        note(index)
        if length &+ inner.count <= WriteList.headerCapacity {
            if inner.start != next + length {
                (next + length).copyMemory(from: inner.start, byteCount: inner.count)
            }
            writes.add(
                interface: record.carrier, header: next, headerLength: length &+ inner.count, body: inner.body,
                bodyLength: inner.bodyLength, packets: inner.packets)
            return nil
        }
        if inner.bodyLength == 0 {
            writes.add(
                interface: record.carrier, header: next, headerLength: length, body: inner.start,
                bodyLength: inner.count, packets: inner.packets)
            return nil
        }
        guard let memory = writes.compose(inner.length)?.baseAddress else { return .sendFailed }
        memory.copyMemory(from: inner.start, byteCount: inner.count)
        (memory + inner.count).copyMemory(from: inner.body, byteCount: inner.bodyLength)
        writes.keepComposed(inner.length)
        writes.add(
            interface: record.carrier, header: next, headerLength: length, body: memory, bodyLength: inner.length,
            packets: inner.packets)
        return nil
    }

    /// Adds a packet whose frame the device finishes: it cuts it, or completes its checksum.
    ///
    /// - Parameter header: The frame's offload header.
    /// - Returns: False if it must be finished here: there is no datagram, an outer packet has no room for it, or its headers do
    ///   not say what the device must know.
    private mutating func leave(
        _ record: TunnelRecord, _ index: Int, _ inner: Piece, _ header: UnsafeRawPointer
    ) -> Bool {
        let octets = UnsafeRawBufferPointer(start: header, count: VirtioNetHeader.length)
        guard record.tunnel.kind != .ethernet, inner.count >= EthernetView.length,
            var offload = VirtioNetHeader(octets.bytes),
            let place = offload.placeInside(inner.first.bytes)
        else { return false }
        let next = writes.nextHeader
        guard let length = begin(record, inner, at: next) else { return false }
        let outer = length &- VirtioNetHeader.length
        let isSix = record.tunnel.local.family == .ipv6
        // The kernel takes what is one segment for no superframe, and would leave the outer checksum as it is.
        if offload.gsoType != VirtioNetHeader.gsoNone, Self.isOneSegment(inner, offload) {
            (offload.gsoType, offload.gsoSize) = (VirtioNetHeader.gsoNone, 0)
        }
        offload.checksumStart &+= UInt16(outer)
        if offload.gsoType == VirtioNetHeader.gsoNone {
            offload.headerLength = 0
        } else {
            // All of these are below the 576 octets of a header.
            offload.headerLength = UInt16(outer &+ place.network)
            offload.gsoType |= isSix ? VirtioNetHeader.gsoTunnel6 : VirtioNetHeader.gsoTunnel4
            if isSix { offload.flags |= VirtioNetHeader.tunnelChecksum }
        }
        if isSix {
            var headers = UnsafeMutableRawBufferPointer(start: next + VirtioNetHeader.length, count: outer)
                .mutableBytes
            Tunnel.begin(&headers)
            if offload.gsoType == VirtioNetHeader.gsoNone {
                Tunnel.complete(&headers, before: inner.first.bytes, start: place.start, field: place.field)
            }
        }
        Self.store(offload, next)
        return add(record, index, inner, behind: next, length) == nil
    }

    /// True if the payload of a superframe is no larger than a segment's. The checksum is at hand, and so is what comes before it.
    private static func isOneSegment(_ inner: Piece, _ offload: VirtioNetHeader) -> Bool {
        let start = Int(offload.checksumStart)
        let isUDP = offload.gsoType & ~VirtioNetHeader.gsoECN == VirtioNetHeader.gsoUDPL4
        let header = isUDP ? UDPView.length : Int(inner.first[start &+ TCPHeader.dataOffset.offset] >> 4) &* 4
        return inner.length &- start &- header <= Int(offload.gsoSize)
    }

    private static func store(_ offload: VirtioNetHeader, _ place: UnsafeMutableRawPointer) {
        var header = UnsafeMutableRawBufferPointer(start: place, count: VirtioNetHeader.length).mutableBytes
        offload.write(into: &header)
    }

    /// Does what an offload header leaves to the device, and adds the frames: the device could not do it inside a tunnel.
    private mutating func finish(
        _ record: TunnelRecord, _ write: UnsafeMutablePointer<FrameWrite>, _ index: Int, isFinished: Bool
    ) -> DropReason? {
        func piece(_ start: UnsafeMutableRawPointer, _ count: Int) -> Piece {
            Piece(start: start, count: count, body: UnsafeRawPointer(start), bodyLength: 0)
        }
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
            return add(record, index, piece(whole, length), isFinished: isFinished)
        }
        // With room for so many writes, `send` begins.
        guard shape.count <= Self.mostSegments else { return .sendFailed }
        for number in 0..<shape.count {
            guard let segment = writes.compose(shape.length(of: number))?.baseAddress else { return .sendFailed }
            let count = shape.write(number, of: whole, to: segment)
            writes.keepComposed(count)
            if let failure = add(record, index, piece(segment, count), isFinished: isFinished) { return failure }
        }
        return nil
    }

    private static let mostSegments = 250
    /// The octets that the segments of one superframe may need: all of it, the segments, and these behind outer headers.
    private static let mostScratch = 3 * frameSlotSize + 3 * mostSegments * 256
}
